#include "node/sql/pass.h"

#include "node/sql/summary.h"

static enum err_code batch_fetch(struct pass *pass, struct err *err)
{
    pass->row = 0;
    enum err_code code = pass->relation->source->ops->next(pass->opened, &pass->batch, err);
    if (code != ERR_OK) {
        pass->batch = NULL;
        return code;
    }
    ASSERT(pass->batch == NULL || pass->batch->rows > 0);
    ASSERT(pass->batch == NULL || pass->batch->vector_count == pass->relation->column_count);
    pass->summary = NULL;
    bool asked = pass->relation->summarised && pass->relation->source->ops->summary != NULL;
    if (asked && pass->batch != NULL)
        pass->summary = pass->relation->source->ops->summary(pass->opened);
    return ERR_OK;
}

struct select_scan relation_scan(const struct relation *relation)
{
    return (struct select_scan){.columns = relation->columns,
                                .column_count = relation->column_count,
                                .domains = relation->domains,
                                .domain_count = relation->domain_count,
                                .enough = relation->summarised ? summary_enough : NULL,
                                .context = relation};
}

enum err_code pass_start(struct pass *pass, struct err *err)
{
    const struct relation *relation = pass->relation;
    struct select_scan wanted = relation_scan(relation);
    pass_stop(pass);
    pass->row_number = 0;
    enum err_code code =
        relation->source->ops->open(relation->source->table, &wanted, &pass->opened, err);
    if (code != ERR_OK) {
        pass->opened = NULL;
        return code;
    }
    return batch_fetch(pass, err);
}

enum err_code pass_next(struct pass *pass, struct err *err)
{
    pass->row_number++;
    size_t rows = pass->summary != NULL ? SUMMARY_ROWS : pass->batch->rows;
    if (!pass->relation->counted && ++pass->row < rows)
        return ERR_OK;
    return batch_fetch(pass, err);
}

enum err_code pass_fetch(struct pass *pass, size_t i, struct err *err)
{
    const struct relation *relation = pass->relation;
    bool front = relation->limited && pass->row < PASS_FRONT_ROWS;
    return relation->source->ops->fetch(pass->opened, i,
                                        front ? PASS_FRONT_ROWS : pass->batch->rows, err);
}

bool pass_at_end(const struct pass *pass)
{
    return pass->batch == NULL;
}

void pass_stop(struct pass *pass)
{
    if (pass->opened != NULL)
        pass->relation->source->ops->close(pass->opened);
    pass->opened = NULL;
    pass->batch = NULL;
}
