/* A link that is led elsewhere: to another node with another key, nowhere, and back. */
#include <arpa/inet.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport/handshake.h"
#include "transport/testbed.h"

/* A second node, with another key, that knows the same asker. */
static void other_open(struct testbed *other, struct testbed *bed)
{
    testbed_open(other, NULL, NULL);
    identity_free(other->asker);
    other->asker = bed->asker;
}

static void other_close(struct testbed *other)
{
    other->asker = NULL;
    testbed_close(other);
}

static void redirect(struct link *link, const struct testbed *to)
{
    const char *addresses[] = {to->address};
    const struct link_target target = {addresses, 1, identity_public(to->node)->noise};
    struct err err;
    assert_int_equal(link_target_check(&target, &err), ERR_OK);
    link_redirect(link, &target);
}

static void test_a_redirected_link_ends_what_is_out_and_asks_the_other_node(void **state)
{
    (void)state;
    struct testbed bed, other;
    struct asked asked[2];
    struct err err;
    struct link_status status;
    testbed_open(&bed, NULL, NULL);
    other_open(&other, &bed);
    struct link *link = testbed_link(&bed, NULL, 1);
    for (int bulk = 0; bulk < 2; bulk++)
        asked_post(&asked[bulk], link,
                   &(struct link_request){.method = METHOD_HOLD, .bulk = bulk != 0});
    testbed_wait_held(&bed, 2);
    unsigned before = bed.handed_out;
    link_status(link, &status);
    assert_int_equal(status.version, PROTOCOL_VERSION_MAX);
    redirect(link, &other);
    for (int bulk = 0; bulk < 2; bulk++) {
        asked_wait(&asked[bulk]);
        assert_int_equal(asked[bulk].err.code, ERR_CANCELLED);
        asked_deinit(&asked[bulk]);
    }
    struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    for (int bulk = 0; bulk < 2; bulk++) {
        echo.bulk = bulk != 0;
        assert_int_equal(link_call(link, &echo, NULL, NULL, &err), ERR_OK);
    }
    assert_int_equal(other.handed_out, 2);
    assert_int_equal(bed.handed_out, before);
    link_redirect(link, &(struct link_target){.address_count = 0}); /* nowhere */
    for (int bulk = 0; bulk < 2; bulk++) {
        echo.bulk = bulk != 0;
        assert_int_equal(link_call(link, &echo, NULL, NULL, &err), ERR_UNREACHABLE);
        assert_non_null(strstr(err.message, "not configured"));
    }
    link_status(link, &status);
    assert_false(status.connected);
    assert_int_equal(status.version, 0); /* whoever is there next may be older */
    redirect(link, &bed);
    assert_int_equal(link_call(link, &echo, NULL, NULL, &err), ERR_OK);
    assert_int_equal(bed.handed_out, before + 1);
    link_close(link);
    other_close(&other);
    testbed_close(&bed);
}

/* The kernel takes the dial, and nobody answers. */
static int deaf_listen(char ret_address[32])
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(listen(fd, 8), 0);
    snprintf(ret_address, 32, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

/* Until both connections are being dialled. */
static void dials_wait(struct link *link)
{
    struct link_status status;
    uint64_t until_us = pool_now_us() + UINT64_C(60) * 1000000;
    for (link_status(link, &status); status.dials < 2; link_status(link, &status)) {
        assert_true(pool_now_us() < until_us);
        sched_yield();
    }
}

static void test_what_waits_for_a_dial_goes_to_the_new_target(void **state)
{
    (void)state;
    struct testbed bed, other;
    struct asked asked[2];
    char deaf_address[32];
    testbed_open(&bed, NULL, NULL);
    other_open(&other, &bed);
    int deaf = deaf_listen(deaf_address);
    struct link *link = testbed_link(&bed, deaf_address, 1);
    for (int bulk = 0; bulk < 2; bulk++)
        asked_post(&asked[bulk], link,
                   &(struct link_request){.method = METHOD_ECHO, .bulk = bulk != 0});
    dials_wait(link);
    redirect(link, &other);
    for (int bulk = 0; bulk < 2; bulk++) {
        asked_wait(&asked[bulk]);
        assert_int_equal(asked[bulk].err.code, ERR_OK);
        asked_deinit(&asked[bulk]);
    }
    assert_int_equal(other.handed_out, 2);
    link_close(link);
    close(deaf);
    other_close(&other);
    testbed_close(&bed);
}

/* Again and again, from one thread, while another asks: each request ends once, and the last are answered. */
struct asking {
    struct link *link;
    unsigned answered, ended;
};

static void *ask_on(void *argument)
{
    struct asking *asking = argument;
    struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    for (unsigned i = 0; i < 300; i++) {
        echo.bulk = i % 2 != 0;
        asking->answered += link_call(asking->link, &echo, NULL, NULL, NULL) == ERR_OK;
        asking->ended++;
    }
    return NULL;
}

static void test_a_link_may_be_redirected_while_it_works(void **state)
{
    (void)state;
    struct testbed bed, other;
    pthread_t thread;
    struct err err;
    testbed_open(&bed, NULL, NULL);
    other_open(&other, &bed);
    struct asking asking = {.link = testbed_link(&bed, NULL, 2)};
    assert_int_equal(pthread_create(&thread, NULL, ask_on, &asking), 0);
    for (unsigned i = 0; i < 60; i++) {
        if (i % 3 == 2)
            link_redirect(asking.link, &(struct link_target){.address_count = 0});
        else
            redirect(asking.link, i % 3 == 0 ? &other : &bed);
        sched_yield();
    }
    redirect(asking.link, &other);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(asking.ended, 300);
    struct link_request echo = {.method = METHOD_ECHO, .deadline_ms = 60000};
    assert_int_equal(link_call(asking.link, &echo, NULL, NULL, &err), ERR_OK);
    link_close(asking.link);
    other_close(&other);
    testbed_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_redirected_link_ends_what_is_out_and_asks_the_other_node),
        cmocka_unit_test(test_what_waits_for_a_dial_goes_to_the_new_target),
        cmocka_unit_test(test_a_link_may_be_redirected_while_it_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
