/*
 * bench_wire.c: see bench_wire.h. Load threads, each with wires of its own.
 */
#include "bench/bench_wire.h"

#include <sys/socket.h>
#include <sys/un.h>

#define IN_BYTES (256u << 10)

struct bench_wire *bench_wire_open(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct bench_wire *w = calloc(1, sizeof(*w));

	if (!w || strlen(path) >= sizeof(addr.sun_path)) {
		(void)bench_fail("connect: %s", w ? "the socket's path is too long" : "out of memory");
		free(w);
		return NULL;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	w->in = malloc(IN_BYTES);
	w->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!w->in || w->sock < 0 || connect(w->sock, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		(void)bench_fail("connect %s: %s", path, strerror(errno));
		bench_wire_close(w);
		return NULL;
	}
	return w;
}

void bench_wire_close(struct bench_wire *w)
{
	if (!w)
		return;
	om_close(&w->sock);
	free(w->out);
	free(w->in);
	free(w);
}

void bench_wire_put(struct bench_wire *w, const void *data, size_t len)
{
	if (w->out_cap - w->out_len < len) {
		size_t cap = OM_MAX(2 * w->out_cap, w->out_len + len + 4096);
		char *p = realloc(w->out, cap);

		if (!p) {
			w->failed = true;
			return;
		}
		w->out = p;
		w->out_cap = cap;
	}
	memcpy(w->out + w->out_len, data, len);
	w->out_len += len;
}

void bench_wire_text(struct bench_wire *w, const char *text) { bench_wire_put(w, text, strlen(text)); }

void bench_wire_number(struct bench_wire *w, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	bench_wire_put(w, digits + i, sizeof(digits) - i);
}

bool bench_wire_broken(const char *who)
{
	(void)bench_fail("%s: the connection broke, or an answer was not understood", who);
	return false;
}

bool bench_wire_flush(struct bench_wire *w)
{
	size_t done = 0;

	while (!w->failed && done < w->out_len) {
		ssize_t n = send(w->sock, w->out + done, w->out_len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return bench_fail("send: %s", strerror(errno)), false;
		done += (size_t)n;
	}
	w->out_len = 0;
	return !w->failed || (bench_fail("out of memory"), false);
}

static bool fill(struct bench_wire *w)
{
	ssize_t n;

	if (w->start == w->end)
		w->start = w->end = 0;
	if (w->end == IN_BYTES) {
		memmove(w->in, w->in + w->start, w->end - w->start);
		w->end -= w->start;
		w->start = 0;
	}
	if (w->end == IN_BYTES)
		return false;
	do {
		n = recv(w->sock, w->in + w->end, IN_BYTES - w->end, 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	w->end += (size_t)n;
	return true;
}

const char *bench_wire_take(struct bench_wire *w, size_t n)
{
	while (w->end - w->start < n)
		if (n > IN_BYTES || !fill(w))
			return NULL;
	w->start += n;
	return w->in + w->start - n;
}

const char *bench_wire_line(struct bench_wire *w, size_t *ret_len)
{
	size_t seen = 0;
	char *line, *nl;

	while (!(nl = memchr(w->in + w->start + seen, '\n', w->end - w->start - seen))) {
		seen = w->end - w->start;
		if (seen > (64u << 10) || !fill(w))
			return NULL;
	}
	line = w->in + w->start;
	w->start += (size_t)(nl - line) + 1;
	if (nl > line && nl[-1] == '\r')
		nl--;
	*nl = '\0';
	*ret_len = (size_t)(nl - line);
	return line;
}

bool bench_wire_body(struct bench_wire *w, uint64_t n, bool read)
{
	while (n > 0) {
		size_t part = (size_t)OM_MIN((uint64_t)(w->end - w->start), n);

		if (read)
			bench_consume(w->in + w->start, part);
		w->start += part;
		n -= part;
		if (n > 0 && !fill(w))
			return false;
	}
	return true;
}
