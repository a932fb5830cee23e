/* Column files of the real store, as loads and scans see them: struct file_sink over a content,
 * struct file_source over a store. (In tests: store/file_memory.h.) Threads: as content and store.
 */
#ifndef STORE_CONTENT_FILES_H
#define STORE_CONTENT_FILES_H

#include "store/content.h"
#include "store/scan.h"
#include "store/segment.h"

/* Borrows until the load is freed. */
struct file_sink content_file_sink(struct content *content);
/* Borrows until the scan is freed. The length is checked here, the content by the database's
 * checksums and the decoder. */
struct file_source store_file_source(struct store *store);

#endif
