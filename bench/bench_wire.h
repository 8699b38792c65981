/*
 * bench_wire.h: a plain client's end of a Unix socket for the drivers that speak a protocol themselves: requests gathered and sent
 * at once, answers read through a buffer, bodies in pieces that stay in the processor's cache.
 *
 * Bodies are received in pieces of 256 KiB, one over the other: that is kinder to the other systems than a buffer for
 * the whole object would be. A wire belongs to one thread.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include "bench/bench.h"

struct bench_wire {
	int sock;
	char *out; /* requests that are gathered */
	size_t out_len, out_cap;
	char *in;
	size_t start, end;
	bool failed; /* out of memory while gathering */
};

/** Connect to `path`. @return NULL after a message. Free with bench_wire_close(), fine on NULL. */
struct bench_wire *bench_wire_open(const char *path);
void bench_wire_close(struct bench_wire *w);
/** Gather a part of a request. */
void bench_wire_put(struct bench_wire *w, const void *data, size_t len);
void bench_wire_text(struct bench_wire *w, const char *text);
void bench_wire_number(struct bench_wire *w, uint64_t n);
/** Send what was gathered. False: broken, a message was printed. */
bool bench_wire_flush(struct bench_wire *w);
/** `n` bytes (at most 64 KiB) of the answer; they stay valid until the next call. NULL: broken. */
const char *bench_wire_take(struct bench_wire *w, size_t n);
/** A line without its CRLF, terminated; valid until the next call. NULL: broken, or longer than 64 KiB. */
const char *bench_wire_line(struct bench_wire *w, size_t *ret_len);
/** `n` bytes of a body, read by bench_consume() if `read` says so. */
bool bench_wire_body(struct bench_wire *w, uint64_t n, bool read);
/** The answer cannot be understood or the connection broke: a message; false. */
bool bench_wire_broken(const char *who);

#endif
