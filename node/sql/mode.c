/* Settings of a request that say how strict a SELECT is. */
#include "node/sql/select.h"

#include "node/sql/lexer.h"

enum err_code select_mode_set(struct span key, struct span value, enum select_mode *mode,
                              struct err *err)
{
    static const char *const keys[] = {"odps.sql.udf.strict.mode", "odps.function.strictmode"};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        if (!name_equal(key, span_text(keys[i])))
            continue;
        bool strict = name_equal(value, span_text("true"));
        if (!strict && !name_equal(value, span_text("false")))
            return err_set(err, ERR_PARAMETER, "SET %s=%.*s: expected true or false", keys[i],
                           value.len < 40 ? (int)value.len : 40, (const char *)value.data);
        *mode = strict ? SELECT_MODE_STRICT : SELECT_MODE_LENIENT;
    }
    return ERR_OK;
}
