/* The steps of a transfer, each alone, with bare library calls: what bounds a sealed XCOPY.
 *
 *     primitives FOLDER [GIB]     one JSON object: name -> {gb_per_s, cpu_s_per_gb}; GB = 10^9 bytes
 *
 * CPU is the process's, all its threads, by getrusage. Buffers are reused and touched before timing.
 * Not a test, and nothing of Strait's own code: cluster-tests/bench/run compares Strait with this.
 */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <nng/nng.h>
#include <rocksdb/c.h>
#include <sodium.h>

#include "proto/bytes.h"

#define VALUE_BYTES  (1 << 20)
#define RECORD_BYTES 65519
#define PACK_VALUES  64

static const char *folder;
static size_t value_count;
static uint8_t *value; /* random */

struct clock {
    double wall_s;
    double cpu_s;
};

static struct clock clock_now(void)
{
    struct timespec wall;
    struct rusage usage;
    clock_gettime(CLOCK_MONOTONIC, &wall);
    getrusage(RUSAGE_SELF, &usage);
    return (struct clock){
        .wall_s = (double)wall.tv_sec + (double)wall.tv_nsec / 1e9,
        .cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
    };
}

static void report(const char *name, struct clock start)
{
    struct clock end = clock_now();
    double gb = (double)value_count * VALUE_BYTES / 1e9;
    static bool first = true;
    printf("%s\"%s\": {\"gb_per_s\": %.3f, \"cpu_s_per_gb\": %.3f}", first ? "{" : ",\n ", name,
           gb / (end.wall_s - start.wall_s), (end.cpu_s - start.cpu_s) / gb);
    first = false;
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "primitives: %s failed\n", what);
        exit(1);
    }
}

static void measure_hash(void)
{
    uint8_t digest[32];
    struct clock start = clock_now();
    for (size_t i = 0; i < value_count; i++)
        crypto_generichash(digest, sizeof(digest), value, VALUE_BYTES, NULL, 0);
    report("hash", start);
}

static void measure_seal(void)
{
    must(crypto_aead_aes256gcm_is_available() != 0, "AES-256-GCM");
    uint8_t key[32] = {1}, nonce[12] = {0};
    crypto_aead_aes256gcm_state state;
    crypto_aead_aes256gcm_beforenm(&state, key);
    uint8_t *sealed = mem_calloc(RECORD_BYTES + 16, 1), *opened = mem_calloc(RECORD_BYTES, 1);
    size_t records = value_count * VALUE_BYTES / RECORD_BYTES;
    struct clock start = clock_now();
    for (size_t i = 0; i < records; i++)
        crypto_aead_aes256gcm_encrypt_afternm(sealed, NULL, value + i % 8 * RECORD_BYTES,
                                              RECORD_BYTES, NULL, 0, NULL, nonce, &state);
    report("seal", start);
    start = clock_now();
    for (size_t i = 0; i < records; i++)
        must(crypto_aead_aes256gcm_decrypt_afternm(opened, NULL, NULL, sealed, RECORD_BYTES + 16,
                                                   NULL, 0, nonce, &state) == 0,
             "open");
    report("open", start);
    mem_free(sealed);
    mem_free(opened);
}

static void pack_write(const rocksdb_options_t *options, rocksdb_t *db, size_t pack)
{
    char path[4096], *error = NULL;
    snprintf(path, sizeof(path), "%s/pack.sst", folder);
    rocksdb_envoptions_t *env = rocksdb_envoptions_create();
    rocksdb_sstfilewriter_t *writer = rocksdb_sstfilewriter_create(env, options);
    rocksdb_sstfilewriter_open(writer, path, &error);
    must(error == NULL, "SST open");
    for (size_t slot = 0; slot < PACK_VALUES; slot++) {
        uint8_t key[12];
        store_u64(key, pack);
        store_u32(key + 8, (uint32_t)slot);
        rocksdb_sstfilewriter_put(writer, (char *)key, sizeof(key), (char *)value, VALUE_BYTES,
                                  &error);
        must(error == NULL, "SST put");
    }
    rocksdb_sstfilewriter_finish(writer, &error);
    must(error == NULL, "SST finish");
    rocksdb_ingestexternalfileoptions_t *ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(ingest, 1);
    const char *files[] = {path};
    rocksdb_ingest_external_file(db, files, 1, ingest, &error);
    must(error == NULL, "ingest");
    rocksdb_ingestexternalfileoptions_destroy(ingest);
    rocksdb_sstfilewriter_destroy(writer);
    rocksdb_envoptions_destroy(env);
}

static void measure_packs(void)
{
    char path[4096], *error = NULL;
    snprintf(path, sizeof(path), "%s/db", folder);
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_disable_auto_compactions(options, 1);
    rocksdb_t *db = rocksdb_open(options, path, &error);
    must(error == NULL, "open");
    size_t packs = value_count / PACK_VALUES;
    pack_write(options, db, packs + 1); /* warm up */
    struct clock start = clock_now();
    for (size_t pack = 0; pack < packs; pack++)
        pack_write(options, db, pack);
    report("pack write", start);
    rocksdb_readoptions_t *read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(read, 1);
    rocksdb_readoptions_set_fill_cache(read, 0);
    start = clock_now();
    for (size_t i = 0; i < packs * PACK_VALUES; i++) {
        uint8_t key[12];
        store_u64(key, i / PACK_VALUES);
        store_u32(key + 8, (uint32_t)(i % PACK_VALUES));
        rocksdb_pinnableslice_t *slice =
            rocksdb_get_pinned(db, read, (char *)key, sizeof(key), &error);
        must(error == NULL && slice != NULL, "get");
        rocksdb_pinnableslice_destroy(slice);
    }
    report("pack read", start);
    rocksdb_readoptions_destroy(read);
    rocksdb_close(db);
    rocksdb_options_destroy(options);
}

static void measure_disk(void)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/plain", folder);
    int file = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    must(file >= 0, "plain file");
    struct clock start = clock_now();
    for (size_t i = 0; i < value_count; i++)
        must(write(file, value, VALUE_BYTES) == VALUE_BYTES, "write");
    must(fsync(file) == 0, "fsync");
    report("synced file write", start);
    close(file);
    unlink(path);
}

/* One end of the loopback stream: moves value_count values through one reused buffer. */
static void stream_run(nng_stream *stream, bool sends)
{
    nng_aio *aio;
    must(nng_aio_alloc(&aio, NULL, NULL) == 0, "aio");
    nng_aio_set_timeout(aio, 30000);
    uint8_t *buffer = mem_alloc(VALUE_BYTES);
    memcpy(buffer, value, VALUE_BYTES);
    for (size_t left = value_count * VALUE_BYTES; left > 0;) {
        nng_iov iov = {.iov_buf = buffer, .iov_len = left < VALUE_BYTES ? left : VALUE_BYTES};
        nng_aio_set_iov(aio, 1, &iov);
        if (sends)
            nng_stream_send(stream, aio);
        else
            nng_stream_recv(stream, aio);
        nng_aio_wait(aio);
        must(nng_aio_result(aio) == 0, "stream");
        left -= nng_aio_count(aio);
    }
    nng_aio_free(aio);
    mem_free(buffer);
}

static void *stream_sender(void *context)
{
    stream_run(context, true);
    return NULL;
}

static void measure_stream(void)
{
    nng_stream_listener *listener;
    nng_stream_dialer *dialer;
    nng_aio *accepted, *dialled;
    int port = 0;
    char url[64];
    must(nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0") == 0, "listener");
    must(nng_stream_listener_listen(listener) == 0, "listen");
    must(nng_stream_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port) == 0, "port");
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
    must(nng_stream_dialer_alloc(&dialer, url) == 0, "dialer");
    must(nng_aio_alloc(&accepted, NULL, NULL) == 0 && nng_aio_alloc(&dialled, NULL, NULL) == 0,
         "aio");
    nng_stream_listener_accept(listener, accepted);
    nng_stream_dialer_dial(dialer, dialled);
    nng_aio_wait(accepted);
    nng_aio_wait(dialled);
    must(nng_aio_result(accepted) == 0 && nng_aio_result(dialled) == 0, "connect");
    nng_stream *in = nng_aio_get_output(accepted, 0), *out = nng_aio_get_output(dialled, 0);
    pthread_t sender;
    struct clock start = clock_now();
    must(pthread_create(&sender, NULL, stream_sender, out) == 0, "thread");
    stream_run(in, false);
    pthread_join(sender, NULL);
    report("stream loopback, both ends", start);
    nng_stream_free(in);
    nng_stream_free(out);
    nng_aio_free(accepted);
    nng_aio_free(dialled);
    nng_stream_dialer_free(dialer);
    nng_stream_listener_free(listener);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: primitives FOLDER [GIB]\n");
        return 2;
    }
    folder = argv[1];
    value_count = (argc > 2 ? strtoul(argv[2], NULL, 10) : 1) * 1024;
    must(sodium_init() >= 0, "sodium_init");
    /* Fresh pages are dear on virtual machines: large buffers stay with the process. */
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
    value = mem_alloc(VALUE_BYTES);
    randombytes_buf(value, VALUE_BYTES);
    measure_hash();
    measure_seal();
    measure_packs();
    measure_stream();
    measure_disk();
    printf("}\n");
    return 0;
}
