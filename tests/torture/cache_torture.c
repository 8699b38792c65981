/*
 * cache_torture.c: client caches against writers, through a real daemon: no get may return what an acknowledged change has
 * replaced, whoever it was acknowledged to.
 *
 * Usage: cache_torture SECONDS [KEYS [READERS [WRITERS]]]; socket from $OBJM_SOCKET. Whoever runs it may kill and restart the
 * daemon meanwhile. Exit status 1 and a line for each violation.
 *
 * A key has one writer, which counts its operations: number v is a delete if v % DELETE_EVERY is 0, else a put of an object that
 * says v. started[k] is raised before an operation is sent, acked[k] when its answer has come. A reader takes L = acked[k], gets,
 * then takes S = started[k]: an object must say a number from L to S, and NOT_FOUND needs a delete from L to S.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "client/objm.h"
#include "common/om_base.h"

#define KEYS_MAX 65536u
#define THREADS_MAX 64u
#define DELETE_EVERY 7u
#define BODY 24

static _Atomic uint64_t started[KEYS_MAX], acked[KEYS_MAX];
static _Atomic uint64_t writes, reads, absent, lost, violations, hits, stale;
static uint32_t keys = 64, readers = 4, writers = 2;
static uint64_t until_ns;

static bool is_delete(uint64_t v) { return v % DELETE_EVERY == 0; }

static objm_t *session(uint32_t cache_objects)
{
	struct objm_options o = OBJM_OPTIONS_INIT;
	objm_t *s = NULL;

	o.promise = OBJM_PROMISE_POSITIONED;
	o.cache_objects = cache_objects;
	o.retry_ms = 60000;
	o.wait_ms = 60000;
	if (objm_open(NULL, &o, &s) < 0) {
		(void)fprintf(stderr, "cache_torture: %s\n", objm_error(NULL));
		exit(2);
	}
	return s;
}

static void uri_of(uint32_t k, char uri[64])
{
	/* Every third has a name that does not fit into the cache's line. */
	(void)snprintf(uri, 64, k % 3 ? "/torture/%u" : "/torture/a-name-of-more-than-24-bytes/%u", k);
}

static int apply(objm_t *s, uint32_t k, uint64_t v)
{
	struct objm_put_options o = OBJM_PUT_OPTIONS_INIT;
	char uri[64], body[BODY + 1];
	int r;

	uri_of(k, uri);
	if (is_delete(v)) {
		r = objm_delete(s, uri, NULL);
		return r == -OBJM_STATUS_NOT_FOUND ? 0 : r;
	}
	(void)snprintf(body, sizeof(body), "%0*" PRIu64, BODY, v);
	o.flags = OBJM_EPHEMERAL;
	return objm_put_buf(s, uri, body, BODY, &o, NULL);
}

static void *writer(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg;
	uint64_t v = 0;
	objm_t *s = session(0);

	while (om_now_ns() < until_ns) {
		v++;
		for (uint32_t k = me; k < keys && om_now_ns() < until_ns; k += writers) {
			atomic_store(&started[k], v);
			while (apply(s, k, v) < 0) { /* not acknowledged: the same operation until it is */
				atomic_fetch_add(&lost, 1);
				if (om_now_ns() > until_ns + 60000000000u) {
					(void)fprintf(stderr, "cache_torture: no write is answered: %s\n", objm_error(s));
					exit(2);
				}
			}
			atomic_store(&acked[k], v);
			atomic_fetch_add(&writes, 1);
		}
	}
	objm_close(s);
	return NULL;
}

/* The number that an object says; UINT64_MAX: it could not be read. */
static uint64_t said(const struct objm_cached *c)
{
	char body[BODY + 1] = "";

	if (c->size != BODY)
		return UINT64_MAX;
	if (c->data)
		memcpy(body, c->data, BODY);
	else if (pread(c->fd, body, BODY, 0) != BODY)
		return UINT64_MAX;
	return strtoull(body, NULL, 10);
}

static void violation(uint32_t k, const char *what, uint64_t got, uint64_t least, uint64_t most)
{
	if (atomic_fetch_add(&violations, 1) < 10)
		(void)fprintf(stderr, "cache_torture: key %u: %s %" PRIu64 ", acknowledged before: %" PRIu64 ", begun: %" PRIu64 "\n", k, what, got,
			      least, most);
}

static void check(uint32_t k, int r, const struct objm_cached *c, uint64_t least)
{
	uint64_t most = atomic_load(&started[k]), v;

	if (r == 0) {
		v = said(c);
		if (v < least || v > most)
			violation(k, "the object says", v, least, most);
	} else if (r == -OBJM_STATUS_NOT_FOUND) {
		atomic_fetch_add(&absent, 1);
		/* Nothing was there before the first put. */
		if (least > 0 && most / DELETE_EVERY * DELETE_EVERY < least)
			violation(k, "NOT_FOUND", 0, least, most);
	} else {
		atomic_fetch_add(&lost, 1);
	}
}

static void *reader(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg * 7919 + 1;
	/* Some caches hold everything, some only a part. */
	objm_t *s = session((uintptr_t)arg % 2 ? keys : keys / 2 + 1);
	struct objm_stats st;

	while (om_now_ns() < until_ns) {
		const struct objm_cached *c = NULL;
		char uri[64];

		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		uint32_t k = (uint32_t)(random >> 33) % keys;
		uint32_t want = random >> 20 & 1 ? OBJM_CACHE_FD : OBJM_CACHE_DATA;

		uri_of(k, uri);
		for (int again = 0; again < 8; again++) { /* hits come from asking for the same one again */
			uint64_t least = atomic_load(&acked[k]);
			int r = objm_cache_get(s, uri, 0, want, &c);

			check(k, r, c, least);
			if (r == 0)
				objm_cache_release(s, c);
			atomic_fetch_add(&reads, 1);
		}
	}
	objm_stats(s, &st);
	atomic_fetch_add(&hits, st.cache_hits);
	atomic_fetch_add(&stale, st.cache_stale);
	objm_close(s);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 0;
	uint32_t n = 0;

	if (argc > 2)
		keys = OM_MIN((uint32_t)strtoul(argv[2], NULL, 10), KEYS_MAX);
	if (argc > 3)
		readers = (uint32_t)strtoul(argv[3], NULL, 10);
	if (argc > 4)
		writers = (uint32_t)strtoul(argv[4], NULL, 10);
	if (seconds <= 0 || keys == 0 || writers == 0 || readers + writers > THREADS_MAX) {
		(void)fprintf(stderr, "usage: cache_torture SECONDS [KEYS [READERS [WRITERS]]]\n");
		return 2;
	}
	until_ns = om_now_ns() + (uint64_t)(seconds * 1e9);
	for (; n < readers + writers; n++)
		if (pthread_create(&threads[n], NULL, n < writers ? writer : reader, (void *)(uintptr_t)(n < writers ? n : n - writers)) != 0)
			return 2;
	while (n > 0)
		(void)pthread_join(threads[--n], NULL);
	printf("writes %" PRIu64 " reads %" PRIu64 " hits %" PRIu64 " stale %" PRIu64 " absent %" PRIu64 " unanswered %" PRIu64 " violations %" PRIu64 "\n",
	       writes, reads, hits, stale, absent, lost, violations);
	return violations ? 1 : 0;
}
