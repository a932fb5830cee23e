/* The interactive shell: libedit with history and completion of keywords and table names.
 *
 * Lines are gathered until a ';' ends a statement. Ctrl-C drops what was typed or ends the wait for
 * a statement; Ctrl-D, `exit`, `quit` and `\q` leave, `help` explains, `help words` those statements. History:
 * $XDG_STATE_HOME/strait/history, or ~/.local/state/strait/history, readable by its owner alone.
 */
#include "node/client/script.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "node/client/interrupt.h"
#include "node/client/statement_help.h"
#include "node/sql/lexer.h"

#define HISTORY_LINES 2000
#define WORD_BYTES    128
#define NAMES_MAX     10000
#define KEY_CTRL_C    3

struct shell {
    struct script *script;
    EditLine *edit;
    History *history;
    struct bytes pending; /* statement typed so far */
    char prompt[WORD_BYTES + 16];
    char **names; /* of tables, for completion */
    size_t name_count;
    bool names_known;
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

/* ---- completion ---- */

static void names_drop(struct shell *shell)
{
    for (size_t i = 0; i < shell->name_count; i++)
        mem_free(shell->names[i]);
    mem_free(shell->names);
    shell->names = NULL;
    shell->name_count = 0;
    shell->names_known = false;
}

static enum err_code names_columns(void *context, const struct column *columns, size_t count,
                                   struct err *err)
{
    (void)context;
    (void)count;
    return columns[0].type.kind == TYPE_STRING ? ERR_OK : err_set(err, ERR_PEER, "no names");
}

static enum err_code names_rows(void *context, const struct batch *batch,
                                const struct operator_progress *progress, struct err *err)
{
    struct shell *shell = context;
    (void)progress;
    (void)err;
    for (size_t row = 0; row < batch->rows && shell->name_count < NAMES_MAX; row++) {
        shell->names = mem_realloc(shell->names, shell->name_count + 1, sizeof *shell->names);
        shell->names[shell->name_count++] = mem_strndup(vector_value(&batch->vectors[0], row).text);
    }
    return ERR_OK;
}

/* The current project's tables, asked for at the first Tab after a statement. */
static void names_ask(struct shell *shell)
{
    struct execution_sink sink = {names_columns, names_rows, shell};
    struct operator_execute request = {.id = statement_id_random(),
                                       .project = bytes_span(&shell->script->project),
                                       .text = span_text("SHOW TABLES")};
    if (!shell->names_known && shell->script->project.len > 0)
        (void)execution_rows(shell->script->client->remote, &request, &sink, NULL);
    shell->names_known = true; /* a node that does not answer is not asked at each Tab */
}

/* What the words that begin like `start` have in common. */
struct candidates {
    const char *start;
    size_t len;
    char found[WORD_BYTES];
    size_t found_len;
};

static void candidate_take(struct candidates *candidates, const char *text, bool keyword)
{
    size_t same = 0;
    if (strncasecmp(text, candidates->start, candidates->len) != 0)
        return;
    if (candidates->found_len == 0) {
        snprintf(candidates->found, sizeof candidates->found, "%s%s", text, keyword ? " " : "");
        candidates->found_len = strlen(candidates->found);
        char last = candidates->start[candidates->len - 1];
        for (char *c = candidates->found; keyword && last >= 'a' && last <= 'z' && *c != 0; c++)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
        return;
    }
    while (same < candidates->found_len &&
           strncasecmp(&text[same], &candidates->found[same], 1) == 0)
        same++;
    candidates->found_len = same;
}

/* Tab: the rest of the keyword or table name that the word at the cursor begins, as far as all such
 * agree; keywords in small letters if they were begun so. */
static unsigned char word_complete(EditLine *edit, int character)
{
    const LineInfo *line = el_line(edit);
    struct shell *shell = NULL;
    struct candidates candidates = {.start = line->cursor};
    (void)character;
    el_get(edit, EL_CLIENTDATA, &shell);
    while (candidates.start > line->buffer && is_word(candidates.start[-1]))
        candidates.start--;
    candidates.len = (size_t)(line->cursor - candidates.start);
    if (candidates.len == 0 || candidates.len >= WORD_BYTES)
        return CC_REFRESH_BEEP;
    names_ask(shell);
    for (size_t i = 0; i < shell->name_count; i++)
        candidate_take(&candidates, shell->names[i], false);
    for (enum keyword keyword = KEYWORD_NONE + 1; keyword < KEYWORD_COUNT; keyword++)
        candidate_take(&candidates, keyword_text(keyword), true);
    if (candidates.found_len <= candidates.len)
        return CC_REFRESH_BEEP;
    candidates.found[candidates.found_len] = 0;
    return el_insertstr(edit, candidates.found + candidates.len) == 0 ? CC_REFRESH : CC_ERROR;
}

/* ---- history ---- */

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

/* ---- lines ---- */

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
        names_drop(shell);
        interrupt_clear();
        if (code != EXIT_DONE)
            break; /* what was typed behind it on the line is dropped */
    }
    bytes_clear(&shell->pending);
    bytes_append_span(&shell->pending, bytes_span(&rest));
}

/* Words of the shell itself, which need no ';'. */
static bool is_one_of(struct span line, const char *const *words, size_t count)
{
    while (line.len > 0 && strchr(" \t\r\n;", line.data[line.len - 1]) != NULL)
        line.len--;
    for (size_t i = 0; i < count; i++)
        if (line.len == strlen(words[i]) &&
            strncasecmp((const char *)line.data, words[i], line.len) == 0)
            return true;
    return false;
}

static void help_show(void)
{
    fputs("a ';' ends a statement; Tab completes, Ctrl-C drops what was typed, Ctrl-D or exit "
          "leaves\n"
          "SHOW TABLES, SHOW SNAPSHOT TABLES, SHOW TASKS and DESC table show what there is\n"
          "statements:\n",
          stderr);
    statement_help_print(stderr, (struct span){0});
}

/* "help create table". *line: what stands behind the word. */
static bool help_words(struct span *line)
{
    static const char word[] = "help ";
    if (line->len < strlen(word) || strncasecmp((const char *)line->data, word, strlen(word)) != 0)
        return false;
    *line = span_of(line->data + strlen(word), line->len - strlen(word));
    return true;
}

/* One character; -1: Ctrl-C, 0: the end. libedit's own does not see a signal that comes before it reads, or to
 * another thread. */
static int key_read(EditLine *edit, wchar_t *ret_key)
{
    mbstate_t state = {0};
    (void)edit;
    while (true) {
        char byte;
        if (!interrupt_wait_readable(STDIN_FILENO)) {
            errno = EINTR;
            return -1;
        }
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return (int)got;
        if (byte == KEY_CTRL_C) { /* libedit has the terminal's signals switched off at times */
            interrupt_raise();
            errno = EINTR;
            return -1;
        }
        size_t used = mbrtowc(ret_key, &byte, 1, &state);
        if (used == (size_t)-1)
            state = (mbstate_t){0}; /* no character: dropped */
        else if (used != (size_t)-2)
            return 1;
    }
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
    el_wset(shell->edit, EL_GETCFN, key_read);
    /* The kernel drops what is on its way to the terminal after it has sent a signal: the answer to it, too */
    el_set(shell->edit, EL_SETTY, "-d", "+noflsh", NULL);
    el_set(shell->edit, EL_SETTY, "-x", "+noflsh", NULL);
    el_set(shell->edit, EL_HIST, history, shell->history);
    el_wset(shell->edit, EL_ADDFN, L"complete", L"complete the word", word_complete);
    el_set(shell->edit, EL_BIND, "^I", "complete", NULL);
    el_set(shell->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(shell->edit, NULL);
}

static void lines_run(struct shell *shell)
{
    static const char *const exits[] = {"exit", "quit", "\\q"};
    static const char *const helps[] = {"help", "?", "\\?", "\\h"};
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
        struct span typed = span_of(line, (size_t)count);
        if (shell->pending.len == 0 && is_one_of(typed, exits, ARRAY_COUNT(exits)))
            return;
        if (shell->pending.len == 0 && is_one_of(typed, helps, ARRAY_COUNT(helps))) {
            help_show();
            continue;
        }
        if (shell->pending.len == 0 && help_words(&typed)) {
            if (statement_help_print(stderr, typed) == 0)
                fputs("no statement has these words; help alone lists all\n", stderr);
            continue;
        }
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
    if (!script->client->screen.quiet)
        fputs("strait shell; help explains, exit leaves\n", stderr);
    lines_run(&shell);
    fputc('\n', stderr);
    if (path != NULL) {
        mode_t old = umask(0077);
        history(shell.history, &event, H_SAVE, path);
        umask(old);
    }
    el_end(shell.edit);
    history_end(shell.history);
    names_drop(&shell);
    bytes_deinit(&shell.pending);
    return EXIT_DONE;
}
