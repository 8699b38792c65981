/*
 * index_model.c: every interleaving of a small model of the order between the generation table, the catalog, the slot and
 * the acknowledgement (index/idx_gen.h), with the order as it is and with each of its parts broken. Prints TAP; a broken
 * order that passes is a failure too: then the model proves nothing.
 *
 * The model: one key. A supervisor makes CHANGES changes; a filler puts the snapshot's record in at some time (the index is
 * being built; a miss asks the catalog and then the slot again); CLIENTS clients make GETS gets each and keep what they got.
 * A version is a number that grows. What must hold for every get:
 *	it returns at least what had been acknowledged when it began, and at least what any get that was over then returned.
 * Steps are atomic and seen at once: which memory orders make program order visible is argued in idx_gen.h; this checks
 * that the program order is the right one.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANGES = 2, CLIENTS = 2, GETS = 3, ABSENT = 0xff, NOTHING = 0xff };

/* What is broken. */
enum breakage {
	RIGHT,
	CLOSE_BEFORE_PUBLISH, /* even, then the slot */
	NO_ODD,		      /* one jump to the next even number, after publishing */
	BUMP_FIRST,	      /* one jump, before the commit */
	PUBLISH_BEFORE_OPEN,  /* the slot, then odd */
	ACK_BEFORE_PUBLISH,
	LOAD_AFTER_LOOK,      /* the worker loads the generation after the slot */
	KEEP_ODD,	      /* a client keeps an answer given under an odd generation */
	FILL_IN_FLIGHT,	      /* the filler does not look whether a change of the key is under way */
	NO_SECOND_LOOK,	      /* a miss that asked the catalog does not look at the slot again */
	GROUP_FIRST,	      /* the group's word is raised before the bucket's is odd */
	GROUP_LATE,	      /* the group's word is raised behind the slot */
	GROUP_AFTER_BUCKET,   /* a client loads the group's word after it has compared the bucket's */
	BREAKAGE_COUNT
};
static const struct {
	const char *what;
	bool holds;
} expected[BREAKAGE_COUNT] = {
	[RIGHT] = {"the order as it is", true},
	[CLOSE_BEFORE_PUBLISH] = {"generation even before the slot is published", false},
	[NO_ODD] = {"no odd generation while a change is under way", false},
	[BUMP_FIRST] = {"generation raised once, before the commit", false},
	[PUBLISH_BEFORE_OPEN] = {"slot published before the generation is odd", false},
	[ACK_BEFORE_PUBLISH] = {"acknowledged before it is published", false},
	[LOAD_AFTER_LOOK] = {"generation loaded after the slot", false},
	[KEEP_ODD] = {"answers of an odd generation kept", false},
	[FILL_IN_FLIGHT] = {"filler puts a snapshot's record in while a change of the key is under way", false},
	[NO_SECOND_LOOK] = {"no second look at the slot after the catalog", false},
	[GROUP_FIRST] = {"group raised before the bucket is odd", false},
	[GROUP_LATE] = {"group raised after the slot is published", false},
	[GROUP_AFTER_BUCKET] = {"group loaded after the bucket was compared", false},
};

enum step { OPEN, RAISE, COMMIT, PUBLISH, CLOSE, ACK, JUMP, STEPS = 6 };
static const enum step orders[BREAKAGE_COUNT][STEPS] = {
	[RIGHT] = {OPEN, RAISE, COMMIT, PUBLISH, CLOSE, ACK},
	[CLOSE_BEFORE_PUBLISH] = {OPEN, RAISE, COMMIT, CLOSE, PUBLISH, ACK},
	[NO_ODD] = {COMMIT, PUBLISH, JUMP, RAISE, ACK, ACK},
	[BUMP_FIRST] = {JUMP, RAISE, COMMIT, PUBLISH, ACK, ACK},
	[PUBLISH_BEFORE_OPEN] = {COMMIT, PUBLISH, OPEN, RAISE, CLOSE, ACK},
	[ACK_BEFORE_PUBLISH] = {OPEN, RAISE, COMMIT, ACK, PUBLISH, CLOSE},
	[LOAD_AFTER_LOOK] = {OPEN, RAISE, COMMIT, PUBLISH, CLOSE, ACK},
	[KEEP_ODD] = {OPEN, RAISE, COMMIT, PUBLISH, CLOSE, ACK},
	[FILL_IN_FLIGHT] = {OPEN, RAISE, COMMIT, PUBLISH, CLOSE, ACK},
	[NO_SECOND_LOOK] = {OPEN, RAISE, COMMIT, PUBLISH, CLOSE, ACK},
	[GROUP_FIRST] = {RAISE, OPEN, COMMIT, PUBLISH, CLOSE, ACK},
	[GROUP_LATE] = {OPEN, COMMIT, PUBLISH, RAISE, CLOSE, ACK},
	[GROUP_AFTER_BUCKET] = {OPEN, RAISE, COMMIT, PUBLISH, CLOSE, ACK},
};

/* Where a client is in its get. */
enum at { IDLE, GROUP, HIT, LATE_GROUP, LOAD, LOOK, CATALOG, AGAIN, LATE_LOAD, ANSWER };

struct client {
	uint8_t gets;	   /* done */
	uint8_t at;
	uint8_t floor;	   /* the least that this get may return */
	uint8_t gen;	   /* loaded for this get */
	uint8_t version;   /* found by this get */
	uint8_t kept_gen;  /* NOTHING: nothing kept */
	uint8_t kept_version;
	uint8_t group;	   /* loaded for this get */
	uint8_t proven;	   /* the group's word under which what is kept was compared; NOTHING: not yet */
};
struct state {
	uint8_t change, step; /* the supervisor's next */
	uint8_t gen, group, catalog, slot, acked, seen;
	uint8_t filled;
	struct client c[CLIENTS];
};

/* States seen, in a hash table that is large enough for this model. */
#define TABLE (1u << 24)
static struct state *table;
static uint8_t *used;
static uint64_t states;

static bool first_time(const struct state *s)
{
	uint64_t h = 1469598103934665603u;

	for (size_t i = 0; i < sizeof(*s); i++)
		h = (h ^ ((const uint8_t *)s)[i]) * 1099511628211u;
	h ^= h >> 29;
	for (size_t i = h % TABLE;; i = (i + 1) % TABLE) {
		if (!used[i]) {
			used[i] = 1;
			table[i] = *s;
			if (++states > TABLE / 10 * 9) {
				(void)fprintf(stderr, "model too large\n");
				exit(2);
			}
			return true;
		}
		if (memcmp(&table[i], s, sizeof(*s)) == 0)
			return false;
	}
}

static void supervisor(struct state *s, enum breakage b)
{
	switch (orders[b][s->step]) {
	case OPEN:
	case CLOSE:
		s->gen++;
		break;
	case JUMP:
		s->gen = (uint8_t)(s->gen + 2);
		break;
	case RAISE:
		s->group++;
		break;
	case COMMIT:
		s->catalog = (uint8_t)(s->change + 1);
		break;
	case PUBLISH:
		s->slot = (uint8_t)(s->change + 1);
		break;
	case ACK:
		s->acked = (uint8_t)(s->change + 1);
		break;
	}
	if (++s->step == STEPS) {
		s->step = 0;
		s->change++;
	}
}

/* The filler has the record of before all changes. It leaves a slot alone that a change has written. */
static bool fill(struct state *s, enum breakage b)
{
	if (s->filled || (s->step != 0 && b != FILL_IN_FLIGHT))
		return false;
	s->filled = 1;
	if (s->slot == ABSENT)
		s->slot = 0;
	return true;
}

static bool answer(struct state *s, struct client *c, uint8_t version)
{
	bool ok = version >= c->floor;

	if (version > s->seen)
		s->seen = version;
	c->gets++;
	c->at = IDLE;
	c->floor = c->gen = c->version = c->group = 0; /* fewer states */
	return ok;
}

/* One step of a client's get; false: it returned something too old. */
static bool client(struct state *s, struct client *c, enum breakage b)
{
	switch ((enum at)c->at) {
	case IDLE: /* begin */
		c->floor = s->acked > s->seen ? s->acked : s->seen;
		c->at = c->kept_gen == NOTHING ? LOAD : GROUP;
		return true;
	case GROUP:
		if (c->proven == s->group)
			return answer(s, c, c->kept_version);
		c->group = s->group;
		c->at = HIT;
		return true;
	case HIT:
		c->at = LOAD;
		if (c->kept_gen != s->gen)
			return true;
		if (b == GROUP_AFTER_BUCKET) {
			c->at = LATE_GROUP;
			return true;
		}
		c->proven = c->group;
		return answer(s, c, c->kept_version);
	case LATE_GROUP:
		c->proven = s->group;
		return answer(s, c, c->kept_version);
	case LOAD: /* the worker's first step */
		c->gen = s->gen;
		c->at = LOOK;
		return true;
	case LOOK:
		c->version = s->slot;
		c->at = c->version == ABSENT ? CATALOG : b == LOAD_AFTER_LOOK ? LATE_LOAD : ANSWER;
		return true;
	case CATALOG:
		c->version = s->catalog;
		c->at = b == NO_SECOND_LOOK ? ANSWER : AGAIN;
		return true;
	case AGAIN:
		if (s->slot != ABSENT)
			c->version = s->slot;
		c->at = b == LOAD_AFTER_LOOK ? LATE_LOAD : ANSWER;
		return true;
	case LATE_LOAD:
		c->gen = s->gen;
		c->at = ANSWER;
		return true;
	case ANSWER:
		if (b == KEEP_ODD || c->gen % 2 == 0) {
			c->kept_gen = c->gen;
			c->kept_version = c->version;
			c->proven = NOTHING;
		}
		return answer(s, c, c->version);
	}
	return true;
}

/* All that can follow from `s`; false as soon as one way breaks the promise. */
static bool explore(const struct state *s, enum breakage b)
{
	struct state n;

	if (!first_time(s))
		return true;
	if (s->change < CHANGES) {
		n = *s;
		supervisor(&n, b);
		if (!explore(&n, b))
			return false;
	}
	n = *s;
	if (fill(&n, b) && !explore(&n, b))
		return false;
	for (unsigned i = 0; i < CLIENTS; i++) {
		if (s->c[i].gets == GETS)
			continue;
		n = *s;
		if (!client(&n, &n.c[i], b) || !explore(&n, b))
			return false;
	}
	return true;
}

int main(void)
{
	unsigned failed = 0;

	table = (struct state *)calloc(TABLE, sizeof(*table));
	used = (uint8_t *)calloc(TABLE, 1);
	if (!table || !used)
		return 2;
	(void)printf("1..%d\n", BREAKAGE_COUNT);
	for (unsigned b = 0; b < BREAKAGE_COUNT; b++) {
		struct state start;
		bool holds;

		memset(&start, 0, sizeof(start));
		start.slot = ABSENT;
		for (unsigned i = 0; i < CLIENTS; i++)
			start.c[i].kept_gen = start.c[i].proven = NOTHING;
		memset(used, 0, TABLE);
		states = 0;
		holds = explore(&start, (enum breakage)b);
		failed += holds != expected[b].holds;
		(void)printf("%s %u - %s: %s after %llu states\n", holds == expected[b].holds ? "ok" : "not ok", b + 1,
			     expected[b].what, holds ? "holds" : "breaks", (unsigned long long)states);
	}
	free(table);
	free(used);
	return failed != 0;
}
