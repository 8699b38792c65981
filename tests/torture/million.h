/*
 * million.h: the parts of the program million: what the daemon's processes weigh (million_proc.c), pipelined connections
 * (million_conn.c). Not installed.
 */
#ifndef MILLION_H
#define MILLION_H

#include <sys/types.h>

#include "common/om_base.h"
#include "common/om_obj.h"
#include "common/proto/om_proto.h"

/* ---------------------------------------------------------------- processes */

#define MILLION_PROCS_MAX 32u

struct million_proc {
	pid_t pid;
	char name[16];
	uint64_t anon_kib;  /* private memory */
	uint64_t file_kib;  /* mapped files: programs, catalogs */
	uint64_t shmem_kib; /* shared memory that it touched */
	int fds;	    /* -1: we may not look */
};

struct million_sample {
	unsigned n;
	struct million_proc procs[MILLION_PROCS_MAX]; /* the supervisor first */
};

/** Who listens at `socket_path`: the supervisor's pid, or -1 after a message. */
pid_t million_proc_find(const char *socket_path);
/** The supervisor and its children, now. */
void million_proc_sample(pid_t supervisor, struct million_sample *ret);
/** One line for each process. */
void million_proc_print(const struct million_sample *s);
/** The most of any worker: private memory, descriptors. */
uint64_t million_proc_worker_anon_kib(const struct million_sample *s);
int million_proc_worker_fds(const struct million_sample *s);
/** Regular files below a directory; used to wait until removed objects' files are gone. */
uint64_t million_proc_files(const char *dir);

/* ---------------------------------------------------------------- a pipelined connection */

#define MILLION_WINDOW_MAX 256u
#define MILLION_SIZE_MAX 4096u

struct million_conn {
	int fd;
	uint64_t retries; /* TRY_AGAIN answers, which were followed */
	uint8_t *out, *in;
};

/* Change to make of object `i`: its URI and, for a put, its bytes are functions of `i`. */
struct million_change {
	uint8_t op; /* PUT_INLINE or DELETE */
	uint32_t put_flags;
	size_t size;
};

/** URI of object `i`: scattered over 256 prefixes, so that neighbours in time are none in the catalog. */
#define MILLION_URI_MAX 40
void million_conn_uri(uint64_t i, char ret_uri[static MILLION_URI_MAX]);
/** Bytes of object `i`. */
void million_conn_bytes(uint64_t i, size_t size, uint8_t *ret_bytes);

int million_conn_open(const char *socket_path, struct million_conn *ret);
void million_conn_close(struct million_conn *c);
/**
 * Send `n` (at most MILLION_WINDOW_MAX) changes at once, for objects first, first + 1, ..., and read all answers.
 * @param ret_us  n latencies in microseconds, from the sending to each answer
 * @return 0; the first status that was neither OK nor TRY_AGAIN; -PROTO_ERROR or -GONE
 */
int million_conn_change(struct million_conn *c, const struct million_change *what, uint64_t first, unsigned n, uint32_t *ret_us);

#endif
