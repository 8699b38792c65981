/*
 * test_client_seed.c: the client example of the first design notes runs against a server in the style of their server
 * example.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/objm.h"
#include "tests/unit/client/seed_example.h"

static int closed_ok;

static int object(const char *uri)
{
	int fd = memfd_create("object", MFD_CLOEXEC);
	char bytes[16];

	(void)snprintf(bytes, sizeof(bytes), "bytes-%s", uri + 1);
	if (pwrite(fd, bytes, strlen(bytes), 0) != (ssize_t)strlen(bytes)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void handle_client_request(objm_connection_t *conn, objm_request_t *req)
{
	if (strlen(req->uri) != req->uri_len || !strcmp(req->uri, "/7")) {
		objm_server_send_error(conn, req->id, OBJM_STATUS_NOT_FOUND, NULL);
		return;
	}
	objm_response_t resp = {
		.request_id = req->id,
		.status = OBJM_STATUS_OK,
		.fd = object(req->uri)
	};
	objm_server_send_response(conn, &resp);
}

/* Answers in pairs, the second first: out of order, as was agreed. */
static void *server(void *arg)
{
	int sock = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC), r;
	objm_connection_t *conn = objm_server_create(sock, 0);
	objm_hello_t own = {.capabilities = 0xffff, .max_pipeline = 50, .backend_parallelism = 2};
	objm_request_t *req, *held = NULL;

	objm_connection_timeout(conn, 20000);
	r = objm_server_hello(conn, &own, NULL);
	while (r == 0 && (r = objm_server_recv_request(conn, &req)) == 0) {
		if (!held) {
			held = req;
			continue;
		}
		handle_client_request(conn, req);
		handle_client_request(conn, held);
		objm_request_free(req);
		objm_request_free(held);
		held = NULL;
	}
	closed_ok = r == 1 && objm_server_close_ack(conn, 0) == 0;
	objm_server_destroy(conn);
	close(sock);
	return NULL;
}

static void test_seed_example(void **state)
{
	char dir[] = "/tmp/objm-seed-XXXXXX";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	pthread_t thread;
	int listener, i;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock", dir);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 5), 0);
	assert_int_equal(pthread_create(&thread, NULL, server, &listener), 0);
	seed_example_socket = addr.sun_path;
	assert_int_equal(seed_example_main(), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(listener);
	unlink(addr.sun_path);
	rmdir(dir);
	assert_true(closed_ok);
	assert_int_equal(seed_example_files(), 9);
	for (i = 0; i < 10; i++)
		assert_int_equal(seed_example_seen(i), i != 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_seed_example)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
