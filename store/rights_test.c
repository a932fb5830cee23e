/* Users, roles and grants: what is stored, what is found again, how much a question costs. */
#include "store/rights.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "store/catalog_keys.h"
#include "store/parts.h"
#include "store/rights_index.h"
#include "store/table.h"
#include "store/trial.h"

#define MANY 100000

static const struct project_id project = {1};
static const struct change_note note = {.now_ms = 1000,
                                        .principal = {(const uint8_t *)"ALIYUN$o", 8}};

static void good(struct trial *trial, enum err_code code)
{
    if (code != ERR_OK)
        fail_msg("%s", trial->err.message);
}

static void project_make(struct trial *trial)
{
    struct account_id account;
    struct project_id made;
    const struct account_record spec = {.name = span_text("ALIYUN$o")};
    good(trial, account_create(trial->store, &spec, &note, &account, &trial->err));
    const struct project_spec wanted = {.name = span_text("p"), .owner = account};
    good(trial, project_create(trial->store, &wanted, &note, &made, &trial->err));
    assert_int_equal(made.n, project.n);
}

static int setup(void **state)
{
    int code = trial_setup(state);
    if (code == 0)
        project_make(*state);
    return code;
}

#define IN_PROJECT(name) cmocka_unit_test_setup_teardown(name, setup, trial_teardown)

static struct table_id table_make(struct trial *trial, const char *name)
{
    struct column column = {.id = 1, .name = span_text("c"), .type = {.kind = TYPE_BIGINT}};
    struct schema schema = {.columns = &column, .column_count = 1, .next_column_id = 2};
    const struct table_spec spec = {.project = project, .name = span_text(name), .schema = &schema};
    CONTENT_CLEANUP struct content *content = NULL;
    struct table_id id;
    good(trial, content_open(trial->store, (struct account_id){1}, &content, &trial->err));
    good(trial, table_create(content, &spec, &note, &id, &trial->err));
    return id;
}

static void member_make(struct trial *trial, const char *name)
{
    const struct member_record member = {
        .project = project, .name = span_text(name), .principal = 1};
    good(trial, member_add(trial->store, &member, &note, &trial->err));
}

static struct grantee user(const char *name)
{
    return (struct grantee){.name = span_text(name)};
}

static void give(struct trial *trial, struct table_id object, struct grantee grantee,
                 uint64_t actions, uint64_t expires_ms)
{
    const struct grant_change change = {.project = project,
                                        .object = object,
                                        .grantee = grantee,
                                        .actions = actions,
                                        .expires_ms = expires_ms};
    good(trial, grants_give(trial->store, &change, &note, &trial->err));
}

static struct rights_answer ask(struct trial *trial, struct table_id object, const char *name,
                                uint64_t actions)
{
    const struct rights_query query = {.project = project,
                                       .object = object,
                                       .principal = span_text(name),
                                       .number = 1,
                                       .actions = actions};
    return rights_ask(trial->store, &query);
}

static enum err_code count_grant(void *context, const struct grant_record *grant, struct err *err)
{
    size_t *count = context;
    (void)grant;
    (void)err;
    (*count)++;
    return ERR_OK;
}

static size_t grants_stored(struct trial *trial)
{
    size_t count = 0;
    good(trial, grant_each(trial->store, project, NULL, count_grant, &count, &trial->err));
    return count;
}

static size_t sweep(struct trial *trial, uint64_t now_ms)
{
    size_t deleted = 0, all = 0;
    bool more = true;
    while (more) {
        good(trial, rights_sweep(trial->store, now_ms, &deleted, &more, &trial->err));
        all += deleted;
    }
    return all;
}

/* ---- what lasts ---- */

static void all_is_found_again_after_a_restart(void **state)
{
    struct trial *trial = *state;
    struct table_id table = table_make(trial, "t");
    const struct span roles[] = {span_text("dev"), span_text("ADMIN")};
    const struct role_record role = {.project = project, .name = span_text("Dev")};
    member_make(trial, "RAM$o:a");
    member_make(trial, "RAM$o:b");
    good(trial, role_create(trial->store, &role, &note, &trial->err));
    const struct role_change dev = {project, span_text("ram$o:B"), roles, 2};
    good(trial, role_give(trial->store, &dev, &note, &trial->err));
    give(trial, table, user("RAM$o:a"), 2 | 4, 0);
    give(trial, table, (struct grantee){true, span_text("DEV")}, 8, 0);
    give(trial, (struct table_id){0}, user("RAM$o:a"), 16, 1); /* expired */
    for (int restart = 0; restart < 2; restart++) {
        struct rights_answer answer = ask(trial, table, "ram$O:A", 4);
        assert_true(answer.is_user && answer.granted && !answer.is_admin);
        assert_false(ask(trial, table, "RAM$o:a", 8).granted);
        assert_false(ask(trial, (struct table_id){0}, "RAM$o:a", 16 | 4).granted);
        answer = ask(trial, table, "RAM$o:b", 8);
        assert_true(answer.is_user && answer.granted && answer.is_admin);
        assert_false(ask(trial, table, "RAM$o:b", 2 | 4).granted);
        assert_false(ask(trial, table, "RAM$o:c", 2 | 4 | 8).is_user);
        assert_int_equal(rights_unreadable(trial->store), 0);
        trial_reopen(trial);
    }
}

static void what_is_there_twice_or_not_at_all_changes_nothing(void **state)
{
    struct trial *trial = *state;
    struct err *err = &trial->err;
    const struct span dev = span_text("dev"), none = span_text("none");
    const struct member_record again = {
        .project = project, .name = span_text("ram$O:A"), .principal = 1};
    const struct role_record role = {.project = project, .name = dev};
    const struct role_record admin = {.project = project, .name = span_text("Admin")};
    uint64_t missing;
    member_make(trial, "RAM$o:a");
    assert_int_equal(member_add(trial->store, &again, &note, err), ERR_EXISTS);
    assert_int_equal(member_remove(trial->store, project, span_text("RAM$o:b"), &note, err),
                     ERR_NOT_FOUND);
    good(trial, role_create(trial->store, &role, &note, err));
    assert_int_equal(role_create(trial->store, &role, &note, err), ERR_EXISTS);
    assert_int_equal(role_create(trial->store, &admin, &note, err), ERR_EXISTS);
    assert_int_equal(role_drop(trial->store, project, none, &note, err), ERR_NOT_FOUND);
    struct role_change change = {project, span_text("RAM$o:b"), &dev, 1};
    assert_int_equal(role_give(trial->store, &change, &note, err), ERR_NOT_FOUND);
    change.member = span_text("RAM$o:a");
    assert_int_equal(role_take(trial->store, &change, &note, err), ERR_NOT_FOUND);
    good(trial, role_give(trial->store, &change, &note, err));
    assert_int_equal(role_give(trial->store, &change, &note, err), ERR_EXISTS);
    assert_int_equal(role_drop(trial->store, project, dev, &note, err), ERR_PARAMETER);
    good(trial, member_remove(trial->store, project, span_text("RAM$o:a"), &note, err));
    good(trial, role_drop(trial->store, project, dev, &note, err)); /* nobody has it any more */
    member_make(trial, "RAM$o:a");
    change.roles = &none;
    assert_int_equal(role_give(trial->store, &change, &note, err), ERR_NOT_FOUND);
    const struct grantee unknown[] = {
        {false, span_text("RAM$o:b")}, {true, none}, {true, span_text("admin")}};
    for (size_t i = 0; i < ARRAY_COUNT(unknown); i++) {
        struct grant_change grant = {.project = project, .grantee = unknown[i], .actions = 2};
        enum err_code code = i == 2 ? ERR_PARAMETER : ERR_NOT_FOUND;
        assert_int_equal(grants_give(trial->store, &grant, &note, err), code);
        assert_int_equal(grants_take(trial->store, &grant, &note, &missing, err), code);
    }
    give(trial, (struct table_id){9}, user("RAM$o:a"), 2, 0);
    struct grant_change take = {
        .project = project, .object = {9}, .grantee = user("RAM$o:a"), .actions = 2 | 4};
    assert_int_equal(grants_take(trial->store, &take, &note, &missing, err), ERR_NOT_FOUND);
    assert_int_equal(missing, 4);
    assert_true(ask(trial, (struct table_id){9}, "RAM$o:a", 2).granted); /* nothing half done */
}

static void a_user_has_so_many_roles_and_no_more(void **state)
{
    struct trial *trial = *state;
    member_make(trial, "RAM$o:a");
    for (int i = 0; i <= LIMIT_ROLES_OF_MEMBER; i++) {
        char name[16];
        snprintf(name, sizeof(name), "r%d", i);
        struct span role_name = span_text(name);
        const struct role_record role = {.project = project, .name = role_name};
        const struct role_change change = {project, span_text("RAM$o:a"), &role_name, 1};
        good(trial, role_create(trial->store, &role, &note, &trial->err));
        assert_int_equal(role_give(trial->store, &change, &note, &trial->err),
                         i < LIMIT_ROLES_OF_MEMBER ? ERR_OK : ERR_LIMIT);
    }
}

/* ---- the clock ---- */

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000;
}

static void an_expired_grant_does_not_count_again_when_the_clock_goes_back(void **state)
{
    struct trial *trial = *state;
    uint64_t hour_ms = 3600 * 1000, ends_ms = wall_ms() + 2 * hour_ms;
    member_make(trial, "RAM$o:a");
    give(trial, (struct table_id){9}, user("RAM$o:a"), 2, ends_ms);
    assert_true(ask(trial, (struct table_id){9}, "RAM$o:a", 2).granted);
    rights_believe(trial->store, ends_ms + hour_ms); /* and the wall clock says three hours less */
    assert_false(ask(trial, (struct table_id){9}, "RAM$o:a", 2).granted);
    rights_believe(trial->store, ends_ms - hour_ms); /* believed again */
    assert_true(ask(trial, (struct table_id){9}, "RAM$o:a", 2).granted);
}

static void the_next_end_of_a_grant_is_known(void **state)
{
    struct trial *trial = *state;
    uint64_t now_ms = rights_clock_ms(trial->store);
    assert_true(rights_next_end_ms(trial->store, now_ms) == UINT64_MAX);
    member_make(trial, "RAM$o:a");
    member_make(trial, "RAM$o:b");
    give(trial, (struct table_id){9}, user("RAM$o:a"), 2, 0);
    give(trial, (struct table_id){9}, user("RAM$o:a"), 4, now_ms + 5000);
    give(trial, (struct table_id){9}, user("RAM$o:b"), 4, now_ms + 3000);
    give(trial, (struct table_id){8}, user("RAM$o:b"), 4, now_ms + 9000);
    assert_int_equal(rights_next_end_ms(trial->store, now_ms), now_ms + 3000);
    assert_int_equal(rights_next_end_ms(trial->store, now_ms + 3000), now_ms + 5000);
    assert_int_equal(rights_next_end_ms(trial->store, now_ms + 5000), now_ms + 9000);
    assert_true(rights_next_end_ms(trial->store, now_ms + 9000) == UINT64_MAX);
    trial_reopen(trial);
    assert_int_equal(rights_next_end_ms(trial->store, now_ms + 3000), now_ms + 5000);
}

/* ---- the sweep ---- */

static void what_counts_for_nothing_is_deleted_and_nothing_else(void **state)
{
    struct trial *trial = *state;
    const struct span dev = span_text("dev"), ops = span_text("ops");
    const struct role_record roles[] = {{.project = project, .name = dev},
                                        {.project = project, .name = ops}};
    struct table_id stays = table_make(trial, "stays"), goes = table_make(trial, "goes");
    member_make(trial, "RAM$o:a");
    member_make(trial, "RAM$o:b");
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++)
        good(trial, role_create(trial->store, &roles[i], &note, &trial->err));
    give(trial, stays, user("RAM$o:a"), 2, 0);
    give(trial, stays, user("RAM$o:a"), 4, 5000);
    give(trial, stays, (struct grantee){true, dev}, 2, 0);
    give(trial, (struct table_id){0}, user("RAM$o:a"), 2, 0);
    assert_int_equal(sweep(trial, 4999), 0);
    assert_int_equal(grants_stored(trial), 4);
    give(trial, goes, user("RAM$o:a"), 2 | 4 | 8, 0);      /* the table goes */
    give(trial, stays, user("RAM$o:b"), 2 | 4, 0);         /* the user goes */
    give(trial, stays, (struct grantee){true, ops}, 2, 0); /* the role goes */
    good(trial, table_drop(trial->store, goes, &note, &trial->err));
    good(trial, member_remove(trial->store, project, span_text("RAM$o:b"), &note, &trial->err));
    good(trial, role_drop(trial->store, project, ops, &note, &trial->err));
    assert_int_equal(sweep(trial, 4999), 6);
    assert_int_equal(grants_stored(trial), 4);
    assert_int_equal(trial->store->rights->grant_count, 4);
    assert_int_equal(sweep(trial, 5000), 1); /* one has expired */
    assert_int_equal(grants_stored(trial), 3);
    assert_int_equal(sweep(trial, 6000), 0);
    assert_true(ask(trial, stays, "RAM$o:a", 2).granted);
    trial_reopen(trial);
    assert_int_equal(sweep(trial, 6000), 0);
    assert_int_equal(trial->store->rights->grant_count, 3);
    assert_true(ask(trial, stays, "RAM$o:a", 2).granted);
}

/* ---- many ---- */

static struct grant_record grant_nth(uint64_t n)
{
    return (struct grant_record){.project = project,
                                 .object = {1000 + n},
                                 .grantee = 1, /* the first user's id */
                                 .action = 1 + (uint32_t)(n % 7),
                                 .given_ms = 1,
                                 .given_by = span_text("ALIYUN$o")};
}

/* As a node finds them that had been granted one by one. */
static void grants_write(struct trial *trial, uint64_t from, uint64_t to)
{
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    for (uint64_t n = from; n < to; n++) {
        BYTES_CLEANUP struct bytes key = {0}, value = {0};
        const struct grant_record grant = grant_nth(n);
        const struct rights_key of = {grant.project, grant.object, grant.grantee, grant.action};
        rights_key_grant(&of, &key);
        grant_record_encode(&grant, &value);
        catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
        if (change.bytes < CATALOG_COMMIT_BYTES_MAX - 1024 && n + 1 < to)
            continue;
        good(trial, catalog_commit(trial->store, &change, CATALOG_USE_RESERVE, &trial->err));
        catalog_change_clear(&change);
    }
}

/* Cache lines looked at by `asks` questions about one of the first `count` grants each, and by as many
 * about objects that nothing is granted on. */
static void probes_count(struct trial *trial, uint64_t count, uint64_t asks, double *ret_found,
                         double *ret_missed)
{
    uint64_t begun = rights_probes(trial->store);
    for (uint64_t i = 0; i < asks; i++) {
        const struct grant_record grant = grant_nth(i * 7919 % count);
        assert_true(ask(trial, grant.object, "RAM$o:a", UINT64_C(1) << grant.action).granted);
    }
    uint64_t between = rights_probes(trial->store);
    for (uint64_t i = 0; i < asks; i++)
        assert_false(ask(trial, (struct table_id){1000 + MANY + i}, "RAM$o:a", 1 << 8).granted);
    *ret_found = (double)(between - begun) / (double)asks;
    *ret_missed = (double)(rights_probes(trial->store) - between) / (double)asks;
}

static void a_question_costs_the_same_among_100000_grants_as_among_10(void **state)
{
    struct trial *trial = *state;
    double few_found, few_missed, found, missed;
    member_make(trial, "RAM$o:a");
    grants_write(trial, 0, 10);
    trial_reopen(trial);
    probes_count(trial, 10, 1000, &few_found, &few_missed);
    grants_write(trial, 10, MANY);
    trial_reopen(trial);
    assert_int_equal(trial->store->rights->grant_count, MANY);
    probes_count(trial, MANY, MANY, &found, &missed);
    print_message("lines looked at: %.3f among 10, %.3f among %d; misses %.3f, %.3f\n", few_found,
                  found, MANY, few_missed, missed);
    assert_true(few_found >= 1);
    assert_true(found <= 1.2); /* of the one line that the answer is in */
    assert_true(missed <= 2);
}

#define MODEL_GRANTEES 2
#define MODEL_OBJECTS  60
#define MODEL_ACTIONS  4 /* 1 to 4 */

/* As rights_granted_until: by grantee, object, action. */
typedef uint64_t grid[MODEL_GRANTEES][MODEL_OBJECTS][MODEL_ACTIONS];

static void compare(struct rights *rights, grid model)
{
    uint64_t there = 0;
    for (uint64_t i = 0; i < MODEL_GRANTEES * MODEL_OBJECTS; i++) {
        const struct rights_key key = {{1}, {i / MODEL_GRANTEES}, 1 + i % MODEL_GRANTEES, 0};
        const uint64_t *until = model[i % MODEL_GRANTEES][i / MODEL_GRANTEES];
        for (uint64_t actions = 1; actions < 1 << MODEL_ACTIONS; actions++) {
            uint64_t last = 0;
            for (size_t n = 0; n < MODEL_ACTIONS; n++)
                last = (actions >> n & 1) != 0 && until[n] > last ? until[n] : last;
            assert_int_equal(rights_granted_until(rights, &key, actions << 1), last);
        }
        for (size_t n = 0; n < MODEL_ACTIONS; n++)
            there += until[n] != 0;
    }
    assert_int_equal(rights->grant_count, there);
}

/* What removal moves is found where it went; a grant that had an end lasts, one that lasted gets one,
 * and the other actions on the object, and the other grantee, keep theirs. */
static void the_index_is_as_a_model_after_any_changes(void **state)
{
    struct trial *trial = *state;
    struct rights *rights = trial->store->rights;
    grid model = {0};
    uint64_t chance = trial_seed();
    for (size_t step = 0; step < 6000; step++) {
        uint64_t grantee = random_below(&chance, MODEL_GRANTEES);
        uint64_t object = random_below(&chance, MODEL_OBJECTS);
        uint64_t action = random_below(&chance, MODEL_ACTIONS);
        const struct rights_key key = {{1}, {object}, 1 + grantee, 1 + (uint32_t)action};
        uint64_t expires_ms = random_below(&chance, 2) * (1 + random_below(&chance, 1000));
        bool fewer = step / 1000 % 2 == 1; /* in turns more and fewer, to none */
        if (random_below(&chance, 10) < (fewer ? 9 : 3)) {
            rights_grant_remove(rights, &key);
            model[grantee][object][action] = 0;
        } else {
            assert_true(rights_grant_put(rights, &key, expires_ms));
            model[grantee][object][action] = expires_ms == 0 ? UINT64_MAX : expires_ms;
        }
        if (step % 20 == 0)
            compare(rights, model);
    }
    for (uint64_t i = 0; i < MODEL_GRANTEES * MODEL_OBJECTS * MODEL_ACTIONS; i++) {
        const struct rights_key key = {{1},
                                       {i % MODEL_OBJECTS},
                                       1 + i / MODEL_OBJECTS % 2,
                                       1 + (uint32_t)(i / MODEL_OBJECTS / MODEL_GRANTEES)};
        rights_grant_remove(rights, &key);
    }
    assert_int_equal(rights->grant_count, 0);
    assert_int_equal(rights->grantees.used, 0); /* who has none takes no room */
}

static void what_no_grant_has_is_not_put(void **state)
{
    struct trial *trial = *state;
    struct rights *rights = trial->store->rights;
    const struct rights_key keys[] = {{{1}, {UINT64_C(1) << 48}, 1, 1}, /* would be object 0 */
                                      {{1}, {1}, 1, 0},
                                      {{1}, {1}, 1, GRANT_ACTION_MAX + 1}};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        assert_false(rights_grant_put(rights, &keys[i], i));
        assert_int_equal(rights_granted_until(rights, &keys[i], UINT64_MAX), 0);
    }
    assert_int_equal(rights->grant_count, 0);
    const struct rights_key project_itself = {{1}, {0}, 1, 1};
    assert_true(rights_grant_put(rights, &project_itself, 0));
    assert_int_equal(rights_granted_until(rights, &keys[0], UINT64_MAX), 0);
}

/* ---- damage ---- */

static void what_cannot_be_read_gives_no_right(void **state)
{
    struct trial *trial = *state;
    const char *kinds = "mlqg";
    member_make(trial, "RAM$o:a");
    give(trial, (struct table_id){9}, user("RAM$o:a"), 2, 0);
    CATALOG_CHANGE_CLEANUP struct catalog_change change = {0};
    BYTES_CLEANUP struct bytes value = {0};
    const struct grant_record grant = grant_nth(0);
    const struct rights_key other = {project, {9}, 1, 3};
    for (const char *kind = kinds; *kind != '\0'; kind++) {
        BYTES_CLEANUP struct bytes key = {0};
        catalog_key_id(*kind, project.n, &key);
        bytes_append_text(&key, "~");
        catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), span_text("?"));
    }
    BYTES_CLEANUP struct bytes key = {0}; /* a record that is another's */
    rights_key_grant(&other, &key);
    grant_record_encode(&grant, &value);
    catalog_put(&change, FAMILY_CATALOG, bytes_span(&key), bytes_span(&value));
    good(trial, catalog_commit(trial->store, &change, CATALOG_USE_RESERVE, &trial->err));
    trial_reopen(trial);
    assert_int_equal(rights_unreadable(trial->store),
                     4); /* roles are read when they are asked for */
    assert_true(ask(trial, (struct table_id){9}, "RAM$o:a", 2).granted);
    assert_false(ask(trial, (struct table_id){9}, "RAM$o:a", 8).granted);
    assert_false(ask(trial, grant.object, "RAM$o:a", 2).granted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PROJECT(all_is_found_again_after_a_restart),
        IN_PROJECT(what_is_there_twice_or_not_at_all_changes_nothing),
        IN_PROJECT(a_user_has_so_many_roles_and_no_more),
        IN_PROJECT(an_expired_grant_does_not_count_again_when_the_clock_goes_back),
        IN_PROJECT(the_next_end_of_a_grant_is_known),
        IN_PROJECT(what_counts_for_nothing_is_deleted_and_nothing_else),
        IN_PROJECT(a_question_costs_the_same_among_100000_grants_as_among_10),
        IN_PROJECT(the_index_is_as_a_model_after_any_changes),
        IN_PROJECT(what_no_grant_has_is_not_put),
        IN_PROJECT(what_cannot_be_read_gives_no_right),
    };
    return cmocka_run_group_tests(tests, trial_group_setup, trial_group_teardown);
}
