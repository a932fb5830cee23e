/* Column files in memory: the tests' struct file_sink and struct file_source. One thread. */
#ifndef STORE_FILE_MEMORY_H
#define STORE_FILE_MEMORY_H

#include "store/load_partitions.h"
#include "store/scan.h"
#include "store/segment.h"

struct file_memory {
    struct load_partitions digests;
    struct bytes *files; /* by index of digest */
    uint64_t file_bytes; /* of all, each once */
    uint64_t adds;       /* also of files that were there */
    uint64_t reads;
};

void file_memory_deinit(struct file_memory *memory);
#define FILE_MEMORY_CLEANUP __attribute__((cleanup(file_memory_deinit)))
struct file_sink file_memory_sink(struct file_memory *memory);
struct file_source file_memory_source(struct file_memory *memory);

#endif
