/*
 * objm_exchange.c: one request and its answer, once.
 *
 * Runs in clients. Builds the frame, sends it, hands each frame of the answer to the request's handler. One request is under way
 * at a time, so whatever else arrives belongs to nobody: the connection is given up. Called by objm_call.c.
 */
#include "client/objm_priv.h"

/* Build the frame of a request in s->tx: its length, or a negative status. */
static int build(objm_t *s, const struct objm_req *req)
{
	struct om_proto_ext ext = {
		.op = req->op, .flags = req->flags, .id = s->next_id, .payload_len = req->payload_len};
	struct om_proto_wr wr;
	size_t at, want = 16384;
	uint8_t *p;
	int n;

	for (;;) {
		if (s->tx_cap < want) {
			p = realloc(s->tx, want);
			if (!p)
				return objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "%s: out of memory",
						 om_proto_op_name(req->op));
			s->tx = p;
			s->tx_cap = want;
		}
		om_proto_wr_init(&wr, s->tx, s->tx_cap);
		at = om_proto_ext_open(&wr);
		om_proto_uris_put(&wr, req->uris, req->uris_count);
		om_proto_body_put(&wr, &req->body);
		n = om_proto_ext_close(&wr, at, &ext);
		if (n != -OBJM_STATUS_TOO_LARGE || want >= OM_PROTO_MSG_MAX)
			break;
		want *= 4;
	}
	if (n < 0)
		return objm_fail(s, n, "%s: the request does not fit the protocol's limits", om_proto_op_name(req->op));
	return n;
}

/* Descriptors of a frame, from the queue. 0; -LIMIT_EXCEEDED: lost here; -PROTO_ERROR: never came. */
static int frame_fds(objm_t *s, const struct om_proto_ext *ext, int fds[OBJM_IO_FDS_MSG])
{
	unsigned i;
	int r;

	for (i = 0; i < ext->nfds; i++) {
		r = objm_io_take_fd(&s->io, &fds[i]);
		if (r < 0) {
			while (i > 0)
				(void)close(fds[--i]);
			return r;
		}
	}
	return 0;
}

/* Hand a frame to its handler; what the handler leaves of the descriptors is closed. */
static int deliver(objm_t *s, struct objm_req *req, const struct om_proto_ext *ext)
{
	int fds[OBJM_IO_FDS_MSG];
	struct om_proto_body body;
	struct objm_frame f = {.ext = ext, .body = &body, .fds = fds, .nfds = ext->nfds};
	unsigned i;
	int r, call = 0;

	r = om_proto_resp_body_decode(ext, &body);
	if (r < 0)
		return r;
	f.status = -(int)ext->status;
	r = frame_fds(s, ext, fds);
	if (r == -OBJM_STATUS_PROTO_ERROR)
		return r;
	if (r < 0) {
		f.status = r;
		f.nfds = 0;
		(void)objm_fail(s, r, "%s: a descriptor was received and lost: this process has no free one (ulimit -n)",
				om_proto_op_name(req->op));
	} else if (f.status < 0) {
		(void)objm_fail_status(s, req, f.status, (body.have & OM_PROTO_BIT(ERROR_TEXT)) ? &body.error_text : NULL);
	}
	if (req->frame)
		call = req->frame(req->arg, &f);
	for (i = 0; i < f.nfds; i++)
		om_close(&fds[i]);
	if (call < 0)
		return call;
	return req->many ? 0 : f.status;
}

/* Broken beyond this request: the stream cannot be followed, or nothing came. */
static bool broken(int r)
{
	return r == -OBJM_STATUS_GONE || r == -OBJM_STATUS_SYSTEM || r == -OBJM_STATUS_PROTO_ERROR ||
	       r == -OBJM_STATUS_PROTO_CAPABILITY || r == -OBJM_STATUS_OUT_OF_MEMORY;
}

/*
 * The short way: answers that are an object and its descriptor and no more, as nearly all of a GET's are. 0: the next one is
 * something else, or has not come yet; else as objm_req.object.
 */
static int receive_objects(objm_t *s, struct objm_req *req, uint32_t id, bool *more)
{
	const uint8_t *obj;
	uint16_t flags;
	int index, fd, r = 0;
	size_t n;

	while (r == 0 && *more && s->io.fd_count > 0) {
		n = om_proto_get_answer_read(objm_io_at(&s->io), objm_io_avail(&s->io), id, &flags, &index, &obj);
		if (n == 0)
			break;
		(void)objm_io_take_fd(&s->io, &fd); /* there is one */
		*more = flags & OM_PROTO_F_MORE;
		s->st.responses++;
		r = req->object(req->arg, index, obj, fd);
		objm_io_consume(&s->io, n);
	}
	return r;
}

/*
 * Receive the frames of one answer. *ret_whole: the answer came to its end, so the connection can go on, whatever the
 * result. The first negative status is the result.
 */
static int receive(objm_t *s, struct objm_req *req, uint32_t id, bool *ret_whole)
{
	struct om_proto_out out;
	int n, r, result = 0;
	bool more = true;

	while (more) {
		r = req->object ? receive_objects(s, req, id, &more) : 0;
		if (r < 0)
			return r;
		if (!more)
			break;
		n = objm_next_message(s, true, &out);
		if (n < 0)
			return n;
		if (out.kind == OM_PROTO_OUT_CLOSE || out.kind == OM_PROTO_OUT_CLOSE_ACK) {
			/* The server goes: what it still owes us comes before the end of the stream. */
			s->leaving = true;
			objm_io_consume(&s->io, (size_t)n);
			continue;
		}
		if (out.kind != OM_PROTO_OUT_EXT || out.u.ext.id != id ||
		    out.u.ext.op != (req->op | OM_PROTO_OP_RESPONSE))
			return -OBJM_STATUS_PROTO_ERROR;
		more = out.u.ext.flags & OM_PROTO_F_MORE;
		s->st.responses++;
		r = deliver(s, req, &out.u.ext);
		if (r < 0 && result == 0)
			result = r;
		if (broken(r) && -r != out.u.ext.status)
			return r;
		objm_io_consume(&s->io, (size_t)n);
		r = objm_io_read(&s->io, NULL, out.u.ext.payload_len); /* no request of ours asks for any */
		if (r < 0)
			return r;
	}
	*ret_whole = true;
	return result;
}

int objm_exchange(objm_t *s, struct objm_req *req, bool *ret_sent)
{
	struct iovec iov[2];
	struct om_proto_str text;
	uint32_t id = s->next_id;
	bool whole = false;
	int n, r;

	*ret_sent = false;
	req->conn_lost = false;
	req->try_no++;
	n = build(s, req);
	if (n < 0)
		return n;
	s->next_id++;
	iov[0] = (struct iovec){.iov_base = s->tx, .iov_len = (size_t)n};
	iov[1] = (struct iovec){.iov_base = (void *)req->payload, .iov_len = req->payload_len};
	s->st.requests++;
	r = objm_io_send(&s->io, iov, 2, NULL, 0);
	if (r == 0) {
		*ret_sent = true;
		r = receive(s, req, id, &whole);
	}
	if (whole) {
		objm_io_settled(&s->io);
		return r;
	}
	/* The answer may still come, or half of it has: this connection has no future. */
	text = (struct om_proto_str){r == -OBJM_STATUS_SYSTEM ? strerror(errno) : "", 0};
	text.len = (uint32_t)strlen(text.p);
	(void)objm_fail_status(s, req, r, &text);
	req->conn_lost = r == -OBJM_STATUS_GONE || r == -OBJM_STATUS_SYSTEM;
	objm_disconnect(s);
	return r;
}
