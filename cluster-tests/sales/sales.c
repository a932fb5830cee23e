/* See sales.h. */
#include "cluster-tests/sales/sales.h"

#include "cluster-tests/sales/noise.h"
#include "proto/bytes.h"
#include "proto/type.h"

#define REVISED_ONE_IN 20
#define REVISIONS      1000

static const char *const regions[] = {"ap-southeast-1", "cn-hongkong", "ap-northeast-1",
                                      "eu-central-1", "us-east-1"};

/* As they stand in the file. */
static const char *const notes[] = {
    "",
    "",
    "",
    "gift",
    "express",
    "\"paid late, reminded\"",
    "\"customer says \"\"thanks\"\"\"",
    "returned",
    "東京で受取",
    "\"\"",
};

static void row_write(const struct sales *sales, unsigned day, const char *date, unsigned row,
                      FILE *out)
{
    uint64_t id = (uint64_t)day * sales->rows + row + 1;
    uint64_t draw = noise(sales->seed, day, row);
    uint64_t cents = 100 + draw % 99900;
    if (sales->revised != NULL && sales->revised[day]) {
        uint64_t change = noise(sales->seed + sales->revision, day, row);
        if (row == 0 || change % REVISED_ONE_IN == 0)
            cents += sales->revision % REVISIONS; /* never the same for two revisions */
    }
    fprintf(out, "%" PRIu64 ",%s,%" PRIu64 ".%02u,%s,%s\n", id, date, cents / 100,
            (unsigned)(cents % 100), regions[(draw >> 20) % ARRAY_COUNT(regions)],
            notes[(draw >> 32) % ARRAY_COUNT(notes)]);
}

void sales_write(const struct sales *sales, FILE *out)
{
    fputs("id,order_date,amount,region,note\n", out);
    for (unsigned day = 0; day < sales->days; day++) {
        int64_t year;
        unsigned month, day_of_month;
        char date[32];
        date_to_civil(sales->first_day + day, &year, &month, &day_of_month);
        snprintf(date, sizeof date, "%04d-%02u-%02u", (int)year, month, day_of_month);
        for (unsigned row = 0; row < sales->rows; row++)
            row_write(sales, day, date, row, out);
    }
}
