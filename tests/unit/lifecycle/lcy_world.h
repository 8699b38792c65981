/*
 * lcy_world.h: the lifecycle process in a test: its parts with real tiers, a real index and real movers, and a supervisor played by
 * the test, which answers as the engine does and keeps the index. The clock is the test's.
 */
#ifndef LCY_WORLD_H
#define LCY_WORLD_H

#include <sys/resource.h>

#include "be_test.h"
#include "index/idxw.h"
#include "lifecycle/lcy_task.h"

enum { MEM, FAST, SLOW, WORLD_TIERS };

struct world {
	struct lcy l;
	struct idxw *w;
	struct be_test tier[WORLD_TIERS];
	char heat_dir[64];
	int heat_fd_ro, wakefd;
	uint64_t next_id, clock_s;
	/* messages of the lifecycle process */
	pthread_mutex_t lock;
	struct world_msg *msgs, **msgs_end;
	unsigned moves, copies, drops, aborts; /* committed; said */
	unsigned dropped[OM_DROP_WHYS];
	int refuse; /* MOVE_BEGIN is answered with this status, while it is not 0 */
	unsigned refuse_n; /* so often; 0: always */
	char answer[OM_TASKED_TEXT_MAX + 1]; /* of the last task */
	int answer_status;
	uint64_t answer_req;
};

/** Capacity of each tier in bytes; thresholds 0.7 and 0.3, marks 0.95 and 0.85, decay 600 s, interval 10 s, batch 100. */
void world_open(struct world *w, const uint64_t capacity[WORLD_TIERS]);
void world_close(struct world *w);
/** For cmocka: *state is a world that was calloc'ed. */
int world_teardown(void **state);
/** The name of a test's `i`th object; until the next call. */
const char *world_name(unsigned i);
/** The lifecycle process dies and a new one takes its place: of the same daemon, or (`fresh`) with a daemon restarted: index and heat
 * segment are new ones, in which objects lie in the same slots. */
void world_restart(struct world *w, bool fresh);
/** No file of ours grows beyond `bytes` from now on, as if the disk were full. RLIM_INFINITY: it is not. */
void world_files_of(rlim_t bytes);

/** An object of `size` bytes, put at the test's now. @return its id */
uint64_t world_put(struct world *w, const char *uri, uint64_t size, unsigned tier, uint32_t flags, uint64_t expiry_s);
void world_delete(struct world *w, const char *uri);
/** n accesses, now. */
void world_access(struct world *w, const char *uri, unsigned n);
/** Where the index has it; false: it is gone. */
bool world_get(struct world *w, const char *uri, struct idx_ent *ret);
/** Tier that serves it, OM_TIER_NONE: gone; its home. */
unsigned world_tier(struct world *w, const char *uri);
unsigned world_home(struct world *w, const char *uri);
uint64_t world_used(struct world *w, unsigned tier);
/** Let `s` seconds pass, a turn of the loop each, then turns until nothing is under way. */
void world_run(struct world *w, unsigned s);
/** Turns, without time, until nothing is under way. */
void world_settle(struct world *w);
/** Give it an order; for a task: wait for its answer. @return its status; the text is in w->answer */
int world_task(struct world *w, enum om_task_kind kind, const char *uri, unsigned tier, uint64_t arg);
void world_room(struct world *w, unsigned tier, uint64_t bytes);

#endif
