/*
 * objm_response.c: what follows the header of a response of versions 1 and 2: metadata, descriptor byte, content, segments.
 *
 * Runs in clients, for objm_conn.c. What a server says is not believed: lengths are bounded, and memory grows with what comes.
 */
#include "client/objm_coded.h"
#include "client/objm_priv.h"

#define SINK_STEP 65536u
#define CONTENT_STEP (1u << 20) /* content is believed in steps: a length alone makes nobody allocate */

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
int objm_take_response(objm_connection_t *conn, const struct om_proto_out *out, int n, objm_response_t *resp)
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
