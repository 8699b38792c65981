/*
 * conn_fuzz.c: libFuzzer target of a whole connection of a worker: a real loop, index, descriptor cache, I/O threads and put
 * sessions, and a stand-in for the supervisor behind the ring.
 *
 * Byte 0 of the input chooses the kind of listener and the user. The rest are steps: an operation byte, then what it needs:
 *	0..199	 that many bytes (at least 1) follow and are written
 *	200..219 the same, with 1 to 20 descriptors that nobody asked for
 *	220..229 read some of what has come
 *	230..239 two bytes of length follow, then so many bytes to write
 *	240..254 nothing
 *	255	 close at once, without reading what is left
 * At the end one direction is shut down: the worker must answer what it can and close. Checked, beside what the sanitizers
 * see: it closes within seconds; all that it sent can be followed, message by message and descriptor by descriptor, to its
 * end; no descriptor of the process is left over.
 */
#include "../unit/worker/wrk_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/proto/om_proto.h"
#include "worker/wrk_conn_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define MUST(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "conn_fuzz: line %d: %s\n", __LINE__, #cond); \
			__builtin_trap(); \
		} \
	} while (0)

static struct harness *h;
static int devnull;
static int idle_fds; /* descriptors of the process between inputs */

static struct {
	int fd; /* our end */
	int other;
	enum om_listen_kind kind;
	bool other_uid;
	int version; /* of what we sent; 0: nothing yet */
	bool greeted;
	uint16_t caps;
	uint8_t buf[4u << 20];
	size_t len, at;
	uint64_t skip;	   /* content to pass over */
	uint64_t coded;	   /* behind it: bytes of an object that are due in blocks */
	unsigned fds, due; /* descriptors received; descriptors that messages said belong to them */
	bool x_due;	   /* the byte X is next */
	unsigned xs;	   /* how many of them */
	bool said_close;
} c;

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	MUST(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static void adopt(struct harness *x)
{
	bool tcp = c.kind == OM_LISTEN_TCP;
	struct wrk_conn *conn = wrk_conn_new(&x->w, c.other, tcp ? OM_LISTEN_DATA : c.kind, !tcp);

	if (conn && tcp)
		conn->kind = OM_LISTEN_TCP; /* with the rights of a peer that is known: there are no rules by address here */
	if (conn && c.other_uid)
		conn->uid = 4711; /* root never shares descriptions; this one may, and takes the short way of a GET */
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char big[200000];

	(void)argc;
	(void)argv;
	if (!getenv("WRK_DIR"))
		(void)setenv("WRK_DIR", "/dev/shm", 0);
	om_log_level(OM_LOG_ERR);
	h = harness_start(NULL, true);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i >> 5);
	(void)harness_object(h, "/e", "", 0, 0);
	(void)harness_object(h, "/a", "hello", 5, 0);
	(void)harness_object(h, "/b", big, sizeof(big), 1);
	(void)harness_object(h, "/logo", big, 4096, 1);
	devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
	return 0;
}

/* ---------------------------------------------------------------- following what the worker says */

static bool coded_meta(const struct om_proto_out *o)
{
	struct om_proto_meta m;
	size_t pos = 0;

	while (om_proto_meta_next(o->meta, o->u.resp.meta_len, &pos, &m) > 0)
		if (m.type == OM_PROTO_META_CODING)
			return true;
	return false;
}

static void content(uint64_t n, bool coded)
{
	MUST(!coded || (c.kind == OM_LISTEN_TCP && (c.caps & OM_PROTO_CAP_COMPRESSION)));
	if (coded)
		c.coded = n;
	else
		c.skip = n;
}

static void follow_response(const struct om_proto_out *o)
{
	if (o->kind == OM_PROTO_OUT_RESPONSE && o->u.resp.status == 0) {
		if (o->u.resp.content_len)
			content(o->u.resp.content_len, coded_meta(o));
		else
			c.xs = 1;
	} else if (o->kind == OM_PROTO_OUT_EXT) {
		struct om_proto_body body;
		MUST(om_proto_resp_body_decode(&o->u.ext, &body) == 0);
		content(o->u.ext.payload_len, body.have & OM_PROTO_BIT(CODING));
		c.due += o->u.ext.nfds;
	} else if (o->kind == OM_PROTO_OUT_CLOSE) {
		c.said_close = true;
	} else if (o->kind == OM_PROTO_OUT_HELLO_ACK) {
		c.greeted = true;
		c.caps = o->u.hello.caps;
	} else if (o->kind == OM_PROTO_OUT_SEGMENTED) {
		for (unsigned i = 0; i < o->u.seg.segs; i++) {
			struct om_proto_seg s;

			MUST(om_proto_seg_decode(o->segs + i * OM_PROTO_SEG_HDR, OM_PROTO_SEG_HDR, &s) > 0);
			c.skip += s.copy_len;
			c.xs += s.type != OM_PROTO_SEG_INLINE && !(s.flags & OM_PROTO_SEGF_REUSE_FD);
		}
	}
}

/* @return false: half a message, or nothing, is left */
static bool follow_one(void)
{
	struct om_proto_out o;
	size_t need;
	int n;

	if (c.at == c.len)
		return false;
	if (c.skip) {
		size_t k = (size_t)OM_MIN(c.skip, (uint64_t)(c.len - c.at));

		c.skip -= k;
		c.at += k;
		return true;
	}
	if (c.coded) {
		struct om_proto_block b;

		if (c.len - c.at < OM_PROTO_BLOCK_HDR)
			return false;
		MUST(om_proto_block_decode(c.buf + c.at, c.coded, &b) == 0);
		c.at += OM_PROTO_BLOCK_HDR;
		c.skip = b.wire;
		c.coded -= b.raw;
		return true;
	}
	if (c.xs) {
		MUST(c.buf[c.at] == OM_PROTO_FD_BYTE);
		c.at++;
		c.xs--;
		c.due += c.kind != OM_LISTEN_TCP;
		return true;
	}
	MUST(c.version); /* an answer before a word of ours */
	n = om_proto_out_decode(c.version, c.greeted, c.caps, c.buf + c.at, c.len - c.at, &o, &need);
	MUST(n >= 0);
	if (n == 0)
		return false;
	c.at += (size_t)n;
	follow_response(&o);
	return true;
}

static void follow(void)
{
	while (follow_one())
		;
	memmove(c.buf, c.buf + c.at, c.len - c.at);
	c.len -= c.at;
	c.at = 0;
	MUST(c.due <= c.fds); /* a message's descriptors are there with it */
}

/* @return false: the end */
static bool recv_some(int wait_ms)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int) * 253)];
	struct iovec iov = { c.buf + c.len, sizeof(c.buf) - c.len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	struct pollfd p = { .fd = c.fd, .events = POLLIN };
	struct cmsghdr *cm;
	ssize_t n;

	if (poll(&p, 1, wait_ms) == 0) {
		MUST(wait_ms < 1000); /* it neither answers nor closes */
		return true;
	}
	n = recvmsg(c.fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	MUST(!(m.msg_flags & MSG_CTRUNC));
	for (cm = CMSG_FIRSTHDR(&m); cm; cm = CMSG_NXTHDR(&m, cm)) {
		size_t k = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < k; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
			(void)close(fd);
		}
		c.fds += (unsigned)k;
	}
	c.len += (size_t)n;
	follow();
	return true;
}

/* ---------------------------------------------------------------- steps */

static void send_all(const uint8_t *p, size_t n, unsigned fds)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int) * 20)] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)p, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n && !c.version)
		c.version = om_proto_first(p[0]);
	if (fds && c.kind != OM_LISTEN_TCP) {
		struct cmsghdr *cm;

		m.msg_control = ctl;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * fds);
		cm = CMSG_FIRSTHDR(&m);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * fds);
		for (unsigned i = 0; i < fds; i++)
			memcpy(CMSG_DATA(cm) + i * sizeof(int), &devnull, sizeof(int));
	}
	while (iov.iov_len) {
		ssize_t k = sendmsg(c.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (k < 0 && errno == EAGAIN) { /* it has not read yet, or it does not because we do not */
			struct pollfd pf = { .fd = c.fd, .events = POLLIN | POLLOUT };

			MUST(poll(&pf, 1, 10000) > 0);
			if ((pf.revents & POLLIN) && !recv_some(1))
				return;
			continue;
		}
		if (k < 0)
			return; /* it has closed */
		m.msg_controllen = 0;
		iov.iov_base = (uint8_t *)iov.iov_base + k;
		iov.iov_len -= (size_t)k;
	}
}

/* @return false: closed in the middle */
static bool steps(const uint8_t *p, size_t n)
{
	while (n) {
		unsigned op = *p++;
		size_t len = 0;

		n--;
		if (op == 255)
			return false;
		if (op >= 220 && op < 230)
			(void)recv_some(1);
		else if (op < 220)
			len = op < 200 ? op + 1 : 16;
		else if (op < 240 && n >= 2) {
			len = (size_t)p[0] << 8 | p[1];
			p += 2;
			n -= 2;
		}
		len = OM_MIN(len, n);
		send_all(p, len, op >= 200 && op < 220 ? op - 199 : 0);
		p += len;
		n -= len;
	}
	return true;
}

static void count_conns(struct harness *x) { c.fds = wrk_conn_count(x->w.conns); }

/* Closing is seen by us before the worker has tidied up, and descriptors are closed by a thread of its own. */
static void settle(void)
{
	for (int i = 0; i < 5000; i++) {
		harness_call(h, count_conns);
		if (c.fds == 0 && (int)count_fds() <= idle_fds)
			return;
		(void)usleep(i < 100 ? 50 : 1000);
	}
	fprintf(stderr, "conn_fuzz: %u connections, %u descriptors, %d at rest\n", c.fds, count_fds(), idle_fds);
	MUST(!"everything is given back");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum om_listen_kind kinds[] = { OM_LISTEN_DATA, OM_LISTEN_LEGACY, OM_LISTEN_TCP, OM_LISTEN_DATA };
	int sv[2];

	if (size < 2)
		return 0;
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	MUST(fcntl(sv[1], F_SETFL, O_NONBLOCK) == 0);
	memset(&c, 0, offsetof(typeof(c), buf));
	c.len = c.at = 0;
	c.skip = c.coded = 0;
	c.fds = c.due = c.xs = 0;
	c.fd = sv[0];
	c.other = sv[1];
	c.kind = kinds[data[0] % 4];
	c.other_uid = data[0] & 4;
	harness_call(h, adopt);
	if (steps(data + 1, size - 1)) {
		(void)shutdown(c.fd, SHUT_WR);
		while (recv_some(10000))
			;
		MUST(c.at == c.len && !c.skip && !c.coded && !c.xs); /* nothing was cut off */
		MUST(c.due == c.fds);
	}
	(void)close(c.fd);
	if (!idle_fds) { /* the first input warmed things up; the descriptor cache may keep some more */
		(void)usleep(50000);
		idle_fds = (int)count_fds() + (int)h->w.boot.limits.max_open_fds;
	}
	settle();
	return 0;
}
