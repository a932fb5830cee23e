/* The sample data is what the tests that use it count on: the same on every run, revised where it
 * says. */
#include "cluster-tests/sales/sales.h"
#include "cluster-tests/sales/twin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/digest.h"

#define DATES_MAX 400

/* Digest of a date's rows, in order. */
struct by_date {
    char date[DATES_MAX][11];
    struct digest digest[DATES_MAX];
    unsigned rows[DATES_MAX];
    unsigned count;
};

static void text_take(struct by_date *table, const char *text, size_t date_field)
{
    char *copy MEM_CLEANUP = mem_strdup(text), *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *date = line;
        for (size_t i = 0; i < date_field; i++)
            date = strchr(date, ',') + 1;
        if (*date < '0' || *date > '9')
            continue; /* the header */
        unsigned at = 0;
        while (at < table->count && memcmp(table->date[at], date, 10) != 0)
            at++;
        if (at == table->count) {
            assert_true(table->count < DATES_MAX);
            memcpy(table->date[table->count++], date, 10);
        }
        struct digest_state state;
        digest_init(&state, DOMAIN_STATEMENT);
        digest_update_part(&state, digest_span(&table->digest[at]));
        digest_update_part(&state, span_text(line));
        table->digest[at] = digest_final(&state);
        table->rows[at]++;
    }
}

static struct by_date *twin_make(unsigned version)
{
    struct by_date *table = mem_calloc(1, sizeof *table);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    twin_write(version, out);
    fclose(out);
    assert_int_equal(strncmp(text, "Date,Country,Confirmed,Recovered,Deaths\n", 40), 0);
    assert_non_null(strstr(text, ",\"Korea, South\","));
    text_take(table, text, 0);
    free(text);
    return table;
}

static void the_twin_moves_as_many_partitions_as_its_model(void **state)
{
    (void)state;
    static const unsigned moved[TWIN_VERSIONS] = {380, 2, 2, 2, 7, 326};
    struct by_date *before = mem_calloc(1, sizeof *before);
    for (unsigned v = 0; v < TWIN_VERSIONS; v++) {
        struct by_date *now = twin_make(v);
        unsigned changed = 0;
        assert_int_equal(now->count, 380 + v);
        for (unsigned d = 0; d < now->count; d++) {
            assert_int_equal(now->rows[d], 192);
            if (d >= before->count || !digest_equal(&now->digest[d], &before->digest[d]))
                changed++;
        }
        assert_int_equal(changed, moved[v]);
        mem_free(before);
        before = now;
    }
    mem_free(before);
}

static struct by_date *sales_make(const struct sales *sales)
{
    struct by_date *table = mem_calloc(1, sizeof *table);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    sales_write(sales, out);
    fclose(out);
    text_take(table, text, 1);
    free(text);
    return table;
}

static void revised_days_and_no_others_change(void **state)
{
    (void)state;
    uint8_t revised[5] = {0, 1, 0, 0, 1};
    struct sales sales = {.seed = 7, .first_day = 20000, .days = 5, .rows = 10, .revision = 1};
    struct by_date *plain = sales_make(&sales);
    sales.revised = revised;
    struct by_date *first = sales_make(&sales);
    sales.revision = 2;
    struct by_date *second = sales_make(&sales);
    for (unsigned d = 0; d < 5; d++) {
        assert_int_equal(plain->rows[d], 10);
        assert_int_equal(digest_equal(&plain->digest[d], &first->digest[d]), !revised[d]);
        assert_int_equal(digest_equal(&first->digest[d], &second->digest[d]), !revised[d]);
    }
    mem_free(plain);
    mem_free(first);
    mem_free(second);
}

static void the_bytes_are_those_of_every_other_run(void **state)
{
    (void)state;
    struct sales sales = {.seed = 1, .first_day = 20454, .days = 1, .rows = 2};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    sales_write(&sales, out);
    fclose(out);
    assert_string_equal(text,
                        "id,order_date,amount,region,note\n"
                        "1,2026-01-01,18.35,ap-northeast-1,gift\n"
                        "2,2026-01-01,805.65,eu-central-1,\"customer says \"\"thanks\"\"\"\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_twin_moves_as_many_partitions_as_its_model),
        cmocka_unit_test(revised_days_and_no_others_change),
        cmocka_unit_test(the_bytes_are_those_of_every_other_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
