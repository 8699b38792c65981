/*
 * sup_engine_ask.h: questions of the main loop, and their answers.
 */
#ifndef SUP_ENGINE_ASK_H
#define SUP_ENGINE_ASK_H

#include "supervisor/sup_engine_int.h"

int sup_asks_new(struct sup_asks **ret);
void sup_asks_free(struct sup_asks *q);
/* Main loop: another question; its cookie, which is never 0, or 0: as many are open as may be. */
uint64_t sup_ask_new(struct sup_engine *e, uint32_t wait_ms, sup_engine_done_fn *done, void *arg);
/* Any thread: the answer (copied), or just a status. */
void sup_ask_answer(struct sup_engine *e, uint64_t cookie, const struct sup_engine_answer *a);
void sup_ask_fail(struct sup_engine *e, uint64_t cookie, int status);
void sup_ask_text(struct sup_engine *e, uint64_t cookie, int status, const char *text);

#endif
