#include "proto/principal_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void parsed(const char *text, const char *name, const char *account, bool user)
{
    struct principal_name found;
    struct err err = {0};
    if (principal_name_parse(span_text(text), &found, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.message);
    assert_string_equal(found.text, name);
    assert_string_equal(found.account, account);
    assert_int_equal(found.user, user);
}

static void refused(const char *text, const char *words)
{
    struct principal_name found = {.text = "as it was"};
    struct err err = {0};
    assert_int_equal(principal_name_parse(span_text(text), &found, &err), ERR_PARAMETER);
    if (strstr(err.message, words) == NULL)
        fail_msg("%s: '%s' lacks '%s'", text, err.message, words);
    assert_string_equal(found.text, "as it was");
}

static void test_accounts_and_their_users_are_told_apart(void **state)
{
    (void)state;
    parsed("ALIYUN$root", "ALIYUN$root", "ALIYUN$root", false);
    parsed("ALIYUN$a@b.com", "ALIYUN$a@b.com", "ALIYUN$a@b.com", false);
    parsed("RAM$a@b.com:Worker-1", "RAM$a@b.com:Worker-1", "ALIYUN$a@b.com", true);
    parsed("aliyun$Bob", "ALIYUN$Bob", "ALIYUN$Bob", false); /* only the prefix is put right */
    parsed("ram$Bob:u", "RAM$Bob:u", "ALIYUN$Bob", true);
}

static void test_what_has_another_form_is_refused_with_a_reason(void **state)
{
    (void)state;
    refused("", "ALIYUN$name or RAM$account:user");
    refused("bob", "ALIYUN$name or RAM$account:user");
    refused("ALIYUN", "ALIYUN$name or RAM$account:user");
    refused("OPERATOR$00", "ALIYUN$name or RAM$account:user");
    refused("ALIYUN$", "0 bytes");
    refused("ALIYUN$a:b", "byte 2");
    refused("ALIYUN$.a", "byte 1");
    refused("ALIYUN$a$b", "byte 2");
    refused("ALIYUN$a b", "byte 2");
    refused("ALIYUN$b\xd0\xbe"
            "b",
            "byte 2"); /* a letter that looks like an o */
    refused("RAM$u", "RAM$account:user");
    refused("RAM$:u", "0 bytes");
    refused("RAM$a:", "0 bytes");
    refused("RAM$a:u@b", "byte 2");
    refused("RAM$a:b:c", "byte 2");
}

static void test_lengths_are_limited_and_fit_together(void **state)
{
    (void)state;
    char text[LIMIT_PRINCIPAL_BYTES + 2] = "ALIYUN$";
    struct principal_name name;
    memset(text + 7, 'a', LIMIT_ACCOUNT_BYTES);
    assert_int_equal(principal_name_parse(span_text(text), &name, NULL), ERR_OK);
    text[7 + LIMIT_ACCOUNT_BYTES] = 'a';
    refused(text, "121 bytes");
    memcpy(text, "RAM$", 4);
    memset(text + 4, 'a', LIMIT_ACCOUNT_BYTES);
    text[4 + LIMIT_ACCOUNT_BYTES] = ':';
    memset(text + 5 + LIMIT_ACCOUNT_BYTES, 'u', LIMIT_USER_BYTES);
    text[5 + LIMIT_ACCOUNT_BYTES + LIMIT_USER_BYTES] = '\0';
    assert_int_equal(principal_name_parse(span_text(text), &name, NULL), ERR_OK);
    assert_string_equal(name.text, text);
    text[5 + LIMIT_ACCOUNT_BYTES + LIMIT_USER_BYTES] = 'u';
    refused(text, "65 bytes");
    refused("ALIYUN$a\x01", "byte 2");
    assert_int_equal(principal_name_parse(span_of("ALIYUN$a\0", 9), &name, NULL), ERR_PARAMETER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounts_and_their_users_are_told_apart),
        cmocka_unit_test(test_what_has_another_form_is_refused_with_a_reason),
        cmocka_unit_test(test_lengths_are_limited_and_fit_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
