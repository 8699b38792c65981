/*
 * sup_spawn.h: start a program as a child that inherits nothing but one socket.
 *
 * Main thread only: the child dies with the thread that started it (PR_SET_PDEATHSIG).
 */
#ifndef SUP_SPAWN_H
#define SUP_SPAWN_H

#include <sys/types.h>

#include "common/om_base.h"

/* Programs of the children. */
struct sup_spawn_exe {
	int fd;		   /* O_PATH: the program that belongs to this daemon, even when an upgrade replaces the file */
	const char *name;  /* argv[0]: "objmapper-worker" */
};

/**
 * Find a program: in $OBJM_LIBEXEC; else beside our own binary in a build tree (../FOLDER/NAME); else in libexecdir.
 * @param folder   its folder in the build tree
 * @param ret_path where it was found, or the last place looked at
 * @return 0; -OBJM_STATUS_NOT_FOUND or -OBJM_STATUS_SYSTEM, errno says why
 */
int sup_spawn_find(const char *folder, const char *name, struct sup_spawn_exe *ret, char *ret_path, size_t cap) OM_MUST_USE;

struct sup_spawned {
	pid_t pid;
	int pidfd; /* close-on-exec */
	int ctl;   /* our end of the control socket: SOCK_SEQPACKET, non-blocking, close-on-exec */
};

/**
 * Start it with OM_PROC_FD, /dev/null as standard input, our standard output and error, a process group of its own (an
 * interrupt typed at a terminal is for us alone), and an empty signal mask.
 * The environment has what sanitizers need, and OBJM_FAULT if `faults`.
 * @return 0, the caller owns pid and descriptors; -OBJM_STATUS_SYSTEM, errno says why
 */
int sup_spawn(const struct sup_spawn_exe *exe, bool faults, struct sup_spawned *ret) OM_MUST_USE;

/** Reap a child whose pidfd is readable. @return its status as waitpid() has it, or -1 if it still runs. */
int sup_spawn_reap(int pidfd);

/** "killed by signal 9 (Killed)", "exit status 1". */
void sup_spawn_why(int wait_status, char *ret, size_t cap);

#endif
