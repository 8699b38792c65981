/*
 * seed_example.c: the client example of the project's first design notes, word for word between the two marks; around
 * it a
 * function instead of a main(), and what the example leaves to its reader: connecting, using a file, the URIs.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/objm.h"
#include "tests/unit/client/seed_example.h"

static int files;
static char seen[10];

static int connect_to_objmapper(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)path; /* the example names a socket in /tmp */
	strncpy(addr.sun_path, seed_example_socket, sizeof(addr.sun_path) - 1);
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(sock);
		return -1;
	}
	return sock;
}

static void process_file(int fd)
{
	char buf[64];
	ssize_t n = read(fd, buf, sizeof(buf)); /* read, not pread: its offset is its own */

	if (n == 7 && !memcmp(buf, "bytes-", 6) && buf[6] >= '0' && buf[6] <= '9') {
		seen[buf[6] - '0']++;
		files++;
	}
}

const char *seed_example_socket;
int seed_example_files(void) { return files; }
int seed_example_seen(int i) { return seen[i]; }

int seed_example_main(void)
{
	const char *uris[10] = {"/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"};

	/* vvvvvvvv the example */
/* Connect and perform handshake */
int sock = connect_to_objmapper("/tmp/objmapper.sock");
objm_connection_t *conn = objm_client_create(sock, OBJM_PROTO_V2);

objm_hello_t hello = {
    .capabilities = OBJM_CAP_OOO_REPLIES | OBJM_CAP_PIPELINING,
    .max_pipeline = 100
};
objm_client_hello(conn, &hello, NULL);

/* Send pipelined requests (no waiting) */
for (int i = 0; i < 10; i++) {
    objm_request_t req = {
        .id = i,
        .mode = OBJM_MODE_FDPASS,
        .uri = uris[i],
        .uri_len = strlen(uris[i])
    };
    objm_client_send_request(conn, &req);
}

/* Receive responses (may be out-of-order) */
for (int i = 0; i < 10; i++) {
    objm_response_t *resp;
    objm_client_recv_response(conn, &resp);
    
    if (resp->status == OBJM_STATUS_OK && resp->fd >= 0) {
        /* Use file descriptor */
        process_file(resp->fd);
    }
    
    objm_response_free(resp);
}

/* Graceful close */
objm_client_close(conn, OBJM_CLOSE_NORMAL);
objm_client_destroy(conn);
close(sock);
	/* ^^^^^^^^ the example */
	return 0;
}
