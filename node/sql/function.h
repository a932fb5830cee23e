/* The functions of SELECT: one row a function, in a table a subject.
 *
 *     "SUBSTR", "ti[i", TYPE_STRING, substr      name, what it takes, what it gives, what it does
 *
 *     function_text.c    text          function_number.c    numbers, and what goes with every type
 *     function_day.c     days, times   function_hash.c      digests
 *     function_pattern.c regular expressions
 *
 * What a function takes is said in letters, one an argument:
 *
 *     t  text; numbers, days and times become it, BOOLEAN does not
 *     i  BIGINT; a text is read as one
 *     d  DOUBLE; every number and text becomes it
 *     n  a number as it is; a text becomes DOUBLE
 *     y  a DATE or DATETIME as it is; a text becomes DATETIME
 *     a  anything
 *     k  a constant text
 *     [  what follows may be absent      *  the last may come again and again
 *
 * and in front of them: ? the function sees NULLs, else one of them gives NULL; = all arguments get
 * one type. Several rows of one name differ in how many arguments they take.
 * Threads: functions are pure; what they make lives in the call's scratch. (Patterns remember what they
 * compiled: pattern.h.)
 */
#ifndef NODE_SQL_FUNCTION_H
#define NODE_SQL_FUNCTION_H

#include "node/sql/query.h"

#define FUNCTION_ARGS_ANY SIZE_MAX

struct function_call {
    const struct node *node; /* its type and its arguments' types */
    const struct value *args;
    size_t arg_count;
    struct arena *scratch;
    struct patterns *patterns; /* NULL while binding */
};

struct function {
    const char *name; /* in capitals */
    const char *args;
    enum type_kind result; /* or 0: type_of */
    enum err_code (*evaluate)(const struct function_call *call, struct value *ret_value,
                              struct err *err);
    int variant;   /* which of the functions that share `evaluate` */
    bool unfolded; /* of constants it is computed in the run, where it can be stopped */
    struct type (*type_of)(const struct node *node); /* of typed arguments, or NULL */
    /* What must hold of constant arguments, or NULL. */
    enum err_code (*check)(const struct node *node, struct err *err);
    double (*math)(double number); /* function_number.c */
};

#define FUNCTION(name_, args_, result_, evaluate_, ...)                                            \
    {                                                                                              \
        .name = (name_), .args = (args_), .result = (result_), .evaluate = (evaluate_),            \
        __VA_ARGS__                                                                                \
    }

struct function_table {
    const struct function *rows;
    size_t count;
};

extern const struct function_table function_text_table;
extern const struct function_table function_number_table;
extern const struct function_table function_day_table;
extern const struct function_table function_hash_table;
extern const struct function_table function_pattern_table;

/* Name without regard to case; `arg_count` FUNCTION_ARGS_ANY: the first row of that name. NULL: there
 * is none. */
const struct function *function_find(struct span name, size_t arg_count);
/* The i-th of all rows, NULL behind the last. */
const struct function *function_at(size_t i);
/* How many arguments a rule takes; ret_max SIZE_MAX: any number. */
void function_arg_count(const char *args, size_t *ret_min, size_t *ret_max);
char function_arg_letter(const char *args, size_t i); /* of argument i */
bool function_sees_nulls(const struct function *function);
bool function_unifies(const struct function *function);

/* ---- for the functions ---- */

/* A text of `len` bytes for the result. ERR_LIMIT above LIMIT_CELL_BYTES. */
enum err_code function_text_new(const struct function_call *call, size_t len, uint8_t **ret_text,
                                struct err *err);
/* What the function has no value for: NULL in a lenient statement, else ERR_SEMANTIC
 * "NAME: <what>". */
enum err_code function_undefined(const struct function_call *call, struct value *ret_value,
                                 struct err *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
struct type function_first_type(const struct node *node); /* the first argument's */

#endif
