#include "node/config_text.h"

#include <errno.h>
#include <stdio.h>

/* Behind the quote that ends what begins here; at the end where none does. */
static size_t quoted_end(struct span text, size_t at)
{
    const uint8_t quote = text.data[at];
    for (at++; at < text.len && text.data[at] != quote; at++)
        at += text.data[at] == '\\';
    return at < text.len ? at + 1 : text.len;
}

static bool is_between(uint8_t c)
{
    static const char between[] = " \t\r\n={}()+,\"'";
    return memchr(between, c, sizeof(between) - 1) != NULL;
}

/* A slash within a word, as of a path, begins none. */
static bool word_begins(struct span text, size_t at)
{
    return at == 0 || is_between(text.data[at - 1]);
}

static size_t line_bytes(struct span text, size_t at)
{
    const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
    return end != NULL ? (size_t)(end - text.data) - at : text.len - at;
}

static size_t block_bytes(struct span text, size_t at)
{
    for (size_t i = at + 3; i < text.len; i++)
        if (text.data[i - 1] == '*' && text.data[i] == '/')
            return i + 1 - at;
    return text.len - at;
}

/* Of the comment that begins here; 0: none does. */
static size_t comment_bytes(struct span text, size_t at)
{
    if (text.data[at] == '#')
        return line_bytes(text, at);
    if (text.data[at] != '/' || text.len - at < 2 || !word_begins(text, at))
        return 0;
    if (text.data[at + 1] == '/')
        return line_bytes(text, at);
    return text.data[at + 1] == '*' ? block_bytes(text, at) : 0;
}

static void comments_blank(uint8_t *data, size_t len)
{
    const struct span text = span_of(data, len);
    for (size_t at = 0; at < len;) {
        size_t comment = comment_bytes(text, at);
        for (size_t i = at; i < at + comment; i++)
            data[i] = data[i] == '\n' ? '\n' : ' ';
        if (comment > 0)
            at += comment;
        else
            at = data[at] == '"' || data[at] == '\'' ? quoted_end(text, at) : at + 1;
    }
}

int config_text_read(const char *path, struct bytes *out)
{
    uint8_t part[KIB(4)];
    size_t got, before = out->len;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno;
    errno = 0;
    while (out->len - before <= CONFIG_TEXT_BYTES_MAX &&
           (got = fread(part, 1, sizeof(part), file)) > 0)
        bytes_append(out, part, got);
    int reason = ferror(file) != 0 ? errno : 0;
    fclose(file);
    if (reason == 0 && out->len - before > CONFIG_TEXT_BYTES_MAX)
        reason = EFBIG;
    bytes_append_u8(out, '\n');
    comments_blank(out->data + before, out->len - before);
    return reason;
}

/* ---- words ---- */

/* From here on: a word, what stands in quotes with them, or one character. */
static struct span token_at(struct span text, size_t at)
{
    size_t end = at + 1;
    if (at >= text.len)
        return span_of(NULL, 0);
    if (text.data[at] == '"' || text.data[at] == '\'')
        end = quoted_end(text, at);
    else if (!is_between(text.data[at]))
        while (end < text.len && !is_between(text.data[end]))
            end++;
    return span_of(text.data + at, end - at);
}

static bool is_quoted(struct span token)
{
    return token.len >= 2 && (token.data[0] == '"' || token.data[0] == '\'');
}

static struct span token_word(struct span token)
{
    return is_quoted(token) ? span_of(token.data + 1, token.len - 2) : token;
}

void config_words_init(struct config_words *words, struct span text)
{
    *words = (struct config_words){.text = text, .line = 1};
}

bool config_words_next(struct config_words *words)
{
    const struct span text = words->text;
    while (words->at < text.len) {
        size_t begin = words->at;
        struct span token = token_at(text, begin);
        words->at += token.len;
        if (token.data[0] == '{')
            words->depth++;
        else if (token.data[0] == '}' && words->depth > 0)
            words->depth--;
        bool is_word = is_quoted(token) || !is_between(token.data[0]);
        if (words->depth > 0 || !is_word)
            continue;
        for (; words->counted < begin; words->counted++)
            words->line += text.data[words->counted] == '\n';
        words->word = token_word(token);
        return true;
    }
    return false;
}

struct span config_words_behind(const struct config_words *words)
{
    const struct span text = words->text;
    size_t at = words->at;
    while (at < text.len && memchr(" \t\r\n", text.data[at], 4) != NULL)
        at++;
    return token_word(token_at(text, at));
}
