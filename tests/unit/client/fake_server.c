/*
 * fake_server.c: see fake_server.h. Runs in a child process of the test; anything unexpected ends it with a message
 * and status 99,
 * which fake_stop() reports.
 */
#include "tests/unit/client/fake_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "index/idx_genw.h"

#define OBJECTS_MAX 2000
#define SESSIONS_MAX 16

#define MUST(cond) \
	do { \
		if (!(cond)) { \
			(void)fprintf(stderr, "# fake server: %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			_exit(99); \
		} \
	} while (0)

struct fake_obj {
	char *uri, *type, *meta;
	uint32_t meta_len, rev, flags;
	uint64_t id, size, expiry_s;
	int fd;
};
static struct fake_obj objects[OBJECTS_MAX];
static size_t object_count;
static const struct fake *knobs;
static uint64_t next_id = 1;

struct fake_session {
	bool open;
	struct om_proto_body body;
	uint8_t tlv[16384]; /* what body points into */
	int fd;		    /* writable; -1 once given out (the client's copy is the only one) */
	int rofd;
};
static struct fake_session sessions[SESSIONS_MAX];

struct conn {
	struct fake *f;
	int sock;
	uint8_t in[OM_PROTO_MSG_MAX];
	size_t in_len;
	uint8_t out[4u << 20];
	struct om_proto_wr wr;
	int fds[OM_PROTO_FDS_MAX + 1];
	unsigned nfds;
	int sent;
	bool dead, closing;
	struct idx_genw *table; /* NULL: none */
};

/* ---------------------------------------------------------------- objects */

static char *copy(const char *p, size_t n)
{
	char *s = malloc(n + 1);

	MUST(s);
	memcpy(s, p, n);
	s[n] = '\0';
	return s;
}

static struct fake_obj *find(const char *uri, size_t len)
{
	size_t i;

	for (i = 0; i < object_count; i++) {
		if (strlen(objects[i].uri) == len && !memcmp(objects[i].uri, uri, len))
			return &objects[i];
	}
	return NULL;
}

static int by_uri(const void *a, const void *b)
{
	return strcmp(((const struct fake_obj *)a)->uri, ((const struct fake_obj *)b)->uri);
}

static void obj_body(const struct fake_obj *o, struct om_proto_body *b)
{
	b->have |= OM_PROTO_BIT(OBJ);
	b->obj = (struct om_proto_obj){.id = o->id,
				       .rev = knobs->rev_conn ? (uint32_t)knobs->connections : o->rev,
				       .flags = o->flags,
				       .size = o->size,
				       .mtime_ns = 1700000000000000000u + o->id,
				       .expiry_s = o->expiry_s,
				       .gen = (uint64_t)knobs->gen,
				       .tier = 0,
				       .home = 1};
}

static int cond_status(const struct om_proto_body *b, const struct fake_obj *o)
{
	if (!(b->have & OM_PROTO_BIT(COND)) || b->cond.kind == OM_COND_NONE)
		return 0;
	if (b->cond.kind == OM_COND_ABSENT)
		return o ? OBJM_STATUS_PRECONDITION_FAILED : 0;
	if (!o || o->id != b->cond.id || (b->cond.rev && b->cond.rev != o->rev))
		return OBJM_STATUS_PRECONDITION_FAILED;
	return 0;
}

static void obj_meta(struct fake_obj *o, const struct om_proto_body *b)
{
	if (b->have & OM_PROTO_BIT(PUT_FLAGS))
		o->flags = b->put_flags;
	if (b->have & OM_PROTO_BIT(TTL_S))
		o->expiry_s = b->ttl_s ? 2000000000u + b->ttl_s : 0;
	if (b->have & OM_PROTO_BIT(TYPE)) {
		free(o->type);
		o->type = copy(b->type.p, b->type.len);
	}
	if (b->have & OM_PROTO_BIT(META)) {
		free(o->meta);
		o->meta = copy(b->meta.p, b->meta.len);
		o->meta_len = b->meta.len;
	}
}

static struct fake_obj *obj_store(struct fake *f, const struct om_proto_body *b, int fd)
{
	struct fake_obj *o = find(b->uri.p, b->uri.len);
	char *uri = copy(b->uri.p, b->uri.len);

	if (!o) {
		MUST(object_count < OBJECTS_MAX);
		o = &objects[object_count++];
	} else {
		free(o->uri);
		free(o->type);
		free(o->meta);
		close(o->fd);
	}
	*o = (struct fake_obj){.uri = uri, .id = next_id++, .rev = 1, .fd = fd};
	o->size = (uint64_t)lseek(fd, 0, SEEK_END);
	obj_meta(o, b);
	f->applied++;
	return o;
}

/* ---------------------------------------------------------------- sending */

static void send_some(struct conn *c, const uint8_t *p, size_t n, bool fds)
{
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int) * (OM_PROTO_FDS_MAX + 1))];
	} control;
	struct iovec iov = {.iov_base = (void *)p, .iov_len = n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cm;

	if (fds && c->nfds > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.data;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * c->nfds);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * c->nfds);
		memcpy(CMSG_DATA(cm), c->fds, sizeof(int) * c->nfds);
	}
	while (iov.iov_len > 0) {
		ssize_t k = sendmsg(c->sock, &msg, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			c->dead = true;
			return;
		}
		iov.iov_base = (uint8_t *)iov.iov_base + k;
		iov.iov_len -= (size_t)k;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
}

/* Send what was built, in chunks, up to the cut. */
static void flush(struct conn *c)
{
	size_t at = 0, step, len = c->wr.len;
	unsigned i;

	while (at < len && !c->dead) {
		step = c->f->chunk > 0 ? (size_t)c->f->chunk : len;
		step = OM_MIN(step, len - at);
		if (c->f->cut_conns > 0 && c->f->cut_after >= 0) {
			size_t left = (size_t)(c->f->cut_after - c->sent);

			if (step >= left) {
				step = left;
				c->dead = true;
			}
		}
		if (step > 0)
			send_some(c, c->out + at, step, at == 0);
		at += step;
		c->sent += (int)step;
		if (c->dead && c->f->cut_conns > 0)
			c->f->cut_conns--;
	}
	for (i = 0; i < c->nfds; i++)
		close(c->fds[i]);
	c->nfds = 0;
	c->wr.len = 0;
	c->wr.err = 0;
}

static void pass(struct conn *c, int fd)
{
	if (c->f->no_fd) {
		close(fd);
		return;
	}
	MUST(fd >= 0 && c->nfds < OM_ARRAY_SIZE(c->fds));
	c->fds[c->nfds++] = fd;
	if (c->f->surplus_fd && c->nfds < OM_ARRAY_SIZE(c->fds))
		c->fds[c->nfds++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void answer(struct conn *c, const struct om_proto_ext *req, uint16_t flags, uint8_t nfds, const struct om_proto_body *b)
{
	struct om_proto_ext ext = {.op = req->op | OM_PROTO_OP_RESPONSE, .nfds = nfds, .flags = flags, .id = req->id};

	MUST(om_proto_ext_encode(&c->wr, &ext, b) > 0);
}

static void refuse(struct conn *c, const struct om_proto_ext *req, int status)
{
	static const char text[] = "said the fake server\33[2J";
	struct om_proto_ext ext = {.op = req->op | OM_PROTO_OP_RESPONSE, .status = (uint8_t)status, .id = req->id};
	struct om_proto_body b = {.have = OM_PROTO_BIT(ERROR_TEXT), .error_text = {text, sizeof(text) - 1}};

	MUST(om_proto_ext_encode(&c->wr, &ext, &b) > 0);
}

/* ---------------------------------------------------------------- operations */

static int reopen(int fd)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void names(struct om_proto_body *b)
{
	b->have |= OM_PROTO_BIT(TIER_NAME) | OM_PROTO_BIT(HOME_NAME);
	b->tier_name = (struct om_proto_str){"mem", 3};
	b->home_name = (struct om_proto_str){"disk", 4};
}

static void get(struct conn *c, const struct om_proto_ext *ext, const struct om_proto_body *req)
{
	size_t pos = 0;
	struct om_proto_str uri;
	uint32_t i = 0;
	uint16_t tag, more;

	c->f->frames_in_get_max = OM_MAX(c->f->frames_in_get_max, (int)req->uris);
	while (om_proto_tlv_next(ext->tlv, ext->tlv_len, &pos, &tag, &uri) > 0) {
		struct fake_obj *o = find(uri.p, uri.len);
		struct om_proto_body b = {0};
		struct om_proto_ext e = {.op = ext->op | OM_PROTO_OP_RESPONSE, .id = ext->id};

		if (tag != OM_PROTO_TAG_URI)
			continue;
		more = i + 1 < req->uris ? OM_PROTO_F_MORE : 0;
		if (req->uris > 1) {
			b.have |= OM_PROTO_BIT(INDEX);
			b.index = (uint16_t)((c->f->index_same ? 0 : i) + (uint32_t)c->f->index_off);
		}
		if (o) {
			obj_body(o, &b);
			if (ext->flags & OM_PROTO_F_WANT_META)
				names(&b);
			if (ext->flags & OM_PROTO_F_WANT_TIME) {
				b.have |= OM_PROTO_BIT(SERVER_NS);
				b.server_ns = 4711;
			}
			pass(c, reopen(o->fd));
			e.nfds = 1;
		} else {
			e.status = OBJM_STATUS_NOT_FOUND;
		}
		e.flags = more;
		MUST(om_proto_ext_encode(&c->wr, &e, &b) > 0);
		i++;
		if (c->nfds >= OM_PROTO_FDS_MAX - 1)
			flush(c);
	}
}

static void stat_op(struct conn *c, const struct om_proto_ext *ext, const struct om_proto_body *req)
{
	struct fake_obj *o = find(req->uri.p, req->uri.len);
	struct om_proto_body b = {0};

	if (!o) {
		refuse(c, ext, OBJM_STATUS_NOT_FOUND);
		return;
	}
	obj_body(o, &b);
	names(&b);
	if (o->type) {
		b.have |= OM_PROTO_BIT(TYPE);
		b.type = (struct om_proto_str){o->type, (uint32_t)strlen(o->type)};
	}
	if (o->meta) {
		b.have |= OM_PROTO_BIT(META);
		b.meta = (struct om_proto_str){o->meta, o->meta_len};
	}
	b.have |= OM_PROTO_BIT(HEAT);
	b.heat = (struct om_proto_heat){.heat_millionths = 500000, .access_count = 3, .last_access_s = 1700000001};
	answer(c, ext, 0, 0, &b);
}

static void begin(struct conn *c, const struct om_proto_ext *ext, const struct om_proto_body *req)
{
	struct om_proto_body b = {.have = OM_PROTO_BIT(SESSION) | OM_PROTO_BIT(TIER_NAME), .tier_name = {"mem", 3}};
	struct om_proto_ext saved;
	struct fake_session *s;
	uint32_t i;

	(void)req;
	for (i = 0; i < SESSIONS_MAX && sessions[i].open; i++)
		;
	MUST(i < SESSIONS_MAX && ext->tlv_len <= sizeof(sessions[0].tlv));
	s = &sessions[i];
	s->open = true;
	memcpy(s->tlv, ext->tlv, ext->tlv_len);
	saved = *ext;
	saved.tlv = s->tlv;
	MUST(om_proto_req_body_decode(&saved, &s->body) == 0);
	/* No memfd: its writers do not count against a lease. */
	s->fd = open(c->f->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	s->rofd = reopen(s->fd);
	MUST(s->fd >= 0 && s->rofd >= 0);
	b.session = i + 1;
	c->f->begun++;
	pass(c, s->fd);
	answer(c, ext, 0, 1, &b);
}

static struct fake_session *session_of(const struct om_proto_body *req)
{
	if (req->session < 1 || req->session > SESSIONS_MAX || !sessions[req->session - 1].open)
		return NULL;
	return &sessions[req->session - 1];
}

static void stored(struct conn *c, const struct om_proto_ext *ext, const struct fake_obj *o)
{
	struct om_proto_body b = {.have = OM_PROTO_BIT(DURABILITY) | OM_PROTO_BIT(TIER_NAME),
				  .tier_name = {"mem", 3},
				  .durability = OM_DUR_SYNC};

	obj_body(o, &b);
	answer(c, ext, 0, 0, &b);
}

static void commit(struct conn *c, const struct om_proto_ext *ext, const struct om_proto_body *req)
{
	struct fake_session *s = session_of(req);
	int st;

	if (!s) {
		refuse(c, ext, OBJM_STATUS_NO_SESSION);
		return;
	}
	st = cond_status(&s->body, find(s->body.uri.p, s->body.uri.len));
	/* As a real server proves that no writer is left. */
	if (st == 0 && fcntl(s->rofd, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN) {
		refuse(c, ext, OBJM_STATUS_WRITER_STILL_OPEN);
		return;
	}
	s->open = false;
	if (st) {
		close(s->rofd);
		refuse(c, ext, st);
		return;
	}
	(void)fcntl(s->rofd, F_SETLEASE, F_UNLCK);
	stored(c, ext, obj_store(c->f, &s->body, s->rofd));
}

static void abort_op(struct conn *c, const struct om_proto_ext *ext, const struct om_proto_body *req)
{
	struct fake_session *s = session_of(req);

	if (!s) {
		refuse(c, ext, OBJM_STATUS_NO_SESSION);
		return;
	}
	s->open = false;
	close(s->rofd);
	c->f->aborted++;
	answer(c, ext, 0, 0, NULL);
}

static void inline_op(struct conn *c, const struct om_proto_ext *ext, const struct om_proto_body *req, const uint8_t *payload)
{
	int st = cond_status(req, find(req->uri.p, req->uri.len));
	int fd;

	if (st) {
		refuse(c, ext, st);
		return;
	}
	fd = memfd_create("inline", MFD_CLOEXEC);
	MUST(fd >= 0 && write(fd, payload, ext->payload_len) == (ssize_t)ext->payload_len);
	stored(c, ext, obj_store(c->f, req, fd));
}

static void delete_op(struct conn *c, const struct om_proto_ext *ext, const struct om_proto_body *req)
{
	struct fake_obj *o = find(req->uri.p, req->uri.len);
	int st = o ? cond_status(req, o) : OBJM_STATUS_NOT_FOUND;

	if (st) {
		refuse(c, ext, st);
		return;
	}
	free(o->uri);
	free(o->type);
	free(o->meta);
	close(o->fd);
	*o = objects[--object_count];
	c->f->applied++;
	answer(c, ext, 0, 0, NULL);
}

static void set_op(struct conn *c, const struct om_proto_ext *ext, const struct om_proto_body *req)
{
	struct fake_obj *o = find(req->uri.p, req->uri.len);
	int st = o ? cond_status(req, o) : OBJM_STATUS_NOT_FOUND;
	struct om_proto_body b = {0};

	if (st) {
		refuse(c, ext, st);
		return;
	}
	obj_meta(o, req);
	o->rev++;
	c->f->applied++;
	obj_body(o, &b);
	answer(c, ext, 0, 0, &b);
}

/* A page, a frame for every three entries. */
static void list_op(struct conn *c, const struct om_proto_ext *ext, const struct om_proto_body *req)
{
	uint32_t limit = req->have & OM_PROTO_BIT(LIMIT) ? req->limit : 1000, n = 0;
	struct om_proto_ext e = {.op = ext->op | OM_PROTO_OP_RESPONSE, .id = ext->id};
	char after[OM_URI_MAX + 1], last[OM_URI_MAX + 2] = "";
	size_t i, at = om_proto_ext_open(&c->wr);
	bool more = false;

	if (c->f->page_max > 0)
		limit = OM_MIN(limit, (uint32_t)c->f->page_max);
	memcpy(after, req->start_after.p, req->start_after.len);
	after[req->start_after.len] = '\0';
	qsort(objects, object_count, sizeof(objects[0]), by_uri);
	for (i = 0; i < object_count; i++) {
		struct om_proto_body b = {.have = OM_PROTO_BIT(URI), .uri = {objects[i].uri, (uint32_t)strlen(objects[i].uri)}};
		const char *d;

		if (strncmp(objects[i].uri, req->prefix.p, req->prefix.len) || strcmp(objects[i].uri, after) <= 0)
			continue;
		if (n == limit) {
			more = true;
			break;
		}
		d = req->have & OM_PROTO_BIT(DELIMITER) ? strchr(objects[i].uri + req->prefix.len, req->delimiter) : NULL;
		if (d) {
			size_t len = (size_t)(d - objects[i].uri) + 1;

			om_proto_tlv_put(&c->wr, OM_PROTO_TAG_COMMON_PREFIX, objects[i].uri, len);
			/* Behind everything with this prefix. */
			memcpy(last, objects[i].uri, len);
			last[len] = '\xff';
			last[len + 1] = '\0';
			memcpy(after, last, len + 2);
		} else {
			obj_body(&objects[i], &b);
			if ((ext->flags & OM_PROTO_F_WANT_META) && objects[i].type) {
				b.have |= OM_PROTO_BIT(TYPE);
				b.type = (struct om_proto_str){objects[i].type, (uint32_t)strlen(objects[i].type)};
			}
			om_proto_entry_put(&c->wr, &b);
			(void)snprintf(last, sizeof(last), "%s", objects[i].uri);
		}
		if (++n % 3 == 0) {
			e.flags = OM_PROTO_F_MORE;
			MUST(om_proto_ext_close(&c->wr, at, &e) > 0);
			at = om_proto_ext_open(&c->wr);
		}
	}
	if (c->f->list_loop)
		om_proto_tlv_put(&c->wr, OM_PROTO_TAG_NEXT, "a", 1);
	else if (more)
		om_proto_tlv_put(&c->wr, OM_PROTO_TAG_NEXT, last, strlen(last));
	e.flags = 0;
	MUST(om_proto_ext_close(&c->wr, at, &e) > 0);
}

static void attach(struct conn *c, const struct om_proto_ext *ext)
{
	struct om_proto_body b = {.have = OM_PROTO_BIT(LIMITS),
				  .limits = {.tlv_max = OM_PROTO_TLV_MAX,
					     .sessions_max = SESSIONS_MAX,
					     .page_max = 1000,
					     .uris_max = (uint16_t)c->f->uris_max,
					     .max_fds = 253,
					     .durability = OM_DUR_SYNC,
					     .inline_max = (uint64_t)c->f->inline_max}};

	if (c->f->tables && (ext->flags & OM_PROTO_F_WANT_TABLE)) {
		MUST(idx_genw_new(&c->table) == 0);
		pass(c, fcntl(idx_genw_fd(c->table), F_DUPFD_CLOEXEC, 0));
	}
	answer(c, ext, 0, c->table ? 1 : 0, &b);
}

/* ---------------------------------------------------------------- one connection */

static void apply(struct conn *c, const struct om_proto_ext *ext, const struct om_proto_body *b, const uint8_t *payload)
{
	switch (ext->op) {
	case OM_PROTO_OP_GET:
		get(c, ext, b);
		break;
	case OM_PROTO_OP_STAT:
		stat_op(c, ext, b);
		break;
	case OM_PROTO_OP_PUT_BEGIN:
		begin(c, ext, b);
		break;
	case OM_PROTO_OP_PUT_COMMIT:
		commit(c, ext, b);
		break;
	case OM_PROTO_OP_PUT_ABORT:
		abort_op(c, ext, b);
		break;
	case OM_PROTO_OP_PUT_INLINE:
		inline_op(c, ext, b, payload);
		break;
	case OM_PROTO_OP_DELETE:
		delete_op(c, ext, b);
		break;
	case OM_PROTO_OP_LIST:
		list_op(c, ext, b);
		break;
	case OM_PROTO_OP_SET:
		set_op(c, ext, b);
		break;
	case OM_PROTO_OP_ATTACH:
		attach(c, ext);
		break;
	default:
		answer(c, ext, 0, 0, NULL);
		break;
	}
}

static void handle(struct conn *c, const struct om_proto_ext *ext, const uint8_t *payload)
{
	struct fake *f = c->f;
	struct om_proto_body b;
	int r = om_proto_req_body_decode(ext, &b);
	bool die = f->die_count > 0 && ext->op == f->die_op;

	f->requests++;
	if (f->stall_op == ext->op)
		return;
	if (die)
		f->die_count--;
	if (die && !f->die_applied) {
		c->dead = true;
		return;
	}
	if (c->closing) {
		c->dead = true; /* it had said so */
		return;
	}
	if (f->say_close > 0) {
		f->say_close--;
		c->closing = true;
		c->wr.len += (size_t)om_proto_close_encode(OM_PROTO_CLOSE_SHUTDOWN, c->out + c->wr.len, 2);
	}
	if (f->garbage_op == ext->op) {
		memset(c->out + c->wr.len, 0xee, 64);
		c->wr.len += 64;
	} else if (r < 0) {
		refuse(c, ext, -r);
	} else if (f->refuse_count > 0 && ext->op == f->refuse_op) {
		f->refuse_count--;
		refuse(c, ext, f->refuse_status);
	} else {
		apply(c, ext, &b, payload);
	}
	if (die) {
		c->dead = true;
		return;
	}
	if (f->close_behind > 0 && (!f->close_behind_op || f->close_behind_op == ext->op)) {
		f->close_behind--;
		c->closing = true;
		c->wr.len += (size_t)om_proto_close_encode(OM_PROTO_CLOSE_SHUTDOWN, c->out + c->wr.len, 2);
	}
	flush(c);
	f->leaves += c->closing;
}

/* Handle the message at the front: bytes used, 0 if it is not whole. */
static size_t one(struct conn *c, bool *greeted)
{
	struct om_proto_hello ack = {.caps = OM_PROTO_CAP_OOO | OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_EXTENSION, .parallelism = 1};
	struct om_proto_in in;
	size_t need;
	int n;

	n = om_proto_in_decode(OM_PROTO_V2, *greeted, OM_PROTO_CAP_EXTENSION, OM_PROTO_TLV_MAX, c->in, c->in_len, &in, &need);
	MUST(n >= 0);
	if (n == 0)
		return 0;
	if (!*greeted) {
		*greeted = true;
		if (c->f->no_extension)
			ack.caps = OM_PROTO_CAP_OOO;
		c->wr.len += (size_t)om_proto_hello_ack_encode(&ack, c->out, sizeof(c->out));
		flush(c);
		return (size_t)n;
	}
	if (in.kind == OM_PROTO_IN_CLOSE) {
		c->dead = true;
		return (size_t)n;
	}
	MUST(in.kind == OM_PROTO_IN_EXT && in.u.ext.status == OBJM_STATUS_OK && in.u.ext.payload_len < (1u << 20));
	if (c->in_len - (size_t)n < in.u.ext.payload_len)
		return 0;
	handle(c, &in.u.ext, c->in + n);
	return (size_t)n + (size_t)in.u.ext.payload_len;
}

static void drop_sessions(void)
{
	size_t i;

	for (i = 0; i < SESSIONS_MAX; i++) {
		if (sessions[i].open)
			close(sessions[i].rofd);
		sessions[i].open = false;
	}
}

static void serve(struct fake *f, int sock)
{
	static struct conn c;
	bool greeted = false;
	size_t n;
	ssize_t k;

	c = (struct conn){.f = f, .sock = sock};
	om_proto_wr_init(&c.wr, c.out, sizeof(c.out));
	f->connections++;
	while (!c.dead) {
		k = recv(sock, c.in + c.in_len, sizeof(c.in) - c.in_len, 0);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		c.in_len += (size_t)k;
		while (!c.dead && c.in_len > 0 && (n = one(&c, &greeted)) > 0) {
			memmove(c.in, c.in + n, c.in_len - n);
			c.in_len -= n;
		}
	}
	drop_sessions();
	while (c.nfds > 0)
		close(c.fds[--c.nfds]);
	idx_genw_free(c.table);
	close(sock);
}

/* ---------------------------------------------------------------- the process */

static _Noreturn void child(struct fake *f, int listener)
{
	int sock;

	knobs = f;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGIO, SIG_IGN);
	for (;;) {
		sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (sock >= 0)
			serve(f, sock);
		else
			MUST(errno == EINTR);
	}
}

static void launch(struct fake *f)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), pid;

	memcpy(addr.sun_path, f->path, strlen(f->path) + 1);
	(void)unlink(f->path);
	MUST(bind(listener, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(listener, 16) == 0);
	(void)fflush(NULL);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0)
		child(f, listener);
	f->pid = pid; /* shared memory: the parent alone writes it */
	close(listener);
}

struct fake *fake_start(void)
{
	struct fake *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	MUST(f != MAP_FAILED);
	memset(f, 0, sizeof(*f));
	f->cut_after = -1;
	f->inline_max = 1 << 20;
	f->uris_max = 253;
	f->gen = 2;
	memcpy(f->dir, "/tmp/objm-fake-XXXXXX", 22);
	MUST(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	launch(f);
	return f;
}

static void end(struct fake *f)
{
	int st;

	MUST(f->pid > 1);
	if (waitpid(f->pid, &st, WNOHANG) == 0) {
		(void)kill(f->pid, SIGKILL);
		MUST(waitpid(f->pid, &st, 0) == f->pid);
		return;
	}
	(void)fprintf(stderr, "# the fake server had ended by itself\n"); /* an assertion of its own */
	abort();
}

void fake_stop(struct fake *f)
{
	end(f);
	(void)unlink(f->path);
	(void)rmdir(f->dir);
	(void)munmap(f, sizeof(*f));
}

void fake_restart(struct fake *f)
{
	end(f);
	launch(f);
}
