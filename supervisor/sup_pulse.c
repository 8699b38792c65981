/*
 * sup_pulse.c: see sup_pulse.h. Looked at in the supervisor's main thread (sup_watch.c, sup_child.c).
 */
#include "supervisor/sup_pulse.h"

#include <fcntl.h>

#define MS UINT64_C(1000000)

char sup_pulse_thread_state(int32_t tid)
{
	char path[64], buf[256];

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	OM_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	const char *end = strrchr(buf, ')'); /* the name before it may hold anything */
	return end && end[1] == ' ' ? end[2] : 0;
}

/* Count its time. True if it has been at one piece of work for so long that its state is worth a look. */
static bool suspicious(struct sup_pulse *p, uint64_t span_ns)
{
	uint32_t work = atomic_load_explicit(&p->work, memory_order_relaxed);

	if (!atomic_load_explicit(&p->tid, memory_order_relaxed) || !(work & 1u) || work != p->seen) {
		p->seen = work;
		p->silent_ns = p->disk_ns = 0;
		return false;
	}
	p->silent_ns += span_ns;
	p->disk_ns += span_ns;
	return p->silent_ns >= SUP_PULSE_STUCK_MS * MS / 10;
}

void sup_pulse_look(struct sup_pulse *const *p, unsigned n, uint64_t span_ns, sup_pulse_state_fn *state_of, enum sup_pulse_state *ret)
{
	const uint64_t limit = SUP_PULSE_STUCK_MS * MS;
	bool disk = false;

	for (unsigned i = 0; i < n; i++) {
		ret[i] = SUP_PULSE_FINE;
		if (!suspicious(p[i], span_ns))
			continue;
		char state = state_of(atomic_load_explicit(&p[i]->tid, memory_order_relaxed));
		if (state == 'D')
			p[i]->disk_ns = 0;
		disk |= p[i]->disk_ns < limit && p[i]->silent_ns >= limit;
		if (p[i]->silent_ns >= limit)
			ret[i] = p[i]->disk_ns < limit ? SUP_PULSE_SLOW : state == 'R' ? SUP_PULSE_STUCK : SUP_PULSE_FINE;
	}
	/* those that sleep: for a disk's sake if anybody waits for one */
	for (unsigned i = 0; i < n; i++)
		if (p[i]->silent_ns >= limit && ret[i] == SUP_PULSE_FINE)
			ret[i] = disk ? SUP_PULSE_SLOW : SUP_PULSE_STUCK;
}

uint64_t sup_pulse_count(struct sup_pulse_count *c, uint64_t value, uint64_t span_ns)
{
	if (value != c->seen) {
		c->seen = value;
		c->silent_ns = 0;
	} else {
		c->silent_ns += span_ns;
	}
	return c->silent_ns;
}

uint64_t sup_pulse_span(uint64_t *last_ns, uint64_t now_ns)
{
	uint64_t span = *last_ns && now_ns > *last_ns ? now_ns - *last_ns : 0;

	*last_ns = now_ns;
	return OM_MIN(span, 2 * SUP_PULSE_LOOK_MS * MS);
}
