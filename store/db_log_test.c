/* A log that was cut is told from one that was changed. */
#include "store/db_log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/random_test.h"

#define BLOCK  32768
#define HEADER 7

struct trial {
    char path[64];
    int file;
    struct bytes log;
    struct random random;
};

static int setup(void **state)
{
    struct trial *trial = mem_calloc(1, sizeof(*trial));
    snprintf(trial->path, sizeof(trial->path), "/tmp/strait-log-XXXXXX");
    trial->file = mkstemp(trial->path);
    assert_true(trial->file >= 0);
    trial->random = random_start();
    *state = trial;
    return 0;
}

static int teardown(void **state)
{
    struct trial *trial = *state;
    close(trial->file);
    unlink(trial->path);
    bytes_deinit(&trial->log);
    mem_free(trial);
    return 0;
}

static void log_make(struct trial *trial, size_t records, size_t bytes_max)
{
    struct bytes record BYTES_CLEANUP = {0};
    for (size_t i = 0; i < records; i++) {
        size_t len = 12 + (size_t)random_below(&trial->random, bytes_max);
        bytes_clear(&record);
        for (size_t at = 0; at < len; at++)
            bytes_append_u8(&record, (uint8_t)random_below(&trial->random, 256));
        db_log_append(&trial->log, bytes_span(&record));
    }
    assert_int_equal(pwrite(trial->file, trial->log.data, trial->log.len, 0), trial->log.len);
}

static enum db_log_state checked(const struct trial *trial)
{
    uint64_t at;
    return db_log_check(trial->path, &at);
}

/* Every bit of these bytes, one at a time. */
static void flips_are_damage(struct trial *trial, size_t from, size_t to)
{
    for (size_t bit = from * 8; bit < to * 8; bit++) {
        uint8_t byte = (uint8_t)(trial->log.data[bit / 8] ^ 1u << bit % 8);
        uint64_t at = UINT64_MAX;
        assert_int_equal(pwrite(trial->file, &byte, 1, (off_t)(bit / 8)), 1);
        if (db_log_check(trial->path, &at) != DB_LOG_DAMAGED || at > bit / 8)
            fail_msg("bit %zu of byte %zu: damage at %" PRIu64, bit % 8, bit / 8, at);
        assert_int_equal(pwrite(trial->file, &trial->log.data[bit / 8], 1, (off_t)(bit / 8)), 1);
    }
    assert_int_equal(checked(trial), DB_LOG_WHOLE);
}

static void every_flipped_bit_is_damage(void **state)
{
    struct trial *trial = *state;
    log_make(trial, 12, 200);
    flips_are_damage(trial, 0, trial->log.len);
}

/* Records that begin in one block and end in another, too. */
static void every_flipped_bit_of_a_header_is_damage(void **state)
{
    struct trial *trial = *state;
    log_make(trial, 30, 12000);
    assert_true(trial->log.len > 3 * BLOCK);
    for (size_t at = 0; at < trial->log.len;) {
        const uint8_t *head = trial->log.data + at;
        flips_are_damage(trial, at, at + HEADER);
        at += HEADER + ((size_t)head[4] | (size_t)head[5] << 8);
        if (BLOCK - at % BLOCK < HEADER)
            at += BLOCK - at % BLOCK;
    }
}

/* Of content that was changed as well. */
static void a_length_beyond_its_block_is_damage(void **state)
{
    struct trial *trial = *state;
    log_make(trial, 30, 12000);
    for (size_t head = 0; head < trial->log.len; head += trial->log.len - trial->log.len % BLOCK) {
        for (size_t at = 5; at < 8; at++) /* 0xFF00 and more */
            assert_int_equal(pwrite(trial->file, at == 5 ? "\xff" : "x", 1, (off_t)(head + at)), 1);
        assert_int_equal(checked(trial), DB_LOG_DAMAGED);
        assert_int_equal(pwrite(trial->file, trial->log.data + head, 8, (off_t)head), 8);
        assert_int_equal(checked(trial), DB_LOG_WHOLE);
    }
}

static void every_cut_is_a_cut(void **state)
{
    struct trial *trial = *state;
    log_make(trial, 12, 200);
    for (size_t len = trial->log.len; len > 0; len--) {
        assert_int_equal(ftruncate(trial->file, (off_t)len), 0);
        enum db_log_state state_of = checked(trial);
        bool whole = db_log_end(span_of(trial->log.data, len)) == len;
        assert_int_equal(state_of, whole ? DB_LOG_WHOLE : DB_LOG_CUT);
    }
}

/* Behind a length that the checksum holds with there would be another record. */
static void a_piece_whose_beginning_has_its_checksum_is_a_cut(void **state)
{
    static const uint8_t more[50] = {0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA};
    struct trial *trial = *state;
    log_make(trial, 1, 50);
    uint8_t longer = (uint8_t)(trial->log.len - HEADER + sizeof(more) + 1);
    assert_int_equal(pwrite(trial->file, &longer, 1, 4), 1);
    assert_int_equal(checked(trial), DB_LOG_DAMAGED);
    assert_int_equal(pwrite(trial->file, more, sizeof(more), (off_t)trial->log.len), sizeof(more));
    assert_int_equal(checked(trial), DB_LOG_CUT);
}

static void zeros_at_the_end_are_no_damage_but_before_it(void **state)
{
    static const uint8_t zeros[2 * BLOCK];
    struct trial *trial = *state;
    log_make(trial, 3, 200);
    assert_int_equal(pwrite(trial->file, zeros, 100, (off_t)trial->log.len), 100);
    assert_int_equal(checked(trial), DB_LOG_ZEROED);
    assert_int_equal(pwrite(trial->file, zeros, sizeof(zeros), (off_t)trial->log.len),
                     sizeof(zeros));
    assert_int_equal(checked(trial), DB_LOG_ZEROED);
    assert_int_equal(pwrite(trial->file, "x", 1, (off_t)trial->log.len + BLOCK), 1);
    assert_int_equal(checked(trial), DB_LOG_DAMAGED);
}

static void a_log_that_is_gone_is_whole(void **state)
{
    struct trial *trial = *state;
    assert_int_equal(checked(trial), DB_LOG_WHOLE);
    unlink(trial->path);
    assert_int_equal(checked(trial), DB_LOG_WHOLE);
}

int main(void)
{
#define TRIAL_OF(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TRIAL_OF(every_flipped_bit_is_damage),
        TRIAL_OF(every_flipped_bit_of_a_header_is_damage),
        TRIAL_OF(a_length_beyond_its_block_is_damage),
        TRIAL_OF(every_cut_is_a_cut),
        TRIAL_OF(a_piece_whose_beginning_has_its_checksum_is_a_cut),
        TRIAL_OF(zeros_at_the_end_are_no_damage_but_before_it),
        TRIAL_OF(a_log_that_is_gone_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
