/*
 * attack_uring.c: change a committed object by an io_uring buffer that was registered over its mapping. See atk_uring.c.
 *
 * Beside the shot after the commit, the same while the commit runs: the copy may then hold anything that was written
 * before it was made, but from the commit on it must hold still.
 */
#include "tests/attack/atk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define BIG ((size_t)8 << 20) /* so that the copy takes a while */
#define LOOKS 50

struct hammer {
	struct atk_weapon *w;
	atomic_bool stop;
	atomic_uint shots, failed;
};

static void *hammer_thread(void *arg)
{
	struct hammer *h = arg;

	for (unsigned i = 0; !atomic_load(&h->stop); i++) {
		if (h->w->fire(h->w, (unsigned char)i) == (ssize_t)ATK_LEN)
			atomic_fetch_add(&h->shots, 1);
		else
			atomic_fetch_add(&h->failed, 1);
	}
	return NULL;
}

static void wait_for_shots(struct hammer *h, unsigned more)
{
	unsigned until = atomic_load(&h->shots) + more;

	while (atomic_load(&h->shots) < until && atomic_load(&h->failed) == 0)
		(void)usleep(100);
}

/* What the first look after the commit saw, every later look must see. */
static bool holds_still(struct atk_target *t, struct hammer *h)
{
	OM_AUTO_FD fd = -1;
	uint64_t sum;

	if (atk_target_get(t, &fd) < 0 || (sum = atk_target_sum_fd(fd)) == 0)
		return false;
	for (unsigned i = 0; i < LOOKS; i++) {
		OM_AUTO_FD fresh = -1;

		wait_for_shots(h, 3);
		if (atk_target_get(t, &fresh) < 0 || atk_target_sum_fd(fresh) != sum || atk_target_sum_fd(fd) != sum)
			return false;
	}
	return true;
}

static bool aim_at_end(struct atk_target *t, struct atk_weapon *w)
{
	unsigned char *at;
	int fd;
	bool aimed;

	if (atk_target_begin(t, BIG, &fd) < 0)
		return false;
	at = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return false;
	memset(at, 'b', BIG);
	aimed = w->aim(w, at + BIG - ATK_LEN) == 0;
	(void)munmap(at, BIG);
	return aimed;
}

static void during_commit(struct atk_target *t, struct atk_weapon *w)
{
	struct hammer h = {.w = w};
	pthread_t thread;
	bool still = false;

	if (aim_at_end(t, w) && pthread_create(&thread, NULL, hammer_thread, &h) == 0) {
		wait_for_shots(&h, 10);
		still = atk_target_commit(t) == 0 && holds_still(t, &h);
		atomic_store(&h.stop, true);
		(void)pthread_join(thread, NULL);
	}
	w->lower(w);
	atk_target_end(t);
	(void)atk_tap_ok(still && atomic_load(&h.failed) == 0, "written to all through its commit (%u times), it holds still after it: %s",
			 atomic_load(&h.shots), t->name);
}

int main(int argc, char **argv)
{
	return atk_run_weapon(argc, argv, atk_uring_weapon(), during_commit);
}
