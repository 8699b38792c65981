/*
 * sup_metrics.h: all figures of the daemon as metrics, read from shared memory: no worker is asked.
 *
 * Main thread only. Names: objmapper_<counter>, tiers and processes with labels; doc/metrics.md is made from the same tables.
 */
#ifndef SUP_METRICS_H
#define SUP_METRICS_H

#include "supervisor/sup.h"

enum sup_metrics_form {
	SUP_METRICS_OPEN,	/* OpenMetrics 1.0 */
	SUP_METRICS_PROMETHEUS, /* the text format 0.0.4: counters' families end in _total, no units */
};

/** A text to be freed; NULL: out of memory. */
char *sup_metrics_text(const struct sup *sup, enum sup_metrics_form form) OM_MUST_USE;
/** The table of metrics, as Markdown. */
void sup_metrics_dump(FILE *out);

#endif
