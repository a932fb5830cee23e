#include "store/family.h"

#include "proto/bytes.h"

static const char *const pack_family_names[DB_PACK_FAMILIES] = {
    "packs00", "packs01", "packs02", "packs03", "packs04", "packs05", "packs06", "packs07",
    "packs08", "packs09", "packs10", "packs11", "packs12", "packs13", "packs14", "packs15",
};

static const char *const other_family_names[] = {
#define X(family, name) name,
    DB_FAMILIES(X)
#undef X
};

const char *family_name(enum family family)
{
    ASSERT((unsigned)family < FAMILY_COUNT);
    return family <= FAMILY_PACKS_LAST ? pack_family_names[family]
                                       : other_family_names[family - FAMILY_SMALL];
}

static const struct {
    const char *content;
    bool comes_again; /* from a peer, or from what else is here */
} contents[FAMILY_COUNT - FAMILY_SMALL] = {
#define OF(family) [(family)-FAMILY_SMALL]
    OF(FAMILY_SMALL) = {"small column files", true},
    OF(FAMILY_FILES) = {"where column files are", true},
    OF(FAMILY_HELD) = {"who holds what", true},
    OF(FAMILY_PAGES) = {"pages of tables", true},
    OF(FAMILY_STAGED) = {"pages on their way here", true},
    OF(FAMILY_PACK_STATE) = {"the list of packs", true},
    OF(FAMILY_CATALOG) = {"names, records and rights", false},
    OF(FAMILY_HISTORY) = {"history of tables", false},
    OF(FAMILY_TASKS) = {"tasks", false},
    OF(FAMILY_LEASES) = {"leases and receipts", false},
    OF(FAMILY_METER) = {"meters", false},
    OF(FAMILY_SCHEDULE) = {"schedules", false},
    OF(FAMILY_AUDIT) = {"the audit log", false},
    OF(FAMILY_META) = {"the store's own numbers", false},
    OF(FAMILY_DAMAGED) = {"the list of damage", true},
#undef OF
};

bool family_comes_again(enum family family)
{
    return family <= FAMILY_PACKS_LAST || contents[family - FAMILY_SMALL].comes_again;
}

const char *family_content(enum family family)
{
    return family <= FAMILY_PACKS_LAST ? "column files" : contents[family - FAMILY_SMALL].content;
}
