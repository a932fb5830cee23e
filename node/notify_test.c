#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/notify.h"

static char folder[] = "/tmp/strait-notify-XXXXXX";

static int folder_make(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int folder_remove(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* A manager's socket at `name`, as $NOTIFY_SOCKET writes it. */
static int manager_open(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    assert_true(len < sizeof(address.sun_path));
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = 0;
    int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(file >= 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    assert_int_equal(bind(file, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return file;
}

static void assert_told(int manager, const char *wanted)
{
    char text[64] = {0};
    ssize_t got = recv(manager, text, sizeof(text) - 1, 0);
    assert_int_equal(got, (ssize_t)strlen(wanted));
    assert_string_equal(text, wanted);
}

static void one_datagram_comes_at_a_path(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof(path), "%s/manager", folder);
    int manager = manager_open(path);
    assert_int_equal(notify_send("READY=1", NULL), ERR_OK);
    assert_int_equal(notify_send("STOPPING=1", NULL), ERR_OK);
    assert_told(manager, "READY=1");
    assert_told(manager, "STOPPING=1");
    close(manager);
    unlink(path);
}

static void one_datagram_comes_at_an_abstract_name(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof(name), "@strait-notify-%ld", (long)getpid());
    int manager = manager_open(name);
    assert_int_equal(notify_send("READY=1", NULL), ERR_OK);
    assert_told(manager, "READY=1");
    close(manager);
}

static void nobody_is_told_where_nobody_asked(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_send("READY=1", NULL), ERR_OK);
    setenv("NOTIFY_SOCKET", "", 1);
    assert_int_equal(notify_send("READY=1", NULL), ERR_OK);
}

static void a_manager_that_is_gone_is_an_error_with_its_name(void **state)
{
    (void)state;
    struct err err;
    setenv("NOTIFY_SOCKET", "/nowhere/manager", 1);
    assert_int_equal(notify_send("READY=1", &err), ERR_IO);
    assert_non_null(strstr(err.message, "/nowhere/manager"));
    notify("READY=1"); /* is logged, and goes on */
}

static void a_name_that_is_none_is_refused(void **state)
{
    (void)state;
    char name[200];
    struct err err;
    static const char *const bad[] = {"relative", "/", "@", "vsock:2:1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        assert_int_equal(notify_send("READY=1", &err), ERR_CONFIG);
    }
    memset(name, 'a', sizeof(name) - 1);
    name[0] = '/';
    name[sizeof(name) - 1] = 0;
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(notify_send("READY=1", &err), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_datagram_comes_at_a_path),
        cmocka_unit_test(one_datagram_comes_at_an_abstract_name),
        cmocka_unit_test(nobody_is_told_where_nobody_asked),
        cmocka_unit_test(a_manager_that_is_gone_is_an_error_with_its_name),
        cmocka_unit_test(a_name_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
