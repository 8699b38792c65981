/*
 * sup_cgroup.h: the memory that the control groups of this process allow. Linked by objmapperd (engine). Reads a few small files; any thread.
 */
#ifndef SUP_CGROUP_H
#define SUP_CGROUP_H

#include "common/conf/om_conf.h"

/**
 * The least limit of the memory controller (version 1 or 2) on this process's group and those above it, as far as they can be seen.
 * @param proc  "/proc/self/cgroup"
 * @param sys   "/sys/fs/cgroup"
 * @return bytes; UINT64_MAX: none is set, or none can be seen
 */
uint64_t sup_cgroup_memory(const char *proc, const char *sys);

/**
 * What such a limit leaves for each memory tier: their bytes are charged to the group that makes them, ours, besides its processes
 * (doc/operations.md, Sizing). UINT64_MAX: there is no limit.
 */
uint64_t sup_cgroup_room(const struct om_conf *conf, uint64_t limit);

#endif
