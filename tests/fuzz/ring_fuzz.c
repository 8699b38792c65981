/*
 * ring_fuzz.c: libFuzzer target of the supervisor's side of the rings: a real engine (threads, catalogs, index) on a tmpfs, and
 * children that send what the input says.
 *
 * The input is a sequence of records: flags u8 | length u16 (big-endian) | so many bytes of a message (common/msg_ring.h).
 *	0x01	from the lifecycle process, else from the worker
 *	0x02	the id of the last OK verdict is put at offset 16, where COMMIT, ABORT and others have theirs
 *	0x04	the header's length is left as it is, else it is set right
 *	0x08	no message: the first 8 bytes are stored as the ring's tail
 * Checked, beside what the sanitizers see: the engine lives and reads on or asks for the child's life; a child that was killed
 * can be replaced at once; what is under way comes to its end.
 */
#include <ftw.h>
#include <poll.h>
#include <sys/stat.h>

#include "common/om_log.h"
#include "common/om_ring.h"
#include "supervisor/sup_engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define MUST(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "ring_fuzz: line %d: %s\n", __LINE__, #cond); \
			__builtin_trap(); \
		} \
	} while (0)

enum { FROM_LIFECYCLE = 1, LAST_ID = 2, RAW_LEN = 4, RAW_TAIL = 8 };

static char dir[64];
static struct sup_engine *e;
static struct om_ring ring[2]; /* by place */
static _Atomic bool killed[2];
static bool raw_tail[2]; /* what it has published is not what it has put */
static uint64_t last_id;
static union {
	struct om_op_hdr hdr;
	unsigned char b[OM_RING_MSG_MAX];
} m;

static void on_kill(void *arg, unsigned place, const char *why)
{
	(void)arg;
	(void)why;
	MUST(place < 2);
	killed[place] = true;
}

static void on_index(void *arg, uint32_t seq, int index_rofd, int heatfd)
{
	(void)arg;
	om_close(&index_rofd);
	om_close(&heatfd);
	sup_engine_index_ack(e, 0, seq);
	sup_engine_index_ack(e, 1, seq);
}

static void attach(unsigned place)
{
	struct sup_engine_child c;
	struct om_seg own, peer;

	MUST(sup_engine_child_open(e, place, place ? OM_ROLE_WORKER : OM_ROLE_LIFECYCLE, &c) == 0);
	MUST(om_seg_attach(c.ring_own, 1, true, &own) == 0);
	MUST(om_seg_attach(c.ring_peer, 1, false, &peer) == 0);
	MUST(om_ring_init(&ring[place], own, peer, c.kick_peer, c.kick_self) == 0);
	om_close(&c.index);
	om_close(&c.gens);
	om_close(&c.heat);
	killed[place] = false;
}

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void clean_up(void) { (void)nftw(dir, rm_one, 16, FTW_DEPTH | FTW_PHYS); }

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *none[] = { NULL };
	static struct sup_engine_cb cb = { on_kill, on_index, NULL };
	struct om_conf_report rep = { 0 };
	struct om_conf *conf;
	char path[128];

	(void)argc;
	(void)argv;
	(void)snprintf(dir, sizeof(dir), "/dev/shm/om-ring-fuzz-XXXXXX");
	MUST(mkdtemp(dir));
	(void)atexit(clean_up);
	(void)snprintf(path, sizeof(path), "%s/mem", dir);
	MUST(mkdir(path, 0700) == 0);
	MUST(om_conf_default(dir, path, &conf, &rep) == 0);
	om_conf_report_free(&rep);
	conf->limits.bytes_per_uid = 2000; /* soon met, by who is not root */
	conf->limits.objects_per_uid = 5;
	(void)snprintf(path, sizeof(path), "%s/disk", dir);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/state", dir);
	(void)mkdir(path, 0700);
	om_log_level((enum om_log_prio)2);
	MUST(sup_engine_open(conf, none, &cb, &e) == 0);
	MUST(sup_engine_start(e) == 0);
	attach(0);
	attach(1);
	return 0;
}

/* Read the answers; removals and changes of attributes are done, as the lifecycle process would. */
static void drain(unsigned place)
{
	size_t len;

	while (!killed[place] && om_ring_get(&ring[place], m.b, sizeof(m.b), &len) == 0) {
		const struct om_op_verdict *v = (const void *)&m;
		const struct om_op_reap *r = (const void *)&m;

		MUST(len == m.hdr.len);
		const struct om_op_attr *a = (const void *)&m;

		if (m.hdr.type == OM_OP_VERDICT && v->status == 0)
			last_id = v->id;
		if (m.hdr.type == OM_OP_ATTR) {
			struct om_op_attred d = { .hdr = { .len = sizeof(d), .type = OM_OP_ATTRED, .req = a->hdr.req }, .id = a->id,
						  .tier = a->tier };
			struct iovec iov = { &d, sizeof(d) };

			(void)om_ring_put(&ring[place], &iov, 1);
		}
		if (m.hdr.type == OM_OP_REAP) {
			struct om_op_reaped d = { .hdr = { .len = sizeof(d), .type = OM_OP_REAPED, .req = r->hdr.req }, .id = r->id,
						  .tier = r->tier };
			struct iovec iov = { &d, sizeof(d) };

			(void)om_ring_put(&ring[place], &iov, 1);
		}
	}
	om_ring_kick(&ring[place]);
}

static bool taken(unsigned place)
{
	return killed[place] || raw_tail[place] || atomic_load(&((struct om_ring_hdr *)ring[place].peer.base)->head) == ring[place].tail;
}

static void replace(unsigned place)
{
	sup_engine_child_close(e, place);
	om_ring_fini(&ring[place]);
	attach(place);
	raw_tail[place] = false;
}

/* All that was sent has been read, and all that was begun has ended. Who has been ended is replaced, as the supervisor does: a change may
 * wait for its successor. */
static void settle(void)
{
	struct sup_engine_stat st = { 0 };

	for (int i = 0; i < 200000; i++) {
		drain(0);
		drain(1);
		sup_engine_heartbeat(e);
		sup_engine_asks(e, om_now_ns());
		if (taken(0) && taken(1)) {
			sup_engine_stat(e, &st);
			if (st.pending_ops == 0)
				return;
		}
		for (unsigned place = 0; place < 2 && i > 50; place++)
			if (killed[place])
				replace(place);
		if (i > 50)
			(void)usleep(50);
	}
	(void)fprintf(stderr, "%llu changes are pending; read to the end: lifecycle %d, worker %d; ended: %d, %d\n",
		      (unsigned long long)st.pending_ops, taken(0), taken(1), killed[0], killed[1]);
	MUST(!"the engine reads on");
}

static void put(unsigned place, uint8_t flags, size_t len)
{
	struct iovec iov = { m.b, len };

	if ((flags & LAST_ID) && len >= 24)
		memcpy(m.b + 16, &last_id, 8);
	if (!(flags & RAW_LEN) && len >= sizeof(m.hdr))
		m.hdr.len = (uint32_t)len;
	if (om_ring_put(&ring[place], &iov, 1) == 0)
		om_ring_kick(&ring[place]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size >= 3) {
		uint8_t flags = data[0];
		unsigned place = flags & FROM_LIFECYCLE ? 0 : 1;
		size_t len = (size_t)data[1] << 8 | data[2];

		data += 3;
		size -= 3;
		len = OM_MIN(OM_MIN(len, size), (size_t)OM_RING_MSG_MAX);
		if (flags & LAST_ID)
			settle();
		memcpy(m.b, data, len);
		if (!(flags & RAW_TAIL)) {
			put(place, flags, len);
		} else if (len >= 8) {
			uint64_t tail;

			memcpy(&tail, m.b, 8);
			atomic_store(&((struct om_ring_hdr *)ring[place].own.base)->tail, tail);
			om_ring_kick(&ring[place]);
			raw_tail[place] = true;
			for (int i = 0; i < 20 && !killed[place]; i++) /* or it may see nothing new */
				(void)usleep(50);
			settle();
			replace(place);
		}
		data += len;
		size -= len;
	}
	settle();
	for (unsigned place = 0; place < 2; place++)
		if (killed[place])
			replace(place);
	return 0;
}
