/* What transport costs, step by step: a table of GB/s and CPU seconds per GB (10^9 bytes).
 *
 *     transport_bench [GIB]
 *
 * CPU is the process's, all threads, both ends. Buffers are touched and one round is run before timing. Not a
 * test; cluster-tests/bench/run puts it beside the rest.
 */
#include <pthread.h>
#include <sys/resource.h>

#include "transport/handshake.h"
#include "transport/link.h"
#include "transport/record.h"
#include "transport/stream.h"

#define BODY_BYTES  (1024 * 1024)
#define WINDOW      32
#define BATCH_BYTES (256 * 1024)

static uint8_t *body; /* random */
static size_t body_count;

struct clock {
    double wall_s;
    double cpu_s;
};

static struct clock clock_now(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (struct clock){
        .wall_s = (double)pool_now_us() / 1e6,
        .cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
    };
}

static void report(const char *name, struct clock start, double bytes)
{
    struct clock end = clock_now();
    printf("%-36s %8.2f GB/s %8.3f CPU s/GB\n", name, bytes / 1e9 / (end.wall_s - start.wall_s),
           (end.cpu_s - start.cpu_s) / (bytes / 1e9));
    fflush(stdout);
}

/* --- bare steps --- */

static void bench_hash(void)
{
    struct digest digest = {0};
    struct clock start = clock_now();
    for (size_t i = 0; i < body_count; i++)
        digest = digest_of(DOMAIN_FILE, span_of(body, BODY_BYTES));
    body[0] ^= digest.b[0];
    report("hash, BLAKE2b-256", start, (double)body_count * BODY_BYTES);
}

/* One body in records; returns their bytes. */
static size_t body_seal(struct seal *seal, uint8_t *ret_sealed)
{
    size_t at = 0;
    for (size_t done = 0; done < BODY_BYTES;) {
        size_t plain_bytes = record_plain_next(BODY_BYTES - done);
        at += record_seal(seal, span_of(body + done, plain_bytes), ret_sealed + at);
        done += plain_bytes;
    }
    return at;
}

static void body_open(struct seal *seal, struct span sealed, uint8_t *ret_plain)
{
    while (sealed.len > 0) {
        struct span record;
        size_t bytes;
        bool opened = record_find(sealed, &record, &bytes) == RECORD_WHOLE &&
                      seal_decrypt(seal, record, ret_plain);
        ASSERT(opened);
        ret_plain += record.len - SEAL_TAG_BYTES;
        sealed = span_slice(sealed, bytes, sealed.len - bytes);
    }
}

static void bench_seal(enum suite suite, bool opening)
{
    uint8_t key[SEAL_KEY_BYTES] = {1};
    uint8_t *sealed = mem_alloc(17 * (size_t)RECORD_BYTES_MAX);
    uint8_t *plain = mem_alloc(BODY_BYTES);
    char name[64];
    struct seal send;
    struct seal receive;
    seal_init(&send, suite, SEAL_SEND, key);
    seal_init(&receive, suite, SEAL_RECEIVE, key);
    body_open(&receive, span_of(sealed, body_seal(&send, sealed)), plain); /* touched */
    struct clock start = clock_now();
    for (size_t i = 0; i < body_count; i++) {
        struct clock before = clock_now();
        size_t bytes = body_seal(&send, sealed);
        if (!opening)
            continue;
        struct clock between = clock_now(); /* sealing does not count here */
        start.wall_s += between.wall_s - before.wall_s;
        start.cpu_s += between.cpu_s - before.cpu_s;
        body_open(&receive, span_of(sealed, bytes), plain);
    }
    snprintf(name, sizeof(name), "%s, %s", opening ? "open" : "seal", suite_name(suite));
    report(name, start, (double)body_count * BODY_BYTES);
    seal_deinit(&send);
    seal_deinit(&receive);
    mem_free(sealed);
    mem_free(plain);
}

/* --- two ends, plain --- */

struct plain_end {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct stream *stream;
    uint8_t *buffer;
    uint64_t bytes;
    uint64_t wanted;
    bool sending;
};

static void plain_note(struct plain_end *end, uint64_t bytes)
{
    pthread_mutex_lock(&end->lock);
    end->bytes += bytes;
    bool more = end->bytes < end->wanted;
    if (!more)
        pthread_cond_signal(&end->moved);
    pthread_mutex_unlock(&end->lock);
    if (more && end->sending)
        stream_send(end->stream, span_of(body, BATCH_BYTES), 30000);
    else if (more)
        stream_receive(end->stream, end->buffer, BATCH_BYTES, 30000);
}

static void on_plain_received(void *context, enum err_code code, size_t bytes)
{
    ASSERT(code == ERR_OK);
    plain_note(context, bytes);
}

static void on_plain_sent(void *context, enum err_code code)
{
    ASSERT(code == ERR_OK);
    plain_note(context, BATCH_BYTES);
}

static const struct stream_events plain_events = {on_plain_received, on_plain_sent};

static void plain_take(struct plain_end *end, struct stream *stream)
{
    pthread_mutex_lock(&end->lock);
    end->stream = stream;
    pthread_cond_signal(&end->moved);
    pthread_mutex_unlock(&end->lock);
}

static bool on_plain_accepted(void *context, struct stream *stream)
{
    plain_take(context, stream);
    return true;
}

static void on_plain_dialled(void *context, struct stream *stream, const struct err *err)
{
    (void)err;
    ASSERT(stream != NULL);
    plain_take(context, stream);
}

static void plain_wait(struct plain_end *end, bool for_bytes)
{
    pthread_mutex_lock(&end->lock);
    while (for_bytes ? end->bytes < end->wanted : end->stream == NULL)
        pthread_cond_wait(&end->moved, &end->lock);
    pthread_mutex_unlock(&end->lock);
}

static void bench_plain(void)
{
    struct plain_end ends[2] = {{.lock = PTHREAD_MUTEX_INITIALIZER},
                                {.lock = PTHREAD_MUTEX_INITIALIZER, .sending = true}};
    struct acceptor *acceptor;
    struct dial *dial;
    char address[32];
    enum err_code code = acceptor_open("127.0.0.1:0", on_plain_accepted, &ends[0], &acceptor, NULL);
    ASSERT(code == ERR_OK);
    snprintf(address, sizeof(address), "127.0.0.1:%u", acceptor_port(acceptor));
    code = dial_start(address, 5000, on_plain_dialled, &ends[1], &dial, NULL);
    ASSERT(code == ERR_OK);
    for (int i = 0; i < 2; i++) {
        pthread_cond_init(&ends[i].moved, NULL);
        plain_wait(&ends[i], false);
        ends[i].buffer = mem_calloc(1, BATCH_BYTES);
        ends[i].wanted = (uint64_t)body_count * BODY_BYTES;
        stream_attach(ends[i].stream, &plain_events, &ends[i]);
    }
    struct clock start = clock_now();
    stream_receive(ends[0].stream, ends[0].buffer, BATCH_BYTES, 30000);
    stream_send(ends[1].stream, span_of(body, BATCH_BYTES), 30000);
    plain_wait(&ends[1], true);
    plain_wait(&ends[0], true);
    report("stream, plain, one connection", start, (double)body_count * BODY_BYTES);
    for (int i = 0; i < 2; i++) {
        stream_free(ends[i].stream);
        mem_free(ends[i].buffer);
    }
    dial_free(dial);
    acceptor_close(acceptor);
}

/* --- two ends, sealed --- */

struct pull {
    struct link *link;
    pthread_mutex_t lock;
    pthread_cond_t done;
    size_t left;    /* to post */
    size_t replies; /* to come */
    uint8_t *memory[WINDOW];
};

struct slot {
    struct pull *pull;
    uint8_t *memory;
};

static struct slot slots[WINDOW];

static bool on_find(void *context, const struct noise_key *key, struct session *session)
{
    (void)context;
    (void)key;
    session->entry = 1;
    return true;
}

static void on_request(void *context, struct request *request)
{
    (void)context;
    struct span part = span_of(body, BODY_BYTES);
    request_reply(request, &(struct reply){.parts = &part, .part_count = 1});
}

static void pull_post(struct slot *slot);

static void on_reply(void *context, const struct link_reply *reply)
{
    struct slot *slot = context;
    struct pull *pull = slot->pull;
    ASSERT(reply->err.code == ERR_OK && reply->body.len == BODY_BYTES);
    pthread_mutex_lock(&pull->lock);
    bool more = pull->left > 0;
    pull->left -= more;
    if (--pull->replies == 0)
        pthread_cond_signal(&pull->done);
    pthread_mutex_unlock(&pull->lock);
    if (more)
        pull_post(slot);
}

static void pull_post(struct slot *slot)
{
    link_post(slot->pull->link, &(struct link_request){.method = 1,
                                                       .bulk = true,
                                                       .reply_body = slot->memory,
                                                       .reply_body_bytes = BODY_BYTES,
                                                       .reply_exact = true,
                                                       .deadline_ms = 60000,
                                                       .on_reply = on_reply,
                                                       .context = slot});
}

static void pull_run(struct pull *pull, size_t count)
{
    pull->replies = count;
    pull->left = count > WINDOW ? count - WINDOW : 0;
    for (size_t i = 0; i < WINDOW && i < count; i++)
        pull_post(&slots[i]);
    pthread_mutex_lock(&pull->lock);
    while (pull->replies > 0)
        pthread_cond_wait(&pull->done, &pull->lock);
    pthread_mutex_unlock(&pull->lock);
}

static void bench_sealed(uint32_t connections, struct bucket *bucket)
{
    struct pool *pools[2];
    struct identity *node = identity_generate();
    struct identity *asker = identity_generate();
    struct listener *listener;
    char address[32];
    const char *addresses[] = {address};
    struct pull pull = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    enum err_code code = pool_new(NULL, &pools[0], NULL);
    ASSERT(code == ERR_OK);
    code = pool_new(NULL, &pools[1], NULL);
    ASSERT(code == ERR_OK);
    code = listener_open(
        pools[0],
        &(struct listener_options){.kind = LISTENER_PEERS,
                                   .address = "127.0.0.1:0",
                                   .identity = node,
                                   .handler = {.find = on_find, .on_request = on_request}},
        &listener, NULL);
    ASSERT(code == ERR_OK);
    snprintf(address, sizeof(address), "127.0.0.1:%u", listener_port(listener));
    code = link_open(pools[1],
                     &(struct link_options){.kind = LISTENER_PEERS,
                                            .addresses = addresses,
                                            .address_count = 1,
                                            .identity = asker,
                                            .peer_key = identity_public(node)->noise,
                                            .data_connections_max = connections,
                                            .bucket = bucket},
                     &pull.link, NULL);
    ASSERT(code == ERR_OK);
    for (int i = 0; i < WINDOW; i++)
        slots[i] = (struct slot){.pull = &pull, .memory = mem_calloc(1, BODY_BYTES)};
    pull_run(&pull, WINDOW * 4); /* dialled, touched */
    struct clock start = clock_now();
    pull_run(&pull, body_count);
    char name[64];
    snprintf(name, sizeof(name), "link, sealed, %u connection%s%s", connections,
             connections == 1 ? "" : "s", bucket != NULL ? ", 10 Gbit/s" : "");
    report(name, start, (double)body_count * BODY_BYTES);
    link_close(pull.link);
    listener_close(listener);
    pool_free(pools[0]);
    pool_free(pools[1]);
    for (int i = 0; i < WINDOW; i++)
        mem_free(slots[i].memory);
    identity_free(node);
    identity_free(asker);
}

int main(int argc, char **argv)
{
    double gib = argc > 1 ? strtod(argv[1], NULL) : 1;
    if (argc > 2 || gib < 0.01 || gib > 1000) {
        fprintf(stderr, "usage: transport_bench [GIB]\n");
        return 2;
    }
    body_count = (size_t)(gib * 1024);
    if (sodium_init() < 0)
        return 1;
    body = mem_alloc(BODY_BYTES);
    randombytes_buf(body, BODY_BYTES);
    bench_hash();
    for (unsigned suite = SUITE_AESGCM; suite <= SUITE_CHACHAPOLY; suite++) {
        if (suite_available(suite)) {
            bench_seal((enum suite)suite, false);
            bench_seal((enum suite)suite, true);
        }
    }
    bench_plain();
    static const uint32_t connections[] = {1, 2, 4, 8};
    for (size_t i = 0; i < ARRAY_COUNT(connections); i++)
        bench_sealed(connections[i], NULL);
    struct bucket *bucket = bucket_new(0);
    bench_sealed(4, bucket);
    bucket_unref(bucket);
    mem_free(body);
    return 0;
}
