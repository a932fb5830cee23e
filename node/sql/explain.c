/* EXPLAIN: what each table of a query would be asked for, in the order in which they stand. */
#include "node/sql/bind.h"
#include "node/sql/pass.h"

static enum err_code list_explain(const struct query_list *list, select_use_function *on_use,
                                  void *context, struct err *err)
{
    for (size_t i = 0; i < list->table_count; i++) {
        const struct relation *relation = list->tables[i];
        const struct select_scan scan = relation_scan(relation);
        const struct select_use use = {.alias =
                                           relation->aliased ? relation->name : (struct span){0},
                                       .source = relation->source,
                                       .scan = &scan};
        TRY(on_use(context, &use, err));
    }
    return ERR_OK;
}

enum err_code select_explain(const struct select *select, struct span text,
                             const struct select_options *options, select_use_function *on_use,
                             void *context, struct err *err)
{
    ARENA_CLEANUP struct arena arena;
    const struct bind_rules rules = {text, options->mode, options->now_ms};
    struct pins pins = {.catalog = options->catalog};
    struct query_list list;
    arena_init(&arena, BIND_ARENA_BYTES);
    enum err_code code = query_bind(select, &rules, &pins, &arena, &list, err);
    if (code == ERR_OK)
        code = list_explain(&list, on_use, context, err);
    pins_release(&pins);
    return code;
}
