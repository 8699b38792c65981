/*
 * engine_world.h: an engine with a memory and two disk tiers, and a pretended worker and lifecycle process on its rings.
 *
 * For the tests of the engine (one process, one thread beside the engine's). The pretended processes make and remove the files
 * that they speak of. A failing step fails the test.
 */
#ifndef ENGINE_WORLD_H
#define ENGINE_WORLD_H

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>

#include "common/om_ring.h"
#include "index/idxr.h"
#include "supervisor/sup_engine.h"

struct peer {
	struct om_ring ring;
	struct idxr idx;
	uint64_t req;
	struct om_op_scan scan; /* the last one asked for */
	bool idle; /* removals are not worked on */
	uint64_t reaped[256];
	unsigned n_reaped;
	struct om_op_verdict verdict; /* the last one of the lifecycle process */
	struct om_op_room room;	      /* the last one with bytes */
	unsigned n_rooms;
};

struct world {
	char dir[64], mem[64]; /* disk tiers and state; the memory tier */
	struct om_conf *conf;
	const char *adopt[3];
	struct sup_engine *e;
	struct peer w, l; /* places 1 and 0 */
	_Atomic int killed; /* place + 1 */
	uint32_t uid; /* whose prepare() is, and what a file made says of its owner */
	bool scans; /* SCAN is answered with what is found: files made with their URI */
};

/* The last message that the worker got. */
union world_msg {
	struct om_op_hdr hdr;
	unsigned char b[OM_RING_MSG_MAX];
};
extern union world_msg msg;

void start(struct world *x);
void stop(struct world *x);
int setup(void **state);
int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw);
int teardown(void **state);
const char *world_root(const struct world *x, uint8_t tier);
void world_file_make(const struct world *x, uint8_t tier, uint64_t id);
void world_file_make_uri(const struct world *x, uint8_t tier, uint64_t id, const char *uri, uint32_t flags);
/* The directories and the configuration alone; and their end. */
struct world *world_make(void);
void world_unmake(struct world *x);
bool world_file_is(const struct world *x, uint8_t tier, uint64_t id);
void world_file_remove(const struct world *x, uint8_t tier, uint64_t id);
void serve_reaps(struct world *x);
/* Until this holds, while removals are worked on; when it does not come true in 10 s or more, the test fails. */
#define WORLD_UNTIL(x, cond) \
	do { \
		bool held_ = false; \
		for (int n_ = 0; n_ < 20000 && !(held_ = (cond)); n_++, usleep(500)) \
			serve_reaps(x); \
		if (!held_) \
			fail_msg("never: %s", #cond); \
	} while (0)
void next(struct world *x);
void put_msg(struct peer *p, void *m, size_t len, const char *uri, const void *more, size_t more_len);
uint8_t tier_no(struct world *x, const char *name);
const struct om_op_verdict *verdict(struct world *x);
int prepare(struct world *x, const char *uri, uint8_t tier, uint32_t flags, struct om_op_cond cond, uint64_t *ret_id);
int commit(struct world *x, const char *uri, uint8_t tier, uint32_t flags, uint64_t id);
uint64_t put(struct world *x, const char *uri, const char *tier, uint32_t flags);
int del(struct world *x, const char *uri);
int lookup(struct world *x, const char *uri, struct om_op_record *ret);
int index_get(struct world *x, const char *uri, struct idx_ent *ret);
void wait_complete(struct world *x);
/* The engine ends cleanly and begins again; its index is whole. */
void world_restart(struct world *x);
/* A scan: wait until it is asked for (x->l.scan); a file that it finds; its end. */
void world_wait_scan(struct world *x);
void world_found(struct world *x, uint8_t tier, const char *uri, uint64_t id, uint32_t flags);
void world_scanned(struct world *x, uint8_t tier, uint64_t files);
void world_wait_state(struct world *x, const char *tier, int state);
/* Its disk goes (to `away`), and comes back. What the engine makes of it takes a moment: world_wait_state(). */
void world_tier_away(const struct world *x, const char *tier, char away[static 192]);
void world_tier_back(const struct world *x, const char *tier, const char *away);
bool was_reaped(const struct world *x, uint64_t id);
unsigned list_count(struct world *x, const char *prefix, uint32_t limit, char last[static 64], bool *ret_more);
/* What a user owns, as the engine says; nothing is all 0. */
struct sup_engine_owner world_owns(struct world *x, uint32_t uid);
/* The lifecycle process dies and another takes its place. */
void world_lifecycle_again(struct world *x);
void world_worker_again(struct world *x);

#endif
