/* Repairs between two regions, under the receipt of an XCOPY. */
#include "node/task/repair.h"
#include "node/task/repair_grant.h"
#include "node/task/xcopy_trial.h"

#include "proto/peer.h"
#include "store/damage.h"
#include "store/snapshot.h"

#define PARTITIONS 300

static struct task_status status_at(struct region *region, const struct task_id *id)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(1));
    struct task_status status = {0};
    ok(tasks_status(region->tasks, id, &arena, &status, &err));
    return status;
}

static struct digest version_of(struct region *region, const char *name)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(4));
    struct snapshot_record snapshot;
    ok(snapshot_find(region->store, NULL, region->project, span_text(name), &arena, &snapshot,
                     &err));
    return snapshot.version.version;
}

struct named { /* of a version: a file, a leaf and the version's record */
    struct digest file, page, version_page;
};

static enum err_code see_page(void *context, const struct digest *digest, bool *ret_descend,
                              struct err *reason)
{
    struct named *named = context;
    (void)reason;
    named->page = *digest; /* the last one is a leaf */
    *ret_descend = true;
    return ERR_OK;
}

static enum err_code see_file(void *context, const struct page_file *file, struct err *reason)
{
    struct named *named = context;
    (void)reason;
    named->file = file->digest;
    return ERR_OK;
}

static struct snapshot_record snapshot_of(struct region *region, const char *name,
                                          struct arena *arena)
{
    struct snapshot_record snapshot;
    ok(snapshot_find(region->store, NULL, region->project, span_text(name), arena, &snapshot,
                     &err));
    return snapshot;
}

static struct named named_by(struct region *region, const char *name)
{
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(4));
    READER_CLEANUP struct reader_handle *reader = NULL;
    struct named named;
    const struct tree_visitor visitor = {see_page, see_file, &named};
    struct snapshot_record snapshot = snapshot_of(region, name, &arena);
    ok(reader_open(region->store, snapshot.id, &reader, &err));
    struct tree tree = reader_tree(reader);
    ok(tree_mark(&tree, &visitor, &err));
    named.version_page = snapshot.version.page;
    return named;
}

/* Listed as scrub would: from here on neither served nor held. */
static struct named lose(struct region *region, const char *name)
{
    struct named named = named_by(region, name);
    damage_note(region->store, &named.file, DAMAGE_FILE, "lost");
    damage_note(region->store, &named.page, DAMAGE_PAGE, "lost");
    damage_note(region->store, &named.version_page, DAMAGE_PAGE, "lost");
    return named;
}

static struct task_status repair_at(struct region *region)
{
    struct repair repairs[REPAIRS_MAX];
    struct task_status status = {0};
    size_t count;
    ok(repair_begin(region->tasks, true, repairs, &count, &err));
    assert_int_equal(count, 1);
    for (int i = 0; i < 2000; i++) {
        status = status_at(region, &repairs[0].id);
        if (has_ended(&status))
            return status;
        usleep(10000);
    }
    fail_msg("the repair does not end: %s", status.phase);
    return status;
}

/* What the source keeps of the receipt for a snapshot. */
static enum err_code receipt_keep(void *context, const struct identity_key *peer,
                                  const struct repair_grant *grant, struct err *reason)
{
    (void)peer;
    (void)reason;
    bytes_clear(context);
    bytes_append_span(context, grant->receipt);
    return ERR_OK;
}

/* It follows the publish. */
static void receipt_wait(const char *snapshot, struct bytes *ret_receipt)
{
    struct digest version = version_of(&there, snapshot);
    for (int i = 0; i < 2000 && ret_receipt->len == 0; i++) {
        usleep(10000);
        ok(repair_peers_each(there.store, &version, receipt_keep, ret_receipt, &err));
    }
}

/* A table of its own content, a snapshot of it there, and its copy here. */
static void copied(const char *table_name, const char *snapshot)
{
    struct table_id table = table_make(table_name);
    overwrite(table, 1, PARTITIONS, snapshot);
    snapshot_make(table, snapshot);
    struct task_status status = xcopy(snapshot, snapshot);
    done(&status);
    BYTES_CLEANUP struct bytes receipt = {0};
    receipt_wait(snapshot, &receipt);
}

static void test_either_end_repairs_from_the_other(void **state)
{
    (void)state;
    copied("mended", "mended_1");
    struct region *ends[] = {&here, &there};
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        lose(ends[i], "mended_1");
        struct task_status status = repair_at(ends[i]);
        done(&status);
        assert_int_equal(status.counters.files_moved, 1); /* the one that was lost */
        assert_int_equal(damage_count(ends[i]->store), 0);
    }
    equal("mended_1", "mended_1");
}

static void test_a_lying_peer_repairs_nothing(void **state)
{
    (void)state;
    copied("lied", "lied_1");
    static const enum tamper tampers[] = {TAMPER_PAGES, TAMPER_FILES};
    struct named named = lose(&here, "lied_1");
    for (size_t i = 0; i < ARRAY_COUNT(tampers); i++) {
        there.tamper = tampers[i];
        struct task_status status = repair_at(&here);
        there.tamper = TAMPER_NONE;
        assert_int_equal(status.state, TASK_FAILED);
        assert_int_equal(status.error.code, ERR_PEER);
        assert_non_null(strstr(status.error.message, "peer ap-southeast-1"));
        assert_true(damage_has(here.store, &named.file));
    }
    struct task_status status = repair_at(&here);
    done(&status);
    equal("lied_1", "lied_1");
}

static enum err_code rights_there(struct span receipt, const struct identity_key *peer)
{
    ARENA_CLEANUP struct arena arena;
    struct repair_origin origin;
    arena_init(&arena, MIB(16));
    const struct xcopy_rights rights = {
        .store = there.store, .node = identity_public(there.identity)->sign, .region = there.name};
    return repair_rights(&rights, receipt, peer, &arena, &origin, &err);
}

static void receipt_sign(struct receipt receipt, const struct identity *signer,
                         struct bytes *ret_bytes)
{
    struct signature signature;
    bytes_clear(ret_bytes);
    receipt.signer = identity_public(signer)->sign;
    receipt_encode(&receipt, ret_bytes);
    identity_sign(signer, RECEIPT_DOMAIN, bytes_span(ret_bytes), &signature);
    bytes_append(ret_bytes, signature.b, sizeof(signature.b));
}

static void test_a_receipt_grants_only_what_it_is_for(void **state)
{
    (void)state;
    BYTES_CLEANUP struct bytes kept = {0};
    BYTES_CLEANUP struct bytes forged = {0};
    const struct identity_key *peer = &identity_public(here.identity)->sign;
    struct receipt receipt;
    copied("granted", "granted_1");
    receipt_wait("granted_1", &kept);
    ok(receipt_decode(bytes_span(&kept), &receipt, &err));
    ok(rights_there(bytes_span(&kept), peer));
    assert_int_equal(rights_there(bytes_span(&kept), &identity_public(user)->sign), ERR_DENIED);
    assert_int_equal(rights_there(span_of(kept.data, kept.len - 1), peer), ERR_DENIED);
    for (size_t at = 0; at < kept.len; at += 7) { /* any byte else: the signature tells */
        kept.data[at] ^= 1;
        assert_int_equal(rights_there(bytes_span(&kept), peer), ERR_DENIED);
        kept.data[at] ^= 1;
    }
    receipt_sign(receipt, user, &forged); /* a right signature of somebody else */
    assert_int_equal(rights_there(bytes_span(&forged), peer), ERR_DENIED);
    receipt.root.b[0] ^= 1; /* of another tree */
    receipt_sign(receipt, here.identity, &forged);
    assert_int_equal(rights_there(bytes_span(&forged), peer), ERR_DENIED);
    receipt.root.b[0] ^= 1;
    receipt.version.b[0] ^= 1; /* of a version that was never taken from here */
    receipt_sign(receipt, here.identity, &forged);
    assert_int_equal(rights_there(bytes_span(&forged), peer), ERR_DENIED);
    struct change_note made = note();
    ok(project_xcopy_set(there.store, there.project, false, &made, &err));
    assert_int_equal(rights_there(bytes_span(&kept), peer), ERR_GATE);
    made = note();
    ok(project_xcopy_set(there.store, there.project, true, &made, &err));
    const struct account_id owner = {ROOT_ACCOUNT_ID};
    made = note();
    ok(account_channel_set(there.store, owner, false, &made, &err));
    assert_int_equal(rights_there(bytes_span(&kept), peer), ERR_GATE);
    made = note();
    ok(account_channel_set(there.store, owner, true, &made, &err));
    ARENA_CLEANUP struct arena arena;
    arena_init(&arena, MIB(4));
    made = note();
    ok(snapshot_drop(there.store, snapshot_of(&there, "granted_1", &arena).id, &made, &err));
    assert_int_equal(rights_there(bytes_span(&kept), peer), ERR_NOT_FOUND);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_either_end_repairs_from_the_other),
        cmocka_unit_test(test_a_lying_peer_repairs_nothing),
        cmocka_unit_test(test_a_receipt_grants_only_what_it_is_for),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
