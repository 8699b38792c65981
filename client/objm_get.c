/*
 * objm_get.c: reading objects: descriptors, mappings, copies; one or many.
 *
 * Runs in clients. Every function is a request with a frame handler (objm_call.c runs them). A descriptor that was
 * received lies in exactly one place: in the frame, in the handler's structure, or with the caller.
 */
#include "client/objm_priv.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define PENDING 1 /* in objm_result.status while a call runs: not answered yet */

static uint16_t frame_flags(uint32_t flags)
{
	return (uint16_t)((flags & OBJM_WANT_META ? OM_PROTO_F_WANT_META : 0) |
			  (flags & OBJM_WANT_TIME ? OM_PROTO_F_WANT_TIME : 0));
}

/* ---------------------------------------------------------------- one */

static int get_frame(void *arg, const struct objm_frame *f)
{
	struct objm_got *g = arg;

	om_close(&g->fd); /* of a try that broke off behind it */
	if (f->status < 0)
		return 0;
	if (f->nfds != 1)
		return -OBJM_STATUS_PROTO_ERROR;
	g->fd = om_take_fd(&f->fds[0]);
	return objm_frame_info(&g->info, f);
}

static int get_object(void *arg, int index, const struct om_proto_obj *obj, int fd)
{
	struct objm_got *g = arg;

	(void)index;
	om_close(&g->fd);
	g->fd = fd;
	g->info = (struct objm_info){0};
	objm_info_obj(obj, &g->info);
	return 0;
}

int objm_get_one(objm_t *s, const char *uri, uint32_t flags, struct objm_got *g)
{
	struct objm_req req = {
		.op = OM_PROTO_OP_GET, .flags = frame_flags(flags), .uri = uri, .frame = get_frame, .object = get_object, .arg = g};
	int r;

	g->fd = -1;
	r = objm_body_uri(s, &req.body, uri);
	if (r == 0)
		r = objm_call(s, &req);
	if (r < 0)
		om_close(&g->fd);
	return r;
}

int objm_get(objm_t *s, const char *uri, uint32_t flags, struct objm_info *ret_info, int *ret_fd)
{
	struct objm_got g;
	int r;

	objm_enter(s);
	r = objm_get_one(s, uri, flags, &g);
	if (r == 0) {
		*ret_fd = g.fd;
		if (ret_info)
			*ret_info = g.info;
	}
	return objm_leave(s, r);
}

/* ---------------------------------------------------------------- many */

struct many {
	const char *const *uris;
	struct objm_result *results;
	size_t *index; /* of the frame's n-th URI among the caller's */
	struct om_proto_str *batch;
	size_t count; /* URIs of this frame */
	size_t open;  /* of them, those without an answer */
	size_t begun; /* results[0..begun) have been cleared */
	bool again;   /* one was told "not now" */
};

static bool not_now(int status)
{
	return status == -OBJM_STATUS_UNAVAILABLE || status == -OBJM_STATUS_TRY_AGAIN;
}

/* Whose answer this is; NULL: nobody's. */
static struct objm_result *many_result(const struct many *m, size_t i)
{
	return i < m->count ? &m->results[m->index[i]] : NULL;
}

static int many_object(void *arg, int index, const struct om_proto_obj *obj, int fd)
{
	struct many *m = arg;
	struct objm_result *res = index < 0 && m->count > 1 ? NULL : many_result(m, index < 0 ? 0 : (size_t)index);

	if (!res || res->status != PENDING) { /* answered before the connection broke: the newer descriptor is closed */
		(void)close(fd);
		return res ? 0 : -OBJM_STATUS_PROTO_ERROR;
	}
	objm_info_obj(obj, &res->info); /* the rest of it has been cleared */
	res->fd = fd;
	res->status = 0;
	m->open--;
	return 0;
}

static int many_frame(void *arg, const struct objm_frame *f)
{
	struct many *m = arg;
	struct objm_result *res;
	size_t i = 0;
	int r;

	if (f->body->have & OM_PROTO_BIT(INDEX))
		i = f->body->index;
	else if (m->count > 1)
		return f->status < 0 ? f->status : -OBJM_STATUS_PROTO_ERROR; /* the request as a whole was refused */
	res = many_result(m, i);
	if (!res)
		return -OBJM_STATUS_PROTO_ERROR;
	if (res->status != PENDING)
		return 0; /* answered before the connection broke: the newer descriptor is closed */
	if (f->status < 0) {
		res->status = f->status;
		m->again |= not_now(f->status);
		m->open--;
		return 0;
	}
	if (f->nfds != 1)
		return -OBJM_STATUS_PROTO_ERROR;
	r = objm_frame_info(&res->info, f);
	if (r < 0)
		return r;
	res->fd = om_take_fd(&f->fds[0]);
	res->status = 0;
	m->open--;
	return 0;
}

/* Clear the result of URI number i, when it is come to for the first time: the length of the URI, 0 if it is none. */
static size_t many_begin(objm_t *s, struct many *m, size_t i)
{
	uint32_t len = 0;
	int r = objm_uri_len(s, m->uris[i], &len);

	m->results[i] = (struct objm_result){.status = r < 0 ? r : PENDING, .fd = -1};
	m->begun = i + 1;
	return len;
}

/* Collect the next URIs that have no answer: as many as a frame takes. *at moves on. */
static void next_batch(objm_t *s, struct many *m, size_t n, size_t *at)
{
	size_t most = OM_MIN((size_t)OM_MAX(s->limits.uris_max, 1), (size_t)OM_PROTO_URIS_MAX), bytes = 0, len;

	m->count = 0;
	for (; *at < n && m->count < most; (*at)++) {
		if (*at == m->begun)
			len = many_begin(s, m, *at);
		else
			len = m->results[*at].status == PENDING ? strlen(m->uris[*at]) : 0;
		if (len == 0)
			continue;
		if (m->count > 0 && s->limits.tlv_max - bytes < OM_PROTO_TLV_HDR + len)
			break;
		bytes += OM_MIN(OM_PROTO_TLV_HDR + len, (size_t)s->limits.tlv_max - bytes);
		m->index[m->count] = *at;
		m->batch[m->count++] = (struct om_proto_str){m->uris[*at], (uint32_t)len};
	}
	m->open = m->count;
}

/* Send what is pending, frame by frame. */
static int many_pass(objm_t *s, struct many *m, size_t n, uint32_t flags)
{
	struct objm_req req = {
		.op = OM_PROTO_OP_GET, .flags = frame_flags(flags), .frame = many_frame, .object = many_object, .arg = m, .many = true};
	size_t at = 0;
	int r;

	for (next_batch(s, m, n, &at); m->count > 0; next_batch(s, m, n, &at)) {
		req.uris = m->batch;
		req.uris_count = m->count;
		r = objm_call(s, &req);
		if (r < 0)
			return r;
		if (m->open > 0)
			return objm_fail(s, -OBJM_STATUS_PROTO_ERROR, "GET: the server left URIs without an answer");
	}
	return 0;
}

/* Put those back whose answer was "not now". True if there are any. */
static bool again(struct many *m, size_t n)
{
	bool any = m->again;
	size_t i;

	for (i = 0; any && i < n; i++) {
		if (not_now(m->results[i].status))
			m->results[i].status = PENDING;
	}
	m->again = false;
	return any;
}

/* Give what is pending the status that says why. */
static void conclude(struct many *m, size_t n, int status)
{
	size_t i;

	for (i = 0; i < m->begun; i++) {
		if (m->results[i].status == PENDING)
			m->results[i].status = status;
	}
	for (; i < n; i++)
		m->results[i] = (struct objm_result){.status = status, .fd = -1};
}

static int get_many(objm_t *s, struct many *m, size_t n, uint32_t flags)
{
	uint64_t until = 0;
	unsigned tries = 0;
	int r;

	for (;;) {
		r = many_pass(s, m, n, flags);
		if (r < 0) {
			conclude(m, n, r);
			return r;
		}
		if (!again(m, n))
			return 0;
		if (until == 0)
			until = objm_retry_until(s);
		if (!objm_backoff(tries++, until)) {
			conclude(m, n, -OBJM_STATUS_UNAVAILABLE);
			return 0;
		}
		s->st.retries++;
	}
}

int objm_get_many(objm_t *s, const char *const *uris, size_t n, uint32_t flags, struct objm_result *ret_results)
{
	size_t index[OM_PROTO_URIS_MAX];
	struct om_proto_str batch[OM_PROTO_URIS_MAX];
	struct many m = {.uris = uris, .results = ret_results, .index = index, .batch = batch};

	objm_enter(s);
	return objm_leave(s, get_many(s, &m, n, flags));
}

/* ---------------------------------------------------------------- mappings and copies */

/* The size of what was received, checked against the file itself: a mapping beyond its end would fault. */
int objm_got_check(objm_t *s, const char *uri, const struct objm_got *g)
{
	char quoted[OBJM_QUOTE_MAX];
	struct stat st;

	if (fstat(g->fd, &st) == 0 && st.st_size >= 0 && (uint64_t)st.st_size >= g->info.size &&
	    g->info.size <= (uint64_t)INT64_MAX)
		return 0;
	return objm_fail(s, -OBJM_STATUS_STORAGE, "GET %s: the file is shorter than the object", objm_quote(uri, quoted));
}

int objm_get_map(objm_t *s, const char *uri, struct objm_map *ret_map)
{
	char quoted[OBJM_QUOTE_MAX];
	struct objm_got g;
	void *p;
	int r;

	objm_enter(s);
	r = objm_get_one(s, uri, 0, &g);
	if (r < 0)
		return objm_leave(s, r);
	OM_AUTO_FD fd = g.fd;
	r = objm_got_check(s, uri, &g);
	if (r < 0)
		return objm_leave(s, r);
	if (g.info.size == 0) {
		*ret_map = (struct objm_map){.data = "", .size = 0, .info = g.info};
		return 0;
	}
	p = mmap(NULL, (size_t)g.info.size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return objm_leave(s, objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "GET %s: cannot map %llu bytes: %s",
					       objm_quote(uri, quoted), (unsigned long long)g.info.size, strerror(errno)));
	*ret_map = (struct objm_map){.data = p, .size = (size_t)g.info.size, .info = g.info};
	return 0;
}

void objm_unmap(struct objm_map *map)
{
	if (!map)
		return;
	if (map->size > 0)
		(void)munmap((void *)map->data, map->size); /* fails only for what was never mapped */
	memset(map, 0, sizeof(*map));
}

int objm_read_all(objm_t *s, const char *uri, int fd, void *buf, size_t size)
{
	char quoted[OBJM_QUOTE_MAX];
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = pread(fd, (char *)buf + done, size - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return objm_fail(s, -OBJM_STATUS_STORAGE, "GET %s: read: %s", objm_quote(uri, quoted),
					 n < 0 ? strerror(errno) : "the file is shorter than the object");
		done += (size_t)n;
	}
	return 0;
}

static int too_large(objm_t *s, const char *uri, uint64_t size, uint64_t max)
{
	char quoted[OBJM_QUOTE_MAX];

	return objm_fail(s, -OBJM_STATUS_TOO_LARGE, "GET %s: the object has %llu bytes, there is room for %llu",
			 objm_quote(uri, quoted), (unsigned long long)size, (unsigned long long)max);
}

int objm_read(objm_t *s, const char *uri, void *buf, size_t cap, size_t *ret_size, struct objm_info *ret_info)
{
	struct objm_got g;
	int r;

	objm_enter(s);
	r = objm_get_one(s, uri, 0, &g);
	if (r < 0)
		return objm_leave(s, r);
	OM_AUTO_FD fd = g.fd;
	if (g.info.size > cap)
		return objm_leave(s, too_large(s, uri, g.info.size, cap));
	r = objm_read_all(s, uri, fd, buf, (size_t)g.info.size);
	if (r == 0) {
		*ret_size = (size_t)g.info.size;
		if (ret_info)
			*ret_info = g.info;
	}
	return objm_leave(s, r);
}

int objm_read_alloc(objm_t *s, const char *uri, size_t max, void **ret_data, size_t *ret_size, struct objm_info *ret_info)
{
	OM_AUTO_FREE char *buf = NULL;
	struct objm_got g;
	int r;

	objm_enter(s);
	r = objm_get_one(s, uri, 0, &g);
	if (r < 0)
		return objm_leave(s, r);
	OM_AUTO_FD fd = g.fd;
	if (g.info.size > max || g.info.size >= SIZE_MAX)
		return objm_leave(s, too_large(s, uri, g.info.size, max));
	r = objm_got_check(s, uri, &g); /* before so much memory is asked for */
	if (r < 0)
		return objm_leave(s, r);
	buf = malloc((size_t)g.info.size + 1);
	if (!buf)
		return objm_leave(s, objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "GET: no memory for %llu bytes",
					       (unsigned long long)g.info.size));
	r = objm_read_all(s, uri, fd, buf, (size_t)g.info.size);
	if (r < 0)
		return objm_leave(s, r);
	buf[g.info.size] = '\0';
	*ret_data = OM_TAKE_PTR(buf);
	*ret_size = (size_t)g.info.size;
	if (ret_info)
		*ret_info = g.info;
	return 0;
}
