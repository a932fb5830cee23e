/* The interactive shell: libedit with history and completion of keywords and table names.
 *
 * Lines are gathered until a ';' ends a statement. Ctrl-C drops what was typed or ends the wait for
 * a statement; Ctrl-D and `exit` leave. History: $XDG_STATE_HOME/strait/history, or
 * ~/.local/state/strait/history, readable by its owner alone.
 */
#include "node/client/script.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <sys/stat.h>

#include "node/client/interrupt.h"
#include "node/sql/lexer.h"

#define HISTORY_LINES 2000
#define WORD_BYTES    128

struct shell {
    struct script *script;
    EditLine *edit;
    History *history;
    struct bytes pending; /* statement typed so far */
    char prompt[WORD_BYTES + 16];
};

static char *prompt_show(EditLine *edit)
{
    struct shell *shell = NULL;
    el_get(edit, EL_CLIENTDATA, &shell);
    if (shell->pending.len > 0)
        return "     -> ";
    snprintf(
        shell->prompt, sizeof shell->prompt, "strait%s%.*s> ",
        shell->script->project.len > 0 ? ":" : "",
        (int)(shell->script->project.len < WORD_BYTES ? shell->script->project.len : WORD_BYTES),
        (const char *)shell->script->project.data);
    return shell->prompt;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Tab: the keyword that the word at the cursor begins; in small letters if it was begun so. */
static unsigned char word_complete(EditLine *edit, int character)
{
    const LineInfo *line = el_line(edit);
    const char *start = line->cursor;
    (void)character;
    while (start > line->buffer && is_word(start[-1]))
        start--;
    size_t len = (size_t)(line->cursor - start), found_len = 0;
    char found[WORD_BYTES] = {0};
    if (len == 0 || len >= WORD_BYTES)
        return CC_REFRESH_BEEP;
    for (enum keyword keyword = KEYWORD_NONE + 1; keyword < KEYWORD_COUNT; keyword++) {
        const char *text = keyword_text(keyword);
        if (strncasecmp(text, start, len) != 0)
            continue;
        if (found_len == 0) {
            snprintf(found, sizeof found, "%s ", text);
            found_len = strlen(found);
            continue;
        }
        size_t same = 0; /* several: as far as they agree */
        while (same < found_len && text[same] == found[same])
            same++;
        found_len = same;
    }
    if (found_len <= len)
        return CC_REFRESH_BEEP;
    found[found_len] = 0;
    bool small = start[len - 1] >= 'a' && start[len - 1] <= 'z';
    for (char *c = found; small && *c != 0; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    return el_insertstr(edit, found + len) == 0 ? CC_REFRESH : CC_ERROR;
}

static void folder_make(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            complain("%s: %s (no history is kept)", path, strerror(errno));
        *slash = '/';
    }
}

/* NULL without a home. */
static char *history_path(void)
{
    struct bytes path BYTES_CLEANUP = {0};
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state != NULL && state[0] == '/')
        bytes_printf(&path, "%s/strait/history", state);
    else if (home != NULL && home[0] == '/')
        bytes_printf(&path, "%s/.local/state/strait/history", home);
    else
        return NULL;
    return mem_strndup(bytes_span(&path));
}

static void history_keep(struct shell *shell, struct span statement)
{
    struct bytes line BYTES_CLEANUP = {0};
    HistEvent event;
    while (statement.len > 0 && memchr(" \t\r\n", statement.data[statement.len - 1], 4) != NULL)
        statement.len--;
    bytes_append_span(&line, statement);
    bytes_append_text(&line, ";");
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '\n')
            line.data[i] = ' ';
    bytes_append_u8(&line, 0);
    history(shell->history, &event, H_ENTER, (const char *)line.data);
}

/* Runs every complete statement of what was typed; the rest stays. */
static void pending_run(struct shell *shell)
{
    struct splitter splitter = splitter_of(bytes_span(&shell->pending));
    struct bytes rest BYTES_CLEANUP = {0};
    struct span statement;
    bool complete = false;
    while (splitter_next(&splitter, &statement, &complete)) {
        if (!complete) {
            bytes_append_span(&rest, statement);
            bytes_append_u8(&rest, '\n');
            break;
        }
        history_keep(shell, statement);
        enum exit_code code = script_statement(shell->script, statement);
        interrupt_clear();
        if (code != EXIT_DONE)
            break; /* what was typed behind it on the line is dropped */
    }
    bytes_clear(&shell->pending);
    bytes_append_span(&shell->pending, bytes_span(&rest));
}

static bool is_exit(struct span line)
{
    static const char *const words[] = {"exit", "quit", "exit;", "quit;"};
    while (line.len > 0 && strchr(" \t\r\n", line.data[line.len - 1]) != NULL)
        line.len--;
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (line.len == strlen(words[i]) &&
            strncasecmp((const char *)line.data, words[i], line.len) == 0)
            return true;
    return false;
}

static void shell_open(struct shell *shell)
{
    HistEvent event;
    shell->history = history_init();
    history(shell->history, &event, H_SETSIZE, HISTORY_LINES);
    history(shell->history, &event, H_SETUNIQUE, 1);
    shell->edit = el_init("strait", stdin, stdout, stderr);
    el_set(shell->edit, EL_CLIENTDATA, shell);
    el_set(shell->edit, EL_PROMPT, prompt_show);
    el_set(shell->edit, EL_EDITOR, "emacs");
    el_set(shell->edit, EL_SIGNAL, 0);
    el_set(shell->edit, EL_HIST, history, shell->history);
    el_wset(shell->edit, EL_ADDFN, L"complete", L"complete the word", word_complete);
    el_set(shell->edit, EL_BIND, "^I", "complete", NULL);
    el_set(shell->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(shell->edit, NULL);
}

static void lines_run(struct shell *shell)
{
    while (true) {
        int count = 0;
        const char *line = el_gets(shell->edit, &count);
        if (interrupt_pending()) {
            interrupt_clear();
            fputs("^C\n", stderr);
            bytes_clear(&shell->pending);
            el_reset(shell->edit);
            continue;
        }
        if (line == NULL || count <= 0)
            return;
        if (shell->pending.len == 0 && is_exit(span_of(line, (size_t)count)))
            return;
        bytes_append(&shell->pending, line, (size_t)count);
        pending_run(shell);
    }
}

enum exit_code shell_run(struct script *script)
{
    struct shell shell = {.script = script};
    HistEvent event;
    char *path MEM_CLEANUP = history_path();
    setlocale(LC_CTYPE, "");
    shell_open(&shell);
    if (path != NULL) {
        folder_make(path);
        history(shell.history, &event, H_LOAD, path);
    }
    lines_run(&shell);
    fputc('\n', stderr);
    if (path != NULL) {
        mode_t old = umask(0077);
        history(shell.history, &event, H_SAVE, path);
        umask(old);
    }
    el_end(shell.edit);
    history_end(shell.history);
    bytes_deinit(&shell.pending);
    return EXIT_DONE;
}
