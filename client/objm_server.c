/*
 * objm_server.c: the server's half of a connection: requests in, responses out, versions 1 and 2, blocking.
 *
 * Runs in servers that others build with the library (objmapper's own workers use the codec directly). Same structure
 * as the client's half: struct objm_connection. Every descriptor leaves as the only one of a message of its own,
 * because
 * existing clients read headers with read(2), which throws descriptors away.
 */
#include "client/objm_priv.h"

#include <fcntl.h>

#define SERVER_CAPS (OBJM_CAP_OOO_REPLIES | OBJM_CAP_PIPELINING) /* what this half can keep */

objm_connection_t *objm_server_create(int sock, int version) { return objm_connection_new(sock, version, true); }
void objm_server_destroy(objm_connection_t *conn) { objm_connection_free(conn); }

/*
 * Receive until the codec has a whole message: its length (not yet consumed), 1 in *ret_done at an orderly end of
 * file.
 */
static int next_message(objm_connection_t *conn, struct om_proto_in *ret_in, bool *ret_done)
{
	size_t need = 1;
	int n, r;

	*ret_done = false;
	for (;;) {
		if (conn->version == 0 && objm_io_avail(&conn->io) > 0) {
			r = om_proto_first(*objm_io_at(&conn->io));
			if (r < 0)
				return r;
			conn->version = r;
		}
		n = 0;
		if (conn->version != 0)
			n = om_proto_in_decode(conn->version, conn->greeted, 0, 0, objm_io_at(&conn->io),
					       objm_io_avail(&conn->io), ret_in, &need);
		if (n != 0)
			return n;
		r = objm_io_need(&conn->io, need);
		if (r == -OBJM_STATUS_GONE && objm_io_avail(&conn->io) == 0) {
			conn->peer_done = true;
			*ret_done = true;
			return 0;
		}
		if (r < 0)
			return r;
	}
}

static int send_vec(objm_connection_t *conn, struct iovec *iov, unsigned count, const int *fd)
{
	return objm_io_send(&conn->io, iov, count, fd, fd ? 1 : 0);
}

static int send_bytes(objm_connection_t *conn, const void *p, int n)
{
	struct iovec iov = {.iov_base = (void *)p, .iov_len = (size_t)OM_MAX(n, 0)};

	return n < 0 ? n : send_vec(conn, &iov, 1, NULL);
}

/* ---------------------------------------------------------------- handshake */

static int answer_hello(objm_connection_t *conn, const struct om_proto_hello *theirs, const objm_hello_t *own)
{
	uint8_t buf[OM_PROTO_HELLO_ACK_LEN];
	struct om_proto_hello ack = {.caps = theirs->caps & own->capabilities & SERVER_CAPS,
				     .max_pipeline = theirs->max_pipeline,
				     .parallelism = own->backend_parallelism};
	int r;

	/* 0 means "no limit of mine": the smaller of two is then the other. */
	if (ack.max_pipeline == 0 || (own->max_pipeline != 0 && own->max_pipeline < ack.max_pipeline))
		ack.max_pipeline = own->max_pipeline;
	r = send_bytes(conn, buf, om_proto_hello_ack_encode(&ack, buf, sizeof(buf)));
	if (r < 0)
		return r;
	conn->greeted = true;
	conn->agreed = ack;
	return 0;
}

int objm_server_hello(objm_connection_t *conn, const objm_hello_t *own, objm_hello_t *ret_agreed)
{
	static const objm_hello_t standard = {.capabilities = SERVER_CAPS, .max_pipeline = 0, .backend_parallelism = 1};
	struct om_proto_in in;
	bool done;
	int n, r;

	if (!conn->server || conn->greeted)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (conn->version == OBJM_PROTO_V1)
		return 0;
	objm_io_deadline(&conn->io, conn->timeout_ms);
	if (conn->version == 0) {
		/* The first byte has to come, whatever it begins. */
		r = objm_io_need(&conn->io, 1);
		if (r == -OBJM_STATUS_GONE)
			return 1;
		if (r < 0)
			return r;
		conn->version = om_proto_first(*objm_io_at(&conn->io));
		if (conn->version < 0) {
			conn->version = 0;
			return -OBJM_STATUS_PROTO_ERROR;
		}
		if (conn->version == OBJM_PROTO_V1)
			return 0;
	}
	n = next_message(conn, &in, &done);
	if (n < 0 || done)
		return done ? 1 : n;
	objm_io_consume(&conn->io, (size_t)n);
	r = answer_hello(conn, &in.u.hello, own ? own : &standard);
	if (r == 0 && ret_agreed)
		*ret_agreed = (objm_hello_t){.capabilities = conn->agreed.caps,
					     .max_pipeline = conn->agreed.max_pipeline,
					     .backend_parallelism = conn->agreed.parallelism};
	return r;
}

/* ---------------------------------------------------------------- requests */

void objm_request_free(objm_request_t *req) { free(req); } /* the URI lies behind it */

static int request_new(const struct om_proto_req *r, uint32_t id, objm_request_t **ret_req)
{
	objm_request_t *req = malloc(sizeof(*req) + r->uri_len + 1u);
	char *uri;

	if (!req)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	uri = (char *)(req + 1);
	memcpy(uri, r->uri, r->uri_len);
	uri[r->uri_len] = '\0';
	*req = (objm_request_t){
		.id = id, .flags = r->flags, .mode = (char)r->mode, .uri = uri, .uri_len = r->uri_len};
	*ret_req = req;
	return 0;
}

/* Answer what the protocol itself refuses. */
static int refuse(objm_connection_t *conn, const struct om_proto_req *r, uint32_t id)
{
	int e = r->skip ? objm_io_read(&conn->io, NULL, r->skip) : 0;

	return e < 0 ? e : objm_server_send_error(conn, id, r->status, NULL);
}

int objm_server_recv_request(objm_connection_t *conn, objm_request_t **ret_req)
{
	struct om_proto_in in;
	uint32_t id;
	bool done;
	int n, r;

	if (!conn->server)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (conn->peer_done)
		return 1;
	/* Without a handshake of its own the server offers the standard one. */
	if (!conn->greeted) {
		r = objm_server_hello(conn, NULL, NULL);
		if (r != 0)
			return r;
	}
	objm_io_deadline(&conn->io, conn->timeout_ms);
	for (;;) {
		n = next_message(conn, &in, &done);
		if (n < 0 || done)
			return done ? 1 : n;
		if (in.kind == OM_PROTO_IN_CLOSE) {
			objm_io_consume(&conn->io, (size_t)n);
			conn->peer_done = true;
			return 1;
		}
		if (in.kind != OM_PROTO_IN_REQUEST) { /* CLOSE_ACK to a CLOSE of ours */
			objm_io_consume(&conn->io, (size_t)n);
			continue;
		}
		id = conn->version == OBJM_PROTO_V1 ? conn->v1_received++ : in.u.req.id;
		r = in.u.req.status == OBJM_STATUS_OK ? request_new(&in.u.req, id, ret_req) : 1;
		objm_io_consume(&conn->io, (size_t)n);
		if (r <= 0)
			return r;
		r = refuse(conn, &in.u.req, id);
		if (r < 0)
			return r;
	}
}

/* ---------------------------------------------------------------- responses */

static int send_header(objm_connection_t *conn, const objm_response_t *resp)
{
	struct om_proto_resp h = {.id = resp->request_id,
				  .status = objm_status_old(resp->status),
				  .content_len = resp->status == OBJM_STATUS_OK ? resp->content_len : 0,
				  .meta_len = resp->metadata ? resp->metadata_len : 0};
	uint8_t buf[OM_PROTO_V2_RESP_HDR];
	struct iovec iov[3];
	int n;

	if (conn->version == OBJM_PROTO_V1)
		n = om_proto_v1_resp_encode(&h, buf, sizeof(buf));
	else
		n = om_proto_v2_resp_encode(&h, buf, sizeof(buf));
	if (n < 0)
		return n;
	iov[0] = (struct iovec){.iov_base = buf, .iov_len = (size_t)n};
	iov[1] = (struct iovec){.iov_base = resp->metadata, .iov_len = h.meta_len};
	iov[2] = (struct iovec){.iov_base = resp->content, .iov_len = (size_t)h.content_len};
	return send_vec(conn, iov, OM_ARRAY_SIZE(iov), NULL);
}

static int send_fd(objm_connection_t *conn, int fd)
{
	uint8_t byte = OM_PROTO_FD_BYTE;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};

	return send_vec(conn, &iov, 1, &fd);
}

int objm_server_send_response(objm_connection_t *conn, const objm_response_t *resp)
{
	bool content = resp->status == OBJM_STATUS_OK && resp->content_len > 0;
	/* Elsewhere the member has no meaning, and 0 may stand in it because nobody set it. */
	OM_AUTO_FD fd = resp->status == OBJM_STATUS_OK && !content ? resp->fd : -1;
	int r;

	if (!conn->server || conn->version == 0 || (content && !resp->content))
		return -OBJM_STATUS_INVALID_REQUEST;
	if (resp->status == OBJM_STATUS_OK && !content && fd < 0) {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return -OBJM_STATUS_SYSTEM;
	}
	objm_io_deadline(&conn->io, conn->timeout_ms);
	r = send_header(conn, resp);
	if (r == 0 && resp->status == OBJM_STATUS_OK && !content)
		r = send_fd(conn, fd);
	return r;
}

int objm_server_send_error(objm_connection_t *conn, uint32_t request_id, uint8_t status, const char *msg)
{
	uint8_t buf[OM_PROTO_ERROR_RESP_MAX];

	if (!conn->server || conn->version == 0 || status == OBJM_STATUS_OK)
		return -OBJM_STATUS_INVALID_REQUEST;
	objm_io_deadline(&conn->io, conn->timeout_ms);
	return send_bytes(conn, buf,
			  om_proto_error_encode(conn->version, request_id, objm_status_old(status),
						msg ? msg : objm_status_text(status), buf, sizeof(buf)));
}

int objm_server_close_ack(objm_connection_t *conn, uint32_t outstanding)
{
	uint8_t buf[OM_PROTO_CLOSE_ACK_LEN];

	if (!conn->server || conn->version != OBJM_PROTO_V2)
		return -OBJM_STATUS_INVALID_REQUEST;
	objm_io_deadline(&conn->io, conn->timeout_ms);
	return send_bytes(conn, buf, om_proto_close_ack_encode(outstanding, buf, sizeof(buf)));
}

int objm_server_close(objm_connection_t *conn, int reason)
{
	uint8_t buf[OM_PROTO_CLOSE_LEN];

	if (!conn->server || conn->version != OBJM_PROTO_V2 || reason < 0 || reason > UINT8_MAX)
		return -OBJM_STATUS_INVALID_REQUEST;
	objm_io_deadline(&conn->io, conn->timeout_ms);
	return send_bytes(conn, buf, om_proto_close_encode((uint8_t)reason, buf, sizeof(buf)));
}
