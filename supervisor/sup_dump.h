/*
 * sup_dump.h: tables of the built program as text: pages and tests are made from them, so they cannot drift.
 */
#ifndef SUP_DUMP_H
#define SUP_DUMP_H

#include <stdio.h>

/** Counters, statuses, log messages, fault points, admin commands, states of a child, as Markdown. */
void sup_dump_tables(FILE *out);
/** Names of the fault points, one a line. */
void sup_dump_faults(FILE *out);

#endif
