#include "store/crash.h"

#include <signal.h>

_Atomic int crash_armed = -1;
static _Atomic long crash_left; /* passages until the end */

static const char *const names[CRASH_POINT_COUNT] = {
#define X(point, name) [point] = name,
    CRASH_POINTS(X)
#undef X
};

const char *crash_name(enum crash_point point)
{
    ASSERT((unsigned)point < CRASH_POINT_COUNT);
    return names[point];
}

enum err_code crash_arm(struct err *err)
{
    const char *text = getenv("STRAIT_CRASH");
    if (text == NULL || *text == '\0') {
        atomic_store(&crash_armed, -1);
        return ERR_OK;
    }
    const char *colon = strchr(text, ':');
    size_t name_bytes = colon != NULL ? (size_t)(colon - text) : strlen(text);
    char *end = NULL;
    long nth = colon != NULL ? strtol(colon + 1, &end, 10) : 1;
    if (nth < 1 || (end != NULL && *end != '\0'))
        return err_set(err, ERR_CONFIG, "STRAIT_CRASH=%s: the count is from 1", text);
    for (int point = 0; point < CRASH_POINT_COUNT; point++) {
        if (strlen(names[point]) == name_bytes && memcmp(names[point], text, name_bytes) == 0) {
            atomic_store(&crash_left, nth);
            atomic_store(&crash_armed, point);
            return ERR_OK;
        }
    }
    return err_set(err, ERR_CONFIG, "STRAIT_CRASH=%s: no such crash point", text);
}

void crash_pass(void)
{
    if (atomic_fetch_sub(&crash_left, 1) == 1)
        kill(getpid(), SIGKILL);
}
