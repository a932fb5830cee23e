#include "node/metric_list.h"

#define TEXT_BYTES_MAX (8 * MIB(1))

void metric_list_init(struct metric_list *list)
{
    *list = (struct metric_list){0};
    arena_init(&list->texts, TEXT_BYTES_MAX);
}

void metric_list_deinit(struct metric_list *list)
{
    mem_free(list->items);
    arena_deinit(&list->texts);
}

void metric_family(struct metric_list *list, enum counter_kind kind, const char *name,
                   const char *help)
{
    list->family =
        (struct operator_counter){.name = span_text(name), .help = span_text(help), .kind = kind};
}

static void sample_add(struct metric_list *list, struct span labels, uint64_t value)
{
    if (list->count == LIMIT_COUNTERS - 1) { /* the last place says so */
        list->omitted++;
        return;
    }
    if (list->count + 1 >= list->capacity) {
        list->capacity = list->capacity == 0 ? 256 : 2 * list->capacity;
        list->items = mem_realloc(list->items, list->capacity, sizeof(*list->items));
    }
    list->items[list->count] = list->family;
    list->items[list->count].labels = labels;
    list->items[list->count++].value = value;
}

void metric_value(struct metric_list *list, uint64_t value)
{
    sample_add(list, span_text(""), value);
}

void metric_labelled(struct metric_list *list, uint64_t value,
                     const struct exposition_label *labels, size_t count)
{
    BYTES_CLEANUP struct bytes text = {0};
    exposition_labels(labels, count, &text);
    struct span kept = arena_copy(&list->texts, bytes_span(&text));
    if (kept.data == NULL || kept.len > LIMIT_COMMENT_BYTES || !span_is_utf8(kept))
        list->omitted++;
    else
        sample_add(list, kept, value);
}

void metric_add(struct metric_list *list, enum counter_kind kind, const char *name,
                const char *help, uint64_t value)
{
    metric_family(list, kind, name, help);
    metric_value(list, value);
}

void metric_list_end(struct metric_list *list)
{
    metric_family(list, COUNTER_GAUGE, "strait_metrics_omitted",
                  "samples that this page has no room for");
    list->items[list->count] = list->family; /* sample_add leaves a place for it */
    list->items[list->count++].value = list->omitted;
}
