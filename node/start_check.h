/* What `straitd --check` looks at: all that a start of this configuration would be refused for, and what is not
 * refused but may not be meant. Nothing is made or changed, no data is read; ports are bound for a moment and not
 * listened at. Not here: whether the stored data is whole (fsck.h), the file's form (config.h).
 * Threads: the caller's, where no node runs in this process.
 */
#ifndef NODE_START_CHECK_H
#define NODE_START_CHECK_H

#include "node/config.h"

enum check_grade { CHECK_NOTE, CHECK_FAULT };
/* line: of the configuration, from 1; 0: of none, or of several. */
typedef void check_report(void *context, enum check_grade grade, unsigned line, const char *text);

/* Reports everything that it finds, not only the first; true: a start would not be refused. */
bool start_check(const struct config *config, check_report *report, void *context);

/* Raises the soft limit of open files if it must. ERR_CONFIG: the hard one is too low for a node. */
enum err_code descriptors_check(struct err *err);

#endif
