/*
 * engine_moves.h: moves as the pretended lifecycle process of engine_world.h makes them, and what must be true afterwards.
 *
 * For the tests of moves. Files are made where a real process would have copied them to. A failing step fails the test.
 */
#ifndef ENGINE_MOVES_H
#define ENGINE_MOVES_H

#include "engine_world.h"

struct mv {
	const char *uri;
	uint64_t id;
	uint32_t rev;
	uint8_t from, to, kind; /* tier numbers; enum om_move_kind */
	uint8_t gently;		/* clients are served */
};

struct mv mv_of(struct world *x, const char *uri, uint64_t id, const char *from, const char *to, uint8_t kind);
/* MOVE_BEGIN (and the file, if it was allowed), MOVE_COMMIT: the verdict. */
int mv_begin(struct world *x, const struct mv *m);
int mv_finish(struct world *x, const struct mv *m);
/* A message alone, and the verdict of the last one. */
void mv_send(struct world *x, uint16_t type, const struct mv *m);
int mv_verdict(struct world *x);
/* All of it, once an older file of that name is gone. */
void mv_move(struct world *x, const char *uri, uint64_t id, const char *from, const char *to, uint8_t kind);
/* DROP of the lifecycle process, GONE of the worker: the verdict. */
int mv_drop(struct world *x, const char *uri, uint64_t id, const char *tier, uint8_t why);
int mv_gone(struct world *x, const char *uri, uint64_t id, const char *tier);

void mv_check_at(struct world *x, const char *uri, uint64_t id, const char *tier, const char *home);
/* No record, no file, on any tier. */
void mv_check_none(struct world *x, const char *uri, uint64_t id);
void mv_wait_file_gone(struct world *x, const char *tier, uint64_t id);
uint64_t mv_objects_on(struct world *x, const char *tier);

#endif
