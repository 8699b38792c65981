/*
 * wrk_out.c: the output queue of a connection (process objmapper-worker, loop thread).
 *
 * Three arrays that move along together: messages, their bytes, their descriptors; each is emptied from the front and
 * filled at the back, and starts again at its beginning when nothing is left. A message leaves whole or its rest stays at
 * the front: the kernel attaches descriptors to the first byte, so a rest has none. Nothing is ever lost or reordered: what
 * cannot leave waits. Called by all that answers; wrk_out_tx.c sends.
 */
#include "worker/wrk_out_int.h"

#include <sys/syscall.h>

#define WRK_OUT_SPARE_MAX (1u << 20)	/* bytes of the one buffer that is kept */

void wrk_out_init(struct wrk_out *o, struct wrk_fdcache *cache)
{
	*o = (struct wrk_out){ .cache = cache };
}

void wrk_out_fd_drop(struct wrk_fdcache *cache, const struct wrk_out_fd *fd)
{
	if (fd->ref)
		wrk_fdcache_put(cache, fd->ref);
	else if (fd->own && fd->large)
		(void)wrk_fdcache_close(fd->fd);
	else if (fd->own && fd->fd >= 0)
		(void)syscall(SYS_close, fd->fd); /* not close(): see wrk_dir.c */
}

void wrk_out_fini(struct wrk_out *o)
{
	for (unsigned i = o->fd_start; i < o->fd_end; i++)
		wrk_out_fd_drop(o->cache, &o->fds[i]);
	for (unsigned i = o->m_start; i < o->m_end; i++)
		if (o->msgs[i].file)
			(void)wrk_fdcache_close(o->msgs[i].fd);
	free(o->buf);
	free(o->fds);
	free(o->msgs);
	free(o->cold);
	wrk_out_init(o, o->cache);
}

/*
 * One large buffer goes from queue to queue: its pages are there and in the processor's cache, where a new one of malloc's would
 * fault them in one by one, for each batch.
 */
static uint8_t *wrk_out_spare;
static size_t wrk_out_spare_cap;

void wrk_out_trim(struct wrk_out *o)
{
	if (!wrk_out_empty(o))
		return;
	if (!wrk_out_spare && o->cap <= WRK_OUT_SPARE_MAX) {
		wrk_out_spare = o->buf;
		wrk_out_spare_cap = o->cap;
		o->buf = NULL;
	}
	wrk_out_fini(o);
}

static void wrk_out_take_spare(struct wrk_out *o)
{
	o->buf = wrk_out_spare;
	o->cap = wrk_out_spare_cap;
	wrk_out_spare = NULL;
}

/* ---- room: the arrays */

/* Make place for `want` more elements of `size` behind *end; the used part moves to the front when that suffices. */
static bool wrk_out_grow(void **array, size_t *cap, size_t *start, size_t *end, size_t want, size_t size)
{
	size_t used = *end - *start, n = OM_MAX(*cap, (size_t)64);
	void *p;

	if (*cap - *end >= want)
		return true;
	if (*cap - used >= want && *start >= used) { /* moving costs at most what was sent since the last move */
		if (used)
			memmove(*array, (char *)*array + *start * size, used * size);
		*start = 0;
		*end = used;
		return true;
	}
	while (n - used < want || n < used * 2)
		n *= 2;
	p = malloc(n * size);
	if (!p)
		return false;
	if (used)
		memcpy(p, (char *)*array + *start * size, used * size);
	free(*array);
	*array = p;
	*cap = n;
	*start = 0;
	*end = used;
	return true;
}

static bool wrk_out_grow_u(void **array, unsigned *cap, unsigned *start, unsigned *end, size_t want, size_t size)
{
	size_t c = *cap, s = *start, e = *end;
	bool ok = wrk_out_grow(array, &c, &s, &e, want, size);

	*cap = (unsigned)c;
	*start = (unsigned)s;
	*end = (unsigned)e;
	return ok;
}

uint8_t *wrk_out_room(struct wrk_out *o, size_t n)
{
	void *p;
	bool ok;

	if (!o->buf && wrk_out_spare)
		wrk_out_take_spare(o);
	p = o->buf;
	ok = wrk_out_grow(&p, &o->cap, &o->start, &o->end, n, 1);

	o->buf = p;
	return ok ? o->buf + o->end : NULL;
}

static bool wrk_out_room_msgs(struct wrk_out *o, unsigned n, unsigned nfds)
{
	void *m = o->msgs, *f = o->fds;
	bool ok = wrk_out_grow_u(&m, &o->m_cap, &o->m_start, &o->m_end, n, sizeof(o->msgs[0])) &&
		  wrk_out_grow_u(&f, &o->fd_cap, &o->fd_start, &o->fd_end, nfds, sizeof(o->fds[0]));

	o->msgs = m;
	o->fds = f;
	return ok;
}

static struct wrk_out_msg *wrk_out_new_msg(struct wrk_out *o)
{
	struct wrk_out_msg *m = &o->msgs[o->m_end++];

	*m = (struct wrk_out_msg){ .fd = -1 };
	return m;
}

unsigned wrk_out_next_fds(const struct wrk_out *o)
{
	return wrk_out_empty(o) ? 0 : o->msgs[o->m_start].nfds;
}

/* ---- queueing */

int wrk_out_frame(struct wrk_out *o, size_t n, const struct wrk_out_fd *fds, unsigned nfds, unsigned max_fds)
{
	struct wrk_out_msg *m;

	OM_ASSERT(n > 0 && n <= o->cap - o->end && nfds <= WRK_OUT_FDS_MAX);
	if (!wrk_out_room_msgs(o, 1, nfds))
		return -OBJM_STATUS_OUT_OF_MEMORY;
	m = wrk_out_empty(o) ? NULL : &o->msgs[o->m_end - 1];
	if (!m || m->file || m->alone || m->len + n > WRK_OUT_MSG_BYTES || (nfds && m->started) || m->nfds + nfds > max_fds)
		m = wrk_out_new_msg(o);
	m->len += (uint32_t)n;
	m->nfds = (uint16_t)(m->nfds + nfds);
	if (nfds)
		memcpy(&o->fds[o->fd_end], fds, nfds * sizeof(*fds));
	o->fd_end += nfds;
	o->end += n;
	return 0;
}

int wrk_out_frames(struct wrk_out *o, size_t len, const struct wrk_out_fd *fds, unsigned n, unsigned max_fds)
{
	struct wrk_out_msg *m;

	OM_ASSERT(n > 0 && len > 0 && len <= WRK_OUT_MSG_BYTES && max_fds > 0 && (o->cap - o->end) / len >= n);
	if (!wrk_out_room_msgs(o, n, n))
		return -OBJM_STATUS_OUT_OF_MEMORY;
	m = wrk_out_empty(o) ? NULL : &o->msgs[o->m_end - 1];
	for (unsigned i = 0, k; i < n; i += k) {
		if (!m || m->file || m->alone || m->started || m->nfds >= max_fds || m->len + len > WRK_OUT_MSG_BYTES)
			m = wrk_out_new_msg(o);
		k = OM_MIN(OM_MIN(n - i, max_fds - m->nfds), (unsigned)((WRK_OUT_MSG_BYTES - m->len) / len));
		m->len += (uint32_t)(k * len);
		m->nfds = (uint16_t)(m->nfds + k);
		memcpy(&o->fds[o->fd_end], fds + i, k * sizeof(*fds));
		o->fd_end += k;
		o->end += k * len;
	}
	return 0;
}

int wrk_out_fd_byte(struct wrk_out *o, const struct wrk_out_fd *fd)
{
	struct wrk_out_msg *m;
	uint8_t *p = wrk_out_room(o, 1);

	if (!p || !wrk_out_room_msgs(o, 1, 1))
		return -OBJM_STATUS_OUT_OF_MEMORY;
	*p = 'X';
	o->end++;
	o->fds[o->fd_end++] = *fd;
	m = wrk_out_new_msg(o);
	m->alone = true;
	m->len = 1;
	m->nfds = 1;
	return 0;
}

int wrk_out_file(struct wrk_out *o, int fd, uint64_t off, uint64_t len, enum wrk_out_how how)
{
	struct wrk_out_msg *m;

	OM_ASSERT(fd >= 0 && len > 0);
	if (!wrk_out_room_msgs(o, 1, 0))
		return -OBJM_STATUS_OUT_OF_MEMORY;
	m = wrk_out_new_msg(o);
	o->files++;
	m->file = true;
	m->how = (uint8_t)how;
	m->fd = fd;
	m->off = off;
	m->left = len;
	return 0;
}

int wrk_out_move(struct wrk_out *o, struct wrk_out *from)
{
	size_t bytes = wrk_out_bytes(from);
	unsigned msgs = wrk_out_msgs(from), fds = wrk_out_fds(from);

	OM_ASSERT(!from->cold);
	if ((bytes && !wrk_out_room(o, bytes)) || !wrk_out_room_msgs(o, msgs, fds))
		return -OBJM_STATUS_OUT_OF_MEMORY;
	if (bytes)
		memcpy(o->buf + o->end, from->buf + from->start, bytes);
	if (fds)
		memcpy(o->fds + o->fd_end, from->fds + from->fd_start, fds * sizeof(o->fds[0]));
	if (msgs)
		memcpy(o->msgs + o->m_end, from->msgs + from->m_start, msgs * sizeof(o->msgs[0]));
	o->end += bytes;
	o->fd_end += fds;
	o->m_end += msgs;
	o->files += from->files;
	from->start = from->end = 0;
	from->fd_start = from->fd_end = 0;
	from->m_start = from->m_end = 0;
	from->files = 0;
	return 0;
}
