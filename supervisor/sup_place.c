/*
 * sup_place.c: see sup_place.h. In the supervisor's main thread. What a child says is a table of type and length, checked before
 * anything is done.
 */
#include "supervisor/sup_place.h"

#include "common/om_log.h"

#define MS 1000000u

void sup_place_name(const struct sup_place *p, char ret[static 32])
{
	if (p->role == OM_ROLE_LIFECYCLE)
		(void)snprintf(ret, 32, "lifecycle");
	else
		(void)snprintf(ret, 32, "worker %u", p->no);
}

/* ---- what it is told ---- */

static struct om_proc_hdr head(uint16_t type, size_t len)
{
	return (struct om_proc_hdr){ .magic = OM_PROC_MAGIC, .len = (uint32_t)len, .type = type, .layout = OM_PROC_LAYOUT };
}

static const char *send_to(struct sup_place *p, const void *msg, size_t len, const int *fds, unsigned nfds)
{
	int err = om_fdpass_send(p->ctl, msg, len, fds, nfds);

	if (err == -OBJM_STATUS_GONE || err == 0)
		return NULL;
	return err == -OBJM_STATUS_WOULD_BLOCK ? "it does not read its control socket" : "its control socket failed";
}

const char *sup_place_tell_alog(struct sup_place *l, const struct sup_place *worker, bool gone)
{
	struct om_proc_alog m = { .child = worker->no };

	if (l->ctl < 0 || (l->state != SUP_STATE_BOOTING && l->state != SUP_STATE_READY))
		return NULL;
	m.hdr = head(gone ? OM_PROC_ALOG_GONE : OM_PROC_ALOG, sizeof(m));
	return send_to(l, &m, sizeof(m), gone ? NULL : &worker->alog.rofd, gone ? 0 : 1);
}

const char *sup_place_tell_index(struct sup_place *p, const struct sup_post_index *ix)
{
	struct om_proc_index m = { .hdr = head(OM_PROC_INDEX, sizeof(m)), .seq = ix->seq };
	const int fds[2] = { ix->index_rofd, ix->heatfd };

	if (p->ctl < 0 || p->index_want >= ix->seq)
		return NULL; /* it was started with this one */
	p->index_want = ix->seq;
	if (p->state != SUP_STATE_BOOTING) { /* one that boots answers after READY */
		p->ack_due_ns = om_now_ns() + (uint64_t)SUP_CHILD_ACK_MS * MS;
		p->ack_why = "it did not confirm a new index segment";
	}
	return send_to(p, &m, sizeof(m), fds, p->role == OM_ROLE_LIFECYCLE ? 2 : 1);
}

const char *sup_place_tell_conf(struct sup_place *p, struct om_proc_conf *m, int rules_fd)
{
	if (p->ctl < 0 || !sup_fsm_alive(p->state))
		return NULL;
	m->hdr = head(OM_PROC_CONF, sizeof(*m));
	p->conf_want = m->seq;
	if (p->state != SUP_STATE_BOOTING) /* one that boots confirms after READY */
		p->conf_due_ns = om_now_ns() + (uint64_t)SUP_CHILD_ACK_MS * MS;
	return send_to(p, m, sizeof(*m), &rules_fd, 1);
}

const char *sup_place_tell_conns(struct sup_place *p, uint32_t seq)
{
	struct om_proc_index m = { .hdr = head(OM_PROC_CONNS, sizeof(m)), .seq = seq };

	return send_to(p, &m, sizeof(m), NULL, 0);
}

const char *sup_place_tell_drain(struct sup_place *p, uint32_t ms)
{
	struct om_proc_drain m = { .hdr = head(OM_PROC_DRAIN, sizeof(m)), .ms = ms };

	return send_to(p, &m, sizeof(m), NULL, 0);
}

/* ---- what it says ---- */

union ctl_msg {
	struct om_proc_hdr hdr;
	struct om_proc_index index;
	struct om_proc_log log;
	struct om_proc_conns conns;
};

static const char *take_ready(struct sup_place *p, const union ctl_msg *m)
{
	(void)p;
	(void)m;
	return NULL; /* sup_place_hear() tells */
}

static const char *take_index_ack(struct sup_place *p, const union ctl_msg *m)
{
	if (p->index_want == p->index_seq || m->index.seq != p->index_want)
		return "it confirmed an index segment that it was not given";
	p->index_seq = p->index_want;
	p->ack_due_ns = 0;
	sup_engine_index_ack(p->all->env->engine, p->no, p->index_seq);
	return NULL;
}

static const char *take_conf_ack(struct sup_place *p, const union ctl_msg *m)
{
	if (m->index.seq <= p->conf_seq || m->index.seq > p->conf_want)
		return "it confirmed a configuration that it was not given";
	p->conf_seq = m->index.seq;
	if (p->conf_seq == p->conf_want)
		p->conf_due_ns = 0;
	return NULL;
}

static const char *take_conns(struct sup_place *p, const union ctl_msg *m)
{
	if (p->role != OM_ROLE_WORKER || m->conns.n > OM_CONNS_ROWS)
		return "it sent a malformed list of connections";
	if (p->all->conns)
		p->all->conns(p->all->changed_arg, p, &m->conns);
	return NULL;
}

static const char *take_log(struct sup_place *p, const union ctl_msg *m)
{
	struct om_log_about about;
	char name[32];

	if (!om_proc_log_unpack(&m->log, &about))
		return "it sent a malformed log line";
	sup_place_name(p, name);
	about.process = name;
	om_log_about((enum om_msg)m->log.msg, &about, "%s: %s", name, m->log.text);
	return NULL;
}

/* What a child may send; NULL or why it must die. */
static const struct {
	uint16_t type;
	uint16_t len;
	const char *(*take)(struct sup_place *p, const union ctl_msg *m);
} ctl_table[] = {
	{ OM_PROC_READY, sizeof(struct om_proc_hdr), take_ready },
	{ OM_PROC_INDEX_ACK, sizeof(struct om_proc_index), take_index_ack },
	{ OM_PROC_CONF_ACK, sizeof(struct om_proc_index), take_conf_ack },
	{ OM_PROC_CONNS_ARE, sizeof(struct om_proc_conns), take_conns },
	{ OM_PROC_LOG, sizeof(struct om_proc_log), take_log },
};

static const char *take_ctl(struct sup_place *p, const union ctl_msg *m, size_t len)
{
	if (len < sizeof(m->hdr) || m->hdr.magic != OM_PROC_MAGIC || m->hdr.layout != OM_PROC_LAYOUT || m->hdr.len != len)
		return "it sent a malformed control message";
	for (unsigned i = 0; i < OM_ARRAY_SIZE(ctl_table); i++) {
		if (ctl_table[i].type != m->hdr.type)
			continue;
		if (ctl_table[i].len != len)
			return "it sent a control message of a wrong length";
		return ctl_table[i].take(p, m);
	}
	return "it sent a control message that is not a child's";
}

enum sup_heard sup_place_hear(struct sup_place *p, const char **ret_why)
{
	union ctl_msg m;
	size_t len;
	unsigned nfds;
	int err = om_fdpass_recv(p->ctl, &m, sizeof(m), &len, NULL, 0, &nfds);

	if (err == -OBJM_STATUS_WOULD_BLOCK)
		return SUP_HEARD_ALL;
	if (err == -OBJM_STATUS_GONE)
		return SUP_HEARD_END;
	*ret_why = err < 0 ? "it sent a control message too long, or with descriptors" : take_ctl(p, &m, len);
	if (*ret_why)
		return SUP_HEARD_WRONG;
	return m.hdr.type == OM_PROC_READY ? SUP_HEARD_READY : SUP_HEARD_ONE;
}
