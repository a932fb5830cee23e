/* Versions as content: trees and version records going in through a struct content.
 * Threads: as store/content.h for pages: one at a time.
 */
#ifndef STORE_VERSION_STORE_H
#define STORE_VERSION_STORE_H

#include "proto/catalog.h"
#include "proto/version.h"
#include "store/content.h"
#include "store/tree.h"

/* Pages through the content: what it has added, and what is stored. Borrow it. */
struct page_source content_page_source(struct content *content);
struct page_sink content_page_sink(struct content *content);

/* Adds the record of a version whose trees are in the content or in `pages`. Not yet committed. */
enum err_code version_add(struct content *content, const struct version_record *version,
                          const struct digest *attribute_root, struct version_ref *ret_ref,
                          struct err *err) MUST_USE;

/* The same of a record that came from a peer, as it came: its version is `expected` (of the signed
 * claim) and its tree and the attribute tree are in `pages`; commits the content. ERR_PEER when the
 * record is not what it should be, ERR_NOT_FOUND when a tree is not here. */
enum err_code version_admit(struct content *content, struct span encoded,
                            const struct digest *expected, const struct digest *attribute_root,
                            struct version_ref *ret_ref, struct err *err) MUST_USE;

#endif
