/*
 * sup_bus.h: the end of the supervisor by SIGBUS, with a word about why.
 *
 * Catalogs and the state environment are read through mappings. Where a disk vanishes or fails under one, reading a page that is not in
 * memory raises SIGBUS: there is no status that could be returned. The supervisor then ends, and whoever started it starts it again.
 */
#ifndef SUP_BUS_H
#define SUP_BUS_H

/** From now on a SIGBUS is told on standard error before it ends the process (with a core, as without this). Main thread, at start. */
void sup_bus_watch(void);

#endif
