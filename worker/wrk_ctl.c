/*
 * wrk_ctl.c: the control socket (process objmapper-worker; loop thread, but for log lines). Called by wrk_main.c.
 *
 * The supervisor is trusted, but a message of another layout (half an upgrade) must not be acted upon: lengths, counts and
 * numbers are checked, and a worker that cannot make sense of what it is told ends and is replaced.
 */
#include "worker/wrk_ctl.h"

#include <poll.h>
#include <stdatomic.h>

#include "common/om_fault.h"
#include "common/om_fdpass.h"
#include "worker/wrk_conf.h"
#include "worker/wrk_conn_set.h"
#include "worker/wrk_reqlog.h"

static bool wrk_ctl_hdr_ok(const struct om_proc_hdr *hdr, size_t len, uint16_t type, size_t want)
{
	return len == want && hdr->magic == OM_PROC_MAGIC && hdr->layout == OM_PROC_LAYOUT && hdr->type == type &&
	       hdr->len == want;
}

static struct om_proc_hdr wrk_ctl_hdr(uint16_t type, size_t len)
{
	return (struct om_proc_hdr){ .magic = OM_PROC_MAGIC, .len = (uint32_t)len, .type = type, .layout = OM_PROC_LAYOUT };
}

/* ---------------------------------------------------------------- BOOT */

static bool wrk_ctl_live_ok(const struct om_proc_live *l)
{
	uint32_t seen = 0;

	if (l->n_tiers > OM_TIERS_MAX || l->n_trusted > OM_TRUSTED_MAX || l->n_legacy > OM_TRUSTED_MAX)
		return false;
	for (uint32_t i = 0; i < l->n_tiers; i++) {
		const struct om_boot_tier *t = &l->tiers[i];

		if (t->tier >= OM_TIERS_MAX || (seen & 1u << t->tier) || memchr(t->name, 0, sizeof(t->name)) == NULL)
			return false;
		seen |= 1u << t->tier;
	}
	return true;
}

static bool wrk_ctl_boot_ok(const struct om_proc_boot *b, size_t len, unsigned nfds)
{
	unsigned want = OM_BOOT_FD_COUNT;

	if (!wrk_ctl_hdr_ok(&b->hdr, len, OM_PROC_BOOT, sizeof(*b)) || b->role != OM_ROLE_WORKER ||
	    b->n_listen > OM_LISTEN_MAX || !wrk_ctl_live_ok(&b->live))
		return false;
	for (uint32_t i = 0; i < b->n_listen; i++)
		if (b->listen_kind[i] > OM_LISTEN_TCP)
			return false;
	want += b->n_listen;
	for (uint32_t i = 0; i < b->n_tiers; i++)
		if (b->tiers[i].state != OM_TIERS_ABSENT)
			want += 2;
	return nfds == want;
}

static void wrk_ctl_take_tiers(struct wrk *w, int *fds)
{
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		w->tiers[i] = (struct wrk_tier){ .objects_fd = -1, .staging_fd = -1 };
	for (uint32_t i = 0; i < w->boot.n_tiers; i++) {
		const struct om_boot_tier *row = &w->boot.tiers[i];
		struct wrk_tier *t = &w->tiers[row->tier];

		t->known = true;
		t->row = *row;
		if (row->state != OM_TIERS_ABSENT) {
			t->objects_fd = *fds++;
			t->staging_fd = *fds++;
		}
	}
}

int wrk_ctl_boot(struct wrk *w, int ctl_fd, struct wrk_ctl_boot *ret)
{
	struct pollfd p = { .fd = ctl_fd, .events = POLLIN };
	int fds[WRK_CTL_FDS_MAX];
	unsigned nfds = 0;
	size_t len;
	int rc;

	do {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return -OBJM_STATUS_SYSTEM;
		rc = om_fdpass_recv(ctl_fd, &w->boot, sizeof(w->boot), &len, fds, OM_ARRAY_SIZE(fds), &nfds);
	} while (rc == -OBJM_STATUS_WOULD_BLOCK);
	if (rc < 0)
		return rc;
	if (!wrk_ctl_boot_ok(&w->boot, len, nfds)) {
		for (unsigned i = 0; i < nfds; i++)
			(void)close(fds[i]);
		return -OBJM_STATUS_CORRUPT;
	}
	memcpy(ret->fds, fds, sizeof(ret->fds));
	for (unsigned i = 0; i < OM_LISTEN_MAX; i++)
		ret->listeners[i] = i < w->boot.n_listen ? fds[OM_BOOT_FD_COUNT + i] : -1;
	wrk_ctl_take_tiers(w, fds + OM_BOOT_FD_COUNT + w->boot.n_listen);
	w->ctl_fd = ctl_fd;
	w->run_lock_fd = om_take_fd(&ret->fds[OM_BOOT_RUN_LOCK]);
	return 0;
}

/* ---------------------------------------------------------------- log */

static _Atomic unsigned wrk_ctl_dropped;

static int wrk_ctl_send_line(int fd, enum om_msg id, const char *text, const struct om_log_about *about)
{
	struct om_proc_log m;

	om_proc_log_pack(&m, id, text, about);
	return om_fdpass_send(fd, &m, sizeof(m), NULL, 0);
}

static void wrk_ctl_sink(enum om_msg id, enum om_log_prio prio, const char *text, void *arg)
{
	struct wrk *w = arg;
	unsigned lost = atomic_exchange_explicit(&wrk_ctl_dropped, 0, memory_order_relaxed);
	char line[96];

	(void)prio; /* follows from the message; the supervisor knows it */
	if (lost) {
		(void)snprintf(line, sizeof(line), "%u lines of this worker were lost: the supervisor did not read", lost);
		if (wrk_ctl_send_line(w->ctl_fd, OM_MSG_NOTE, line, &(struct om_log_about){ 0 }) < 0)
			(void)atomic_fetch_add_explicit(&wrk_ctl_dropped, lost, memory_order_relaxed);
	}
	if (wrk_ctl_send_line(w->ctl_fd, id, text, om_log_fields()) < 0)
		(void)atomic_fetch_add_explicit(&wrk_ctl_dropped, 1, memory_order_relaxed);
}

void wrk_ctl_log_start(struct wrk *w)
{
	om_log_level((enum om_log_prio)w->boot.log_level);
	wrk_reqlog_set(w, w->boot.access_log_ppm);
	om_log_sink(wrk_ctl_sink, w);
}

/* ---------------------------------------------------------------- later messages */

static struct wrk_src wrk_ctl_src;
static void (*wrk_ctl_drain)(struct wrk *w);

_Noreturn static void wrk_ctl_end(const char *why)
{
	if (why)
		om_log(OM_MSG_FATAL, "message of the supervisor: %s: this worker ends and is replaced", why);
	_exit(why ? 1 : 0); /* no destructors: other threads are at work */
}

static void wrk_ctl_index(struct wrk *w, const struct om_proc_index *m, int *fd)
{
	struct om_proc_index ack = { .hdr = wrk_ctl_hdr(OM_PROC_INDEX_ACK, sizeof(ack)), .seq = m->seq };
	struct idxr next = IDXR_INIT;

	if (idxr_attach(*fd, &next) < 0)
		wrk_ctl_end("the new index cannot be mapped");
	*fd = -1;
	idx_alogw_flush(&w->alog);
	idxr_detach(&w->idx); /* the loop's thread alone looks things up */
	w->idx = next;
	(void)om_fault(OM_FAULT_SEGMENT_ACK);
	if (om_fdpass_send(w->ctl_fd, &ack, sizeof(ack), NULL, 0) < 0)
		wrk_ctl_end("INDEX_ACK cannot be sent");
}

static void wrk_ctl_conf(struct wrk *w, const struct om_proc_conf *m, int *rules_fd)
{
	if (!wrk_ctl_live_ok(&m->live))
		wrk_ctl_end("CONF of another layout");
	wrk_conf_apply(w, &m->live, om_take_fd(rules_fd));
	const struct om_proc_index ack = { .hdr = wrk_ctl_hdr(OM_PROC_CONF_ACK, sizeof(ack)), .seq = m->seq };
	if (om_fdpass_send(w->ctl_fd, &ack, sizeof(ack), NULL, 0) < 0)
		wrk_ctl_end("CONF_ACK cannot be sent");
}

static struct om_proc_conn wrk_ctl_conn(const struct wrk_conn *c, uint64_t now_ns)
{
	return (struct om_proc_conn){
		.queued_bytes = wrk_out_bytes(&c->out) + c->parked_bytes, .uid = c->uid, .pid = c->pid, .outstanding = c->n_reqs,
		.idle_ms = now_ns > c->active_ns ? (now_ns - c->active_ns) / 1000000u : 0, .unread_fds = c->flight.n,
		.kind = (uint8_t)c->kind, .version = c->version,
	};
}

/* What does not fit the socket is left out: the supervisor gives up waiting. */
static void wrk_ctl_conns(struct wrk *w, uint32_t seq)
{
	struct om_proc_conns m = { .hdr = wrk_ctl_hdr(OM_PROC_CONNS_ARE, sizeof(m)), .seq = seq, .total = wrk_conn_count(w->conns) };
	const struct wrk_conn *c = wrk_conn_first(w->conns);

	for (unsigned n = 0; !m.last; n += m.n) {
		for (m.n = 0; c && m.n < OM_CONNS_ROWS; c = c->next)
			m.row[m.n++] = wrk_ctl_conn(c, w->loop.now_ns);
		m.last = !c || n + m.n >= OM_CONNS_MAX;
		if (om_fdpass_send(w->ctl_fd, &m, sizeof(m), NULL, 0) < 0)
			return;
	}
}

static void wrk_ctl_message(struct wrk *w, const void *buf, size_t len, int *fds, unsigned nfds)
{
	const struct om_proc_hdr *hdr = buf;

	if (len >= sizeof(*hdr) && wrk_ctl_hdr_ok(hdr, len, OM_PROC_INDEX, sizeof(struct om_proc_index)) && nfds == 1)
		wrk_ctl_index(w, buf, &fds[0]);
	else if (len >= sizeof(*hdr) && wrk_ctl_hdr_ok(hdr, len, OM_PROC_CONF, sizeof(struct om_proc_conf)) && nfds == 1)
		wrk_ctl_conf(w, buf, &fds[0]);
	else if (len >= sizeof(*hdr) && wrk_ctl_hdr_ok(hdr, len, OM_PROC_CONNS, sizeof(struct om_proc_index)) && nfds == 0)
		wrk_ctl_conns(w, ((const struct om_proc_index *)buf)->seq);
	else if (len >= sizeof(*hdr) && wrk_ctl_hdr_ok(hdr, len, OM_PROC_DRAIN, sizeof(struct om_proc_drain)) && nfds == 0) {
		w->boot.limits.drain_ms = ((const struct om_proc_drain *)buf)->ms;
		wrk_ctl_drain(w);
	} else {
		wrk_ctl_end("unknown");
	}
}

static void wrk_ctl_ready_to_read(void *arg, uint32_t events)
{
	struct wrk *w = arg;
	_Alignas(16) char buf[sizeof(struct om_proc_conf)]; /* the longest */
	int fds[4];
	unsigned nfds;
	size_t len;
	int rc;

	(void)events;
	rc = om_fdpass_recv(w->ctl_fd, buf, sizeof(buf), &len, fds, OM_ARRAY_SIZE(fds), &nfds);
	if (rc == -OBJM_STATUS_WOULD_BLOCK)
		return;
	if (rc == -OBJM_STATUS_GONE)
		wrk_ctl_end(NULL);
	if (rc < 0)
		wrk_ctl_end("cannot be received");
	wrk_ctl_message(w, buf, len, fds, nfds);
}

int wrk_ctl_start(struct wrk *w, void (*drain)(struct wrk *w))
{
	wrk_ctl_drain = drain;
	wrk_ctl_src = WRK_SRC_INIT(wrk_ctl_ready_to_read, w);
	return wrk_loop_add(&w->loop, &wrk_ctl_src, w->ctl_fd, EPOLLIN);
}

int wrk_ctl_ready(struct wrk *w)
{
	struct om_proc_hdr m = wrk_ctl_hdr(OM_PROC_READY, sizeof(m));

	return om_fdpass_send(w->ctl_fd, &m, sizeof(m), NULL, 0);
}
