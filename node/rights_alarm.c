#include "node/rights_alarm.h"

#include "store/rights.h"

static void on_time(void *argument)
{
    struct rights_alarm *alarm = argument;
    uint64_t now_ms = rights_clock_ms(alarm->store);
    if (now_ms >= alarm->due_ms)
        alarm->ring(alarm->context);
    alarm->due_ms = rights_next_end_ms(alarm->store, now_ms);
    if (alarm->due_ms == UINT64_MAX)
        return;
    uint64_t in_ms = alarm->due_ms - now_ms;
    loop_timer_start(alarm->loop, &alarm->timer,
                     in_ms < RIGHTS_ALARM_LOOK_MS ? in_ms : RIGHTS_ALARM_LOOK_MS);
}

void rights_alarm_set(struct rights_alarm *alarm)
{
    loop_post(alarm->loop, on_time, alarm);
}

void rights_alarm_start(struct rights_alarm *alarm)
{
    alarm->timer = (struct loop_timer){.run = on_time, .argument = alarm};
    rights_alarm_set(alarm);
}

void rights_alarm_stop(struct rights_alarm *alarm)
{
    loop_timer_cancel(alarm->loop, &alarm->timer);
}
