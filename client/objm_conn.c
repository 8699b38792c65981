/*
 * objm_conn.c: the client's half of a connection: single messages of versions 1 and 2, blocking.
 *
 * Runs in clients. struct objm_connection over an objm_io; messages are told apart by the codec, objm_response.c reads what
 * follows their headers. objm_server.c has the other half.
 */
#include "client/objm_coded.h"
#include "client/objm_priv.h"

#define CONTENT_DEFAULT_MAX (256u << 20)

objm_connection_t *objm_connection_new(int sock, int version, bool server)
{
	objm_connection_t *conn;

	if (version != OBJM_PROTO_V1 && version != OBJM_PROTO_V2 && !(server && version == 0))
		return NULL;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return NULL;
	objm_io_init(&conn->io, sock);
	conn->version = version;
	conn->server = server;
	conn->max_content = CONTENT_DEFAULT_MAX;
	conn->sink = -1;
	return conn;
}

void objm_connection_free(objm_connection_t *conn)
{
	if (!conn)
		return;
	objm_io_fini(&conn->io);
	free(conn);
}

objm_connection_t *objm_client_create(int sock, int version) { return objm_connection_new(sock, version, false); }
void objm_client_destroy(objm_connection_t *conn) { objm_connection_free(conn); }
void objm_connection_timeout(objm_connection_t *conn, uint32_t timeout_ms) { conn->timeout_ms = timeout_ms; }
void objm_connection_limit(objm_connection_t *conn, uint64_t max_content) { conn->max_content = max_content; }
int objm_connection_version(const objm_connection_t *conn) { return conn->version; }

/* ---------------------------------------------------------------- messages */

static int send_bytes(objm_connection_t *conn, const void *p, size_t n)
{
	struct iovec iov = {.iov_base = (void *)p, .iov_len = n};

	return objm_io_send(&conn->io, &iov, 1, NULL, 0);
}

/*
 * The next message of the server, with everything that the codec wants to see at once. Its length is still to be
 * consumed.
 */
static int next_message(objm_connection_t *conn, struct om_proto_out *ret_out)
{
	size_t need = 1;
	int n, r;

	for (;;) {
		n = om_proto_out_decode(conn->version, conn->greeted, conn->agreed.caps, objm_io_at(&conn->io),
					objm_io_avail(&conn->io), ret_out, &need);
		if (n != 0)
			return n;
		r = objm_io_need(&conn->io, need);
		if (r < 0)
			return r;
	}
}

int objm_client_hello(objm_connection_t *conn, const objm_hello_t *hello, objm_hello_t *ret_agreed)
{
	struct om_proto_hello want = {0};
	uint8_t buf[OM_PROTO_HELLO_LEN];
	struct om_proto_out out;
	int n;

	if (conn->version != OBJM_PROTO_V2 || conn->server || conn->greeted)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (hello) {
		want.caps = hello->capabilities & (uint16_t)~OBJM_CAP_EXTENSION;
		want.caps &= (uint16_t)~OM_PROTO_CAP_COMPRESSION | OBJM_CODED_CAP;
		if (want.caps & OM_PROTO_CAP_COMPRESSION)
			want.caps |= OM_PROTO_CAP_EXTENSION; /* it is granted with it alone; no frame of it is sent or taken */
		want.max_pipeline = hello->max_pipeline;
	}
	objm_io_deadline(&conn->io, conn->timeout_ms);
	n = om_proto_hello_encode(&want, buf, sizeof(buf));
	if (n > 0)
		n = send_bytes(conn, buf, (size_t)n);
	if (n == 0)
		n = next_message(conn, &out);
	if (n < 0)
		return n;
	objm_io_consume(&conn->io, (size_t)n);
	conn->greeted = true;
	conn->agreed = out.u.hello;
	conn->agreed.caps &= want.caps & (uint16_t)~OM_PROTO_CAP_EXTENSION; /* nor does what we did not ask for, whatever the server says */
	if (ret_agreed)
		*ret_agreed = (objm_hello_t){.capabilities = conn->agreed.caps,
					     .max_pipeline = conn->agreed.max_pipeline,
					     .backend_parallelism = conn->agreed.parallelism};
	return 0;
}

int objm_client_send_request(objm_connection_t *conn, const objm_request_t *req)
{
	struct om_proto_req r = {
		.id = req->id, .flags = req->flags, .mode = (uint8_t)req->mode, .uri = req->uri, .uri_len = 0};
	uint8_t buf[OM_PROTO_V2_REQ_HDR + OM_URI_MAX];
	int n;

	if (conn->server || !req->uri || req->uri_len == 0 || om_proto_first(r.mode) != OM_PROTO_V1)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (req->uri_len > OM_URI_MAX)
		return -OBJM_STATUS_URI_TOO_LONG;
	if (conn->version == OBJM_PROTO_V2 && !conn->greeted)
		return -OBJM_STATUS_INVALID_REQUEST;
	r.uri_len = (uint16_t)req->uri_len;
	if (conn->version == OBJM_PROTO_V1)
		n = om_proto_v1_req_encode(&r, buf, sizeof(buf));
	else
		n = om_proto_v2_req_encode(&r, buf, sizeof(buf));
	if (n < 0)
		return n;
	objm_io_deadline(&conn->io, conn->timeout_ms);
	n = send_bytes(conn, buf, (size_t)n);
	if (n == 0)
		conn->v1_sent++;
	return n;
}

/* ---------------------------------------------------------------- responses */

/* The next response, or 1 for CLOSE_ACK. A CLOSE of the server is noted; what it still owes keeps coming. */
static int next_response(objm_connection_t *conn, objm_response_t **ret_resp)
{
	objm_response_t *resp;
	struct om_proto_out out;
	int n, r;

	for (;;) {
		n = next_message(conn, &out);
		if (n < 0)
			return n;
		switch (out.kind) {
		case OM_PROTO_OUT_RESPONSE:
		case OM_PROTO_OUT_SEGMENTED:
			resp = calloc(1, sizeof(*resp));
			if (!resp)
				return -OBJM_STATUS_OUT_OF_MEMORY;
			r = objm_take_response(conn, &out, n, resp);
			if (r < 0)
				objm_response_free(resp);
			else
				*ret_resp = resp;
			return r;
		case OM_PROTO_OUT_CLOSE:
			conn->peer_done = true;
			objm_io_consume(&conn->io, (size_t)n);
			continue;
		case OM_PROTO_OUT_CLOSE_ACK:
			objm_io_consume(&conn->io, (size_t)n);
			return 1;
		default: /* a second HELLO_ACK or the extension: the codec lets neither through */
			return -OBJM_STATUS_PROTO_ERROR;
		}
	}
}

int objm_client_recv_response(objm_connection_t *conn, objm_response_t **ret_resp)
{
	int r;

	if (conn->server || (conn->version == OBJM_PROTO_V2 && !conn->greeted))
		return -OBJM_STATUS_INVALID_REQUEST;
	objm_io_deadline(&conn->io, conn->timeout_ms);
	r = next_response(conn, ret_resp);
	return r == 1 ? -OBJM_STATUS_PROTO_ERROR : r; /* an acknowledgement of what we did not send */
}

int objm_client_recv_response_fd(objm_connection_t *conn, int fd, objm_response_t **ret_resp)
{
	int r;

	conn->sink = fd;
	r = objm_client_recv_response(conn, ret_resp);
	conn->sink = -1;
	return r;
}

int objm_client_close(objm_connection_t *conn, int reason)
{
	uint8_t buf[OM_PROTO_CLOSE_LEN];
	objm_response_t *resp;
	int r;

	if (conn->server || reason < 0 || reason > UINT8_MAX)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (conn->version == OBJM_PROTO_V1 || !conn->greeted)
		return 0; /* nothing to say: closing the socket is all */
	objm_io_deadline(&conn->io, conn->timeout_ms);
	r = om_proto_close_encode((uint8_t)reason, buf, sizeof(buf));
	if (r > 0)
		r = send_bytes(conn, buf, (size_t)r);
	while (r == 0) {
		r = next_response(conn, &resp);
		if (r == 0)
			objm_response_free(resp);
	}
	return r == 1 ? 0 : r;
}
