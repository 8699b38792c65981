/*
 * bench_load.c: get and put through libobjm, with as many connections as asked for, a thread each.
 *
 * get stores its objects first, PREFIX/0 to PREFIX/N-1, and removes them at the end unless they are to be kept. A
 * descriptor that was got is closed at once; with --read every byte of it is read before. With --copy the bytes come through the socket, by
 * version 2 of the protocol, pipelined.
 */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bench/bench.h"
#include "client/objm.h"

#define URI_MAX 256
#define PREPARE_THREADS 16u

struct load {
	const struct bench_opts *o;
	const struct bench_pick *pick;
	unsigned number;	     /* of this thread */
	uint64_t start_ns, end_ns;
	struct bench_result result;
	pthread_t thread;
	bool failed; /* a message was printed */
};

static void object_uri(const struct bench_opts *o, uint64_t i, char ret_uri[static URI_MAX])
{
	(void)snprintf(ret_uri, URI_MAX, "%s/%llu", o->prefix, (unsigned long long)i);
}

static const char *socket_of(const struct bench_opts *o)
{
	const char *env = getenv("OBJM_SOCKET");

	return o->socket ? o->socket : env && *env ? env : OBJM_SOCKET_DEFAULT;
}

static bool fail(struct load *l, const char *what, const char *why)
{
	l->failed = true;
	(void)bench_fail("%s: %s", what, why);
	return false;
}

/* ---------------------------------------------------------------- get */

/* Every byte of a descriptor; false if it is shorter than it should be. */
static bool read_fd(int fd, uint64_t size, struct bench_result *r)
{
	static _Thread_local char buf[1 << 18];

	for (uint64_t at = 0; at < size;) {
		ssize_t n = pread(fd, buf, sizeof(buf), (off_t)at);

		if (n <= 0)
			return false;
		at += (uint64_t)n;
		r->bytes += (uint64_t)n;
	}
	return true;
}

static void get_batch(struct load *l, objm_t *s, char (*uris)[URI_MAX], uint64_t *random)
{
	struct objm_result results[BENCH_DEPTH_MAX];
	const char *list[BENCH_DEPTH_MAX];
	uint64_t before;

	for (unsigned i = 0; i < l->o->depth; i++) {
		object_uri(l->o, bench_pick_next(l->pick, random), uris[i]);
		list[i] = uris[i];
	}
	before = om_now_ns();
	if (l->o->depth == 1)
		results[0].status = objm_get(s, list[0], 0, &results[0].info, &results[0].fd);
	else
		(void)objm_get_many(s, list, l->o->depth, 0, results); /* each result has its own status */
	for (unsigned i = 0; i < l->o->depth; i++) {
		if (results[i].status < 0) {
			l->result.errors++;
			continue;
		}
		if (l->o->read && !read_fd(results[i].fd, results[i].info.size, &l->result))
			l->result.errors++;
		(void)close(results[i].fd);
		l->result.ops++;
	}
	bench_hist_add(&l->result.hist, om_now_ns() - before, 1);
}

/* The same by version 2 and copy: `depth` requests are sent, then their answers are read. */
static bool copy_batch(struct load *l, objm_connection_t *c, uint64_t *random)
{
	uint64_t before = om_now_ns();
	char uri[URI_MAX];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < l->o->depth; i++) {
		objm_request_t req = {.id = i, .mode = OBJM_MODE_COPY, .uri = uri};

		object_uri(l->o, bench_pick_next(l->pick, random), uri);
		req.uri_len = strlen(uri);
		r = objm_client_send_request(c, &req);
	}
	for (unsigned i = 0; r == 0 && i < l->o->depth; i++) {
		objm_response_t *resp;

		r = objm_client_recv_response(c, &resp);
		if (r < 0)
			break;
		if (resp->status == OBJM_STATUS_OK) {
			l->result.ops++;
			l->result.bytes += resp->content_len;
		} else {
			l->result.errors++;
		}
		objm_response_free(resp);
	}
	bench_hist_add(&l->result.hist, om_now_ns() - before, 1);
	return r == 0 || fail(l, "get --copy", objm_status_text(r));
}

static objm_connection_t *copy_connect(struct load *l, int *ret_sock)
{
	objm_hello_t hello = {.capabilities = OBJM_CAP_PIPELINING, .max_pipeline = 0};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	objm_connection_t *c;

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_of(l->o));
	if (sock < 0 || connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		(void)fail(l, addr.sun_path, strerror(errno));
		if (sock >= 0)
			(void)close(sock);
		return NULL;
	}
	c = objm_client_create(sock, OBJM_PROTO_V2);
	if (!c || objm_client_hello(c, &hello, NULL) < 0) {
		(void)fail(l, addr.sun_path, "the handshake failed");
		objm_client_destroy(c);
		(void)close(sock);
		return NULL;
	}
	*ret_sock = sock;
	return c;
}

static void wait_for_start(const struct load *l)
{
	struct timespec ts = {.tv_sec = (time_t)(l->start_ns / 1000000000u), .tv_nsec = (long)(l->start_ns % 1000000000u)};

	(void)bench_pin(l->o->client_cpu);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static void *get_copy_thread(void *arg)
{
	struct load *l = arg;
	uint64_t random = l->number * UINT64_C(0x9e3779b97f4a7c15) + 1;
	int sock = -1;
	objm_connection_t *c = copy_connect(l, &sock);

	wait_for_start(l);
	while (c && om_now_ns() < l->end_ns && copy_batch(l, c, &random))
		;
	objm_client_destroy(c);
	if (sock >= 0)
		(void)close(sock);
	return NULL;
}

static void *get_thread(void *arg)
{
	struct load *l = arg;
	struct objm_options opt = OBJM_OPTIONS_INIT;
	uint64_t random = l->number * UINT64_C(0x9e3779b97f4a7c15) + 1;
	char (*uris)[URI_MAX] = calloc(BENCH_DEPTH_MAX, URI_MAX);
	objm_t *s = NULL;

	/* Nothing here moves a file offset. */
	opt.promise = OBJM_PROMISE_POSITIONED;
	if (!uris || objm_open(l->o->socket, &opt, &s) < 0)
		(void)fail(l, "connect", uris ? objm_error(NULL) : "out of memory");
	wait_for_start(l);
	while (s && om_now_ns() < l->end_ns)
		get_batch(l, s, uris, &random);
	objm_close(s);
	free(uris);
	return NULL;
}

/* ---------------------------------------------------------------- put */

static int put_one(objm_t *s, const struct bench_opts *o, uint64_t i, const void *data)
{
	struct objm_put_options opt = OBJM_PUT_OPTIONS_INIT;
	char uri[URI_MAX];

	opt.flags = o->ephemeral ? OBJM_EPHEMERAL : 0;
	object_uri(o, i, uri);
	return objm_put_buf(s, uri, data, o->size, &opt, NULL);
}

static void *put_thread(void *arg)
{
	struct load *l = arg;
	void *data = calloc(1, l->o->size ? l->o->size : 1);
	objm_t *s = NULL;

	if (!data || objm_open(l->o->socket, NULL, &s) < 0)
		(void)fail(l, "connect", data ? objm_error(NULL) : "out of memory");
	wait_for_start(l);
	/* Threads take turns in the names, so that no two ever write the same one. */
	for (uint64_t i = l->number; s && om_now_ns() < l->end_ns; i += l->o->connections) {
		uint64_t before = om_now_ns();

		if (put_one(s, l->o, i % l->o->objects, data) < 0) {
			if (l->result.errors++ == 0)
				(void)bench_fail("%s", objm_error(s));
		} else {
			l->result.ops++;
			l->result.bytes += l->o->size;
		}
		bench_hist_add(&l->result.hist, om_now_ns() - before, 1);
	}
	objm_close(s);
	free(data);
	return NULL;
}

/* ---------------------------------------------------------------- objects that are there before, and gone after */

struct prepare {
	const struct bench_opts *o;
	unsigned number;
	bool remove, failed;
	pthread_t thread;
};

static void *prepare_thread(void *arg)
{
	struct prepare *p = arg;
	void *data = calloc(1, p->o->size ? p->o->size : 1);
	objm_t *s = NULL;

	p->failed = !data || objm_open(p->o->socket, NULL, &s) < 0;
	if (p->failed)
		(void)bench_fail("%s", data ? objm_error(NULL) : "out of memory");
	for (uint64_t i = p->number; !p->failed && i < p->o->objects; i += PREPARE_THREADS) {
		char uri[URI_MAX];
		int r;

		object_uri(p->o, i, uri);
		r = p->remove ? objm_delete(s, uri, NULL) : put_one(s, p->o, i, data);
		if (r < 0 && !(p->remove && r == -OBJM_STATUS_NOT_FOUND)) {
			p->failed = true;
			(void)bench_fail("%s", objm_error(s));
		}
	}
	objm_close(s);
	free(data);
	return NULL;
}

static int prepare(const struct bench_opts *o, bool remove)
{
	struct prepare p[PREPARE_THREADS];
	int r = BENCH_OK;

	for (unsigned i = 0; i < PREPARE_THREADS; i++) {
		p[i] = (struct prepare){.o = o, .number = i, .remove = remove};
		if (pthread_create(&p[i].thread, NULL, prepare_thread, &p[i]) != 0) {
			p[i].thread = 0;
			r = bench_fail("cannot start a thread");
		}
	}
	for (unsigned i = 0; i < PREPARE_THREADS; i++) {
		if (p[i].thread)
			(void)pthread_join(p[i].thread, NULL);
		if (p[i].failed)
			r = BENCH_FAILED;
	}
	return r;
}

/* ---------------------------------------------------------------- the run */

static int run(const struct bench_opts *o, const char *what, void *(*body)(void *), const struct bench_pick *pick)
{
	struct load *loads = calloc(o->connections, sizeof(*loads));
	static struct bench_result sum;
	uint64_t start = om_now_ns() + 100000000u; /* all begin together, connected */
	int r = BENCH_OK;
	unsigned n = 0;

	if (!loads)
		return bench_fail("out of memory");
	for (; n < o->connections; n++) {
		loads[n] = (struct load){.o = o, .pick = pick, .number = n, .start_ns = start, .end_ns = start + (uint64_t)(o->seconds * 1e9)};
		if (pthread_create(&loads[n].thread, NULL, body, &loads[n]) != 0) {
			r = bench_fail("cannot start a thread");
			break;
		}
	}
	for (unsigned i = 0; i < n; i++) {
		(void)pthread_join(loads[i].thread, NULL);
		bench_hist_merge(&sum.hist, &loads[i].result.hist);
		sum.ops += loads[i].result.ops;
		sum.errors += loads[i].result.errors;
		sum.bytes += loads[i].result.bytes;
		if (loads[i].failed)
			r = BENCH_FAILED;
	}
	sum.seconds = (double)(om_now_ns() - start) / 1e9;
	free(loads);
	return r == BENCH_OK ? bench_print(what, o, &sum) : r;
}

int bench_get(const struct bench_opts *o)
{
	struct bench_pick *pick = bench_pick_new(o->objects, o->zipf);
	int r = pick ? BENCH_OK : bench_fail("out of memory");

	if (r == BENCH_OK && o->server_cpu >= 0)
		r = bench_pin_server(socket_of(o), o->server_cpu);
	if (r == BENCH_OK)
		r = prepare(o, false);
	if (r == BENCH_OK)
		r = run(o, "get", o->copy ? get_copy_thread : get_thread, pick);
	if (!o->keep && prepare(o, true) != BENCH_OK)
		r = BENCH_FAILED;
	bench_pick_free(pick);
	return r;
}

int bench_put(const struct bench_opts *o)
{
	int r = o->server_cpu >= 0 ? bench_pin_server(socket_of(o), o->server_cpu) : BENCH_OK;

	if (r == BENCH_OK)
		r = run(o, "put", put_thread, NULL);
	if (!o->keep && prepare(o, true) != BENCH_OK)
		r = BENCH_FAILED;
	return r;
}
