/*
 * sup_engine_answer.h: what children are told over their rings. Publisher.
 */
#ifndef SUP_ENGINE_ANSWER_H
#define SUP_ENGINE_ANSWER_H

#include "supervisor/sup_engine_int.h"

/* A ring message, and whose it is. */
struct sup_msg {
	struct sup_engine *e;
	unsigned place;
	struct sup_child *child;
	const char *why; /* static text, when a rule was broken */
	bool waited;	 /* it has waited for room, and now there is */
};
/* Answer a child; `serial` 0 or another: it is gone, nothing happens. Counts the request as answered. */
void sup_pub_answer(struct sup_engine *e, unsigned place, uint32_t serial, const void *msg, size_t len, bool last);
void sup_pub_verdict(struct sup_engine *e, unsigned place, uint32_t serial, uint64_t req, int status, uint64_t id,
		     uint32_t rev, uint64_t cur_id, uint32_t cur_rev);
/* A verdict without a version. */
void sup_msg_answer(struct sup_msg *c, uint64_t req, int status);
/* Says why and returns false. */
bool sup_msg_broken(struct sup_msg *c, const char *why);
/* The child broke a rule, or cannot be answered: nothing of it is read any more, and it is killed. */
void sup_pub_doom(struct sup_engine *e, unsigned place, const char *why);
/* Puts what waits into its ring, as far as there is room, and rings. */
void sup_pub_flush(struct sup_engine *e, unsigned place);

#endif
