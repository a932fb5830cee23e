/* strait-sales: sample data on standard output, the same on every run. --help lists the options. */
#include "cluster-tests/sales/sales.h"
#include "cluster-tests/sales/twin.h"

#include <errno.h>
#include <getopt.h>

#include "proto/bytes.h"
#include "proto/type.h"

#define EXIT_USAGE 2

static const char usage[] =
    "strait-sales [OPTION]...     a table of sales as CSV with a header\n"
    "  --seed N                   other numbers (1)\n"
    "  --start YYYY-MM-DD         the first day (2026-01-01)\n"
    "  --days N                   how many days (30)\n"
    "  --rows N                   rows a day (1000)\n"
    "  --revise DAYS              days to revise, from 0: 3 or 3,5,9-12\n"
    "  --revision N               which revision of them, 1 to 999 (1)\n"
    "strait-sales --covid-twin V  version V (0 to 5) of a table of counts by country and date:\n"
    "                             380 to 385 dates; 1, 1, 1, 6, 325 of the older ones revised\n";

static bool number_parse(const char *text, uint64_t max, uint64_t *ret_number)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || errno != 0 || number > max)
        return false;
    *ret_number = number;
    return true;
}

/* "3,5,9-12" -> one byte a day. */
static bool days_parse(char *text, uint8_t *revised)
{
    char *rest = NULL;
    for (char *item = strtok_r(text, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        uint64_t first, last;
        char *dash = strchr(item, '-');
        if (dash != NULL)
            *dash++ = 0;
        if (!number_parse(item, SALES_DAYS_MAX - 1, &first) ||
            !number_parse(dash != NULL ? dash : item, SALES_DAYS_MAX - 1, &last) || last < first)
            return false;
        memset(revised + first, 1, last - first + 1);
    }
    return true;
}

static bool date_parse(const char *text, int64_t *ret_day)
{
    struct value value;
    if (value_parse((struct type){.kind = TYPE_DATE}, span_text(text), &value, NULL) != ERR_OK)
        return false;
    *ret_day = value.i64;
    return true;
}

enum option_id { SEED, START, DAYS, ROWS, REVISE, REVISION, TWIN, HELP };

static const struct option options[] = {
    {"seed", required_argument, NULL, SEED},
    {"start", required_argument, NULL, START},
    {"days", required_argument, NULL, DAYS},
    {"rows", required_argument, NULL, ROWS},
    {"revise", required_argument, NULL, REVISE},
    {"revision", required_argument, NULL, REVISION},
    {"covid-twin", required_argument, NULL, TWIN},
    {"help", no_argument, NULL, HELP},
    {0},
};

/* False: the value is not one. */
static bool option_take(int option, char *text, struct sales *sales, uint8_t *revised,
                        uint64_t *ret_twin)
{
    uint64_t number = 0;
    switch (option) {
    case SEED:
        return number_parse(text, UINT64_MAX, &sales->seed);
    case START:
        return date_parse(text, &sales->first_day);
    case REVISE:
        sales->revised = revised;
        return days_parse(text, revised);
    case TWIN:
        return number_parse(text, TWIN_VERSIONS - 1, ret_twin);
    case DAYS:
        if (!number_parse(text, SALES_DAYS_MAX, &number))
            return false;
        sales->days = (unsigned)number;
        return true;
    case ROWS:
        if (!number_parse(text, SALES_ROWS_MAX, &number))
            return false;
        sales->rows = (unsigned)number;
        return true;
    case REVISION:
        if (!number_parse(text, 999, &number) || number == 0)
            return false;
        sales->revision = (unsigned)number;
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static uint8_t revised[SALES_DAYS_MAX];
    struct sales sales = {.seed = 1,
                          .first_day = date_from_civil(2026, 1, 1),
                          .days = 30,
                          .rows = 1000,
                          .revision = 1};
    uint64_t twin = TWIN_VERSIONS;
    int option, place = 0;
    while ((option = getopt_long(argc, argv, "", options, &place)) != -1) {
        if (option == HELP) {
            fputs(usage, stdout);
            return 0;
        }
        if (option == '?')
            return EXIT_USAGE;
        if (!option_take(option, optarg, &sales, revised, &twin)) {
            fprintf(stderr, "strait-sales: \"%s\" is no value for --%s\n", optarg,
                    options[place].name);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "strait-sales: what is \"%s\"?\n%s", argv[optind], usage);
        return EXIT_USAGE;
    }
    if (twin < TWIN_VERSIONS)
        twin_write((unsigned)twin, stdout);
    else
        sales_write(&sales, stdout);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
