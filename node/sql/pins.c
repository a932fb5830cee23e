#include "node/sql/pins.h"

#include "node/sql/lexer.h"

static struct select_source **pins_items(const struct pins *pins, size_t *ret_count)
{
    *ret_count = pins->sources.len / sizeof(struct select_source *);
    return (struct select_source **)(void *)pins->sources.data;
}

enum err_code pins_find(struct pins *pins, const struct name *name,
                        const struct select_source **ret_source, struct err *err)
{
    const struct select_catalog *catalog = pins->catalog;
    struct select_source source = {0};
    size_t count;
    TRY(catalog->find(catalog->context, name, &source, err));
    struct select_source **known = pins_items(pins, &count);
    for (size_t i = 0; i < count; i++) {
        if (name_equal(known[i]->project, source.project) &&
            name_equal(known[i]->object, source.object)) {
            catalog->release(catalog->context, &source);
            *ret_source = known[i];
            return ERR_OK;
        }
    }
    struct select_source *kept = mem_alloc(sizeof(*kept));
    *kept = source;
    bytes_append(&pins->sources, &kept, sizeof(struct select_source *));
    *ret_source = kept;
    return ERR_OK;
}

void pins_release(struct pins *pins)
{
    size_t count;
    struct select_source **sources = pins_items(pins, &count);
    for (size_t i = 0; i < count; i++) {
        pins->catalog->release(pins->catalog->context, sources[i]);
        mem_free(sources[i]);
    }
    bytes_deinit(&pins->sources);
}
