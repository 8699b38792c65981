/*
 * exp_main.c: objm-exporter: the daemon's metrics over HTTP, for Prometheus and what understands it. A process of its own that
 * needs no more than reading rights on the admin socket; each scrape is one question to the supervisor.
 *
 * HTTP is libmicrohttpd's. Loopback by default. The form is negotiated: OpenMetrics for who accepts it, else the older text.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "common/om_text.h"
#include "ctl/ctl.h"

#define EXP_LISTEN_DEFAULT "127.0.0.1:9476"
#define EXP_CONNS_MAX 16u
#define EXP_TIMEOUT_S 10u
#define EXP_TYPE_OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define EXP_TYPE_PROMETHEUS "text/plain; version=0.0.4; charset=utf-8"

struct exp {
	const char *socket;
	const char *listen;
};

/* ---- answers ---- */

static enum MHD_Result answer(struct MHD_Connection *conn, unsigned code, const char *type, const char *text)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result ok;

	if (!r)
		return MHD_NO;
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ok = MHD_queue_response(conn, code, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result answer_metrics(const struct exp *e, struct MHD_Connection *conn)
{
	const char *accept = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	bool open = accept && strstr(accept, "application/openmetrics-text");
	json_t *request = json_pack("{s:s, s:s}", "cmd", "metrics", "format", open ? "openmetrics" : "prometheus"), *reply = NULL;
	enum MHD_Result ok;

	if (!request)
		return MHD_NO;
	if (ctl_ask(e->socket, request, &reply) != CTL_OK) { /* it has said why on standard error */
		json_decref(request);
		return answer(conn, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain", "objmapperd does not answer; the exporter's log says why\n");
	}
	const char *text = json_string_value(json_object_get(reply, "text"));
	ok = answer(conn, text ? MHD_HTTP_OK : MHD_HTTP_BAD_GATEWAY, open ? EXP_TYPE_OPEN : EXP_TYPE_PROMETHEUS,
		    text ? text : "objmapperd answered without metrics\n");
	json_decref(request);
	json_decref(reply);
	return ok;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *conn, const char *url, const char *method, const char *version,
			      const char *data, size_t *data_len, void **conn_arg)
{
	(void)version, (void)data, (void)conn_arg;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		*data_len = 0;
		return answer(conn, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n");
	}
	if (strcmp(url, "/metrics") == 0)
		return answer_metrics(arg, conn);
	if (strcmp(url, "/") == 0)
		return answer(conn, MHD_HTTP_OK, "text/html",
			      "<!DOCTYPE html><title>objm-exporter</title><p><a href=\"/metrics\">metrics</a> of objmapperd " OM_VERSION "\n");
	return answer(conn, MHD_HTTP_NOT_FOUND, "text/plain", "only /metrics\n");
}

/* ---- start ---- */

static void help(FILE *f)
{
	fputs("Usage: objm-exporter [-s SOCKET] [-l ADDRESS:PORT]\n"
	      "Serve the metrics of a running objmapperd over HTTP, at /metrics.\n\n"
	      "  -s, --socket SOCKET        the admin socket (default: $OBJMCTL_SOCKET, then " CTL_SOCKET_DEFAULT ")\n"
	      "  -l, --listen ADDRESS:PORT  default " EXP_LISTEN_DEFAULT "; [::1]:9476 for IPv6; port 0: any, it is printed\n"
	      "  -h, --help                 this text\n"
	      "      --version              the version\n\n"
	      "It needs to read the admin socket: the group objmapper-admin. Nothing protects what it serves beyond loopback.\n"
	      "Exit status: 0 ended by a signal; 1 it cannot listen; 2 the command line is wrong.\n", f);
}

static int usage(const char *what, const char *which)
{
	OM_AUTO_FREE char *quoted = om_text_quote(which, strlen(which));

	fprintf(stderr, "objm-exporter: %s: \"%s\"\nTry: objm-exporter --help\n", what, quoted ? quoted : "?");
	return CTL_USAGE;
}

/* "127.0.0.1:9476", "[::1]:9476". */
static bool parse_listen(const char *s, struct sockaddr_storage *ret)
{
	const char *colon = strrchr(s, ':');
	char host[INET6_ADDRSTRLEN], *end;
	bool six = *s == '[';
	size_t n = colon ? (size_t)(colon - s) : 0;

	if (!colon || (six && (n < 2 || s[n - 1] != ']')))
		return false;
	if (six)
		s++, n -= 2;
	if (n == 0 || n >= sizeof(host))
		return false;
	memcpy(host, s, n);
	host[n] = '\0';
	errno = 0;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end || errno || port > 65535 || colon[1] == '-' || colon[1] == '+')
		return false;
	*ret = (struct sockaddr_storage){ 0 };
	if (six) {
		struct sockaddr_in6 *a = (struct sockaddr_in6 *)ret;
		a->sin6_family = AF_INET6;
		a->sin6_port = htons((uint16_t)port);
		return inet_pton(AF_INET6, host, &a->sin6_addr) == 1;
	}
	struct sockaddr_in *a = (struct sockaddr_in *)ret;
	a->sin_family = AF_INET;
	a->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, host, &a->sin_addr) == 1;
}

static int parse(int argc, char **argv, struct exp *e)
{
	static const struct option longs[] = {{"socket", required_argument, NULL, 's'},
					      {"listen", required_argument, NULL, 'l'},
					      {"help", no_argument, NULL, 'h'},
					      {"version", no_argument, NULL, 'v'},
					      {0}};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":s:l:h", longs, NULL)) != -1) {
		switch (c) {
		case 's': e->socket = optarg; break;
		case 'l': e->listen = optarg; break;
		case 'h': help(stdout); exit(CTL_OK);
		case 'v': puts("objm-exporter " OM_VERSION); exit(CTL_OK);
		default: return usage(c == ':' ? "an option needs an argument" : "no such option", argv[optind - 1]);
		}
	}
	return optind < argc ? usage("one operand too many", argv[optind]) : CTL_OK;
}

static int serve(struct exp *e, const struct sockaddr_storage *addr, int sigfd)
{
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG |
			 (addr->ss_family == AF_INET6 ? MHD_USE_IPv6 : 0u);
	struct MHD_Daemon *d = MHD_start_daemon(flags, 0, NULL, NULL, handle, e, MHD_OPTION_SOCK_ADDR, addr,
						MHD_OPTION_CONNECTION_LIMIT, EXP_CONNS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
						EXP_TIMEOUT_S, MHD_OPTION_END);
	const union MHD_DaemonInfo *port = d ? MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT) : NULL;
	struct pollfd p = { .fd = sigfd, .events = POLLIN };

	if (!d) {
		fprintf(stderr, "objm-exporter: cannot listen on %s: %s; another program may, or the address is not of this host\n",
			e->listen, errno ? strerror(errno) : "refused");
		return CTL_FAILED;
	}
	fprintf(stderr, "objm-exporter: serves /metrics on port %u\n", port ? port->port : 0u);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	MHD_stop_daemon(d);
	return CTL_OK;
}

int main(int argc, char **argv)
{
	const char *env = getenv("OBJMCTL_SOCKET");
	struct exp e = { .socket = env && *env ? env : CTL_SOCKET_DEFAULT, .listen = EXP_LISTEN_DEFAULT };
	struct sockaddr_storage addr;
	sigset_t set;
	int r = parse(argc, argv, &e);

	if (r != CTL_OK)
		return r;
	if (!parse_listen(e.listen, &addr))
		return usage("not ADDRESS:PORT", e.listen);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	OM_AUTO_FD sigfd = signalfd(-1, &set, SFD_CLOEXEC);
	if (sigfd < 0) {
		fprintf(stderr, "objm-exporter: %s\n", strerror(errno));
		return CTL_FAILED;
	}
	return serve(&e, &addr, sigfd);
}
