/*
 * wrk_dir.c: see wrk_dir.h (process objmapper-worker, loop thread). Called by wrk_open.c.
 */
#include "worker/wrk_dir.h"

#include <fcntl.h>

#include "backend/be.h"
#include "backend/be_how.h"
#include "common/om_obj.h"

#define WRK_DIR_NONE UINT64_MAX

struct wrk_dir {
	uint64_t key; /* WRK_DIR_NONE: free */
	int fd;
	uint32_t missed; /* by other directories, since this one was asked for */
};

struct wrk_dirs {
	uint64_t mask;
	struct wrk_dir at[];
};

int wrk_dirs_new(uint64_t nofile, struct wrk_dirs **ret)
{
	uint64_t n = WRK_DIR_MAX;

	while (n > nofile / WRK_DIR_NOFILE_PART)
		n /= 2;
	*ret = NULL;
	if (!n)
		return 0;
	*ret = malloc(sizeof(**ret) + n * sizeof((*ret)->at[0]));
	if (!*ret)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	(*ret)->mask = n - 1;
	for (uint64_t i = 0; i < n; i++)
		(*ret)->at[i] = (struct wrk_dir){ .key = WRK_DIR_NONE, .fd = -1, .missed = WRK_DIR_PATIENCE };
	return 0;
}

void wrk_dirs_free(struct wrk_dirs *d)
{
	for (uint64_t i = 0; d && i <= d->mask; i++)
		om_close(&d->at[i].fd);
	free(d);
}

unsigned wrk_dirs_count(const struct wrk_dirs *d)
{
	unsigned n = 0;

	for (uint64_t i = 0; d && i <= d->mask; i++)
		n += d->at[i].fd >= 0;
	return n;
}

static void wrk_dir_take(struct wrk_dir *p, int objects_fd, uint64_t key, uint64_t id)
{
	char path[OM_OBJ_PATH_MAX];

	om_close(&p->fd);
	om_obj_dir(id, path);
	p->fd = openat(objects_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	p->key = p->fd < 0 ? WRK_DIR_NONE : key;
	p->missed = 0;
}

/* The place where the directory of `id` is; NULL: it has none. */
static struct wrk_dir *wrk_dir_of(struct wrk_dirs *d, int objects_fd, unsigned tier, uint64_t id)
{
	uint64_t key = id >> OM_OBJ_DIR_SHIFT | (uint64_t)tier << 56;
	struct wrk_dir *p = &d->at[(key ^ (uint64_t)tier << 5) & d->mask]; /* those of one tier in a row */

	if (OM_LIKELY(p->key == key)) {
		p->missed = 0;
		return p;
	}
	if (++p->missed < WRK_DIR_PATIENCE)
		return NULL;
	wrk_dir_take(p, objects_fd, key, id);
	return p->fd >= 0 ? p : NULL;
}

int wrk_dirs_open(struct wrk_dirs *d, int objects_fd, unsigned tier, uint64_t id, int *ret_fd)
{
	struct wrk_dir *p = d ? wrk_dir_of(d, objects_fd, tier, id) : NULL;
	char name[OM_OBJ_PATH_MAX];
	int fd;

	if (!p)
		return be_dir_open(objects_fd, id, ret_fd);
	name[om_hex_put(name, id, 16)] = '\0';
	fd = be_how_open(p->fd, name, BE_HOW_NOW);
	if (OM_LIKELY(fd >= 0)) {
		*ret_fd = fd;
		return 0;
	}
	if (errno == ENOENT) {
		om_close(&p->fd);
		*p = (struct wrk_dir){ .key = WRK_DIR_NONE, .fd = -1, .missed = WRK_DIR_PATIENCE };
	}
	return be_dir_open(objects_fd, id, ret_fd); /* whatever it was, that says it */
}
