#include "store/taken.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "store/crash.h"
#include "store/space.h"

#define MEND_ATTEMPTS_MAX 256

/* ---- names ---- */

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void second_name(const char *db_path, const char *name, struct bytes *ret_path)
{
    bytes_clear(ret_path);
    bytes_printf(ret_path, "%s-taking-%s", db_path, name);
    bytes_append_u8(ret_path, 0);
}

/* Calls on each second name; the callback may remove it. */
typedef void second_function(void *context, const char *db_path, const char *name);

static void seconds_each(const char *db_path, second_function *function, void *context)
{
    struct bytes folder BYTES_CLEANUP = {0};
    struct bytes prefix BYTES_CLEANUP = {0};
    const char *base = base_of(db_path);
    bytes_append(&folder, db_path, (size_t)(base - db_path));
    bytes_append(&folder, ".", 2);
    bytes_printf(&prefix, "%s-taking-", base);
    DIR *dir = opendir((const char *)folder.data);
    if (dir == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, (const char *)prefix.data, prefix.len) == 0)
            function(context, db_path, entry->d_name + prefix.len);
    }
    closedir(dir);
}

/* ---- while a file is taken in ---- */

static enum err_code second_make(const char *db_path, const char *path, struct err *err)
{
    struct bytes second BYTES_CLEANUP = {0};
    second_name(db_path, base_of(path), &second);
    (void)unlink((const char *)second.data); /* of an attempt before */
    if (link(path, (const char *)second.data) == 0 || errno == EPERM || errno == EOPNOTSUPP ||
        errno == EMLINK)
        return ERR_OK;
    return space_failed(db_path, "taking in packs", errno, err);
}

enum err_code taken_hold(const char *db_path, const char *const *paths, size_t count,
                         struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        enum err_code code = second_make(db_path, paths[i], err);
        if (code != ERR_OK) {
            taken_release(db_path, paths, i);
            return code;
        }
    }
    CRASH_POINT(CRASH_PACK_TAKING);
    return ERR_OK;
}

void taken_release(const char *db_path, const char *const *paths, size_t count)
{
    struct bytes second BYTES_CLEANUP = {0};
    for (size_t i = 0; i < count; i++) {
        second_name(db_path, base_of(paths[i]), &second);
        (void)unlink((const char *)second.data);
    }
}

static void second_remove(void *context, const char *db_path, const char *name)
{
    (void)context;
    taken_release(db_path, &name, 1);
}

void taken_release_all(const char *db_path)
{
    seconds_each(db_path, second_remove, NULL);
}

/* ---- mending ---- */

/* The file of the database that the text names: "DB/000123.sst" or, as the library looks for it last,
 * "DB/000123.ldb". Of another length it says nothing useful. */
static bool missing_parse(const char *db_path, const char *text, struct bytes *ret_path)
{
    size_t path_len = strlen(db_path);
    for (const char *at = text; (at = strstr(at, db_path)) != NULL; at += path_len) {
        const char *name = at + path_len;
        size_t digits = name[0] == '/' ? strspn(name + 1, "0123456789") : 0;
        const char *end = name + 1 + digits;
        if (digits == 0 || (strncmp(end, ".sst", 4) != 0 && strncmp(end, ".ldb", 4) != 0))
            continue;
        bytes_append(ret_path, at, path_len + 1 + digits);
        bytes_append(ret_path, ".sst", 5);
        return true;
    }
    return false;
}

static void second_add(void *context, const char *db_path, const char *name)
{
    struct taken_mend *mend = context;
    struct bytes path = {0};
    if (mend->second_count == MEND_FILES_MAX)
        return;
    second_name(db_path, name, &path);
    size_t at = mend->second_count++;
    for (; at > 0 && span_compare(bytes_span(&mend->seconds[at - 1]), bytes_span(&path)) > 0; at--)
        mend->seconds[at] = mend->seconds[at - 1];
    mend->seconds[at] = path;
}

static bool second_used(const struct taken_mend *mend, size_t second)
{
    for (size_t i = 0; i + 1 < mend->link_count; i++) {
        if (mend->links[i].second == second)
            return true;
    }
    return false;
}

/* Puts the next one, from `second` on, where the last missing file was; false: there is none. */
static bool last_link(struct taken_mend *mend, size_t second)
{
    struct mend_link *last = &mend->links[mend->link_count - 1];
    for (; second < mend->second_count; second++) {
        if (second_used(mend, second) ||
            link((const char *)mend->seconds[second].data, (const char *)last->missing.data) != 0)
            continue;
        last->second = second;
        return true;
    }
    bytes_deinit(&last->missing);
    mend->link_count--;
    return false;
}

/* The newest pair is wrong, or one before it. */
static bool last_change(struct taken_mend *mend)
{
    while (mend->link_count > 0) {
        const struct mend_link *last = &mend->links[mend->link_count - 1];
        (void)unlink((const char *)last->missing.data);
        if (mend->attempts < MEND_ATTEMPTS_MAX && last_link(mend, last->second + 1))
            return true;
        if (mend->attempts >= MEND_ATTEMPTS_MAX)
            bytes_deinit(&mend->links[--mend->link_count].missing);
    }
    return false;
}

bool taken_mend_next(struct taken_mend *mend, const char *text)
{
    struct bytes missing BYTES_CLEANUP = {0};
    bool damaged = strstr(text, "Corruption") != NULL || strstr(text, "No such file") != NULL;
    if (mend->attempts++ == 0)
        seconds_each(mend->db_path, second_add, mend);
    if (!damaged)
        mend->attempts = MEND_ATTEMPTS_MAX; /* no pair helps against that */
    bool absent = damaged && missing_parse(mend->db_path, text, &missing) &&
                  access((const char *)missing.data, F_OK) != 0;
    if (!absent || mend->link_count == MEND_FILES_MAX || mend->attempts >= MEND_ATTEMPTS_MAX)
        return last_change(mend);
    bytes_append_span(&mend->links[mend->link_count].missing, bytes_span(&missing));
    mend->link_count++;
    return last_link(mend, 0) || last_change(mend);
}

void taken_mend_deinit(struct taken_mend *mend)
{
    for (size_t i = 0; i < mend->second_count; i++)
        bytes_deinit(&mend->seconds[i]);
    for (size_t i = 0; i < mend->link_count; i++)
        bytes_deinit(&mend->links[i].missing);
}
