/*
 * objm_get.c: reading objects: descriptors, mappings, copies; one or many.
 *
 * Runs in clients. Every function is a request with a frame handler (objm_call.c runs them). A descriptor that was
 * received lies in exactly one place: in the frame, in the handler's structure, or with the caller.
 */
#include "client/objm_priv.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define PENDING 1 /* in objm_result.status while a call runs: came to, and not answered yet */

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

static int get_object(void *arg, int index, const uint8_t *obj, int fd)
{
	struct objm_got *g = arg;

	(void)index;
	om_close(&g->fd);
	g->fd = fd;
	objm_info_wire(obj, &g->info);
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

/*
 * A result is written once, when it is known: it has 168 bytes, and those of a frame leave the processor's first cache. What of the
 * frame under way has its answer is said by `answered`.
 */
struct many {
	const char *const *uris;
	struct objm_result *results;
	size_t *index; /* of the frame's n-th URI among the caller's */
	struct om_proto_str *batch;
	bool *answered; /* the frame's n-th URI */
	size_t count;	/* URIs of this frame */
	size_t open;	/* of them, those without an answer */
	size_t begun;	/* results[0..begun) are written, but for those of this frame */
	bool again;	/* one was told "not now" */
};

static bool not_now(int status)
{
	return status == -OBJM_STATUS_UNAVAILABLE || status == -OBJM_STATUS_TRY_AGAIN;
}

static void many_failed(struct objm_result *res, int status)
{
	*res = (struct objm_result){.status = status, .fd = -1};
}

static int many_object(void *arg, int index, const uint8_t *obj, int fd)
{
	struct many *m = arg;
	size_t i = index < 0 ? 0 : (size_t)index;
	struct objm_result *res;

	if (i >= m->count || (index < 0 && m->count > 1)) { /* nobody's */
		(void)close(fd);
		return -OBJM_STATUS_PROTO_ERROR;
	}
	if (m->answered[i]) { /* before the connection broke: the newer descriptor is closed */
		(void)close(fd);
		return 0;
	}
	res = &m->results[m->index[i]];
	res->status = 0;
	res->fd = fd;
	objm_info_wire(obj, &res->info);
	m->answered[i] = true;
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
	if (i >= m->count)
		return -OBJM_STATUS_PROTO_ERROR;
	if (m->answered[i])
		return 0; /* before the connection broke: the newer descriptor is closed */
	res = &m->results[m->index[i]];
	if (f->status < 0) {
		many_failed(res, f->status);
		m->again |= not_now(f->status);
	} else {
		if (f->nfds != 1)
			return -OBJM_STATUS_PROTO_ERROR;
		r = objm_frame_info(&res->info, f);
		if (r < 0)
			return r;
		res->fd = om_take_fd(&f->fds[0]);
		res->status = 0;
	}
	m->answered[i] = true;
	m->open--;
	return 0;
}

/* The length of URI number i, if it is to be asked for; else 0, and its result says why. */
static size_t many_len(objm_t *s, struct many *m, size_t i)
{
	uint32_t len = 0;
	int r;

	if (i < m->begun && m->results[i].status != PENDING)
		return 0;
	r = objm_uri_len(s, m->uris[i], &len);
	if (r < 0)
		many_failed(&m->results[i], r);
	return len;
}

/* Collect the next URIs that have no answer: as many as a frame takes. *at moves on. */
static void next_batch(objm_t *s, struct many *m, size_t n, size_t *at)
{
	size_t most = OM_MIN((size_t)OM_MAX(s->limits.uris_max, 1), (size_t)OM_PROTO_URIS_MAX), bytes = 0, count = 0, i;

	for (i = *at; i < n && count < most; i++) {
		size_t len = many_len(s, m, i);

		if (len == 0)
			continue;
		if (count > 0 && s->limits.tlv_max - bytes < OM_PROTO_TLV_HDR + len)
			break;
		bytes += OM_MIN(OM_PROTO_TLV_HDR + len, (size_t)s->limits.tlv_max - bytes);
		m->index[count] = i;
		m->batch[count++] = (struct om_proto_str){m->uris[i], (uint32_t)len};
	}
	*at = i;
	m->begun = OM_MAX(m->begun, i);
	m->count = m->open = count;
	memset(m->answered, 0, count * sizeof(*m->answered));
}

/* The frame is over before all of it was answered. */
static void many_unanswered(struct many *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (!m->answered[i])
			m->results[m->index[i]].status = PENDING;
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
		if (r >= 0 && m->open > 0)
			r = objm_fail(s, -OBJM_STATUS_PROTO_ERROR, "GET: the server left URIs without an answer");
		if (r < 0) {
			many_unanswered(m);
			return r;
		}
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
			many_failed(&m->results[i], status);
	}
	for (; i < n; i++)
		many_failed(&m->results[i], status);
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
	bool answered[OM_PROTO_URIS_MAX];
	struct many m = {.uris = uris, .results = ret_results, .index = index, .batch = batch, .answered = answered};

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
