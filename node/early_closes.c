#include "node/early_closes.h"

void early_closes_add(struct early_closes *closes, const struct run_key *key)
{
    if (key->asker == NULL)
        return;
    struct early_close *early = &closes->ring[closes->count++ % EARLY_CLOSES_MAX];
    snprintf(early->principal, sizeof(early->principal), "%s", key->principal);
    early->id = key->id;
    memcpy(early->asker, key->asker, sizeof(early->asker));
}

bool early_closes_has(const struct early_closes *closes, const struct run_key *key)
{
    if (key->asker == NULL)
        return false;
    for (size_t i = 0; i < EARLY_CLOSES_MAX; i++) {
        const struct early_close *early = &closes->ring[i];
        if (strcmp(early->principal, key->principal) == 0 &&
            memcmp(early->id.b, key->id.b, sizeof(key->id.b)) == 0 &&
            memcmp(early->asker, key->asker, sizeof(early->asker)) == 0)
            return true;
    }
    return false;
}
