/* Forced into every file of ours (-include). Functions whose safe use cannot be seen at the call
 * do not compile; use snprintf, struct bytes, strtok_r, randombytes_buf instead. */
#ifndef PROTO_BANNED_H
#define PROTO_BANNED_H

#include <alloca.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#undef alloca /* a macro in glibc */
#pragma GCC poison strcpy strcat strncat stpcpy sprintf vsprintf strtok alloca rand srand gets     \
    atoi atol atoll

#endif
