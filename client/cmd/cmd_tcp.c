/*
 * cmd_tcp.c: objm get, cat and exec from a daemon that is named by address: protocol version 2, bytes instead of descriptors,
 * compressed on the way where the server finds it worth it. The bytes go to a nameless file as they come, so that the rest of
 * the command has a descriptor as ever, and memory does not follow the object's size.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "client/cmd/cmd.h"
#include "common/om_text.h"

#define PREFIX "tcp:"
#define DEAD_AFTER_MS 30000 /* a server that answers no packet */

static const char *name_of(const struct cmd_opts *opts)
{
	const char *s = opts->socket ? opts->socket : getenv("OBJM_SOCKET");

	return s && strncmp(s, PREFIX, strlen(PREFIX)) == 0 ? s + strlen(PREFIX) : NULL;
}

bool cmd_is_tcp(const struct cmd_opts *opts) { return name_of(opts) != NULL; }

/* ADDRESS:PORT or [ADDRESS]:PORT; numbers, as in listen.tcp. Length of the address; 0: it is none. */
static socklen_t parse(const char *name, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	const char *colon = strrchr(name, ':');
	char host[INET6_ADDRSTRLEN + 2];
	uint64_t port;
	size_t n;

	memset(ret, 0, sizeof(*ret));
	if (!colon || (size_t)(colon - name) >= sizeof(host) || om_text_parse_number(colon + 1, 1, UINT16_MAX, &port) < 0)
		return 0;
	n = (size_t)(colon - name);
	memcpy(host, name, n);
	host[n] = '\0';
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return sizeof(*v4);
	}
	if (n < 3 || host[0] != '[' || host[n - 1] != ']')
		return 0;
	host[n - 1] = '\0';
	if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) != 1)
		return 0;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	return sizeof(*v6);
}

/* A connected socket, or -1 after a message. */
static int dial(const char *what, const char *uri, const char *name)
{
	int on = 1, dead = DEAD_AFTER_MS, idle = 10;
	struct sockaddr_storage addr;
	socklen_t len = parse(name, &addr);
	int sock;

	if (!len) {
		(void)cmd_fail(what, uri, "tcp:%s is no address: tcp:127.0.0.1:7070 or tcp:[::1]:7070", name);
		return -1;
	}
	sock = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The user's patience with a server that is gone; without these it would be the kernel's, which is hours. */
	if (sock < 0 || setsockopt(sock, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead, sizeof(dead)) < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ||
	    setsockopt(sock, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) < 0 || connect(sock, (struct sockaddr *)&addr, len) < 0) {
		(void)cmd_fail(what, uri, "cannot connect to %s: %s (listen.tcp of its configuration)", name, strerror(errno));
		om_close(&sock);
	}
	return sock;
}

/* Nameless, as what objects are got as. */
static int scratch(const char *what, const char *uri)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	if (!dir || *dir == '\0')
		dir = "/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		(void)cmd_fail(what, uri, "no temporary file in %s: %s (set TMPDIR)", dir, strerror(errno));
	return fd;
}

static int fetch(objm_connection_t *conn, const char *uri, int fd, objm_response_t **ret_resp)
{
	objm_hello_t hello = {.capabilities = OBJM_CAP_COMPRESSION};
	objm_request_t req = {.id = 1, .mode = OBJM_MODE_COPY, .uri = uri, .uri_len = strlen(uri)};
	int r = objm_client_hello(conn, &hello, NULL);

	if (r == 0)
		r = objm_client_send_request(conn, &req);
	return r < 0 ? r : objm_client_recv_response_fd(conn, fd, ret_resp);
}

int cmd_tcp_get(const struct cmd_opts *opts, const char *what, const char *uri, uint64_t *ret_size, int *ret_fd)
{
	OM_AUTO_FD sock = dial(what, uri, name_of(opts));
	OM_AUTO_FD fd = sock >= 0 ? scratch(what, uri) : -1;
	objm_connection_t *conn = fd >= 0 ? objm_client_create(sock, OBJM_PROTO_V2) : NULL;
	objm_response_t *resp = NULL;
	int r, result = CMD_FAILED;

	if (fd < 0)
		return CMD_FAILED;
	r = conn ? fetch(conn, uri, fd, &resp) : -OBJM_STATUS_OUT_OF_MEMORY;
	if (r < 0) {
		(void)cmd_fail(what, uri, "%s", r == -OBJM_STATUS_SYSTEM ? strerror(errno) : objm_status_text(r));
	} else if (resp->status != OBJM_STATUS_OK) {
		(void)cmd_fail(what, uri, "%s", resp->error_msg ? resp->error_msg : objm_status_text(resp->status));
	} else {
		*ret_size = resp->content_len;
		*ret_fd = om_take_fd(&fd);
		(void)lseek(*ret_fd, 0, SEEK_SET); /* exec reads it from its beginning */
		result = CMD_OK;
	}
	objm_response_free(resp);
	objm_client_destroy(conn);
	return result;
}
