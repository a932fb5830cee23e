/* strait-link: carries IP packets between two network namespaces, as slow and as badly as told.
 *
 *     [namespace A: tun0 10.77.0.1] <- ways[1] - strait-link - ways[0] -> [namespace B: tun0 10.77.0.2]
 *
 * IPv4 alone is carried.
 *
 *     strait-link [--mtu BYTES] [--seed N] [ORDER]...      ORDER as "delay 50": orders.h
 *
 * It prints `ready NAMESPACE_A NAMESPACE_B`, two paths that `nsenter --net=PATH` takes, then follows
 * orders from standard input, one a line, each answered by a line: ok, the counters, or error: why.
 * It ends at `quit`, at the end of standard input and with the process that started it; both
 * namespaces and devices end with it (namespace.h). Needs root.
 *
 * Time: one thread. While packets are on the wire it wakes every TICK_NS, takes all that came and
 * hands out all that is due; so a packet is late by up to TICK_NS at either end, and the cost of a
 * wake-up is shared by many packets.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include "cluster-tests/link/namespace.h"
#include "cluster-tests/link/orders.h"

#define EXIT_USAGE       2
#define TICK_NS          100000
#define MTU_DEFAULT      1500
#define MTU_MIN          576
#define MTU_MAX          65521
#define TURN_PACKETS_MAX 512 /* taken from one device before the other has its turn */
#define ORDER_BYTES_MAX  256

static const char *const addresses[2] = {"10.77.0.1", "10.77.0.2"};

struct link {
    struct namespace ends[2];
    struct wire ways[2]; /* ways[i] begins at ends[i] */
    char order[ORDER_BYTES_MAX];
    size_t order_bytes;
    bool over;
};

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- packets ---- */

/* Whether there may be more. */
static bool packets_take(struct link *link, int way)
{
    uint8_t packet[MTU_MAX];
    for (int i = 0; i < TURN_PACKETS_MAX; i++) {
        ssize_t bytes = read(link->ends[way].device, packet, sizeof(packet));
        if (bytes <= 0)
            return false;
        if (packet[0] >> 4 == 4) /* not the kernel's own IPv6 greetings: they would be counted */
            wire_put(&link->ways[way], clock_ns(), span_of(packet, (size_t)bytes));
    }
    return true;
}

static void packets_deliver(struct link *link, int way)
{
    struct wire_packet *packet;
    while ((packet = wire_take(&link->ways[way], clock_ns())) != NULL) {
        ssize_t written = write(link->ends[!way].device, packet->data, packet->bytes);
        (void)written; /* a device that is down or full loses it, as a network does */
        mem_free(packet);
    }
}

/* ---- orders ---- */

static void counters_print(const struct link *link)
{
    BYTES_CLEANUP struct bytes text = {0};
    counters_format(link->ways, &text);
    printf("%.*s\n", SPAN_PRINTF(bytes_span(&text)));
}

static void order_answer(struct link *link, const char *line)
{
    struct err err;
    enum order_reply reply;
    if (order_follow(line, link->ways, &reply, &err) != ERR_OK)
        printf("error: %s\n", err.message);
    else if (reply == ORDER_COUNT)
        counters_print(link);
    else if (reply == ORDER_QUIT)
        link->over = true;
    else
        printf("ok\n");
    fflush(stdout);
}

static void orders_read(struct link *link)
{
    ssize_t got = read(STDIN_FILENO, link->order + link->order_bytes,
                       sizeof(link->order) - link->order_bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        link->over = true;
        return;
    }
    link->order_bytes += (size_t)got;
    char *end;
    while (!link->over && (end = memchr(link->order, '\n', link->order_bytes)) != NULL) {
        *end = 0;
        order_answer(link, link->order);
        size_t line_bytes = (size_t)(end + 1 - link->order);
        link->order_bytes -= line_bytes;
        memmove(link->order, end + 1, link->order_bytes);
    }
    if (link->order_bytes == sizeof(link->order)) {
        printf("error: an order has at most %d bytes\n", ORDER_BYTES_MAX - 1);
        fflush(stdout);
        link->over = true;
    }
}

/* ---- life ---- */

/* Sleeps until a packet or an order comes; while packets are on the wire, a tick. */
static void link_sleep(struct link *link)
{
    bool idle = link->ways[0].count == 0 && link->ways[1].count == 0;
    struct pollfd polls[3] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = link->ends[0].device, .events = POLLIN},
                              {.fd = link->ends[1].device, .events = POLLIN}};
    const struct timespec tick = {.tv_nsec = TICK_NS};
    ppoll(polls, idle ? 3 : 1, idle ? NULL : &tick, NULL);
    if (polls[0].revents != 0)
        orders_read(link);
}

static void link_run(struct link *link)
{
    while (!link->over) {
        bool more[2];
        for (int way = 0; way < 2; way++)
            more[way] = packets_take(link, way);
        for (int way = 0; way < 2; way++)
            packets_deliver(link, way);
        if (!more[0] && !more[1])
            link_sleep(link);
    }
    counters_print(link);
}

static int usage(const char *complaint)
{
    fprintf(stderr,
            "strait-link: %s\n"
            "usage: strait-link [--mtu BYTES] [--seed N] [\"ORDER\"]...\n"
            "orders: rate MBIT | delay MS | queue MS | loss PERCENT | reorder PERCENT MS\n"
            "on standard input also: cut [ab|ba] | restore | count | quit\n",
            complaint);
    return EXIT_USAGE;
}

static enum err_code link_make(struct link *link, int mtu, struct err *err)
{
    for (int end = 0; end < 2; end++)
        TRY(namespace_make(addresses[end], mtu, &link->ends[end], err));
    return ERR_OK;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"mtu", required_argument, NULL, 'm'}, {"seed", required_argument, NULL, 's'}, {0}};
    static const struct wire_options nothing = {.queue_ns = 100000000};
    int mtu = MTU_DEFAULT;
    uint64_t seed = 1;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'm')
            mtu = (int)strtol(optarg, NULL, 10); /* 0 when it is no number: refused */
        else if (option == 's')
            seed = strtoull(optarg, NULL, 10);
        else
            return usage("unknown option");
    }
    if (mtu < MTU_MIN || mtu > MTU_MAX)
        return usage("--mtu wants 576 to 65521");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    static struct link link;
    struct err err;
    for (int way = 0; way < 2; way++)
        wire_init(&link.ways[way], &nothing, seed + (uint64_t)way);
    for (; optind < argc; optind++) {
        enum order_reply reply;
        if (order_follow(argv[optind], link.ways, &reply, &err) != ERR_OK)
            return usage(err.message);
    }
    if (link_make(&link, mtu, &err) != ERR_OK) {
        fprintf(stderr, "strait-link: %s\n", err.message);
        return EXIT_FAILURE;
    }
    /* Before all else that runs, if it may: a wire does not wait for a busy machine. */
    sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = 1});
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    printf("ready /proc/%d/fd/%d /proc/%d/fd/%d\n", getpid(), link.ends[0].descriptor, getpid(),
           link.ends[1].descriptor);
    fflush(stdout);
    link_run(&link);
    for (int way = 0; way < 2; way++)
        wire_deinit(&link.ways[way]);
    return EXIT_SUCCESS;
}
