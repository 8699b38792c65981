/*
 * sup_notify.h: what systemd is told: READY, STATUS with figures, STOPPING, more time, and WATCHDOG=1 as long as the
 * supervisor's threads and its children make progress.
 *
 * Main thread only. Nothing here waits for the manager; without one nothing happens.
 */
#ifndef SUP_NOTIFY_H
#define SUP_NOTIFY_H

#include "supervisor/sup_engine.h"

#define SUP_NOTIFY_STATUS_MS 10000u /* figures are renewed so often, if they have changed */
#define SUP_NOTIFY_CHANGE_MS 1000u  /* and at most so often when a child comes or goes */
#define SUP_NOTIFY_EXTEND_MS 15000u /* time asked for, again and again, while the end takes long */

struct sup;

struct sup_notify {
	bool ready; /* said */
	uint64_t watchdog_ns;		    /* 0: nobody watches */
	uint64_t look_ns, last_look_ns;	    /* next, last */
	uint64_t feed_ns, status_ns, extend_ns; /* next */
	uint64_t requests, requests_ns;	    /* at the last figures */
	bool unsaid; /* READY is to be said again */
	bool changed, withheld, slow;
	char status[256];
};

void sup_notify_init(struct sup_notify *n);
/** A child came or went. Says READY once enough of them serve. */
void sup_notify_changed(struct sup *sup);
/** Every 50 ms. */
void sup_notify_tick(struct sup *sup, uint64_t now_ns);
/** The end begins; `sup_notify_tick` goes on. */
void sup_notify_stopping(struct sup *sup);
/** The last step of the end, which blocks on disks. */
void sup_notify_closing(void);

#endif
