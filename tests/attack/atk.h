/*
 * atk.h: what the attack programs share: results, becoming somebody else, what is attacked (targets), what attacks (weapons).
 *
 * An attack program is a client that does not keep the rules. Most of it runs twice: against backend/ alone, where the
 * control shows that the attack works on this kernel when nobody defends, and against a running daemon as a user who is
 * neither root nor the daemon. One thread, but where a function says otherwise. Not installed, linked by nothing else.
 *
 *	PROGRAM				against backend/, on a tmpfs and on a disk
 *	PROGRAM daemon SOCKET UID	against a daemon whose own uid is not UID; as root
 *	PROGRAM lax SOCKET UID		the same where leases prove nothing, so that every commit copies: it need not be refused
 */
#ifndef ATK_H
#define ATK_H

#include <sys/types.h>

#include "backend/be.h"
#include "client/objm.h"

/* ---------------------------------------------------------------- results, as TAP (atk_tap.c) */

/** First call of a program. The counters are shared memory: children that were forked report too. */
void atk_tap_init(void);
/** One result. Returns `ok`. */
bool atk_tap_ok(bool ok, const char *fmt, ...) OM_PRINTF(2, 3);
/** A point that cannot be checked here, and why. */
void atk_tap_skip(const char *what, const char *fmt, ...) OM_PRINTF(2, 3);
/** A remark. */
void atk_tap_note(const char *fmt, ...) OM_PRINTF(1, 2);
/** The plan. @return the program's exit status: 0, or 1 when a result was not ok or there was none */
int atk_tap_done(void);

/* ---------------------------------------------------------------- users (atk_user.c) */

/** Become `uid`, with no other groups and no way back; /proc/self is the new user's. 0 or -errno. */
int atk_user_become(uid_t uid);
/** Run `fn` in a child process as `uid`. @return what fn returned (0..99), or 100: the child failed or was killed */
int atk_user_run(uid_t uid, int (*fn)(void *arg), void *arg);

/* ---------------------------------------------------------------- targets (atk_target.c) */

enum atk_kind {
	ATK_PLAIN,  /* backend/: begin, freeze: the control, what is attackable */
	ATK_COPY,   /* backend/: begin, copy, freeze */
	ATK_DAEMON, /* a running daemon, through libobjm */
};

/* Something that takes objects. One put at a time. */
struct atk_target {
	enum atk_kind kind;
	char name[64];
	/* backend/ */
	char dir[64];
	int root_fd, objects_fd, staging_fd;
	struct be be;
	struct be_file file;
	uint64_t id;
	/* a daemon */
	const char *socket;
	objm_t *session;
	objm_put_t *put;
	uint32_t flags; /* OBJM_EPHEMERAL: the memory tier */
	char uri[64];
};

/** A new directory below `parent` as a tier, removed by atk_target_close(). 0, or a negative status after a note. */
int atk_target_dir(struct atk_target *t, enum atk_kind kind, const char *parent);
/** A daemon's memory tier or disk tier. 0, or a negative status after a note. */
int atk_target_daemon(struct atk_target *t, const char *socket, bool memory);
void atk_target_close(struct atk_target *t);

/** Begin an object. @param ret_fd  its writable descriptor: borrowed, closed by commit and end */
int atk_target_begin(struct atk_target *t, size_t size, int *ret_fd);
/** Commit it. WRITER_STILL_OPEN may be tried again. 0 or a negative status. */
int atk_target_commit(struct atk_target *t);
/** A descriptor of the committed object's bytes, made now. The caller closes it. 0 or a negative status. */
int atk_target_get(struct atk_target *t, int *ret_fd);
/** Remove the object, or give it up. */
void atk_target_end(struct atk_target *t);

/** Checksum (XXH3) of bytes, and of all that a descriptor's file has; 0: it could not be read. */
uint64_t atk_target_sum(const void *data, size_t len);
uint64_t atk_target_sum_fd(int fd);

/* ---------------------------------------------------------------- weapons (atk_uring.c, atk_fuse.c) */

#define ATK_LEN ((size_t)16 << 10) /* bytes that a weapon writes */

/* A way to write into pages that are in no mapping any more. */
struct atk_weapon {
	const char *name;
	bool again; /* may fire more than once at what it aimed at */
	/** As root, before the program becomes another user. 0; -errno, and `why`: this kernel has it not. */
	int (*load)(struct atk_weapon *w);
	/** Pin ATK_LEN bytes at `at`. 0; -errno, and `why`: not with these pages. */
	int (*aim)(struct atk_weapon *w, void *at);
	/** Write `byte` into all of them. @return bytes that the kernel says it has written, or -errno. Any one thread. */
	ssize_t (*fire)(struct atk_weapon *w, unsigned char byte);
	/** Let go of the pages. */
	void (*lower)(struct atk_weapon *w);
	void (*unload)(struct atk_weapon *w);
	char why[128];
};

struct atk_weapon *atk_uring_weapon(void);
struct atk_weapon *atk_fuse_weapon(void);

/* ---------------------------------------------------------------- the fight (atk_run.c) */

/* What the command line said. */
struct atk_args {
	const char *socket; /* NULL: backend/ alone */
	uid_t uid;
	bool lax;
};
/** @return false after a message: usage */
bool atk_run_args(int argc, char **argv, struct atk_args *ret);

/** A whole program for a weapon that is loaded by itself: control, copy, or daemon. `more` (may be NULL) adds to it for each
 * target that the weapon works on. @return exit status */
int atk_run_weapon(int argc, char **argv, struct atk_weapon *w, void (*more)(struct atk_target *t, struct atk_weapon *w));

#endif
