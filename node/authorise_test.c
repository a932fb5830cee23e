#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/authorise.h"

static const struct principal root = {.name = "ALIYUN$root", .account = {1}, .operator= true };
static const struct principal other = {.name = "ALIYUN$o", .account = {2}};

static void an_owner_may_everything_in_its_project(void **state)
{
    (void)state;
    struct object project = object_project((struct account_id){2}, span_text("p"));
    struct object table = object_table((struct account_id){2}, span_text("p"), span_text("t"));
    assert_int_equal(authorise(&other, ACTION_CREATE_TABLE, project, NULL), ERR_OK);
    assert_int_equal(authorise(&other, ACTION_SELECT, table, NULL), ERR_OK);
}

static void another_account_may_nothing_and_is_told_what(void **state)
{
    (void)state;
    struct object table = object_table((struct account_id){1}, span_text("p"), span_text("t"));
    struct err err;
    assert_int_equal(authorise(&other, ACTION_SELECT, table, &err), ERR_DENIED);
    assert_string_equal(err.message, "ALIYUN$o has no Select on p.t");
}

static void an_operator_has_no_select_by_being_one(void **state)
{
    (void)state;
    struct object table = object_table((struct account_id){2}, span_text("p"), span_text("t"));
    assert_int_equal(authorise(&root, ACTION_SELECT, table, NULL), ERR_DENIED);
    assert_int_equal(authorise(&root, ACTION_OPERATE, object_region(), NULL), ERR_OK);
    assert_int_equal(authorise(&other, ACTION_OPERATE, object_region(), NULL), ERR_DENIED);
}

static void a_project_without_owner_is_nobodys(void **state)
{
    (void)state;
    const struct principal none = {.name = "?"};
    struct object project = object_project((struct account_id){0}, span_text("p"));
    assert_int_equal(authorise(&none, ACTION_LIST, project, NULL), ERR_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_may_everything_in_its_project),
        cmocka_unit_test(another_account_may_nothing_and_is_told_what),
        cmocka_unit_test(an_operator_has_no_select_by_being_one),
        cmocka_unit_test(a_project_without_owner_is_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
