/* Each action against each relation that a principal can have to a project and a table in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/authorise.h"
#include "store/trial.h"

#define OWNER   2
#define STRANGE 3

static struct principal principal_of(const char *name, uint64_t account, bool user)
{
    static uint64_t last;
    struct principal principal = {.account = {account}, .user = user, .number = ++last};
    snprintf(principal.name, sizeof(principal.name), "%s", name);
    return principal;
}

static struct project_record project_of(uint64_t id, uint64_t owner)
{
    return (struct project_record){.id = {id}, .owner = {owner}, .name = span_text("p")};
}

static const struct table_record table = {.id = {77}, .name = {(const uint8_t *)"t", 1}};

static struct table_record made_by(const struct principal *principal)
{
    struct table_record made = table;
    made.owner = span_text(principal->name);
    return made;
}

static const struct change_note *note(void)
{
    static const struct change_note by_owner = {.now_ms = 1000,
                                                .principal = {(const uint8_t *)"ALIYUN$o", 8}};
    return &by_owner;
}

static void good(struct trial *trial, enum err_code code)
{
    if (code != ERR_OK)
        fail_msg("%s", trial->err.message);
}

/* Projects 1 to 7 are there; whose they are, the tests say. */
static int setup(void **state)
{
    const struct account_record maker = {.name = span_text("ALIYUN$maker")};
    struct account_id account;
    struct project_id made;
    char name[8];
    int code = trial_setup(state);
    if (code != 0)
        return code;
    struct trial *trial = *state;
    good(trial, account_create(trial->store, &maker, note(), &account, &trial->err));
    for (unsigned i = 1; i <= 7; i++) {
        snprintf(name, sizeof(name), "p%u", i);
        const struct project_spec spec = {.name = span_text(name), .owner = account};
        good(trial, project_create(trial->store, &spec, note(), &made, &trial->err));
        assert_int_equal(made.n, i);
    }
    return 0;
}

#define IN_PROJECTS(name) cmocka_unit_test_setup_teardown(name, setup, trial_teardown)

static void add(struct trial *trial, const struct project_record *project,
                const struct principal *principal)
{
    const struct member_record member = {
        .project = project->id, .name = span_text(principal->name), .principal = principal->number};
    good(trial, member_add(trial->store, &member, note(), &trial->err));
}

static struct grant_change change_of(const struct project_record *project, enum action action,
                                     struct grantee grantee)
{
    bool on_table = action_object(action) == OBJECT_TABLE;
    return (struct grant_change){.project = project->id,
                                 .object = on_table ? table.id : (struct table_id){0},
                                 .grantee = grantee,
                                 .actions = UINT64_C(1) << action_number(action)};
}

static void role_add(struct trial *trial, const struct project_record *project, const char *name,
                     const struct principal *principal)
{
    struct span role_name = span_text(name);
    const struct role_record role = {.project = project->id, .name = role_name};
    const struct role_change change = {.project = project->id,
                                       .member = span_text(principal->name),
                                       .roles = &role_name,
                                       .role_count = 1};
    if (strcmp(name, "admin") != 0)
        good(trial, role_create(trial->store, &role, note(), &trial->err));
    good(trial, role_give(trial->store, &change, note(), &trial->err));
}

static bool may(struct trial *trial, const struct principal *principal, enum action action,
                const struct project_record *project, const struct table_record *of)
{
    struct object object = object_region();
    if (action_object(action) == OBJECT_PROJECT)
        object = object_project(trial->store, project);
    if (action_object(action) == OBJECT_TABLE)
        object = object_table(trial->store, project, of);
    struct err err = {0};
    enum err_code code = authorise(principal, action, object, &err);
    assert_true(code == ERR_OK || code == ERR_DENIED);
    if (code == ERR_DENIED && action_number(action) != 0) { /* which right, and whose */
        assert_non_null(strstr(err.message, action_name(action)));
        assert_non_null(strstr(err.message, principal->name));
    }
    return code == ERR_OK;
}

/* ---- relations without grants ---- */

enum { REGION = 1, OWN = 2, ADMINISTER = 4, ENTER = 8, PROJECT = 16, TABLE = 32 };

static unsigned kind_of(enum action action)
{
    switch ((int)action) {
    case ACTION_OPERATE:
        return REGION;
    case ACTION_OWN:
        return OWN;
    case ACTION_ADMINISTER:
        return ADMINISTER;
    case ACTION_ENTER:
        return ENTER;
    default:
        return action_object(action) == OBJECT_TABLE ? TABLE : PROJECT;
    }
}

static void each_action_fits_each_relation(void **state)
{
    struct trial *trial = *state;
    struct project_record project = project_of(5, OWNER), nobodys = project_of(6, 0);
    struct principal owner = principal_of("ALIYUN$o", OWNER, false);
    struct principal admin = principal_of("RAM$o:admin", OWNER, true);
    struct principal creator = principal_of("RAM$o:creator", OWNER, true);
    struct principal member = principal_of("RAM$x:member", STRANGE, true);
    struct principal account = principal_of("ALIYUN$x", STRANGE, false);
    struct principal ram = principal_of("RAM$o:u", OWNER, true);
    struct principal stranger = principal_of("RAM$x:u", STRANGE, true);
    struct principal operator= principal_of("OPERATOR$1", 0, false);
    struct principal gone = principal_of("RAM$o:gone", OWNER, true);
    operator.operator= true;
    add(trial, &project, &admin);
    role_add(trial, &project, "admin", &admin);
    add(trial, &project, &creator);
    add(trial, &project, &member);
    struct table_record made = made_by(&creator), made_by_gone = made_by(&gone);
    const struct {
        const struct principal *principal;
        const struct project_record *project;
        const struct table_record *of;
        unsigned allowed;
    } relations[] = {
        {&owner, &project, &table, OWN | ADMINISTER | ENTER | PROJECT | TABLE},
        {&admin, &project, &table, ADMINISTER | ENTER | PROJECT | TABLE},
        {&creator, &project, &made, ENTER | TABLE},
        {&creator, &project, &table, ENTER},
        {&member, &project, &table, ENTER},
        {&member, &project, &made, ENTER},
        {&account, &project, &table, 0},
        {&ram, &project, &table, 0}, /* of the owner's account: that alone gives nothing */
        {&stranger, &project, &table, 0},
        {&operator, & project, &table, REGION},
        {&gone, &project, &made_by_gone, 0}, /* made it, and is no user any more */
        {&owner, &nobodys, &table, 0},
        {&operator, & nobodys, &table, REGION},
        {&admin, &nobodys, &table, 0}, /* a role is a project's */
    };
    for (size_t i = 0; i < ARRAY_COUNT(relations); i++) {
        for (enum action action = 0; action < ACTION_COUNT; action++) {
            bool expected = (relations[i].allowed & kind_of(action)) != 0;
            if (may(trial, relations[i].principal, action, relations[i].project, relations[i].of) !=
                expected)
                fail_msg("relation %zu, %s: not %s", i, action_name(action),
                         expected ? "allowed" : "refused");
        }
    }
}

/* ---- grants ---- */

/* Exactly what was granted, for each action. */
static void only(struct trial *trial, const struct principal *principal,
                 const struct project_record *project, enum action granted, bool counts)
{
    for (enum action action = 0; action < ACTION_COUNT; action++) {
        bool expected = action == ACTION_ENTER || (counts && action == granted);
        if (may(trial, principal, action, project, &table) != expected)
            fail_msg("%s granted: %s is not %s", action_name(granted), action_name(action),
                     expected ? "allowed" : "refused");
    }
}

static void a_grant_gives_its_action_and_no_other(void **state)
{
    struct trial *trial = *state;
    struct project_record project = project_of(5, OWNER), other = project_of(6, OWNER);
    struct principal user = principal_of("RAM$o:u", OWNER, true);
    struct principal in_role = principal_of("RAM$x:r", STRANGE, true);
    const struct grantee to_user = {.name = span_text("ram$O:U")}; /* any case */
    const struct grantee to_role = {.is_role = true, .name = span_text("dev")};
    uint64_t missing;
    add(trial, &project, &user);
    add(trial, &other, &user);
    add(trial, &project, &in_role);
    role_add(trial, &project, "dev", &in_role);
    for (enum action action = 0; action < ACTION_COUNT; action++) {
        if (action_number(action) == 0)
            continue;
        struct grant_change change = change_of(&project, action, to_user);
        good(trial, grants_give(trial->store, &change, note(), &trial->err));
        only(trial, &user, &project, action, true);
        only(trial, &user, &other, action, false); /* nor elsewhere */
        only(trial, &in_role, &project, action, false);
        good(trial, grants_take(trial->store, &change, note(), &missing, &trial->err));
        only(trial, &user, &project, action, false);
        assert_int_equal(grants_take(trial->store, &change, note(), &missing, NULL), ERR_NOT_FOUND);
        assert_int_equal(missing, change.actions);
        change.expires_ms = 2000; /* long ago */
        good(trial, grants_give(trial->store, &change, note(), &trial->err));
        only(trial, &user, &project, action, false);
        change.grantee = to_role;
        change.expires_ms = UINT64_MAX;
        good(trial, grants_give(trial->store, &change, note(), &trial->err));
        only(trial, &in_role, &project, action, true);
        only(trial, &user, &project, action, false);
        good(trial, grants_take(trial->store, &change, note(), &missing, &trial->err));
        only(trial, &in_role, &project, action, false);
    }
}

static void a_grant_is_of_one_object(void **state)
{
    struct trial *trial = *state;
    struct project_record project = project_of(5, OWNER);
    struct principal user = principal_of("RAM$o:u", OWNER, true);
    const struct grantee grantee = {.name = span_text(user.name)};
    struct table_record again = table; /* dropped and made again */
    again.id.n++;
    add(trial, &project, &user);
    struct grant_change change = change_of(&project, ACTION_SELECT, grantee);
    good(trial, grants_give(trial->store, &change, note(), &trial->err));
    assert_true(may(trial, &user, ACTION_SELECT, &project, &table));
    assert_false(may(trial, &user, ACTION_SELECT, &project, &again));
    change.object.n =
        0; /* number 9 on a project would be id 0: what is absent has that id as well */
    good(trial, grants_give(trial->store, &change, note(), &trial->err));
    struct object absent = object_absent(trial->store, &project, span_text("t"));
    assert_int_equal(authorise(&user, ACTION_SELECT, absent, NULL), ERR_DENIED);
    assert_false(object_seen(&user, absent));
}

static void who_comes_back_begins_without_rights(void **state)
{
    struct trial *trial = *state;
    struct project_record project = project_of(5, OWNER);
    struct principal user = principal_of("RAM$o:u", OWNER, true);
    const struct grantee grantee = {.name = span_text(user.name)};
    add(trial, &project, &user);
    role_add(trial, &project, "admin", &user);
    struct grant_change change = change_of(&project, ACTION_SELECT, grantee);
    good(trial, grants_give(trial->store, &change, note(), &trial->err));
    good(trial, member_remove(trial->store, project.id, span_text("RAM$O:u"), note(), &trial->err));
    assert_false(may(trial, &user, ACTION_SELECT, &project, &table));
    assert_false(may(trial, &user, ACTION_ENTER, &project, &table));
    add(trial, &project, &user);
    only(trial, &user, &project, ACTION_SELECT, false);
    good(trial, grants_give(trial->store, &change, note(), &trial->err));
    only(trial, &user, &project, ACTION_SELECT, true);
    struct principal again = principal_of(user.name, OWNER, true); /* dropped and made again */
    assert_false(may(trial, &again, ACTION_ENTER, &project, &table));
    add(trial, &project, &again);
    only(trial, &again, &project, ACTION_SELECT, false);
    assert_false(may(trial, &user, ACTION_ENTER, &project, &table));
}

/* ---- what may be known ---- */

static void what_may_be_seen(void **state)
{
    struct trial *trial = *state;
    struct project_record project = project_of(5, OWNER);
    struct principal owner = principal_of("ALIYUN$o", OWNER, false);
    struct principal lister = principal_of("RAM$o:l", OWNER, true);
    struct principal reader = principal_of("RAM$o:r", OWNER, true);
    struct principal none = principal_of("RAM$o:n", OWNER, true);
    struct principal operator= principal_of("OPERATOR$1", 0, false);
    operator.operator= true;
    add(trial, &project, &lister);
    add(trial, &project, &reader);
    struct grant_change list =
        change_of(&project, ACTION_LIST, (struct grantee){.name = span_text(lister.name)});
    struct grant_change update =
        change_of(&project, ACTION_UPDATE, (struct grantee){.name = span_text(reader.name)});
    good(trial, grants_give(trial->store, &list, note(), &trial->err));
    good(trial, grants_give(trial->store, &update, note(), &trial->err));
    const struct object objects[] = {
        object_project(trial->store, &project),
        object_table(trial->store, &project, &table),
        object_absent(trial->store, &project, span_text("t2")),
        object_absent_project(span_text("q")),
        object_absent_in(span_text("q"), span_text("t")),
    };
    const struct {
        const struct principal *principal;
        bool sees[5];
    } rows[] = {
        {&owner, {true, true, true, false, false}}, {&lister, {true, true, true, false, false}},
        {&reader, {true, true, false, false, false}}, {&none, {false, false, false, false, false}},
        {
            &operator,
            {true, false, false, true, false} },
        };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (size_t j = 0; j < ARRAY_COUNT(objects); j++) {
            if (object_seen(rows[i].principal, objects[j]) != rows[i].sees[j])
                fail_msg("%s, object %zu", rows[i].principal->name, j);
        }
    }
}

static void a_refusal_says_the_same_of_what_is_not_there(void **state)
{
    struct trial *trial = *state;
    struct project_record project = project_of(5, OWNER);
    struct principal none = principal_of("RAM$o:n", OWNER, true);
    struct err there, absent, nowhere;
    struct object object = object_table(trial->store, &project, &table);
    assert_int_equal(authorise(&none, ACTION_SELECT, object, &there), ERR_DENIED);
    object = object_absent(trial->store, &project, span_text("t"));
    assert_int_equal(authorise(&none, ACTION_SELECT, object, &absent), ERR_DENIED);
    object = object_absent_in(span_text("p"), span_text("t"));
    assert_int_equal(authorise(&none, ACTION_SELECT, object, &nowhere), ERR_DENIED);
    assert_string_equal(there.message, "RAM$o:n has no Select on p.t");
    assert_string_equal(absent.message, there.message);
    assert_string_equal(nowhere.message, there.message);
}

/* ---- where data may go ---- */

static void a_protected_project_lets_data_go_to_trusted_ones_only(void **state)
{
    (void)state;
    struct principal owner = principal_of("ALIYUN$o", OWNER, false);
    struct trusted_project trusted[] = {
        {.id = {7}, .name = span_text("friend")},
        {.region = span_text("r2"), .name = span_text("Copy")},
    };
    struct project_record from = project_of(5, OWNER), to = project_of(6, OWNER),
                          friend = project_of(7, STRANGE);
    from.trusted = trusted;
    from.trusted_count = ARRAY_COUNT(trusted);
    assert_int_equal(authorise_leave(&owner, &from, NULL, NULL), ERR_OK);
    assert_int_equal(authorise_leave(&owner, &from, &to, NULL), ERR_OK);
    from.is_protected = true;
    assert_int_equal(authorise_leave(&owner, &from, NULL, NULL), ERR_DENIED);
    assert_int_equal(authorise_leave(&owner, &from, &to, NULL), ERR_DENIED);
    assert_int_equal(authorise_leave(&owner, &from, &from, NULL), ERR_OK);
    assert_int_equal(authorise_leave(&owner, &from, &friend, NULL), ERR_OK);
    const struct {
        const char *region, *project;
        bool allowed;
    } there[] = {{"r2", "copy", true},  {"r2", "friend", false}, {"r3", "copy", false},
                 {"", "friend", false}, {"r2", "cop", false},    {"", "copy", false}};
    for (size_t i = 0; i < ARRAY_COUNT(there); i++)
        assert_int_equal(authorise_leave_region(&owner, &from, span_text(there[i].region),
                                                span_text(there[i].project), NULL) == ERR_OK,
                         there[i].allowed);
    from.is_protected = false;
    assert_int_equal(authorise_leave_region(&owner, &from, span_text("r9"), span_text("x"), NULL),
                     ERR_OK);
}

static void ram_users_do_not_clone_across_accounts(void **state)
{
    (void)state;
    struct project_record from = project_of(5, OWNER), same = project_of(6, OWNER),
                          other = project_of(7, STRANGE);
    struct principal user = principal_of("RAM$x:u", STRANGE, true);
    struct principal account = principal_of("ALIYUN$x", STRANGE, false);
    assert_int_equal(authorise_clone(&user, &from, &same, NULL), ERR_OK);
    assert_int_equal(authorise_clone(&user, &from, &other, NULL), ERR_DENIED);
    assert_int_equal(authorise_clone(&account, &from, &other, NULL), ERR_OK);
    from.is_protected = true;
    assert_int_equal(authorise_clone(&account, &from, &other, NULL), ERR_DENIED);
}

static void xcopy_and_its_tasks_stay_within_an_account(void **state)
{
    (void)state;
    struct project_record project = project_of(5, OWNER), nobodys = project_of(6, 0);
    struct principal owner = principal_of("ALIYUN$o", OWNER, false);
    struct principal user = principal_of("RAM$o:u", OWNER, true);
    struct principal stranger = principal_of("ALIYUN$x", STRANGE, false);
    struct principal operator= principal_of("OPERATOR$1", 0, false);
    assert_int_equal(authorise_same_account(&owner, &project, NULL), ERR_OK);
    assert_int_equal(authorise_same_account(&user, &project, NULL), ERR_OK);
    assert_int_equal(authorise_same_account(&stranger, &project, NULL), ERR_DENIED);
    assert_int_equal(authorise_same_account(&operator, & nobodys, NULL), ERR_DENIED);
    struct span by_user = span_text("RAM$o:u"), by_other = span_text("RAM$o:v");
    assert_true(authorise_task(&owner, project.owner, by_user));
    assert_true(authorise_task(&user, project.owner, by_user));
    assert_false(authorise_task(&user, project.owner, by_other));
    assert_false(authorise_task(&stranger, project.owner, by_user));
    assert_false(authorise_task(&operator,(struct account_id){0}, by_user));
}

/* ---- names of actions ---- */

static void actions_have_names_and_numbers_of_their_own(void **state)
{
    (void)state;
    for (enum action action = 0; action < ACTION_COUNT; action++) {
        enum action found;
        bool grantable = action_number(action) != 0;
        struct span name = span_text(action_name(action));
        assert_int_equal(action_find(name, action_object(action), &found), grantable);
        if (!grantable)
            continue;
        assert_int_equal(found, action);
        assert_true(action_of_number(action_number(action), &found));
        assert_int_equal(found, action);
    }
    enum action found;
    assert_true(action_find(span_text("sElEcT"), OBJECT_TABLE, &found));
    assert_int_equal(found, ACTION_SELECT);
    assert_false(action_find(span_text("Select"), OBJECT_PROJECT, &found));
    assert_false(action_find(span_text("Sel"), OBJECT_TABLE, &found));
    assert_false(action_of_number(0, &found));
    assert_false(action_of_number(63, &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PROJECTS(each_action_fits_each_relation),
        IN_PROJECTS(a_grant_gives_its_action_and_no_other),
        IN_PROJECTS(a_grant_is_of_one_object),
        IN_PROJECTS(who_comes_back_begins_without_rights),
        IN_PROJECTS(what_may_be_seen),
        IN_PROJECTS(a_refusal_says_the_same_of_what_is_not_there),
        cmocka_unit_test(a_protected_project_lets_data_go_to_trusted_ones_only),
        cmocka_unit_test(ram_users_do_not_clone_across_accounts),
        cmocka_unit_test(xcopy_and_its_tasks_stay_within_an_account),
        cmocka_unit_test(actions_have_names_and_numbers_of_their_own),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
