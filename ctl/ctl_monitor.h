/*
 * ctl_monitor.h: `objmctl monitor`: a live view on a terminal (ncurses). Single-threaded; ends with q, Ctrl-C or an end of input.
 */
#ifndef CTL_MONITOR_H
#define CTL_MONITOR_H

/** @param every_s  seconds from one look to the next, 1 or more; @return an exit status of objmctl */
int ctl_monitor(const char *socket_path, unsigned every_s);

#endif
