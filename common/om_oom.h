/*
 * om_oom.h: who goes when memory runs out. Linked by all; called once, at a program's start, by one thread.
 */
#ifndef OM_OOM_H
#define OM_OOM_H

/**
 * Where the kernel has to kill for want of memory, rather this process than one of the same size that did not say so: a worker is
 * replaced within a moment, and without the supervisor nothing goes. What was set before, by systemd say, is added to.
 * @param by  1 to 1000: thousandths of the memory there is
 *
 * Best effort. Before the process makes itself undumpable: the file is not ours any more then.
 */
void om_oom_rather(int by);

#endif
