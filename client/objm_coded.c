/*
 * objm_coded.c: content that comes compressed, as blocks (doc/protocol.md, 4.6).
 *
 * Runs in clients, for objm_response.c. What the server says is not believed: a block never gives more than is due of the object,
 * nor more than OM_PROTO_BLOCK_MAX from compressed bytes, whatever these say, and memory grows with what has come. Without
 * libzstd nothing is negotiated and nothing of this is reached.
 */
#include "client/objm_coded.h"

#if OM_HAVE_ZSTD
#include <zstd.h>

#define STEP (1u << 20) /* of bytes that come as they are: a length alone makes nobody allocate */

struct coded {
	struct objm_io *io;
	int sink;	/* -1: none */
	uint64_t total; /* bytes of the object that have come */
	uint8_t *buf;	/* those of them that are not in the sink */
	uint64_t done, cap;
	ZSTD_DCtx *zstd; /* made for the first block that needs it */
	uint8_t wire[OM_PROTO_BLOCK_MAX];
};

/* Room for `n` more bytes, and one. */
static int grow(struct coded *c, uint64_t n, uint64_t len)
{
	uint64_t cap = OM_MIN(OM_MAX(c->cap * 2, c->done + n), len);
	uint8_t *p;

	if (c->cap - c->done >= n)
		return 0;
	p = realloc(c->buf, (size_t)cap + 1);
	if (!p)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	c->buf = p;
	c->cap = cap;
	return 0;
}

/* `n` bytes more are in the buffer. */
static int came(struct coded *c, uint64_t n)
{
	int r = 0;

	c->done += n;
	c->total += n;
	if (c->sink >= 0) {
		r = objm_write_all(c->sink, c->buf, (size_t)c->done);
		c->done = 0;
	}
	return r;
}

static int plain_block(struct coded *c, uint64_t n, uint64_t len)
{
	int r = 0;

	while (r == 0 && n > 0) {
		uint64_t step = OM_MIN(n, (uint64_t)STEP);

		r = grow(c, step, len);
		if (r == 0)
			r = objm_io_read(c->io, c->buf + c->done, step);
		if (r == 0)
			r = came(c, step);
		n -= step;
	}
	return r;
}

static int zstd_block(struct coded *c, const struct om_proto_block *b, uint64_t len)
{
	int r = objm_io_read(c->io, c->wire, b->wire);

	if (r == 0)
		r = grow(c, b->raw, len);
	if (r < 0)
		return r;
	if (!c->zstd)
		c->zstd = ZSTD_createDCtx();
	if (!c->zstd)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	if (ZSTD_decompressDCtx(c->zstd, c->buf + c->done, b->raw, c->wire, b->wire) != b->raw)
		return -OBJM_STATUS_PROTO_ERROR;
	return came(c, b->raw);
}

static int read_blocks(struct coded *c, uint64_t len)
{
	uint8_t hdr[OM_PROTO_BLOCK_HDR];
	struct om_proto_block b;
	int r = 0;

	while (r == 0 && c->total < len) {
		r = objm_io_read(c->io, hdr, sizeof(hdr));
		if (r == 0)
			r = om_proto_block_decode(hdr, len - c->total, &b);
		if (r == 0)
			r = b.wire == b.raw ? plain_block(c, b.raw, len) : zstd_block(c, &b, len);
	}
	return r;
}

int objm_coded_read(struct objm_io *io, uint8_t coding, uint64_t len, int sink, void **ret_content)
{
	struct coded *c;
	int r;

	if (coding != OM_PROTO_CODING_ZSTD)
		return -OBJM_STATUS_PROTO_ERROR;
	if (len >= SIZE_MAX)
		return -OBJM_STATUS_TOO_LARGE;
	c = malloc(sizeof(*c));
	if (!c)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	c->io = io;
	c->sink = sink;
	c->buf = NULL;
	c->total = c->done = c->cap = 0;
	c->zstd = NULL;
	r = read_blocks(c, len);
	if (r == 0 && sink < 0) {
		c->buf[len] = '\0';
		*ret_content = OM_TAKE_PTR(c->buf);
	}
	(void)ZSTD_freeDCtx(c->zstd);
	free(c->buf);
	free(c);
	return r;
}

#else

int objm_coded_read(struct objm_io *io, uint8_t coding, uint64_t len, int sink, void **ret_content)
{
	(void)io, (void)coding, (void)len, (void)sink, (void)ret_content;
	return -OBJM_STATUS_PROTO_ERROR;
}

#endif
