/*
 * million_conn.c: changes of many objects over one connection, many at a time: frames of the extension, by the codec.
 * libobjm waits for each answer, which at a million objects measures the scheduler more than the daemon.
 */
#include "tests/torture/million.h"

#include <sys/socket.h>
#include <sys/un.h>

#define OUT_CAP ((size_t)MILLION_WINDOW_MAX * (MILLION_SIZE_MAX + 256))
#define IN_CAP ((size_t)1 << 20)

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

void million_conn_uri(uint64_t i, char ret_uri[static MILLION_URI_MAX])
{
	(void)snprintf(ret_uri, MILLION_URI_MAX, "/million/%02x/%010llx", (unsigned)(mix(i) & 0xff), (unsigned long long)i);
}

void million_conn_bytes(uint64_t i, size_t size, uint8_t *ret_bytes)
{
	uint64_t word = 0;

	for (size_t at = 0; at < size; at++) {
		if (at % 8 == 0)
			word = mix(i * 1009 + at);
		ret_bytes[at] = (uint8_t)(word >> (at % 8 * 8));
	}
}

/* ---------------------------------------------------------------- bytes */

static int send_all(const struct million_conn *c, const uint8_t *p, size_t len)
{
	while (len > 0) {
		ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -OBJM_STATUS_GONE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* More bytes behind the *len that are there. */
static int recv_more(const struct million_conn *c, size_t *len)
{
	ssize_t n;

	do
		n = recv(c->fd, c->in + *len, IN_CAP - *len, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -OBJM_STATUS_GONE;
	*len += (size_t)n;
	return 0;
}

static int greet(struct million_conn *c)
{
	struct om_proto_hello hello = {.caps = OM_PROTO_CAP_OOO | OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_EXTENSION};
	struct om_proto_out out;
	size_t len = 0, need;
	int n = om_proto_hello_encode(&hello, c->out, OUT_CAP);

	if (n < 0 || send_all(c, c->out, (size_t)n) < 0)
		return -OBJM_STATUS_GONE;
	while ((n = om_proto_out_decode(OM_PROTO_V2, false, 0, c->in, len, &out, &need)) == 0)
		if (recv_more(c, &len) < 0)
			return -OBJM_STATUS_GONE;
	return n > 0 && (out.u.hello.caps & OM_PROTO_CAP_EXTENSION) ? 0 : -OBJM_STATUS_PROTO_CAPABILITY;
}

int million_conn_open(const char *socket_path, struct million_conn *ret)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct million_conn c = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .out = malloc(OUT_CAP), .in = malloc(IN_CAP)};
	int rc;

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
	if (c.fd < 0 || !c.out || !c.in || connect(c.fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		rc = -OBJM_STATUS_UNAVAILABLE;
	else
		rc = greet(&c);
	if (rc < 0)
		million_conn_close(&c);
	else
		*ret = c;
	return rc;
}

void million_conn_close(struct million_conn *c)
{
	om_close(&c->fd);
	free(OM_TAKE_PTR(c->out));
	free(OM_TAKE_PTR(c->in));
}

/* ---------------------------------------------------------------- a window of changes */

struct window {
	const struct million_change *what;
	uint64_t first;
	unsigned n, left;
	bool again[MILLION_WINDOW_MAX]; /* TRY_AGAIN: to be sent once more */
	uint64_t sent_ns;
	uint32_t *us;
};

static int encode_one(struct om_proto_wr *wr, const struct window *win, unsigned k)
{
	const struct million_change *what = win->what;
	bool put = what->op == OM_PROTO_OP_PUT_INLINE;
	char uri[MILLION_URI_MAX];
	struct om_proto_ext ext = {.op = what->op, .id = k, .payload_len = put ? what->size : 0};
	struct om_proto_body body = {.have = OM_PROTO_BIT(URI), .put_flags = what->put_flags};
	int n;

	million_conn_uri(win->first + k, uri);
	body.uri = (struct om_proto_str){.p = uri, .len = (uint32_t)strlen(uri)};
	if (put)
		body.have |= OM_PROTO_BIT(PUT_FLAGS);
	n = om_proto_ext_encode(wr, &ext, &body);
	if (n < 0 || wr->cap - wr->len < ext.payload_len)
		return -OBJM_STATUS_TOO_LARGE;
	million_conn_bytes(win->first + k, (size_t)ext.payload_len, wr->buf + wr->len);
	wr->len += (size_t)ext.payload_len;
	return 0;
}

static int send_window(struct million_conn *c, struct window *win)
{
	struct om_proto_wr wr;

	om_proto_wr_init(&wr, c->out, OUT_CAP);
	for (unsigned k = 0; k < win->n; k++)
		if (win->again[k] && encode_one(&wr, win, k) < 0)
			return -OBJM_STATUS_TOO_LARGE;
	win->sent_ns = om_now_ns();
	return send_all(c, c->out, wr.len);
}

static int take_answer(struct million_conn *c, struct window *win, const struct om_proto_out *out, unsigned *awaited)
{
	const struct om_proto_ext *ext = &out->u.ext;

	if (out->kind != OM_PROTO_OUT_EXT || ext->id >= win->n || !win->again[ext->id] || (ext->flags & OM_PROTO_F_MORE))
		return -OBJM_STATUS_PROTO_ERROR;
	(*awaited)--;
	if (ext->status == OBJM_STATUS_TRY_AGAIN) {
		c->retries++;
		return 0;
	}
	win->again[ext->id] = false;
	win->left--;
	win->us[ext->id] = (uint32_t)((om_now_ns() - win->sent_ns) / 1000);
	return -(int)ext->status;
}

/* Answers to all that was sent. The first error is kept, the others are still read. */
static int recv_window(struct million_conn *c, struct window *win)
{
	unsigned awaited = win->left;
	size_t len = 0, at = 0, need;
	int err = 0;

	while (awaited > 0) {
		struct om_proto_out out;
		int n = om_proto_out_decode(OM_PROTO_V2, true, OM_PROTO_CAP_EXTENSION, c->in + at, len - at, &out, &need);

		if (n < 0)
			return n;
		if (n == 0) {
			memmove(c->in, c->in + at, len - at);
			len -= at;
			at = 0;
			if (recv_more(c, &len) < 0)
				return -OBJM_STATUS_GONE;
			continue;
		}
		n += (int)out.u.ext.payload_len; /* 0: neither operation answers with one */
		at += (size_t)n;
		int rc = take_answer(c, win, &out, &awaited);
		if (rc == -OBJM_STATUS_PROTO_ERROR)
			return rc;
		err = err ? err : rc;
	}
	return err;
}

int million_conn_change(struct million_conn *c, const struct million_change *what, uint64_t first, unsigned n, uint32_t *ret_us)
{
	struct window win = {.what = what, .first = first, .n = n, .left = n, .us = ret_us};
	int rc = 0;

	for (unsigned k = 0; k < n; k++)
		win.again[k] = true;
	while (rc == 0 && win.left > 0) {
		rc = send_window(c, &win);
		if (rc == 0)
			rc = recv_window(c, &win);
	}
	return rc;
}
