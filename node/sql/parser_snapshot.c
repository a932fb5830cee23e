/* CREATE and ALTER SNAPSHOT TABLE, TIMESTAMP AS OF, CLONE TABLE, XCOPY, VERIFY SNAPSHOT, SCRUB. */
#include "node/sql/parse.h"

#include "proto/limits.h"

static const char *const snapshot_options[] = {"expiration_timestamp", "description", NULL};

void parse_create_snapshot(struct parser *parser, struct statement *statement, int variant)
{
    struct create_snapshot *create = &statement->create_snapshot;
    create->or_replace = variant != 0;
    create->if_not_exists = parser_accept_if_not_exists(parser);
    create->name = parser_name(parser, "the snapshot's name");
    parser_expect(parser, KEYWORD_CLONE);
    create->source = parser_name(parser, "the table's name");
    if (parser_accept(parser, KEYWORD_OPTIONS))
        create->options = parser_options(parser, snapshot_options);
}

/* s SET OPTIONS(...) | HOLD | RELEASE */
void parse_alter_snapshot(struct parser *parser, struct statement *statement, int variant)
{
    (void)variant;
    struct alter_snapshot *alter = &statement->alter_snapshot;
    alter->name = parser_name(parser, "the snapshot's name");
    if (parser_accept(parser, KEYWORD_HOLD)) {
        alter->kind = ALTER_SNAPSHOT_HOLD;
        return;
    }
    if (parser_accept(parser, KEYWORD_RELEASE)) {
        alter->kind = ALTER_SNAPSHOT_RELEASE;
        return;
    }
    if (!parser_accept(parser, KEYWORD_SET)) {
        parser_expected(parser, "SET OPTIONS(...), HOLD or RELEASE");
        return;
    }
    uint32_t at = parser->token.at;
    parser_expect(parser, KEYWORD_OPTIONS);
    alter->kind = ALTER_SNAPSHOT_OPTIONS;
    alter->options = parser_options(parser, snapshot_options);
    if (alter->options.count == 0)
        parser_fail(parser, ERR_PARSE, at,
                    "found no option, expected expiration_timestamp or description");
}

static void region_check(struct parser *parser, const struct literal *region)
{
    if (parser->code != ERR_OK)
        return;
    struct span text = region->text;
    if (region->kind != LITERAL_STRING || text.len == 0 || text.len > LIMIT_REGION_BYTES)
        parser_fail(parser, ERR_PARSE, region->at,
                    "found no region name, expected 1 to %d characters such as ap-southeast-1",
                    LIMIT_REGION_BYTES);
}

void parse_as_of(struct parser *parser, struct restore_table *restore)
{
    if (parser_accept(parser, KEYWORD_IN)) {
        if (!parser_accept_word(parser, "REGION")) {
            parser_expected(parser, "REGION 'name'");
            return;
        }
        struct literal region = parser_literal(parser);
        region_check(parser, &region);
        restore->region = region.text;
    } else if (!parser_is(parser, KEYWORD_TIMESTAMP)) {
        return;
    }
    parser_expect(parser, KEYWORD_TIMESTAMP);
    parser_expect(parser, KEYWORD_AS);
    if (!parser_accept_word(parser, "OF")) {
        parser_expected(parser, "OF");
        return;
    }
    restore->as_of = true;
    restore->time = parser_literal(parser);
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

/* OPTIONS of which `key` is a region's name, and has to be there. */
static struct option_list region_options(struct parser *parser, const char *const *known,
                                         const char *key, const char *wanted)
{
    struct option_list options = {0};
    if (!parser_accept(parser, KEYWORD_OPTIONS)) {
        parser_expected(parser, wanted);
        return options;
    }
    options = parser_options(parser, known);
    const struct option *region = option_find(&options, key);
    if (region == NULL)
        parser_expected(parser, wanted);
    else
        region_check(parser, &region->value);
    return options;
}

struct option_list parser_source_options(struct parser *parser, const char *const *known)
{
    return region_options(parser, known, "src_region", "OPTIONS(src_region=...)");
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

/* 'project.snapshot', or a name in the project that has the same name there; absent: the same name, too. */
static struct name other_snapshot(struct parser *parser, const struct option *option,
                                  const struct name *here)
{
    struct name other = {.project = here->project, .object = here->object, .at = here->at};
    if (option == NULL || parser->code != ERR_OK)
        return other;
    struct span text = option->value.text;
    size_t dot = 0;
    while (dot < text.len && text.data[dot] != '.')
        dot++;
    bool has_project = dot < text.len;
    other.at = option->value.at;
    other.object = has_project ? span_slice(text, dot + 1, text.len - dot - 1) : text;
    if (has_project)
        other.project = span_slice(text, 0, dot);
    if (option->value.kind != LITERAL_STRING || other.object.len == 0 ||
        other.object.len > LIMIT_NAME_BYTES || other.project.len > LIMIT_NAME_BYTES ||
        (has_project && dot == 0))
        parser_fail(parser, ERR_PARSE, option->value.at,
                    "found no snapshot's name, expected one like 'sales_1' or 'project.sales_1'");
    return other;
}

static void parse_against(struct parser *parser, struct verify_snapshot *verify)
{
    static const char *const known[] = {"region", "snapshot", NULL};
    verify->against = true;
    struct option_list options = region_options(parser, known, "region", "OPTIONS(region=...)");
    if (parser->code != ERR_OK)
        return;
    verify->region = option_find(&options, "region")->value.text;
    verify->other = other_snapshot(parser, option_find(&options, "snapshot"), &verify->name);
}

void parse_verify(struct parser *parser, struct statement *statement, int variant)
{
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
        parse_against(parser, verify);
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
