/* What each column family is called, holds, and whether it can be had again. Which there are: db.h. */
#ifndef STORE_FAMILY_H
#define STORE_FAMILY_H

#include "store/db.h"

/* As the database knows it. */
const char *family_name(enum family family);
/* Whether what the family holds can be made or fetched again: so its tables can be set aside. */
bool family_comes_again(enum family family);
/* What it holds: "pages of tables". */
const char *family_content(enum family family);

#endif
