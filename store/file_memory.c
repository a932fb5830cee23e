#include "store/file_memory.h"

void file_memory_deinit(struct file_memory *memory)
{
    for (size_t i = 0; i < memory->digests.count; i++)
        bytes_deinit(&memory->files[i]);
    mem_free(memory->files);
    load_partitions_deinit(&memory->digests);
}

static enum err_code memory_add(void *context, const struct digest *digest, struct span file,
                                struct err *err)
{
    struct file_memory *memory = context;
    struct digest check = digest_of(DOMAIN_FILE, file);
    if (!digest_equal(digest, &check))
        return err_set(err, ERR_INTERNAL, "a file with another digest");
    size_t before = memory->digests.count;
    uint32_t index = load_partitions_add(&memory->digests, digest_span(digest));
    memory->adds++;
    if (index < before)
        return ERR_OK;
    memory->files = mem_realloc(memory->files, before + 1, sizeof(*memory->files));
    memory->files[index] = (struct bytes){0};
    bytes_append_span(&memory->files[index], file);
    memory->file_bytes += file.len;
    return ERR_OK;
}

static enum err_code memory_read(void *context, const struct digest *digest, struct bytes *ret_file,
                                 struct err *err)
{
    struct file_memory *memory = context;
    size_t before = memory->digests.count;
    for (uint32_t i = 0; i < before; i++) {
        if (!span_equal(load_partitions_key(&memory->digests, i), digest_span(digest)))
            continue;
        bytes_clear(ret_file);
        bytes_append_span(ret_file, bytes_span(&memory->files[i]));
        memory->reads++;
        return ERR_OK;
    }
    return err_set(err, ERR_NOT_FOUND, "no such file");
}

struct file_sink file_memory_sink(struct file_memory *memory)
{
    return (struct file_sink){.add = memory_add, .context = memory};
}

struct file_source file_memory_source(struct file_memory *memory)
{
    return (struct file_source){.read = memory_read, .context = memory};
}
