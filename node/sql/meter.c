#include "node/sql/meter.h"

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void meter_begin(struct meter *meter)
{
    uint64_t max = meter->limits.time_ms_max;
    meter->start_ms = clock_ms();
    meter->deadline_ms = 0;
    if (max > 0)
        meter->deadline_ms = meter->start_ms + max - (meter->used_ms < max ? meter->used_ms : max);
}

void meter_end(struct meter *meter)
{
    meter->used_ms += clock_ms() - meter->start_ms;
}

bool meter_is_over(struct meter *meter)
{
    if (meter->cancel != NULL && atomic_load(meter->cancel))
        return true;
    meter->timed_out = meter->deadline_ms != 0 && clock_ms() >= meter->deadline_ms;
    return meter->timed_out;
}

enum err_code meter_over(const struct meter *meter, struct err *err)
{
    if (meter->timed_out)
        return err_set(err, ERR_TIMEOUT,
                       "the query took longer than select_time allows (%" PRIu64
                       " ms): ask for less, or raise it",
                       meter->limits.time_ms_max);
    return err_set(err, ERR_CANCELLED, "the query was cancelled");
}

void meter_row(struct meter *meter, size_t plain_bytes)
{
    meter->rows++;
    meter->result_bytes += plain_bytes;
}

enum err_code meter_result_check(const struct meter *meter, struct err *err)
{
    const struct select_limits *limits = &meter->limits;
    if (limits->rows_max > 0 && meter->rows > limits->rows_max)
        return err_set(err, ERR_LIMIT,
                       "the result has more rows than select_rows allows (%" PRIu64
                       "): add LIMIT, or raise it",
                       limits->rows_max);
    if (limits->result_bytes_max > 0 && meter->result_bytes > limits->result_bytes_max)
        return err_set(err, ERR_LIMIT,
                       "the result is larger than select_result allows (%" PRIu64
                       " bytes): add LIMIT, or raise it",
                       limits->result_bytes_max);
    return ERR_OK;
}
