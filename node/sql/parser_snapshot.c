/* CREATE SNAPSHOT TABLE, CLONE TABLE, XCOPY, VERIFY SNAPSHOT, SCRUB. */
#include "node/sql/parse.h"

#include "proto/limits.h"

void parse_create_snapshot(struct parser *parser, struct statement *statement, int variant)
{
    static const char *const known[] = {"expiration_timestamp", "description", NULL};
    struct create_snapshot *create = &statement->create_snapshot;
    create->or_replace = variant != 0;
    create->if_not_exists = parser_accept_if_not_exists(parser);
    create->name = parser_name(parser, "the snapshot's name");
    parser_expect(parser, KEYWORD_CLONE);
    create->source = parser_name(parser, "the table's name");
    if (parser_accept(parser, KEYWORD_OPTIONS))
        create->options = parser_options(parser, known);
}

void parse_clone_table(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct clone_table *clone = &statement->clone_table;
    clone->source = parser_name(parser, "the source table's name");
    if (parser_is(parser, KEYWORD_PARTITION))
        clone->partitions = parser_partitions(parser);
    parser_expect(parser, KEYWORD_TO);
    clone->destination = parser_name(parser, "the destination table's name");
    if (parser_accept_if_exists(parser)) { /* alone, as printed: as if it were not there */
        if (parser_accept(parser, KEYWORD_OVERWRITE))
            clone->existing = CLONE_EXISTING_OVERWRITE;
        else if (parser_accept(parser, KEYWORD_IGNORE))
            clone->existing = CLONE_EXISTING_IGNORE;
        else if (parser->token.kind != TOKEN_END && !parser_is(parser, KEYWORD_OPTIONS))
            parser_expected(parser, "OVERWRITE or IGNORE");
    } else if (parser_is(parser, KEYWORD_IF)) {
        parser_expected(parser, "IF EXISTS OVERWRITE or IF EXISTS IGNORE");
    }
    if (parser_is(parser, KEYWORD_OPTIONS))
        parser_fail(parser, ERR_PARSE, parser->token.at,
                    "CLONE TABLE takes no OPTIONS and stays within its region: from another one, "
                    "CREATE SNAPSHOT TABLE there and XCOPY SNAPSHOT here");
}

struct option_list parser_source_options(struct parser *parser, const char *const *known)
{
    static const char wanted[] = "OPTIONS(src_region=...)";
    struct option_list options = {0};
    if (!parser_accept(parser, KEYWORD_OPTIONS)) {
        parser_expected(parser, wanted);
        return options;
    }
    options = parser_options(parser, known);
    const struct option *region = option_find(&options, "src_region");
    if (region == NULL)
        parser_expected(parser, wanted);
    if (parser->code != ERR_OK || region == NULL)
        return options;
    struct span text = region->value.text;
    if (region->value.kind != LITERAL_STRING || text.len == 0 || text.len > LIMIT_REGION_BYTES)
        parser_fail(parser, ERR_PARSE, region->value.at,
                    "found no region name, expected 1 to %d characters such as ap-southeast-1",
                    LIMIT_REGION_BYTES);
    return options;
}

void parse_xcopy(struct parser *parser, struct statement *statement, int variant)
{
    static const char *const known[] = {"src_region", "wait", "queue", "expiration_timestamp",
                                        NULL};
    (void)variant;
    struct xcopy *xcopy = &statement->xcopy;
    xcopy->source = parser_name(parser, "the source as project.snapshot");
    if (xcopy->source.project.len == 0)
        parser_fail(parser, ERR_PARSE, xcopy->source.at,
                    "found a source without its project, expected project.snapshot");
    parser_expect(parser, KEYWORD_TO);
    parser_expect(parser, KEYWORD_SNAPSHOT);
    xcopy->destination = parser_name(parser, "the destination snapshot's name");
    xcopy->options = parser_source_options(parser, known);
}

void parse_xcopy_table(struct parser *parser, struct statement *statement, int variant)
{
    (void)statement;
    (void)variant;
    parser_fail(
        parser, ERR_PARSE, parser->token.at,
        "XCOPY copies snapshots, not tables: snapshot it first with CREATE SNAPSHOT TABLE s "
        "CLONE t, then XCOPY SNAPSHOT p.s TO SNAPSHOT s OPTIONS(src_region=...)");
}

void parse_verify(struct parser *parser, struct statement *statement, int variant)
{
    static const char *const known[] = {"region", "snapshot", NULL};
    (void)variant;
    struct verify_snapshot *verify = &statement->verify_snapshot;
    verify->name = parser_name(parser, "the snapshot's name");
    struct span word = parser->token.text;
    if (parser->token.kind != TOKEN_WORD)
        return;
    if (name_equal(word, span_text("DEEP"))) {
        parser_advance(parser);
        verify->deep = true;
    } else if (name_equal(word, span_text("AGAINST"))) {
        parser_advance(parser);
        verify->against = true;
        parser_expect(parser, KEYWORD_OPTIONS);
        verify->options = parser_options(parser, known);
    }
}

void parse_scrub(struct parser *parser, struct statement *statement, int variant)
{
    struct scrub_scope *scope = &statement->scrub;
    (void)variant;
    if (parser_accept(parser, KEYWORD_ALL) || parser->token.kind == TOKEN_END)
        return;
    scope->kind = SCRUB_TABLE;
    if (parser_accept(parser, KEYWORD_SNAPSHOT))
        scope->kind = SCRUB_SNAPSHOT;
    else
        parser_expect(parser, KEYWORD_TABLE);
    scope->name = parser_name(parser, "the name of what to scrub");
}
