#include "node/mend.h"

#include "node/store_setup.h"
#include "store/mend.h"

static void line_print(void *context, const char *line)
{
    fprintf(context, "%s\n", line);
    fflush(context);
}

enum err_code node_mend(const struct config *config, FILE *out, struct err *err)
{
    IDENTITY_CLEANUP struct identity *identity = NULL;
    TRY(identity_load(config->key_file, &identity, err));
    struct store_setup setup;
    TRY(store_setup_make(config, identity, &setup, err));
    const struct mend_watch watch = {.tell = line_print, .context = out};
    struct mend_counts counts;
    TRY(store_mend(&setup.options, &watch, &counts, err));
    if (counts.tables == 0)
        fprintf(out, "the database opens: nothing is set aside\n");
    else
        fprintf(out,
                "mended: %" PRIu64 " files of the database set aside, %" PRIu64
                " pages and column files listed as damaged; start the node, SCRUB shows what that "
                "hurts and repairs it from peers that have a replica\n",
                counts.tables, counts.listed);
    return ERR_OK;
}
