/* Runs a fuzz target's corpus without libFuzzer: every file of the folders named as arguments, and
 * for each of them every prefix, plus one flipped bit at each of 256 places, so that the replay
 * alone already meets truncation and damage. */
#include <dirent.h>
#include <sys/stat.h>

#include "proto/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A heap copy of the exact size, so that ASan sees one byte too many. */
static void run_copy(const uint8_t *data, size_t size, size_t flip_bit)
{
    uint8_t *copy = mem_alloc(size);
    if (size > 0)
        memcpy(copy, data, size);
    if (flip_bit < size * 8)
        copy[flip_bit / 8] ^= (uint8_t)(1 << flip_bit % 8);
    LLVMFuzzerTestOneInput(copy, size);
    mem_free(copy);
}

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    BYTES_CLEANUP struct bytes content = {0};
    uint8_t chunk[4096];
    size_t got;
    while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
        bytes_append(&content, chunk, got);
    fclose(file);
    size_t step = 1 + content.len / 512;
    for (size_t len = 0; len <= content.len; len += step)
        run_copy(content.data, len, SIZE_MAX);
    run_copy(content.data, content.len, SIZE_MAX);
    size_t bits = content.len * 8;
    size_t bit_step = 1 + bits / 256;
    for (size_t bit = 0; bit < bits; bit += bit_step)
        run_copy(content.data, content.len, bit);
}

static size_t run_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        perror(path);
        exit(1);
    }
    size_t files = 0;
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        char name[4096];
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        run_file(name);
        files++;
    }
    closedir(folder);
    return files;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    for (int i = 1; i < argc; i++)
        files += run_folder(argv[i]);
    printf("%zu corpus files replayed\n", files);
    return files == 0; /* an empty corpus proves nothing */
}
