/*
 * objm_conn.c: the client's half of a connection: single messages of versions 1 and 2, blocking.
 *
 * Runs in clients. struct objm_connection over an objm_io; messages are told apart by the codec, what follows their
 * headers
 * (descriptor byte, content, segments) is read here. objm_server.c has the other half.
 */
#include "client/objm_coded.h"
#include "client/objm_priv.h"

#define CONTENT_DEFAULT_MAX (256u << 20)
#define SINK_STEP 65536u
#define CONTENT_STEP (1u << 20) /* content is believed in steps: a length alone makes nobody allocate */

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

void objm_response_free(objm_response_t *resp)
{
	size_t i;

	if (!resp)
		return;
	om_close(&resp->fd);
	for (i = 0; i < resp->segment_count; i++)
		om_close(&resp->segments[i].fd);
	free(resp->segments);
	free(resp->content);
	free(resp->metadata);
	free(resp->error_msg);
	free(resp);
}

/* A copy with a NUL behind it, which does not count. */
static void *copy_text(const void *p, size_t n)
{
	char *s = malloc(n + 1);

	if (!s)
		return NULL;
	if (n)
		memcpy(s, p, n);
	s[n] = '\0';
	return s;
}

static int take_metadata(objm_response_t *resp, const uint8_t *meta, size_t len)
{
	struct om_proto_meta m;
	size_t pos = 0;

	if (len == 0)
		return 0;
	resp->metadata = copy_text(meta, len);
	if (!resp->metadata)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	resp->metadata_len = (uint16_t)len;
	while (!resp->error_msg && om_proto_meta_next(meta, len, &pos, &m) > 0) {
		if (m.type != OM_PROTO_META_ERROR)
			continue;
		resp->error_msg = copy_text(m.data, m.len);
		if (!resp->error_msg)
			return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	return 0;
}

/* Read `len` bytes of content to new memory that grows as they come. */
static int read_content(objm_connection_t *conn, uint64_t len, void **ret_content)
{
	OM_AUTO_FREE uint8_t *buf = NULL;
	uint64_t done = 0, step;
	uint8_t *p;
	int r;

	if (len > conn->max_content || len >= SIZE_MAX)
		return -OBJM_STATUS_TOO_LARGE;
	do {
		step = OM_MIN(len - done, OM_MAX(done, (uint64_t)CONTENT_STEP));
		p = realloc(buf, (size_t)(done + step + 1));
		if (!p)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		buf = p;
		r = objm_io_read(&conn->io, buf + done, step);
		if (r < 0)
			return r;
		done += step;
	} while (done < len);
	buf[len] = '\0';
	*ret_content = OM_TAKE_PTR(buf);
	return 0;
}

/* Read `len` bytes of content and write them to the sink as they come. */
static int sink_content(objm_connection_t *conn, uint64_t len)
{
	uint8_t buf[SINK_STEP];
	int r = 0;

	while (r == 0 && len > 0) {
		size_t n = (size_t)OM_MIN(len, (uint64_t)sizeof(buf));

		r = objm_io_read(&conn->io, buf, n);
		if (r == 0)
			r = objm_write_all(conn->sink, buf, n);
		len -= n;
	}
	return r;
}

/*
 * The descriptor byte and its descriptor. A byte without one is an empty object over a transport that has none; a
 * descriptor that this process had no room for is an error.
 */
static int read_fd(objm_connection_t *conn, int *ret_fd)
{
	uint8_t byte;
	int r;

	r = objm_io_read(&conn->io, &byte, 1);
	if (r < 0)
		return r;
	if (byte != OM_PROTO_FD_BYTE)
		return -OBJM_STATUS_PROTO_ERROR;
	r = objm_io_take_fd(&conn->io, ret_fd);
	return r == -OBJM_STATUS_PROTO_ERROR ? 0 : r;
}

/* How the content comes: enum om_proto_coding, or something else, which is refused. */
static uint8_t coding_of(const objm_connection_t *conn, const objm_response_t *resp)
{
	struct om_proto_meta m;
	size_t pos = 0;

	if (!(conn->agreed.caps & OM_PROTO_CAP_COMPRESSION) || !resp->metadata)
		return OM_PROTO_CODING_NONE;
	while (om_proto_meta_next(resp->metadata, resp->metadata_len, &pos, &m) > 0)
		if (m.type == OM_PROTO_META_CODING && m.len == 1)
			return m.data[0];
	return OM_PROTO_CODING_NONE;
}

int objm_write_all(int fd, const void *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -OBJM_STATUS_SYSTEM;
		p = (const uint8_t *)p + k;
		n -= (size_t)k;
	}
	return 0;
}

static int read_plain(objm_connection_t *conn, objm_response_t *resp)
{
	uint8_t coding = coding_of(conn, resp);

	if (om_proto_resp_fd(resp->status, resp->content_len))
		return read_fd(conn, &resp->fd);
	if (resp->content_len == 0)
		return 0;
	if (coding && conn->sink < 0 && resp->content_len > conn->max_content)
		return -OBJM_STATUS_TOO_LARGE;
	if (coding)
		return objm_coded_read(&conn->io, coding, resp->content_len, conn->sink, &resp->content);
	if (conn->sink >= 0)
		return sink_content(conn, resp->content_len);
	return read_content(conn, resp->content_len, &resp->content);
}

/* Segment headers, checked by the codec. */
static int take_segments(objm_connection_t *conn, objm_response_t *resp, const uint8_t *segs, size_t count)
{
	struct om_proto_seg s;
	uint64_t inline_bytes = 0;
	size_t i;

	if (count == 0)
		return 0;
	resp->segments = calloc(count, sizeof(*resp->segments));
	if (!resp->segments)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (i = 0; i < count; i++) {
		if (om_proto_seg_decode(segs + i * OM_PROTO_SEG_HDR, OM_PROTO_SEG_HDR, &s) < 0)
			return -OBJM_STATUS_PROTO_ERROR;
		resp->segments[i] = (objm_segment_t){.type = s.type,
						     .flags = s.flags,
						     .fd = -1,
						     .copy_length = s.copy_len,
						     .logical_length = s.logical_len,
						     .storage_offset = s.storage_off,
						     .storage_length = s.storage_len};
		resp->segment_count = i + 1;
		if (s.type == OM_PROTO_SEG_INLINE)
			inline_bytes += s.copy_len; /* at most 64 times 4 GiB: no overflow */
	}
	resp->content_len = inline_bytes;
	return inline_bytes > conn->max_content ? -OBJM_STATUS_TOO_LARGE : 0;
}

/* What follows the segment headers: inline bytes in order, then the descriptor bytes. */
static int read_segments(objm_connection_t *conn, objm_response_t *resp)
{
	uint8_t *data;
	size_t i;
	int r;

	if (resp->content_len > 0) {
		r = read_content(conn, resp->content_len, &resp->content);
		if (r < 0)
			return r;
	}
	data = resp->content;
	for (i = 0; i < resp->segment_count; i++) {
		if (resp->segments[i].type != OBJM_SEG_INLINE)
			continue;
		resp->segments[i].data = data;
		if (data)
			data += resp->segments[i].copy_length;
	}
	for (i = 0; i < resp->segment_count; i++) {
		if (resp->segments[i].type == OBJM_SEG_INLINE || (resp->segments[i].flags & OBJM_SEG_REUSE_FD))
			continue;
		r = read_fd(conn, &resp->segments[i].fd);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A RESPONSE or SEGMENTED message of `n` bytes: header and metadata are copied before the buffer moves on. */
static int take_response(objm_connection_t *conn, const struct om_proto_out *out, int n, objm_response_t *resp)
{
	int r;

	resp->fd = -1;
	if (out->kind == OM_PROTO_OUT_RESPONSE) {
		resp->request_id = conn->version == OBJM_PROTO_V1 ? conn->v1_received++ : out->u.resp.id;
		resp->status = out->u.resp.status;
		resp->content_len = out->u.resp.content_len;
		r = take_metadata(resp, out->meta, out->u.resp.meta_len);
		objm_io_consume(&conn->io, (size_t)n);
		return r < 0 ? r : read_plain(conn, resp);
	}
	resp->request_id = out->u.seg.id;
	resp->status = out->u.seg.status;
	r = take_metadata(resp, out->meta, out->u.seg.meta_len);
	if (r == 0)
		r = take_segments(conn, resp, out->segs, out->u.seg.segs);
	objm_io_consume(&conn->io, (size_t)n);
	return r < 0 ? r : read_segments(conn, resp);
}

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
			r = take_response(conn, &out, n, resp);
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

/* ---------------------------------------------------------------- metadata */

bool objm_metadata_next(const void *metadata, size_t len, size_t *pos, uint8_t *ret_type, const void **ret_data,
			size_t *ret_len)
{
	struct om_proto_meta m;

	if (!metadata || om_proto_meta_next(metadata, len, pos, &m) <= 0)
		return false;
	*ret_type = m.type;
	*ret_data = m.data;
	*ret_len = m.len;
	return true;
}

/* Bytes of a number entry; 0: the type is none. */
static size_t number_width(uint8_t type)
{
	switch (type) {
	case OM_PROTO_META_SIZE:
	case OM_PROTO_META_MTIME:
		return 8;
	case OM_PROTO_META_LATENCY_US:
		return 4;
	case OM_PROTO_META_BACKEND:
		return 1;
	default:
		return 0;
	}
}

bool objm_metadata_number(const void *metadata, size_t len, uint8_t type, uint64_t *ret_value)
{
	struct om_proto_meta m;
	size_t pos = 0;

	while (metadata && om_proto_meta_next(metadata, len, &pos, &m) > 0) {
		if (m.type != type || m.len == 0 || m.len != number_width(type))
			continue;
		*ret_value = om_proto_meta_num(&m);
		return true;
	}
	return false;
}

int objm_metadata_put(void *metadata, size_t cap, size_t *len, uint8_t type, const void *data, size_t data_len)
{
	struct om_proto_wr wr;

	om_proto_wr_init(&wr, metadata, OM_MIN(cap, (size_t)OM_PROTO_META_MAX));
	wr.len = *len;
	if (wr.len > wr.cap)
		return -OBJM_STATUS_TOO_LARGE;
	om_proto_meta_put(&wr, type, data, data_len);
	if (wr.err)
		return wr.err;
	*len = wr.len;
	return 0;
}

int objm_metadata_put_number(void *metadata, size_t cap, size_t *len, uint8_t type, uint64_t value)
{
	size_t width = number_width(type), i;
	uint8_t b[8];

	if (width == 0)
		return -OBJM_STATUS_INVALID_REQUEST;
	for (i = 0; i < width; i++)
		b[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
	return objm_metadata_put(metadata, cap, len, type, b, width);
}
