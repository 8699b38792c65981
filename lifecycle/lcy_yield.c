/*
 * lcy_yield.c: when moves give way, and how, see lcy_yield.h. Deciding: loop's thread of objmapper-lifecycle; the rest: its movers.
 *
 * The thread that has the seat keeps it over its rests, so that a rest wakes one thread and not all; when it had it for a while and
 * others wait, it is theirs.
 */
#include "lifecycle/lcy_yield.h"

#include "common/om_runq.h"

void lcy_yield_init(struct lcy_yield *y, unsigned cpus)
{
	pthread_condattr_t attr;

	memset(y, 0, sizeof(*y));
	om_place_init(&y->place);
	y->tasks_fd = -1;
	y->cpus = OM_MAX(cpus, 1u);
	y->seat_ns = LCY_YIELD_SEAT_NS;
	pthread_mutex_init(&y->lock, NULL);
	pthread_cond_init(&y->seat, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&y->rest, &attr);
	pthread_condattr_destroy(&attr);
	lcy_yield_conf(y, 1);
}

void lcy_yield_fini(struct lcy_yield *y)
{
	pthread_mutex_destroy(&y->lock);
	pthread_cond_destroy(&y->seat);
	pthread_cond_destroy(&y->rest);
}

/* ---- deciding ---- */

static void set_share(struct lcy_yield *y, enum lcy_yield_why why)
{
	uint32_t share = why == LCY_YIELD_SERVING ? y->serving : LCY_YIELD_ALL;

	y->why = why;
	if (lcy_yield_share(y) == share)
		return;
	pthread_mutex_lock(&y->lock);
	atomic_store(&y->share, share);
	if (share == LCY_YIELD_ALL) { /* nobody rests or waits any longer; what is owed is forgotten */
		y->free_ns = 0;
		pthread_cond_broadcast(&y->seat);
		pthread_cond_broadcast(&y->rest);
	}
	pthread_mutex_unlock(&y->lock);
}

void lcy_yield_conf(struct lcy_yield *y, double part)
{
	double share = part * y->cpus * 1000;

	y->serving = part >= 1 ? LCY_YIELD_ALL : share >= 1000 ? 1000u : share < 1 ? 1u : (uint32_t)share;
	set_share(y, y->serving == LCY_YIELD_ALL ? LCY_YIELD_OFF : y->why);
}

/* Enough of them within a second, and it is as if they had come now; else the next second is looked at. */
static void count(struct lcy_yield *y, uint64_t now_ns, uint64_t asked)
{
	uint64_t met = asked >= y->from ? asked - y->from : 0; /* a worker that ends takes its number along */
	bool enough = met >= (y->why == LCY_YIELD_SERVING ? LCY_YIELD_FEW / 2 : LCY_YIELD_FEW);

	if (enough) {
		y->asked_ns = now_ns;
		y->seen = true;
	}
	if (enough || asked < y->from || now_ns - y->from_ns >= LCY_YIELD_HOLD_NS) {
		y->from = asked;
		y->from_ns = now_ns;
	}
}

void lcy_yield_turn(struct lcy_yield *y, uint64_t now_ns, uint64_t asked, bool room)
{
	enum lcy_yield_why why = LCY_YIELD_SERVING;

	count(y, now_ns, asked);
	if (y->serving == LCY_YIELD_ALL)
		why = LCY_YIELD_OFF;
	else if (room)
		why = LCY_YIELD_ROOM;
	else if (!y->seen || now_ns - y->asked_ns >= LCY_YIELD_HOLD_NS)
		why = LCY_YIELD_NOBODY;
	set_share(y, why);
}

const char *lcy_yield_text(const struct lcy_yield *y)
{
	static const char *const text[] = { [LCY_YIELD_OFF] = "off", [LCY_YIELD_NOBODY] = "idle", [LCY_YIELD_ROOM] = "room", [LCY_YIELD_SERVING] = "serving" };

	return text[y->why];
}

uint64_t lcy_yield_rest(uint32_t share, uint64_t took_ns)
{
	if (share >= 1000) /* LCY_YIELD_ALL too */
		return 0;
	took_ns = OM_MIN(took_ns, LCY_YIELD_REST_NS); /* a longer one's rest is cut anyway */
	return OM_MIN(took_ns * (1000 - share) / OM_MAX(share, 1u), LCY_YIELD_REST_NS);
}

/* ---- keeping to it ---- */

static bool bound(struct lcy_yield *y) { return !y->stop && lcy_yield_share(y) != LCY_YIELD_ALL; }

/* Until the next piece may begin. Under the lock. */
static void rest(struct lcy_yield *y)
{
	uint64_t began = om_now_ns(), now = began;

	while (bound(y) && now < y->free_ns) {
		struct timespec at = { .tv_sec = (time_t)(y->free_ns / 1000000000u), .tv_nsec = (long)(y->free_ns % 1000000000u) };
		(void)pthread_cond_timedwait(&y->rest, &y->lock, &at);
		now = om_now_ns();
	}
	atomic_fetch_add(&y->rested_ns, now - began);
}

void lcy_yield_open(struct lcy_yield_seat *s)
{
	if (s->looked)
		return;
	s->runq_fd = om_runq_open(s->all->tasks_fd);
	s->looked = true;
	atomic_fetch_add(&s->all->opened, 1);
}

void lcy_yield_opened(struct lcy_yield *y, unsigned n)
{
	while (atomic_load(&y->opened) < n)
		(void)usleep(100);
}

static uint64_t waited(struct lcy_yield_seat *s)
{
	lcy_yield_open(s);
	return om_runq_waited(s->runq_fd);
}

/* A piece of work begins. */
static void begin(struct lcy_yield_seat *s)
{
	s->since_ns = om_now_ns();
	s->waited_ns = waited(s);
}

/* It has ended: what it took, but for waiting for a processor. */
static uint64_t used(struct lcy_yield_seat *s, uint64_t now_ns)
{
	uint64_t took = now_ns - s->since_ns, w = waited(s);

	return took - OM_MIN(w > s->waited_ns ? w - s->waited_ns : 0, took);
}

static void owe(struct lcy_yield *y, uint64_t now_ns, uint64_t took_ns)
{
	uint64_t due = OM_MAX(y->free_ns, now_ns) + lcy_yield_rest(lcy_yield_share(y), took_ns);

	y->free_ns = OM_MIN(due, now_ns + LCY_YIELD_REST_NS);
}

/* `again`: it had the seat a moment ago, and somebody else has it first. */
static void sit_down(struct lcy_yield_seat *s, bool again)
{
	struct lcy_yield *y = s->all;
	uint64_t turns = y->turns;

	y->waiting++;
	while ((y->taken || (again && y->turns == turns)) && bound(y))
		pthread_cond_wait(&y->seat, &y->lock);
	y->waiting--;
	if (!bound(y))
		return;
	y->turns++;
	y->taken = s->held = true;
	s->got_ns = om_now_ns();
	rest(y);
	begin(s);
}

/* The piece is over. */
static void stand_up(struct lcy_yield_seat *s, uint64_t now_ns)
{
	struct lcy_yield *y = s->all;

	owe(y, now_ns, used(s, now_ns));
	y->taken = s->held = false;
	if (y->waiting)
		pthread_cond_signal(&y->seat);
}

void lcy_yield_enter(struct lcy_yield_seat *s)
{
	struct lcy_yield *y = s->all;

	if (s->held)
		return;
	if (lcy_yield_share(y) == LCY_YIELD_ALL) {
		om_place_roam(&y->place, &s->stays);
		return;
	}
	om_place_stay(&y->place, &s->stays); /* over the turns of others, too: each change is a call, and perhaps a way to another processor */
	pthread_mutex_lock(&y->lock);
	if (bound(y))
		sit_down(s, false);
	pthread_mutex_unlock(&y->lock);
	if (!s->held)
		om_place_roam(&y->place, &s->stays);
}

void lcy_yield_leave(struct lcy_yield_seat *s)
{
	if (!s->held)
		return;
	pthread_mutex_lock(&s->all->lock);
	stand_up(s, om_now_ns());
	pthread_mutex_unlock(&s->all->lock);
}

void lcy_yield_point(struct lcy_yield_seat *s)
{
	struct lcy_yield *y = s->all;

	if (!s->held) {
		lcy_yield_enter(s);
		return;
	}
	if (lcy_yield_share(y) == LCY_YIELD_ALL)
		om_place_roam(&y->place, &s->stays);
	uint64_t now = om_now_ns();
	if (now - s->since_ns < LCY_YIELD_PIECE_NS)
		return;
	pthread_mutex_lock(&y->lock);
	if (y->waiting && now - s->got_ns >= y->seat_ns) {
		stand_up(s, now);
		sit_down(s, true);
	} else {
		owe(y, now, used(s, now));
		rest(y);
		begin(s);
	}
	pthread_mutex_unlock(&y->lock);
}

void lcy_yield_begin(struct lcy_yield_seat *s) { begin(s); }

void lcy_yield_charge(struct lcy_yield_seat *s)
{
	struct lcy_yield *y = s->all;
	uint64_t now = om_now_ns();

	if (lcy_yield_share(y) == LCY_YIELD_ALL)
		return;
	pthread_mutex_lock(&y->lock);
	owe(y, now, used(s, now));
	pthread_mutex_unlock(&y->lock);
}

void lcy_yield_quit(struct lcy_yield_seat *s)
{
	if (s->looked)
		om_close(&s->runq_fd);
	s->looked = false;
}

void lcy_yield_stop(struct lcy_yield *y)
{
	pthread_mutex_lock(&y->lock);
	y->stop = true;
	pthread_cond_broadcast(&y->seat);
	pthread_cond_broadcast(&y->rest);
	pthread_mutex_unlock(&y->lock);
}
