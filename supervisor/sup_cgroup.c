/*
 * sup_cgroup.c: see sup_cgroup.h. A memory tier that may grow beyond the limit of its control group does not answer NO_SPACE when that is
 * reached: the kernel kills processes. So no more is promised than the limit leaves.
 */
#include "supervisor/sup_cgroup.h"

#include <limits.h>
#include <unistd.h>

#include "common/om_cpus.h"

#define MIB (UINT64_C(1) << 20)
/* What the daemon itself takes: doc/operations.md, Sizing (tests/scenario/memory_001.bats holds it to that). */
#define INDEX_MIB 12u
#define SUPERVISOR_MIB 24u
#define LIFECYCLE_MIB 16u
#define WORKER_MIB 12u
#define NO_LIMIT (UINT64_C(1) << 60) /* version 1 says "none" as a number of this size */

static uint64_t read_limit(const char *dir, const char *path, size_t len, const char *name)
{
	char file[PATH_MAX];
	unsigned long long v;

	if (snprintf(file, sizeof(file), "%s%.*s/%s", dir, (int)len, path, name) >= (int)sizeof(file))
		return UINT64_MAX;
	OM_AUTO_FILE f = fopen(file, "re");
	if (!f || fscanf(f, "%llu", &v) != 1 || v >= NO_LIMIT) /* "max", or no such file: the root has none */
		return UINT64_MAX;
	return v;
}

/* Of the group and all above it. */
static uint64_t least(const char *dir, const char *path, const char *name)
{
	uint64_t min = UINT64_MAX;
	size_t len = strcspn(path, "\n");

	if (!strncmp(path, "/..", 3)) /* above what this name space shows */
		len = 0;
	for (;;) {
		while (len > 0 && path[len - 1] == '/')
			len--;
		uint64_t limit = read_limit(dir, path, len, name);
		min = OM_MIN(min, limit);
		if (len == 0)
			return min;
		while (len > 0 && path[len - 1] != '/')
			len--;
	}
}

uint64_t sup_cgroup_memory(const char *proc, const char *sys)
{
	OM_AUTO_FILE f = fopen(proc, "re");
	char line[PATH_MAX + 64], dir[PATH_MAX];
	uint64_t min = UINT64_MAX, limit;

	/* number:controllers:path; version 2 has number 0 and no controllers */
	while (f && fgets(line, sizeof(line), f)) {
		char *names = strchr(line, ':'), *path = names ? strchr(++names, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		if (*names == '\0') {
			(void)snprintf(dir, sizeof(dir), "%s/unified", sys);
			limit = least(access(dir, F_OK) == 0 ? dir : sys, path, "memory.max");
			min = OM_MIN(min, limit);
		}
		for (char *save = NULL, *one = strtok_r(names, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
			if (strcmp(one, "memory") != 0)
				continue;
			(void)snprintf(dir, sizeof(dir), "%s/memory", sys);
			limit = least(dir, path, "memory.limit_in_bytes");
			min = OM_MIN(min, limit);
		}
	}
	return min;
}

uint64_t sup_cgroup_room(const struct om_conf *conf, uint64_t limit)
{
	uint64_t workers = om_conf_max_workers(conf, om_cpus()), n = 0;
	uint64_t taken = (INDEX_MIB + SUPERVISOR_MIB + LIFECYCLE_MIB + WORKER_MIB * workers) * MIB;

	for (size_t i = 0; i < conf->n_backends; i++)
		n += conf->backends[i].type == OM_TIER_MEMORY;
	if (limit == UINT64_MAX || n == 0)
		return UINT64_MAX;
	return OM_MAX(limit > taken ? (limit - taken) / n : 0, MIB);
}
