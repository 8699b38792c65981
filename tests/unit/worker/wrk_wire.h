/*
 * wrk_wire.h: a client of versions 1 and 2 for tests of the worker, message by message. Everything fails the test on an error.
 */
#ifndef WRK_WIRE_H
#define WRK_WIRE_H

#include "common/proto/om_proto.h"
#include "wrk_harness.h"

struct wire_resp { /* of version 1 (id 0) or 2 */
	uint32_t id;
	uint8_t status;
	uint64_t content_len, size;
	uint16_t meta_len;
	uint8_t meta[2048];
};

/* Requests, written to `buf` of 8192 bytes; their length. */
size_t wire_v1(uint8_t *buf, char mode, const char *uri);
size_t wire_v2(uint8_t *buf, uint32_t id, uint8_t flags, char mode, const char *uri);
/* A big-endian number of n bytes. */
uint64_t wire_be(const uint8_t *p, unsigned n);
/* Read a response's header and metadata, with read(2) as existing clients do. */
void wire_resp(int fd, int version, struct wire_resp *r);
/* The file has these bytes; close it. */
void wire_file(int fd, const char *want);
/* Connect and shake hands. `ret`: HELLO_ACK; may be NULL. */
int wire_connect(struct harness *h, uint16_t caps, uint16_t pipeline, struct om_proto_hello *ret);

#endif
