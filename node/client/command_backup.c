/* strait backup: the node's store, whole, into a folder here; and whether one is whole. */
#include "node/client/backup_pull.h"
#include "node/client/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_ARENA_BYTES (64 * KIB(1))

static const char usage[] = "strait backup DIR [--quiet] | strait backup --check DIR";

struct backup {
    struct client *client;
    const char *dir;
    struct statement_id id;
    bool asked; /* the node may be at it */
    bool begun; /* it is */
    int lock_file;
    struct arena arena;
    struct operator_backup_state state;
    struct backup_manifest old, fresh;
    struct backup_pull pull;
};

static void backup_deinit(struct backup *backup)
{
    if (backup->lock_file >= 0)
        close(backup->lock_file);
    backup_manifest_deinit(&backup->old);
    backup_manifest_deinit(&backup->fresh);
    arena_deinit(&backup->arena);
}

static const char *path_of(struct bytes *path, const char *dir, const char *name)
{
    bytes_clear(path);
    bytes_printf(path, "%s/%s", dir, name);
    bytes_append_u8(path, 0);
    return (const char *)path->data;
}

/* ---- the folder ---- */

static enum err_code folder_make(const char *path, struct err *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return backup_failed(path, "making", err);
    return ERR_OK;
}

/* A folder with other things in it is somebody's mistake. */
static enum err_code folder_check(const char *path, struct err *err)
{
    static const char *const ours[] = {".",        "..",           "files",     "lock",
                                       "manifest", "manifest.new", "lost+found"};
    enum err_code code = ERR_OK;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return backup_failed(path, "opening", err);
    for (const struct dirent *entry; code == ERR_OK && (entry = readdir(dir)) != NULL;) {
        size_t i = 0;
        while (i < ARRAY_COUNT(ours) && strcmp(entry->d_name, ours[i]) != 0)
            i++;
        if (i == ARRAY_COUNT(ours))
            code = err_set(err, ERR_PARAMETER,
                           "%s has %s in it, which is of no backup; give a folder of its own", path,
                           entry->d_name);
    }
    closedir(dir);
    return code;
}

static enum err_code folder_open(struct backup *backup, struct err *err)
{
    struct bytes path BYTES_CLEANUP = {0};
    TRY(folder_make(backup->dir, err));
    TRY(folder_check(backup->dir, err));
    TRY(folder_make(path_of(&path, backup->dir, "files"), err));
    const char *lock = path_of(&path, backup->dir, "lock");
    backup->lock_file = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (backup->lock_file < 0)
        return backup_failed(lock, "opening", err);
    if (flock(backup->lock_file, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? err_set(err, ERR_LOCKED, "%s: another strait backup writes there", backup->dir)
                   : backup_failed(lock, "locking", err);
    enum err_code code = backup_manifest_read(backup->dir, &backup->old, err);
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

/* What the new manifest does not name: of the backup before, and what an interrupted one left. */
static void files_forget(const struct backup *backup)
{
    struct bytes path BYTES_CLEANUP = {0};
    DIR *dir = opendir(path_of(&path, backup->dir, "files"));
    if (dir == NULL)
        return; /* the next one does it */
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.' && backup_file_find(&backup->fresh, entry->d_name) == NULL)
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

/* ---- at the node ---- */

static enum err_code begin(struct backup *backup, struct err *err)
{
    struct bytes header BYTES_CLEANUP = {0};
    struct remote_answer answer REMOTE_ANSWER_CLEANUP = {0};
    const struct operator_backup_begin request = {backup->id};
    operator_backup_begin_encode(&request, &header);
    backup->asked = true;
    struct remote *remote = backup->client->remote;
    enum err_code code = remote_call(remote, OPERATOR_BACKUP_BEGIN, &header, NULL, 0, &answer, err);
    backup->asked = code == ERR_OK || remote_failure(remote) != REMOTE_REFUSED;
    TRY(code);
    backup->begun = true;
    TRY(operator_backup_state_decode(bytes_span(&answer.header), &backup->arena, &backup->state,
                                     err));
    struct span region = arena_copy(&backup->arena, backup->state.region);
    backup->state.region = region;
    if (backup->old.count > 0 && !span_equal(region, span_text(backup->old.region)))
        return err_set(err, ERR_PARAMETER,
                       "%s has a backup of region %s, the node is of %.*s; give another folder",
                       backup->dir, backup->old.region, SPAN_PRINTF(region));
    return ERR_OK;
}

/* Each backup has an entry of its own in the audit log, so those of one node have more and more. Fewer: the region
 * was lost and begun again empty, or restored from an older one, and what DIR has is the better. */
static enum err_code newer_check(const struct backup *backup, struct err *err)
{
    if (backup->old.count == 0 || backup->state.audit_count > backup->old.audit_count)
        return ERR_OK;
    return err_set(err, ERR_PARAMETER,
                   "%s has a backup with %" PRIu64
                   " entries of the audit log, the node has %" PRIu64
                   ": it is another, or older; restore from there (straitd --restore), or give "
                   "another folder",
                   backup->dir, backup->old.audit_count, backup->state.audit_count);
}

/* However it ended: the node need not keep it. */
static void end(struct backup *backup)
{
    struct bytes header BYTES_CLEANUP = {0};
    const struct operator_close close = {backup->id};
    if (!backup->asked)
        return;
    operator_close_encode(&close, &header);
    remote_farewell(backup->client->remote, OPERATOR_BACKUP_END, &header);
}

static enum err_code fetch(struct backup *backup, struct err *err)
{
    struct bytes list BYTES_CLEANUP = {0};
    backup->pull = (struct backup_pull){
        .remote = backup->client->remote,
        .dir = backup->dir,
        .id = backup->id,
        .progress = progress_begin(backup->client->screen.quiet),
        .fresh = &backup->fresh,
        .old = &backup->old,
    };
    TRY(backup_pull_list(&backup->pull, backup->state.list_bytes, &list, err));
    TRY(backup_list_decode(bytes_span(&list), backup->id.b, &backup->fresh, err));
    if (backup->fresh.count != backup->state.file_count)
        return err_set(err, ERR_PEER, "the node said %" PRIu64 " files and listed %zu",
                       backup->state.file_count, backup->fresh.count);
    TRY(backup_pull_files(&backup->pull, err));
    snprintf(backup->fresh.region, sizeof(backup->fresh.region), "%.*s",
             SPAN_PRINTF(backup->state.region));
    backup->fresh.cut_ms = backup->state.cut_ms;
    backup->fresh.audit_count = backup->state.audit_count;
    backup->fresh.audit_head = backup->state.audit_head;
    return backup_manifest_write(backup->dir, &backup->fresh, err);
}

static enum err_code backup_make(struct backup *backup, struct err *err)
{
    TRY(folder_open(backup, err));
    TRY(begin(backup, err));
    TRY(newer_check(backup, err));
    enum err_code code = fetch(backup, err);
    progress_clear(&backup->pull.progress);
    return code;
}

/* ---- what is told ---- */

static void outcome_print(struct backup *backup)
{
    struct bytes text BYTES_CLEANUP = {0};
    char hex[DIGEST_HEX_BYTES];
    const struct backup_pull *pull = &backup->pull;
    uint64_t elapsed_ms = progress_elapsed_ms(&pull->progress);
    bytes_printf(&text, "backup of %s: %zu files, ", backup->fresh.region, backup->fresh.count);
    bytes_append_amount(&text, backup_bytes(&backup->fresh));
    bytes_printf(&text, "; moved %" PRIu64 " files, ", pull->files_moved);
    bytes_append_amount(&text, pull->bytes_moved);
    bytes_append_text(&text, " in ");
    bytes_append_duration(&text, elapsed_ms);
    bytes_append_text(&text, ", ");
    bytes_append_amount(&text, pull->bytes_moved * 1000 / (elapsed_ms + 1));
    bytes_append_text(&text, "/s\ncut at ");
    backup_cut_format(&backup->fresh, &text);
    bytes_printf(&text, "; audit log %" PRIu64 ":%s\n", backup->fresh.audit_count,
                 digest_hex(&backup->fresh.audit_head, hex));
    if (!backup->client->screen.quiet)
        fprintf(stderr, "%.*sOK\n", SPAN_PRINTF(bytes_span(&text)));
    if (backup->state.damaged > 0)
        complain("the node knows of %" PRIu64
                 " damaged items, and the backup has them as they are: SCRUB repairs them, then "
                 "back up again",
                 backup->state.damaged);
}

static enum exit_code backup_run(struct client *client, const char *dir)
{
    struct err err = {0};
    __attribute__((cleanup(backup_deinit))) struct backup backup = {
        .client = client, .dir = dir, .id = statement_id_random(), .lock_file = -1};
    arena_init(&backup.arena, STATE_ARENA_BYTES);
    enum exit_code opened = client_open(client);
    if (opened != EXIT_DONE)
        return opened;
    enum err_code code = backup_make(&backup, &err);
    enum exit_code failed = code == ERR_OK ? EXIT_DONE : client_fail(client, NULL, &err);
    end(&backup);
    if (code != ERR_OK) {
        if (backup.begun)
            complain("what has arrived stays in %s and is not moved again; %s", dir,
                     backup.old.count > 0 ? "the last whole backup is as it was"
                                          : "no whole backup is there yet");
        return failed;
    }
    files_forget(&backup);
    outcome_print(&backup);
    return EXIT_DONE;
}

/* ---- check ---- */

static enum exit_code check_run(const struct client *client, const char *dir)
{
    BACKUP_MANIFEST_CLEANUP struct backup_manifest manifest = {0};
    struct bytes text BYTES_CLEANUP = {0};
    struct err err;
    size_t damaged = 0;
    if (backup_manifest_read(dir, &manifest, &err) != ERR_OK)
        return client_fail(client, NULL, &err);
    for (size_t i = 0; i < manifest.count; i++) {
        if (backup_file_copy(dir, &manifest.files[i], NULL, &err) == ERR_OK)
            continue;
        complain("%s", err.message);
        damaged++;
    }
    if (damaged > 0) {
        complain(
            "%zu of %zu files are damaged: remove them, and strait backup %s brings again what "
            "the node still has",
            damaged, manifest.count, dir);
        return EXIT_FAILED;
    }
    bytes_append_amount(&text, backup_bytes(&manifest));
    bytes_append_text(&text, ", cut at ");
    backup_cut_format(&manifest, &text);
    printf("%s: backup of region %s is whole: %zu files, %.*s\n", dir, manifest.region,
           manifest.count, SPAN_PRINTF(bytes_span(&text)));
    return EXIT_DONE;
}

enum exit_code command_backup(struct client *client, int argc, char **argv)
{
    static const struct option options[] = {
        {"check", no_argument, NULL, 'c'}, {"quiet", no_argument, NULL, 'q'}, {0}};
    bool check = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            return command_misused(usage);
        check = check || option == 'c';
        client->screen.quiet = client->screen.quiet || option == 'q';
    }
    if (optind != argc - 1)
        return command_misused(usage);
    return check ? check_run(client, argv[optind]) : backup_run(client, argv[optind]);
}
