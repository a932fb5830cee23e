/* A script as it comes from an operator: split, and each statement parsed. Whatever the splitter
 * gives lies in order inside the script; what fails says why. */
#include "node/sql/lexer.h"
#include "node/sql/parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct splitter splitter = splitter_of(span_of(data, size));
    struct span text;
    const uint8_t *last = data;
    while (splitter_next(&splitter, &text, NULL)) {
        ASSERT(text.len > 0 && text.data >= last && text.data + text.len <= data + size);
        last = text.data + text.len;
        ARENA_CLEANUP struct arena arena;
        arena_init(&arena, 1 << 20);
        struct statement *statement = NULL;
        struct err err = {0};
        enum err_code code = statement_parse(text, &arena, &statement, &err);
        ASSERT(code == err.code && (code == ERR_OK) == (statement != NULL));
        ASSERT(code == ERR_OK || err.message[0] != '\0');
    }
    return 0;
}
