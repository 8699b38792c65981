/*
 * client_fuzz.c: libFuzzer target: a client's connection of version 2 against a hostile server's bytes.
 *
 * The handshake is made for it; the input is everything that the server sends behind HELLO_ACK: responses, compressed and
 * segmented ones, CLOSE. Bit 0 of the first byte chooses whether compression was granted. Checked beside what the sanitizers
 * see: the content is as long as the response says and not longer than the limit, and readable to its last byte.
 */
#include <sys/socket.h>

#include "client/objm.h"
#include "common/proto/om_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT (1u << 20)

static unsigned touch(const void *p, size_t n)
{
	const volatile uint8_t *b = p;
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += b[i];
	return sum;
}

static void responses(objm_connection_t *conn)
{
	objm_response_t *resp;

	while (objm_client_recv_response(conn, &resp) == 0) {
		if (resp->content_len > LIMIT || (resp->content_len && !resp->content))
			__builtin_trap();
		if (resp->content_len)
			(void)touch(resp->content, resp->content_len + 1);
		for (size_t i = 0; i < resp->segment_count; i++)
			if (resp->segments[i].type == OBJM_SEG_INLINE && resp->segments[i].copy_length)
				(void)touch(resp->segments[i].data, resp->segments[i].copy_length);
		objm_response_free(resp);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct om_proto_hello ack = {.caps = OM_PROTO_CAP_OOO | OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_SEGMENTED | OM_PROTO_CAP_EXTENSION};
	objm_hello_t hello = {.capabilities = 0xffff};
	uint8_t b[OM_PROTO_HELLO_ACK_LEN];
	objm_connection_t *conn;
	int sv[2];

	if (size == 0 || size > 150000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0) /* what the socket holds */
		return 0;
	if (!(data[0] & 1))
		ack.caps |= OM_PROTO_CAP_COMPRESSION;
	if (om_proto_hello_ack_encode(&ack, b, sizeof(b)) < 0 || write(sv[1], b, sizeof(b)) != sizeof(b) ||
	    send(sv[1], data + 1, size - 1, MSG_DONTWAIT) != (ssize_t)size - 1 || shutdown(sv[1], SHUT_WR) < 0)
		__builtin_trap();
	conn = objm_client_create(sv[0], OBJM_PROTO_V2);
	if (!conn)
		__builtin_trap();
	objm_connection_limit(conn, LIMIT);
	if (objm_client_hello(conn, &hello, NULL) == 0)
		responses(conn);
	objm_client_destroy(conn);
	(void)close(sv[0]);
	(void)close(sv[1]);
	return 0;
}
