/* A network namespace of its own with one TUN device in it, held by this process alone.
 *
 * The namespace has no name anywhere: it lives as long as the descriptor here, or a process inside.
 * The device goes with its descriptor. So whatever ends this process, nothing of it stays.
 * Others enter through /proc/<pid of this process>/fd/<descriptor>. Needs CAP_SYS_ADMIN.
 */
#ifndef CLUSTER_TESTS_LINK_NAMESPACE_H
#define CLUSTER_TESTS_LINK_NAMESPACE_H

#include "proto/err.h"

struct namespace
{
    int descriptor;
    int device; /* reads and writes whole IP packets; does not block */
};

/* Leaves the calling thread in the new namespace: the caller has one thread and wants that. The
 * device is up as tun0 with `address`/24 and so many bytes a packet; so is lo. ERR_DENIED: not
 * root; ERR_IO: the system has no TUN or no namespaces. */
enum err_code namespace_make(const char *address, int mtu, struct namespace *ret_namespace,
                             struct err *err);

#endif
