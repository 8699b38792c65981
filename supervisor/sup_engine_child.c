/*
 * sup_engine_child.c: children's places: what a child gets of the engine when it is started, and the end of that. Main loop's thread; the
 * rings go to the publisher by mail, and are its own from then on.
 */
#include <sys/eventfd.h>

#include "supervisor/sup_engine_mail.h"

static struct sup_mail *to_publisher(enum sup_mail_kind kind, unsigned place)
{
	struct sup_mail *mail = sup_mail_new(kind);

	mail->place = place;
	return mail;
}

static int child_segments(struct sup_engine *e, struct sup_engine_child *ret, bool lifecycle)
{
	pthread_mutex_lock(&e->seg_lock);
	ret->index = fcntl(e->cur_index_fd, F_DUPFD_CLOEXEC, 3);
	ret->heat = lifecycle ? fcntl(e->cur_heat_fd, F_DUPFD_CLOEXEC, 3) : -1;
	ret->index_seq = e->cur_seq;
	pthread_mutex_unlock(&e->seg_lock);
	ret->gens = fcntl(idx_genw_fd(e->gens), F_DUPFD_CLOEXEC, 3);
	ret->kick_peer = fcntl(e->kick_fd, F_DUPFD_CLOEXEC, 3);
	ret->kick_self = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bool ok = ret->index >= 0 && ret->gens >= 0 && ret->kick_peer >= 0 && ret->kick_self >= 0 &&
		  (!lifecycle || ret->heat >= 0);
	return ok ? 0 : -OBJM_STATUS_SYSTEM;
}

static void child_fds_close(struct sup_engine_child *c)
{
	int *const fds[] = { &c->ring_own, &c->ring_peer, &c->kick_peer, &c->kick_self, &c->index, &c->gens, &c->heat };

	for (unsigned i = 0; i < OM_ARRAY_SIZE(fds); i++)
		om_close(fds[i]);
}

int sup_engine_child_open(struct sup_engine *e, unsigned place, enum om_role role, struct sup_engine_child *ret)
{
	struct sup_engine_child c = { -1, -1, -1, -1, -1, -1, -1, 0, 0 };
	struct om_seg ours = OM_SEG_INIT, theirs = OM_SEG_INIT;
	struct sup_child *child = calloc(1, sizeof(*child));

	OM_ASSERT(place < SUP_CHILDREN_MAX && e->place_serial[place] == 0);
	int err = child ? child_segments(e, &c, role == OM_ROLE_LIFECYCLE) : -OBJM_STATUS_OUT_OF_MEMORY;
	if (err == 0)
		err = om_ring_seg_create("om-ring-down", OM_RING_BYTES, &ours);
	if (err == 0)
		err = om_ring_seg_create("om-ring-up", OM_RING_BYTES, &theirs);
	int wake = err == 0 ? fcntl(c.kick_self, F_DUPFD_CLOEXEC, 3) : -1;
	if (err == 0 && wake < 0)
		err = -OBJM_STATUS_SYSTEM;
	if (err < 0) {
		om_seg_close(&ours);
		om_seg_close(&theirs);
		child_fds_close(&c);
		free(child);
		return err;
	}
	c.ring_own = om_take_fd(&theirs.fd);
	c.ring_peer = om_take_fd(&ours.rofd);
	OM_ASSERT(om_ring_init(&child->ring, ours, theirs, wake, -1) == 0); /* both headers were written just now */
	child->role = role;
	child->index_seq = c.index_seq;
	if (++e->next_serial == 0)
		e->next_serial = 1;
	child->serial = e->place_serial[place] = c.serial = e->next_serial;
	struct sup_mail *mail = to_publisher(SUP_MAIL_ATTACH, place);
	mail->child = child;
	sup_mail_post(e, mail);
	*ret = c;
	return 0;
}

void sup_engine_child_close(struct sup_engine *e, unsigned place)
{
	if (!e->place_serial[place])
		return;
	e->place_serial[place] = 0;
	sup_mail_post(e, to_publisher(SUP_MAIL_DETACH, place));
}

void sup_engine_index_ack(struct sup_engine *e, unsigned place, uint32_t seq)
{
	struct sup_mail *mail = to_publisher(SUP_MAIL_ACK, place);

	mail->seq = seq;
	sup_mail_post(e, mail);
}
