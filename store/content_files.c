#include "store/content_files.h"

#include "store/files.h"

static enum err_code sink_add(void *context, const struct digest *digest, struct span file,
                              struct err *err)
{
    return content_add_file(context, digest, file, CONTENT_HASHED, err);
}

struct file_sink content_file_sink(struct content *content)
{
    return (struct file_sink){.add = sink_add, .context = content};
}

static enum err_code source_read(void *context, const struct digest *digest, struct bytes *ret_file,
                                 struct err *err)
{
    return file_read(context, digest, FILE_CHECK_LENGTH, ret_file, err);
}

struct file_source store_file_source(struct store *store)
{
    return (struct file_source){.read = source_read, .context = store};
}
