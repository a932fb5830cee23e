#include "proto/err.h"

struct code_row {
    enum err_class class;
    const char *name;
    const char *odps;
    const char *text;
};

static const struct code_row rows[ERR_CODE_COUNT] = {
#define X(code, class, odps, text) [code] = {class, #code, odps, text},
    ERR_CODES(X)
#undef X
};

/* Cuts an overlong message before a UTF-8 continuation and marks the cut; folds line ends. */
static void message_finish(char *message, size_t wanted_bytes)
{
    if (wanted_bytes >= ERR_MESSAGE_BYTES) {
        size_t end = ERR_MESSAGE_BYTES - 4;
        while (end > 0 && ((unsigned char)message[end] & 0xC0) == 0x80)
            end--;
        memcpy(message + end, "...", 4);
    }
    for (char *at = message; *at != '\0'; at++) {
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    }
}

enum err_code err_vset(struct err *err, enum err_code code, const char *format, va_list args)
{
    ASSERT(code > ERR_OK && code < ERR_CODE_COUNT);
    if (err != NULL) {
        char text[ERR_MESSAGE_BYTES]; /* the arguments may point into err->message */
        int wanted = vsnprintf(text, sizeof(text), format, args);
        ASSERT(wanted >= 0);
        message_finish(text, (size_t)wanted);
        memcpy(err->message, text, sizeof(text));
        err->code = code;
    }
    return code;
}

void err_set_message(struct err *err, enum err_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err_vset(err, code, format, args);
    va_end(args);
}

enum err_code err_wrap_message(struct err *err, const char *format, ...)
{
    ASSERT(err != NULL && err->code > ERR_OK && err->code < ERR_CODE_COUNT);
    char context[ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof(context), format, args);
    va_end(args);
    return err_set(err, err->code, "%s: %s", context, err->message);
}

enum err_class err_class(enum err_code code)
{
    ASSERT(code < ERR_CODE_COUNT);
    return rows[code].class;
}

const char *err_name(enum err_code code)
{
    ASSERT(code < ERR_CODE_COUNT);
    return rows[code].name;
}

const char *err_odps(enum err_code code)
{
    ASSERT(code < ERR_CODE_COUNT);
    return rows[code].odps;
}

const char *err_text(enum err_code code)
{
    ASSERT(code < ERR_CODE_COUNT);
    return rows[code].text;
}

const char *err_format(const struct err *err, char *ret_out, size_t out_bytes)
{
    snprintf(ret_out, out_bytes, "%s: %s - %s", err_odps(err->code), err_text(err->code),
             err->message);
    return ret_out;
}

void assert_failed(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, function, condition);
    abort();
}

void err_count(struct err_counts *counts, enum err_code code)
{
    if (counts != NULL && code != ERR_OK)
        atomic_fetch_add_explicit(&counts->of[code], 1, memory_order_relaxed);
}
