#include "proto/principal_name.h"

#define PREFIX_ACCOUNT "ALIYUN$"
#define PREFIX_USER    "RAM$"

/* The prefix, in any case, taken off. */
static bool prefix_take(struct span *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text->data[i];
        if ((c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c) != prefix[i])
            return false;
    }
    *text = span_slice(*text, len, text->len - len);
    return true;
}

static bool letter_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static enum err_code part_check(struct span part, const char *what, const char *marks,
                                size_t bytes_max, struct err *err)
{
    if (part.len == 0 || part.len > bytes_max)
        return err_set(err, ERR_PARAMETER, "%s has %zu bytes, 1 to %zu are allowed", what, part.len,
                       bytes_max);
    for (size_t i = 0; i < part.len; i++) {
        uint8_t c = part.data[i];
        if (letter_or_digit(c) || (i > 0 && c != 0 && strchr(marks, c) != NULL))
            continue;
        return err_set(err, ERR_PARAMETER,
                       "%s is made of letters, digits and %s and begins with a letter or digit; "
                       "byte %zu is none of them",
                       what, marks, i + 1);
    }
    return ERR_OK;
}

static enum err_code account_parse(struct span part, struct principal_name *name, struct err *err)
{
    TRY(part_check(part, "an account's name behind ALIYUN$", "._-@", LIMIT_ACCOUNT_BYTES, err));
    snprintf(name->account, sizeof(name->account), PREFIX_ACCOUNT "%.*s", SPAN_PRINTF(part));
    return ERR_OK;
}

static enum err_code user_parse(struct span text, struct principal_name *name, struct err *err)
{
    const uint8_t *colon = text.len == 0 ? NULL : memchr(text.data, ':', text.len);
    if (colon == NULL)
        return err_set(err, ERR_PARAMETER, "a RAM user's name has the form RAM$account:user");
    size_t at = (size_t)(colon - text.data);
    struct span user = span_slice(text, at + 1, text.len - at - 1);
    TRY(account_parse(span_slice(text, 0, at), name, err));
    TRY(part_check(user, "a RAM user's name behind the colon", "._-", LIMIT_USER_BYTES, err));
    name->user = true;
    return ERR_OK;
}

enum err_code principal_name_parse(struct span text, struct principal_name *ret_name,
                                   struct err *err)
{
    struct principal_name name = {.user = false};
    struct span rest = text;
    if (prefix_take(&rest, PREFIX_ACCOUNT)) {
        TRY(account_parse(rest, &name, err));
        memcpy(name.text, name.account, sizeof(name.text));
    } else if (prefix_take(&rest, PREFIX_USER)) {
        TRY(user_parse(rest, &name, err));
        snprintf(name.text, sizeof(name.text), PREFIX_USER "%.*s", SPAN_PRINTF(rest));
    } else {
        return err_set(err, ERR_PARAMETER,
                       "a principal's name has the form ALIYUN$name or RAM$account:user");
    }
    *ret_name = name;
    return ERR_OK;
}
