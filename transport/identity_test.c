#include "transport/identity.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "proto/limits.h"

static char directory[] = "/tmp/strait-identity-XXXXXX";
static char path[64];

static int make_directory(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/key", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static void test_a_key_file_is_private_and_comes_back(void **state)
{
    (void)state;
    struct err err;
    struct stat stat_buffer;
    IDENTITY_CLEANUP struct identity *made = NULL;
    IDENTITY_CLEANUP struct identity *loaded = NULL;
    unlink(path);
    umask(0);
    assert_int_equal(identity_create(path, &made, &err), ERR_OK);
    assert_int_equal(stat(path, &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 07777, 0600);
    assert_int_equal(identity_load(path, &loaded, &err), ERR_OK);
    assert_memory_equal(identity_public(made), identity_public(loaded),
                        sizeof(struct public_identity));
    assert_memory_equal(identity_noise_secret(made), identity_noise_secret(loaded), 32);
    assert_memory_not_equal(identity_public(made)->sign.b, identity_public(made)->noise.b, 32);
}

static void test_an_existing_key_file_is_left_alone(void **state)
{
    (void)state;
    struct err err;
    IDENTITY_CLEANUP struct identity *first = NULL;
    IDENTITY_CLEANUP struct identity *second = NULL;
    IDENTITY_CLEANUP struct identity *loaded = NULL;
    unlink(path);
    assert_int_equal(identity_create(path, &first, &err), ERR_OK);
    assert_int_equal(identity_create(path, &second, &err), ERR_CONFIG);
    assert_non_null(strstr(err.message, path));
    assert_null(second);
    assert_int_equal(identity_load(path, &loaded, &err), ERR_OK);
    assert_memory_equal(identity_public(first), identity_public(loaded),
                        sizeof(struct public_identity));
}

static void test_a_key_file_that_others_may_read_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0660, 0610, 0601};
    struct err err;
    IDENTITY_CLEANUP struct identity *made = NULL;
    IDENTITY_CLEANUP struct identity *loaded = NULL;
    unlink(path);
    assert_int_equal(identity_create(path, &made, &err), ERR_OK);
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(identity_load(path, &loaded, &err), ERR_CONFIG);
        assert_non_null(strstr(err.message, "chmod 600"));
        assert_null(loaded);
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(identity_load(path, &loaded, &err), ERR_OK);
}

static void write_file(const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    close(fd);
}

static void test_what_is_not_a_key_file_is_refused_with_a_reason(void **state)
{
    (void)state;
    struct err err;
    IDENTITY_CLEANUP struct identity *loaded = NULL;
    unlink(path);
    assert_int_equal(identity_load(path, &loaded, &err), ERR_CONFIG);
    assert_non_null(strstr(err.message, "cannot be opened"));
    assert_int_equal(identity_load(directory, &loaded, &err), ERR_CONFIG);
    write_file("", 0);
    assert_int_equal(identity_load(path, &loaded, &err), ERR_CONFIG);
    write_file("hello\n", 6);
    assert_int_equal(identity_load(path, &loaded, &err), ERR_CONFIG);
    assert_non_null(strstr(err.message, "not a Strait secret key"));
    assert_null(loaded);
}

static void test_every_changed_character_of_a_key_file_is_noticed(void **state)
{
    (void)state;
    struct err err;
    IDENTITY_CLEANUP struct identity *made = NULL;
    unlink(path);
    assert_int_equal(identity_create(path, &made, &err), ERR_OK);
    char text[256];
    int fd = open(path, O_RDONLY);
    ssize_t len = read(fd, text, sizeof(text));
    close(fd);
    assert_true(len > 100);
    for (ssize_t i = 0; i < len - 1; i++) { /* the line end may miss */
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        write_file(text, (size_t)len);
        struct identity *loaded = NULL;
        assert_int_equal(identity_load(path, &loaded, &err), ERR_CONFIG);
        text[i] = was;
    }
}

static void test_a_public_key_comes_back_and_mistakes_are_noticed(void **state)
{
    (void)state;
    struct err err;
    IDENTITY_CLEANUP struct identity *made = identity_generate();
    struct public_identity parsed;
    char text[PUBLIC_IDENTITY_TEXT_BYTES];
    public_identity_format(identity_public(made), text);
    assert_int_equal(strlen(text), PUBLIC_IDENTITY_TEXT_BYTES - 1);
    assert_int_equal(public_identity_parse(span_text(text), &parsed, &err), ERR_OK);
    assert_memory_equal(&parsed, identity_public(made), sizeof(parsed));
    for (size_t i = 0; i < strlen(text); i++) {
        char was = text[i];
        text[i] = was == 'x' ? 'y' : 'x';
        assert_int_equal(public_identity_parse(span_text(text), &parsed, &err), ERR_PARAMETER);
        for (int other = 0; other < 256; other++) { /* one form for one key */
            text[i] = (char)other;
            if (text[i] != was)
                assert_int_equal(
                    public_identity_parse(span_of(text, sizeof(text) - 1), &parsed, &err),
                    ERR_PARAMETER);
        }
        text[i] = was;
    }
    for (size_t len = 0; len < strlen(text); len++)
        assert_int_equal(public_identity_parse(span_of(text, len), &parsed, &err), ERR_PARAMETER);
}

static void test_a_signature_holds_for_its_key_domain_and_content_only(void **state)
{
    (void)state;
    IDENTITY_CLEANUP struct identity *mine = identity_generate();
    IDENTITY_CLEANUP struct identity *other = identity_generate();
    const struct identity_key *key = &identity_public(mine)->sign;
    struct signature signature;
    identity_sign(mine, "strait/1 token", span_text("content"), &signature);
    assert_true(signature_verify(&signature, key, "strait/1 token", span_text("content")));
    assert_false(signature_verify(&signature, key, "strait/1 token", span_text("contents")));
    assert_false(signature_verify(&signature, key, "strait/1 receipt", span_text("content")));
    assert_false(signature_verify(&signature, &identity_public(other)->sign, "strait/1 token",
                                  span_text("content")));
    signature.b[0] ^= 1;
    assert_false(signature_verify(&signature, key, "strait/1 token", span_text("content")));
}

static void test_a_registration_binds_both_halves_region_and_name(void **state)
{
    (void)state;
    IDENTITY_CLEANUP struct identity *mine = identity_generate();
    IDENTITY_CLEANUP struct identity *other = identity_generate();
    struct public_identity public = *identity_public(mine);
    struct signature signature;
    struct span region = span_text("cn-hongkong");
    struct span name = span_text("ALIYUN$a");
    registration_sign(mine, region, name, &signature);
    assert_true(registration_verify(&signature, &public, region, name));
    assert_false(
        registration_verify(&signature, &public, span_text("cn-hongkongA"), span_text("LIYUN$a")));
    assert_false(registration_verify(&signature, &public, region, span_text("ALIYUN$b")));
    public.noise = identity_public(other)->noise; /* somebody else's second half */
    assert_false(registration_verify(&signature, &public, region, name));
    char longer[LIMIT_PRINCIPAL_BYTES + 1];
    memset(longer, 'x', sizeof(longer));
    public = *identity_public(mine);
    assert_false(registration_verify(&signature, &public, region, span_of(longer, sizeof(longer))));
}

static void registration_refused(const char *text, const char *name, const char *words)
{
    struct public_identity found = {.sign = {{9}}};
    struct err err = {0};
    assert_int_equal(registration_parse(span_text(text), span_text("cn-hongkong"), span_text(name),
                                        &found, &err),
                     ERR_PARAMETER);
    if (strstr(err.message, words) == NULL)
        fail_msg("'%s' lacks '%s'", err.message, words);
    assert_int_equal(found.sign.b[0], 9);
}

static void test_a_registration_as_one_string_holds_for_its_name_here_only(void **state)
{
    (void)state;
    IDENTITY_CLEANUP struct identity *mine = identity_generate();
    IDENTITY_CLEANUP struct identity *other = identity_generate();
    char text[REGISTRATION_TEXT_BYTES], theirs[REGISTRATION_TEXT_BYTES];
    struct public_identity found;
    registration_format(mine, span_text("cn-hongkong"), span_text("ALIYUN$a"), text);
    assert_int_equal(strlen(text) + 1, REGISTRATION_TEXT_BYTES);
    assert_int_equal(registration_parse(span_text(text), span_text("cn-hongkong"),
                                        span_text("aliyun$A"), &found, NULL),
                     ERR_OK); /* case does not count */
    assert_memory_equal(&found, identity_public(mine), sizeof(found));
    registration_refused(text, "ALIYUN$b", "--for cn-hongkong 'ALIYUN$b' FILE");
    registration_format(mine, span_text("eu-1"), span_text("ALIYUN$a"), theirs);
    registration_refused(theirs, "ALIYUN$a", "is not for ALIYUN$a in cn-hongkong");
    registration_format(other, span_text("cn-hongkong"), span_text("ALIYUN$a"), theirs);
    memcpy(theirs, text, PUBLIC_IDENTITY_TEXT_BYTES - 1); /* my key, their proof */
    registration_refused(theirs, "ALIYUN$a", "is not for");
    memcpy(theirs, text, sizeof(theirs));
    theirs[PUBLIC_IDENTITY_TEXT_BYTES - 1] = '\0'; /* the key alone */
    registration_refused(theirs, "ALIYUN$a", "without the proof");
    for (size_t i = 0; i < strlen(text); i++) { /* every character counts */
        memcpy(theirs, text, sizeof(theirs));
        theirs[i] = theirs[i] == 'A' ? 'B' : 'A';
        registration_refused(theirs, "ALIYUN$a", "");
        memcpy(theirs, text, sizeof(theirs));
        theirs[i] = '\0'; /* cut */
        registration_refused(theirs, "ALIYUN$a", "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_file_is_private_and_comes_back),
        cmocka_unit_test(test_an_existing_key_file_is_left_alone),
        cmocka_unit_test(test_a_key_file_that_others_may_read_is_refused),
        cmocka_unit_test(test_what_is_not_a_key_file_is_refused_with_a_reason),
        cmocka_unit_test(test_every_changed_character_of_a_key_file_is_noticed),
        cmocka_unit_test(test_a_public_key_comes_back_and_mistakes_are_noticed),
        cmocka_unit_test(test_a_signature_holds_for_its_key_domain_and_content_only),
        cmocka_unit_test(test_a_registration_binds_both_halves_region_and_name),
        cmocka_unit_test(test_a_registration_as_one_string_holds_for_its_name_here_only),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
