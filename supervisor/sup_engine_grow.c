/*
 * sup_engine_grow.c: the shared index grows: beside the one that serves, in steps between the publisher's other work; then it is handed
 * out, and the old one goes when every child has confirmed. Publisher's thread.
 */
#include "supervisor/sup_engine_int.h"

/* The next segment is whole: new children get it, the others are told. */
static void hand_out(struct sup_engine *e)
{
	int fd = idxw_grow_done(e->index);
	struct idxr view;
	int attach_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3), index_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (attach_fd < 0 || index_fd < 0 || idxr_attach(attach_fd, &view) < 0) {
		om_log(OM_MSG_INDEX, "the grown index cannot be handed out (%m): out of descriptors or memory; trying again");
		om_close(&attach_fd);
		om_close(&index_fd);
		return;
	}
	if (idx_heat_create(view.slots, view.segment, atomic_load(&e->decay_s), IDX_HEAT_REFERENCE,
			    om_wall_ns() / 1000000000u, &e->grow_heat) < 0) {
		om_log(OM_MSG_INDEX, "no memory for the heat of the grown index; trying again");
		idxr_detach(&view);
		om_close(&index_fd);
		return;
	}
	e->grow_seq = view.segment;
	struct idx_heat heat;
	int heat_ro = fcntl(e->grow_heat.rofd, F_DUPFD_CLOEXEC, 3);
	bool heat_ok = heat_ro >= 0 && idx_heat_attach(heat_ro, false, &heat) == 0;
	pthread_mutex_lock(&e->seg_lock);
	om_close(&e->cur_index_fd);
	om_close(&e->cur_heat_fd);
	e->cur_index_fd = index_fd;
	e->cur_heat_fd = om_take_fd(&e->grow_heat.fd);
	e->cur_seq = view.segment;
	if (heat_ok) {
		idx_heat_detach(&e->heat);
		e->heat = heat;
		idxr_detach(&e->heat_idx);
		e->heat_idx = view;
	} else {
		om_close(&heat_ro);
		idxr_detach(&view);
	}
	int give_index = fcntl(e->cur_index_fd, F_DUPFD_CLOEXEC, 3), give_heat = fcntl(e->cur_heat_fd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_unlock(&e->seg_lock);
	om_seg_close(&e->grow_heat);
	e->cb.index_new(e->cb.arg, e->grow_seq, give_index, give_heat);
}

static void grow_finish_if(struct sup_engine *e)
{
	for (unsigned i = 0; i < SUP_CHILDREN_MAX; i++)
		if (e->child[i].on && e->child[i].index_seq < e->grow_seq)
			return;
	idxw_grow_finish(e->index);
	e->grow_seq = 0;
	struct idxr_stat st;
	idxw_stat(e->index, &st);
	om_log(OM_MSG_INDEX, "index grown to %llu slots for %llu objects", (unsigned long long)st.slots, (unsigned long long)st.live);
}

bool sup_grow(struct sup_engine *e)
{
	uint64_t left;
	int err;

	switch (idxw_state(e->index)) {
	case IDXW_STEADY:
		if (!idxw_want_grow(e->index) && !e->stalled)
			return false;
		if (idxw_grow_begin(e->index) < 0) {
			om_log(OM_MSG_INDEX, "no memory to grow the index: changes that need a new slot wait");
			return false;
		}
		return true;
	case IDXW_COPYING:
		err = idxw_grow_step(e->index, SUP_GROW_STEP, &left);
		if (err == -OBJM_STATUS_NO_SPACE)
			idxw_grow_abort(e->index); /* too many changes meanwhile: begin again, larger */
		else if (left == 0)
			hand_out(e);
		return true;
	case IDXW_SWITCHING:
		if (!e->grow_seq)
			hand_out(e); /* it failed before: again */
		else
			grow_finish_if(e);
		return false;
	}
	return false;
}
