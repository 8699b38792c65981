/*
 * objm_put.c: storing objects: in one call from memory, a descriptor or a file; in steps through a writable descriptor.
 *
 * Runs in clients. Small objects go inside the request (PUT_INLINE). Larger ones: PUT_BEGIN gives a descriptor of a
 * nameless
 * file, the bytes are copied into it, it is closed, PUT_COMMIT makes the object. A put belongs to the connection that
 * it began on: when that is lost, the server drops it, and the whole begins again from the source.
 */
#include "client/objm_copy.h"
#include "client/objm_put_spec.h"

#include <fcntl.h>

struct objm_put {
	objm_t *s;
	uint64_t conn_serial;
	uint32_t session;
	bool begun; /* the server has this session */
	int fd;
	char *uri; /* for messages; owned by a put in steps */
	/* A put in steps, to begin it again. */
	struct objm_put_spec *spec;
	char *type;
};

/* ---------------------------------------------------------------- requests */

int objm_put_spec_init(objm_t *s, struct objm_put_spec *p, const char *uri, const struct objm_put_options *opt)
{
	struct om_proto_body *b = &p->body;
	int r;

	memset(b, 0, sizeof(*b));
	p->uri = uri;
	OBJM_OPT_COPY(p->o, opt, (struct objm_put_options)OBJM_PUT_OPTIONS_INIT);
	r = objm_body_uri(s, b, uri);
	if (r == 0 && p->o.type)
		r = objm_body_type(s, b, p->o.type);
	if (r == 0 && p->o.meta_count > 0) {
		b->meta.p = (const char *)p->meta;
		b->have |= OM_PROTO_BIT(META);
		r = objm_meta_encode(s, p->o.meta, p->o.meta_count, p->meta, &b->meta.len);
	}
	if (r == 0)
		r = objm_body_cond(s, b, &p->o.cond);
	if (r < 0)
		return r;
	p->conditional = b->have & OM_PROTO_BIT(COND);
	if (p->o.flags) {
		b->put_flags = p->o.flags;
		b->have |= OM_PROTO_BIT(PUT_FLAGS);
	}
	if (p->o.ttl_s) {
		b->ttl_s = p->o.ttl_s;
		b->have |= OM_PROTO_BIT(TTL_S);
	}
	if (p->o.durability != OBJM_DURABILITY_DEFAULT) {
		if ((int)p->o.durability < 0 || p->o.durability > OBJM_DURABILITY_SYNC)
			return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, "put: unknown durability");
		b->durability = (uint8_t)(p->o.durability - 1);
		b->have |= OM_PROTO_BIT(DURABILITY);
	}
	return 0;
}

static int put_inline(objm_t *s, struct objm_put_spec *p, const void *data, size_t len, struct objm_info *ret_info)
{
	struct objm_req req = {.op = OM_PROTO_OP_PUT_INLINE,
			       .body = p->body,
			       .uri = p->uri,
			       .payload = data,
			       .payload_len = len,
			       .once = p->conditional,
			       .frame = objm_frame_info,
			       .arg = ret_info};

	return objm_call(s, &req);
}

static int begin_frame(void *arg, const struct objm_frame *f)
{
	struct objm_put *put = arg;

	om_close(&put->fd); /* of a try that broke off behind it */
	put->begun = f->ext->status == OBJM_STATUS_OK && (f->body->have & OM_PROTO_BIT(SESSION));
	put->session = f->body->session;
	if (f->status < 0)
		return 0; /* begun all the same, if the descriptor got lost here */
	if (f->nfds != 1 || !put->begun)
		return -OBJM_STATUS_PROTO_ERROR;
	put->fd = om_take_fd(&f->fds[0]);
	return 0;
}

/* Tell the server, if there still is anything to tell; the message of what went wrong before stays. */
static void drop(struct objm_put *put)
{
	objm_t *s = put->s;
	struct objm_req req = {.op = OM_PROTO_OP_PUT_ABORT, .uri = put->uri, .conn_serial = put->conn_serial};
	char saved[sizeof(s->err)];

	om_close(&put->fd);
	if (!put->begun || s->io.sock < 0 || s->conn_serial != put->conn_serial)
		return; /* the server dropped it with the connection */
	memcpy(saved, s->err, sizeof(saved));
	req.body.have = OM_PROTO_BIT(SESSION);
	req.body.session = put->session;
	(void)objm_call(s, &req); /* at worst it goes when the connection does */
	memcpy(s->err, saved, sizeof(saved));
}

static int begin(objm_t *s, struct objm_put_spec *p, uint64_t size_hint, struct objm_put *put)
{
	struct objm_req req = {
		.op = OM_PROTO_OP_PUT_BEGIN, .body = p->body, .uri = p->uri, .frame = begin_frame, .arg = put};
	int r;

	put->s = s;
	put->fd = -1;
	if (size_hint > 0) {
		req.body.size_hint = size_hint;
		req.body.have |= OM_PROTO_BIT(SIZE_HINT);
	}
	/* Repeating it is harmless, with a condition too: only the commit applies anything. */
	r = objm_call(s, &req);
	put->conn_serial = s->conn_serial;
	if (r < 0)
		drop(put);
	return r;
}

/*
 * `once`: it is not begun again by the caller. `patient`: nobody but a fork of another thread can hold the
 * descriptor. `fresh`: the caller has looked whether the server is there, while the bytes could still be had.
 */
static int commit(struct objm_put *put, bool once, bool patient, bool fresh, struct objm_info *ret_info)
{
	struct objm_req req = {.op = OM_PROTO_OP_PUT_COMMIT,
			       .uri = put->uri,
			       .once = once,
			       .fresh = fresh,
			       .conn_serial = put->conn_serial,
			       .retry_writer = patient,
			       .frame = objm_frame_info,
			       .arg = ret_info};

	req.body.have = OM_PROTO_BIT(SESSION);
	req.body.session = put->session;
	om_close(&put->fd);
	return objm_call(put->s, &req);
}

/* ---------------------------------------------------------------- in one call */

/* BEGIN, copy, COMMIT, once. -NO_SESSION: nothing was applied, the connection was lost on the way. */
static int put_stream(objm_t *s, struct objm_put_spec *p, struct objm_src *src, struct objm_info *ret_info)
{
	struct objm_put put = {.fd = -1, .uri = (char *)p->uri};
	int r;

	r = begin(s, p, src->size ? src->size : p->o.size_hint, &put);
	if (r < 0)
		return r;
	r = objm_src_copy(s, src, put.fd);
	if (r == 0)
		r = commit(&put, p->conditional, true, false, ret_info);
	if (r < 0)
		drop(&put);
	om_close(&put.fd);
	return r;
}

static int put_src(objm_t *s, struct objm_put_spec *p, struct objm_src *src, struct objm_info *ret_info)
{
	char quoted[OBJM_QUOTE_MAX];
	uint64_t until = 0;
	unsigned n = 0;
	int r;

	src->progress = p->o.progress;
	src->progress_arg = p->o.progress_arg;
	if (src->fd < 0 && src->len <= OBJM_INLINE_MAX && src->len <= s->limits.inline_max) {
		r = put_inline(s, p, src->data, src->len, ret_info);
		if (r == 0 && src->progress)
			src->progress(src->progress_arg, src->len, src->len);
		return r;
	}
	for (;;) {
		r = put_stream(s, p, src, ret_info);
		if (r != -OBJM_STATUS_NO_SESSION)
			return r;
		if (until == 0)
			until = objm_retry_until(s);
		if (src->consumed)
			return objm_fail(s, -OBJM_STATUS_UNAVAILABLE,
					 "put %s: the connection was lost, and the source cannot be read a second time",
					 objm_quote(p->uri, quoted));
		if (!objm_backoff(n++, until))
			return objm_fail(s, -OBJM_STATUS_UNAVAILABLE, "put %s: the connection is lost again and again",
					 objm_quote(p->uri, quoted));
		s->st.retries++;
	}
}

/* The common end of the three: `src` is ready, or failed with `r`. */
static int put_end(objm_t *s, const char *uri, struct objm_src *src, int r, const struct objm_put_options *opt,
		   struct objm_info *ret_info)
{
	struct objm_info info = {0};
	struct objm_put_spec p;

	if (r == 0)
		r = objm_put_spec_init(s, &p, uri, opt);
	if (r == 0)
		r = put_src(s, &p, src, &info);
	if (r == 0 && ret_info)
		*ret_info = info;
	objm_src_fini(src);
	return objm_leave(s, r);
}

int objm_put_buf(objm_t *s, const char *uri, const void *data, size_t len, const struct objm_put_options *opt,
		 struct objm_info *ret_info)
{
	struct objm_src src;

	objm_enter(s);
	objm_src_mem(&src, data, len);
	return put_end(s, uri, &src, 0, opt, ret_info);
}

int objm_put_fd(objm_t *s, const char *uri, int fd, const struct objm_put_options *opt, struct objm_info *ret_info)
{
	struct objm_src src;
	int r;

	objm_enter(s);
	r = objm_src_fd(s, &src, fd);
	return put_end(s, uri, &src, r, opt, ret_info);
}

int objm_put_file(objm_t *s, const char *uri, const char *path, const struct objm_put_options *opt,
		  struct objm_info *ret_info)
{
	OM_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char quoted[OBJM_QUOTE_MAX];
	int err;

	if (fd < 0) {
		err = errno;
		objm_enter(s);
		(void)objm_fail(s, -OBJM_STATUS_SYSTEM, "put: cannot open %s: %s", objm_quote(path, quoted), strerror(err));
		errno = err;
		return objm_leave(s, -OBJM_STATUS_SYSTEM);
	}
	return objm_put_fd(s, uri, fd, opt, ret_info);
}

/* ---------------------------------------------------------------- in steps */

static void put_free(objm_put_t *put)
{
	om_close(&put->fd);
	free(put->uri);
	free(put->type);
	free(put->spec);
	free(put);
}

/* What the caller says is kept: the put may have to begin again after the caller's strings are gone. */
static objm_put_t *put_new(const char *uri, const struct objm_put_options *opt)
{
	objm_put_t *put = calloc(1, sizeof(*put));

	if (!put)
		return NULL;
	put->fd = -1;
	put->uri = uri ? strdup(uri) : NULL;
	put->spec = malloc(sizeof(*put->spec));
	put->type = opt->type ? strdup(opt->type) : NULL;
	if (put->spec && (!uri || put->uri) && (!opt->type || put->type))
		return put;
	put_free(put);
	return NULL;
}

int objm_put_begin(objm_t *s, const char *uri, const struct objm_put_options *opt, objm_put_t **ret_put)
{
	struct objm_put_options o;
	objm_put_t *put;
	int r;

	objm_enter(s);
	OBJM_OPT_COPY(o, opt, (struct objm_put_options)OBJM_PUT_OPTIONS_INIT);
	put = put_new(uri, &o);
	if (!put)
		return objm_leave(s, objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "put: out of memory"));
	o.size = sizeof(o);
	o.type = put->type;
	r = objm_put_spec_init(s, put->spec, put->uri, &o);
	if (r == 0)
		r = begin(s, put->spec, o.size_hint, put);
	if (r < 0)
		put_free(put);
	else
		*ret_put = put;
	return objm_leave(s, r);
}

/* Its connection is gone, or the server takes leave of it. */
static bool put_lost(const objm_put_t *put)
{
	const objm_t *s = put->s;

	return s->io.sock < 0 || s->conn_serial != put->conn_serial || s->leaving || objm_stale(s);
}

/* Begin it again from the descriptor that was written. @return 0; -NO_SESSION, -UNAVAILABLE: once more; negative */
static int put_again(objm_put_t *put)
{
	struct objm_put next = {.fd = -1, .uri = put->uri};
	objm_t *s = put->s;
	struct objm_src src;
	int r;

	if (lseek(put->fd, 0, SEEK_SET) < 0)
		return objm_fail(s, -OBJM_STATUS_SYSTEM, "put: %s", strerror(errno));
	if (s->io.sock >= 0 && s->conn_serial == put->conn_serial)
		objm_disconnect(s);
	r = objm_src_fd(s, &src, put->fd);
	if (r == 0)
		r = begin(s, put->spec, src.size ? src.size : src.len, &next);
	if (r == 0)
		r = objm_src_copy(s, &src, next.fd);
	objm_src_fini(&src);
	if (r < 0) {
		if (next.fd >= 0)
			drop(&next);
		return r;
	}
	om_close(&put->fd);
	put->fd = om_take_fd(&next.fd);
	put->session = next.session;
	put->conn_serial = next.conn_serial;
	put->begun = next.begun;
	s->st.retries++;
	return 0;
}

int objm_put_writefd(const objm_put_t *put) { return put->fd; }

int objm_put_commit(objm_put_t *put, struct objm_info *ret_info)
{
	struct objm_info info = {0};
	char quoted[OBJM_QUOTE_MAX];
	objm_t *s = put->s;
	uint64_t until = 0;
	unsigned n = 0;
	int r;

	objm_enter(s);
	/* As long as the descriptor is open, the bytes can be had again; after COMMIT has been sent it is the server's turn. */
	for (r = 0; r == 0 && put->fd >= 0 && put_lost(put);) {
		if (until == 0)
			until = objm_retry_until(s);
		if (n > 0 && !objm_backoff(n, until))
			r = objm_fail(s, -OBJM_STATUS_UNAVAILABLE, "put %s: the connection is lost again and again",
				      objm_quote(put->uri, quoted));
		else
			r = put_again(put);
		n++;
	}
	if (r == 0)
		r = commit(put, true, false, put->fd >= 0, &info);
	if (r == 0) {
		put_free(put);
		if (ret_info)
			*ret_info = info;
	}
	return objm_leave(s, r);
}

void objm_put_abort(objm_put_t *put)
{
	if (!put)
		return;
	objm_enter(put->s);
	drop(put);
	put_free(put);
}
