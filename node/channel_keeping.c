#include "node/channel_keeping.h"

#include <string.h>

static void changed(struct channel_keeping *keeping)
{
    keeping->steady_ms = 0;
    keeping->excess_bytes = 0;
}

void keeping_limit(struct channel_keeping *keeping, uint64_t bits)
{
    if (keeping->bits == bits)
        return;
    keeping->bits = bits;
    changed(keeping);
}

bool keeping_tells(struct channel_keeping *keeping, bool connected,
                   const uint8_t boot[KEEPING_BOOT_BYTES])
{
    bool same = memcmp(keeping->told_boot, boot, KEEPING_BOOT_BYTES) == 0;
    if (!same && keeping->obeys) { /* another process: it knows of nothing yet */
        keeping->obeys = false;
        changed(keeping);
    }
    if (!connected || keeping->telling || (same && keeping->told_bits == keeping->bits))
        return false;
    keeping->telling = true;
    return true;
}

void keeping_told(struct channel_keeping *keeping, const struct channel_told *told)
{
    keeping->telling = false;
    if (!told->answered)
        return;
    keeping->told_bits = told->bits;
    memcpy(keeping->told_boot, told->boot, sizeof(keeping->told_boot));
    keeping->obeys = told->taken;
    changed(keeping);
}

static uint64_t excess_max(uint64_t bits)
{
    uint64_t of_limit = bits / 8 * 2;
    return of_limit > KEEPING_EXCESS_BYTES ? of_limit : KEEPING_EXCESS_BYTES;
}

bool keeping_sees(struct channel_keeping *keeping, const struct channel_seen *seen)
{
    uint64_t allowed = keeping->bits / 8 / 100 * KEEPING_PERCENT;
    uint64_t due = allowed * seen->elapsed_ms / 1000;
    uint64_t came = keeping->excess_bytes + seen->bytes;
    keeping->excess_bytes = came > due ? came - due : 0;
    keeping->steady_ms += seen->elapsed_ms;
    bool above = seen->bytes_per_second > allowed && keeping->steady_ms > KEEPING_GRACE_MS;
    if (!keeping->obeys || (!above && keeping->excess_bytes <= excess_max(keeping->bits)))
        return false;
    keeping->obeys = false;
    changed(keeping);
    return true;
}

uint64_t keeping_read_rate(const struct channel_keeping *keeping)
{
    bool keeps = keeping->obeys && keeping->told_bits == keeping->bits;
    return keeps ? KEEPING_BACKSTOP * keeping->bits : keeping->bits;
}
