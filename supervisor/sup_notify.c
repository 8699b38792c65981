/*
 * sup_notify.c: see sup_notify.h. Called by sup_run.c.
 */
#include "supervisor/sup_notify.h"

#include "common/om_log.h"
#include "common/om_sd.h"
#include "supervisor/sup.h"

#define MS UINT64_C(1000000)
#define CLOSING_MS 120000u /* commits, syncs and retiring of what is open: bounded by the disks, not by us */

void sup_notify_init(struct sup_notify *n)
{
	*n = (struct sup_notify){ .watchdog_ns = om_sd_watchdog_ns() };
}

static uint64_t sum(const struct sup_children *kids, enum om_counter c)
{
	uint64_t n = om_counter_table[c].gauge ? 0 : kids->ended[c];

	for (unsigned i = 0; i < kids->n; i++)
		if (kids->place[i].pid)
			n += om_counter_read(&kids->place[i].counters, c);
	return n;
}

static void figures(struct sup *sup, uint64_t now, bool whole)
{
	struct sup_notify *n = &sup->notify;
	struct sup_engine_stat st;
	uint64_t requests = sum(&sup->kids, OM_C_REQUESTS), span = n->requests_ns ? now - n->requests_ns : 0;
	/* a child that lies about its counter gets a wrong line, no more */
	uint64_t rate = span && requests > n->requests ? (requests - n->requests) / (span / MS / 1000u + 1) : 0;
	unsigned gone = 0;

	n->requests = requests;
	n->requests_ns = now;
	sup_engine_stat(sup->engine, &st);
	for (uint32_t i = 0; i < st.n_tiers; i++)
		gone += st.tiers[i].state != OM_TIERS_READY;
	char tiers[64] = "";
	if (gone)
		(void)snprintf(tiers, sizeof(tiers), " (%u not ready)", gone);
	(void)snprintf(n->status, sizeof(n->status), "%u workers, %u tiers%s, %llu objects%s; %llu connections, %llu requests/s%s",
		       sup_child_count(&sup->kids, OM_ROLE_WORKER, SUP_STATE_READY), st.n_tiers, tiers, (unsigned long long)st.objects,
		       st.complete ? "" : " so far", (unsigned long long)sum(&sup->kids, OM_C_CONNECTIONS), (unsigned long long)rate,
		       whole ? "" : "; replacing a process that died");
}

static bool whole(const struct sup *sup)
{
	return sup_child_count(&sup->kids, OM_ROLE_WORKER, SUP_STATE_READY) >= sup->scale.min &&
	       sup->kids.place[SUP_CHILD_LIFECYCLE].state == SUP_STATE_READY;
}

static void say_status(struct sup *sup, uint64_t now)
{
	struct sup_notify *n = &sup->notify;
	char was[sizeof(n->status)], line[sizeof(n->status) + 16];

	n->changed = false;
	n->status_ns = now + SUP_NOTIFY_STATUS_MS * MS;
	memcpy(was, n->status, sizeof(was));
	figures(sup, now, whole(sup));
	if (!strcmp(was, n->status))
		return;
	(void)snprintf(line, sizeof(line), "STATUS=%s", n->status);
	if (!om_sd_notify(line))
		n->status[0] = '\0'; /* the next time it counts as changed */
}

void sup_notify_changed(struct sup *sup)
{
	struct sup_notify *n = &sup->notify;
	uint64_t now = om_now_ns();

	if (sup->stopping || (!n->ready && !whole(sup)))
		return;
	if (n->ready) {
		n->changed = true;
		n->status_ns = OM_MIN(n->status_ns, now + SUP_NOTIFY_CHANGE_MS * MS);
		return;
	}
	figures(sup, now, true);
	n->ready = true;
	n->status_ns = now + SUP_NOTIFY_STATUS_MS * MS;
	n->unsaid = !om_sd_ready(n->status);
	struct sup_sock *data = sup_sock_find(&sup->socks, OM_LISTEN_DATA);
	om_log(OM_MSG_STARTED, "objmapperd %s serves on %s (%u workers, %zu tiers, uid %u)", OM_VERSION, data ? data->name : "no data socket",
	       sup_child_count(&sup->kids, OM_ROLE_WORKER, SUP_STATE_READY), sup->conf->n_backends, (unsigned)sup->user.uid);
}

/* ---- the watchdog ---- */

/* The thread that is worst off, or NULL. */
static const struct sup_pulse *worst(struct sup *sup, uint64_t span, enum sup_pulse_state *ret)
{
	struct sup_pulse *p[SUP_PULSES_MAX];
	enum sup_pulse_state state[SUP_PULSES_MAX];
	unsigned k = 0, n = sup_engine_pulses(sup->engine, p);

	sup_pulse_look(p, n, span, sup_pulse_thread_state, state);
	for (unsigned i = 1; i < n; i++)
		if (state[i] > state[k])
			k = i;
	*ret = state[k];
	return state[k] == SUP_PULSE_FINE ? NULL : p[k];
}

static void look(struct sup *sup, uint64_t now)
{
	struct sup_notify *n = &sup->notify;
	uint64_t span = sup_pulse_span(&n->last_look_ns, now);
	enum sup_pulse_state state;
	const struct sup_pulse *p = worst(sup, span, &state);
	bool slow = state == SUP_PULSE_SLOW, stuck = state == SUP_PULSE_STUCK;

	if (slow && !n->slow)
		om_log(OM_MSG_SLOW, "%s has waited %u s for its disk; changes of that tier wait, everything else goes on", p->name,
		       SUP_PULSE_STUCK_MS / 1000u);
	n->slow = slow;
	if (sup_child_progress(&sup->kids, span) > 0) {
		stuck = true;
		p = NULL;
	}
	if (stuck && !n->withheld)
		om_log(OM_MSG_WATCHDOG, "%s makes no progress for %u s%s", p ? p->name : "the main thread cannot end a child that",
		       SUP_PULSE_STUCK_MS / 1000u,
		       n->watchdog_ns ? ": the watchdog is not fed any more, systemd restarts the daemon unless it recovers" :
					": restart the daemon");
	if (!stuck && n->withheld)
		om_log(OM_MSG_WATCHDOG, "progress again");
	n->withheld = stuck;
}

static void feed(struct sup_notify *n, uint64_t now)
{
	if (!n->watchdog_ns || n->withheld || now < n->feed_ns)
		return;
	if (om_sd_alive())
		n->feed_ns = now + n->watchdog_ns / 4;
}

void sup_notify_tick(struct sup *sup, uint64_t now)
{
	struct sup_notify *n = &sup->notify;

	if (now >= n->look_ns) {
		n->look_ns = now + SUP_PULSE_LOOK_MS * MS;
		look(sup, now);
	}
	feed(n, now);
	if (n->unsaid && !sup->stopping)
		n->unsaid = !om_sd_ready(n->status);
	if (sup->stopping) {
		if (now >= n->extend_ns && now < sup->give_up_ns) {
			n->extend_ns = now + SUP_NOTIFY_EXTEND_MS / 5 * MS;
			om_sd_extend(SUP_NOTIFY_EXTEND_MS);
		}
	} else if (n->ready && now >= n->status_ns) {
		say_status(sup, now);
	}
}

void sup_notify_stopping(struct sup *sup)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "finishing what is under way, for at most %u ms; %llu connections", sup->conf->drain_timeout_ms,
		       (unsigned long long)sum(&sup->kids, OM_C_CONNECTIONS));
	(void)om_sd_stopping(text); /* the manager mostly knows: it asked for the end */
}

void sup_notify_closing(void)
{
	om_sd_extend(CLOSING_MS);
	(void)om_sd_notify("STATUS=committing what was acknowledged, closing the catalogs");
}
