/*
 * sup_bus.c: see sup_bus.h. The handler may run on any thread, in the middle of anything: it writes one line and nothing else.
 */
#include "supervisor/sup_bus.h"

#include <signal.h>

#include "common/om_base.h"

static void on_bus(int sig)
{
	/* journald and syslog take the number for the priority: critical */
	static const char text[] = "<2>objmapperd: a page of a mapped file cannot be read (SIGBUS): the disk of a catalog or of state_dir is gone, "
				   "or fails; the kernel's log says which. The daemon ends; started again it serves what lies on its other "
				   "disks, and that one's objects once it is back\n";

	(void)sig;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1); /* SA_RESETHAND: the same access ends the process next */
}

void sup_bus_watch(void)
{
	struct sigaction sa = { .sa_handler = on_bus, .sa_flags = (int)SA_RESETHAND };

	(void)sigaction(SIGBUS, &sa, NULL);
}
