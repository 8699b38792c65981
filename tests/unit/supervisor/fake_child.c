/*
 * fake_child.c: stands for a worker or the lifecycle process. It checks everything that it was started with and then behaves
 * as `commit_wait_ms` of its BOOT says (the tests put a number of enum fake_mode there). A failed check: exit status 10 to 99.
 */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "common/msg_proc.h"
#include "common/om_counter.h"
#include "common/om_fdpass.h"
#include "fake_mode.h"

static struct om_proc_boot boot;
static int fds[OM_FDPASS_MAX];
static unsigned nfds;

#define MUST(cond, status) \
	do { \
		if (!(cond)) \
			_exit(status); \
	} while (0)

static void send_hdr(uint16_t type, size_t len, const void *more)
{
	unsigned char buf[4096] = { 0 };
	struct om_proc_hdr h = { .magic = OM_PROC_MAGIC, .len = (uint32_t)len, .type = type, .layout = OM_PROC_LAYOUT };

	if (more)
		memcpy(buf, more, len);
	memcpy(buf, &h, sizeof(h));
	MUST(om_fdpass_send(OM_PROC_FD, buf, len, NULL, 0) == 0, 90);
}

static void check_start(void)
{
	struct dirent *d;
	struct stat st;
	sigset_t set;
	int sig = 0;
	DIR *dir = opendir("/proc/self/fd");

	MUST(dir, 10);
	while ((d = readdir(dir)))
		MUST(d->d_name[0] == '.' || atoi(d->d_name) <= OM_PROC_FD || atoi(d->d_name) == dirfd(dir), 11);
	(void)closedir(dir);
	MUST(fstat(STDIN_FILENO, &st) == 0 && S_ISCHR(st.st_mode), 12);
	MUST(prctl(PR_GET_PDEATHSIG, &sig) == 0 && sig == SIGKILL, 13);
	MUST(sigprocmask(SIG_BLOCK, NULL, &set) == 0 && !sigismember(&set, SIGTERM), 14);
	MUST(getpgrp() == getpid(), 15);
	MUST(!getenv("HOME") && !getenv("PATH") && !getenv("FAKE_SECRET"), 16);
}

static bool is_fd(unsigned i, const char *name)
{
	char path[64], link[128];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	return strstr(link, name) != NULL;
}

static void check_boot(void)
{
	static const char *const names[] = { "ring-own", "ring-peer", "kick-peer", "kick-self", "om-counters", "index", "gens" };
	unsigned n = OM_BOOT_FD_COUNT;

	MUST(boot.hdr.magic == OM_PROC_MAGIC && boot.hdr.type == OM_PROC_BOOT && boot.hdr.layout == OM_PROC_LAYOUT, 20);
	MUST(boot.hdr.len == sizeof(boot), 21);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(names); i++)
		MUST(is_fd(i, names[i]), 22);
	if (boot.role == OM_ROLE_WORKER) {
		MUST(boot.child > 0 && !is_fd(OM_BOOT_OWN_SEG, "heat"), 23);
		MUST(boot.n_listen == 2 && boot.listen_kind[0] == OM_LISTEN_DATA && boot.listen_kind[1] == OM_LISTEN_TCP, 24);
		MUST(is_fd(n, "data-socket") && is_fd(n + 1, "tcp-socket"), 25);
		n += 2;
	} else {
		MUST(boot.child == 0 && boot.n_listen == 0 && is_fd(OM_BOOT_OWN_SEG, "heat"), 26);
	}
	MUST(is_fd(OM_BOOT_RUN_LOCK, "run-lock") && is_fd(OM_BOOT_RULES, "rules"), 27);
	MUST(boot.n_tiers == 3 && boot.tiers[1].state == OM_TIERS_ABSENT, 28);
	MUST(is_fd(n, "tier0-objects") && is_fd(n + 1, "tier0-staging") && is_fd(n + 2, "tier2-objects") && is_fd(n + 3, "tier2-staging"), 29);
	MUST(nfds == n + 4, 30);
	MUST(!memcmp(boot.key_secret, "0123456789abcdef", 16) && boot.default_tier == 2 && boot.cache_tier == OM_TIER_NONE, 31);
	MUST(boot.index_seq == 7 || boot.index_seq == 8, 32);
	MUST((boot.generation == 1) == (getenv("OBJM_FAULT") != NULL), 33);
}

static void say_log(uint32_t msg, const char *text)
{
	struct om_proc_log m = { .msg = msg };
	(void)snprintf(m.text, sizeof(m.text), "%s", text);
	send_hdr(OM_PROC_LOG, sizeof(m), &m);
}

static void misbehave(void)
{
	struct om_proc_log bad = { .msg = OM_MSG_NOTE };
	struct om_proc_index ack = { .seq = 99 };
	int null = dup(STDIN_FILENO);

	switch ((enum fake_mode)boot.limits.commit_wait_ms) {
	case FAKE_DIE_EARLY:
		_exit(3);
	case FAKE_BAD_TYPE:
		send_hdr(OM_PROC_BOOT, sizeof(struct om_proc_hdr), NULL);
		break;
	case FAKE_SHORT_LOG:
		send_hdr(OM_PROC_LOG, sizeof(struct om_proc_hdr) + 4, NULL);
		break;
	case FAKE_OPEN_LOG:
		memset(bad.text, 'x', sizeof(bad.text)); /* not terminated */
		send_hdr(OM_PROC_LOG, sizeof(bad), &bad);
		break;
	case FAKE_LOG_ID:
		say_log(OM_MSG_COUNT, "no such message");
		break;
	case FAKE_WITH_FD:
		(void)!om_fdpass_send(OM_PROC_FD, "0123456789abcdef", 16, &null, 1);
		break;
	case FAKE_TWICE_READY:
		send_hdr(OM_PROC_READY, sizeof(struct om_proc_hdr), NULL);
		break;
	case FAKE_FALSE_ACK:
		send_hdr(OM_PROC_INDEX_ACK, sizeof(ack), &ack);
		break;
	case FAKE_CLOSE_CTL:
		(void)close(OM_PROC_FD);
		(void)pause();
		break;
	case FAKE_GOOD:
	case FAKE_NEVER_READY:
	case FAKE_NO_ACK:
	case FAKE_NO_DRAIN:
		break;
	}
}

static void serve(void)
{
	union {
		struct om_proc_hdr hdr;
		struct om_proc_index index;
		struct om_proc_alog alog;
		struct om_proc_conf conf;
	} m;
	struct om_proc_index ack = { .seq = 0 };
	char text[64];
	size_t len;

	for (;;) {
		int err = om_fdpass_recv(OM_PROC_FD, &m, sizeof(m), &len, fds, OM_FDPASS_MAX, &nfds);
		MUST(err == 0, err == -OBJM_STATUS_GONE ? 0 : 40);
		MUST(m.hdr.len == len && m.hdr.magic == OM_PROC_MAGIC, 41);
		switch (m.hdr.type) {
		case OM_PROC_INDEX:
			MUST(nfds == (boot.role == OM_ROLE_LIFECYCLE ? 2 : 1) && is_fd(0, "index2"), 42);
			if (boot.limits.commit_wait_ms != FAKE_NO_ACK)
				send_hdr(OM_PROC_INDEX_ACK, sizeof(m.index), &m.index);
			break;
		case OM_PROC_ALOG:
		case OM_PROC_ALOG_GONE:
			MUST(boot.role == OM_ROLE_LIFECYCLE && nfds == (m.hdr.type == OM_PROC_ALOG), 43);
			(void)snprintf(text, sizeof(text), "alog %s %u", nfds ? "of" : "gone", m.alog.child);
			say_log(OM_MSG_NOTE, text);
			break;
		case OM_PROC_CONF:
			MUST(len == sizeof(m.conf) && nfds == 1 && is_fd(0, "rules") && m.conf.live.n_tiers == 3, 46);
			(void)snprintf(text, sizeof(text), "conf, batch %u", m.conf.live.lifecycle.migration_batch);
			say_log(OM_MSG_NOTE, text);
			ack.seq = m.conf.seq;
			if (boot.limits.commit_wait_ms != FAKE_NO_ACK)
				send_hdr(OM_PROC_CONF_ACK, sizeof(ack), &ack);
			break;
		case OM_PROC_DRAIN:
			MUST(nfds == 0, 44);
			if (boot.limits.commit_wait_ms != FAKE_NO_DRAIN)
				_exit(0);
			break;
		default:
			_exit(45);
		}
		for (unsigned i = 0; i < nfds; i++)
			om_close(&fds[i]);
	}
}

int main(void)
{
	struct om_seg counters;
	size_t len;

	check_start();
	MUST(om_fdpass_recv(OM_PROC_FD, &boot, sizeof(boot), &len, fds, OM_FDPASS_MAX, &nfds) == 0 && len == sizeof(boot), 19);
	check_boot();
	MUST(om_seg_attach(dup(fds[OM_BOOT_COUNTERS]), sizeof(struct om_counter_block), true, &counters) == 0 &&
		     om_counter_use(&counters) == 0, 34);
	om_count(OM_C_REQUESTS, 10);
	if (boot.limits.commit_wait_ms == FAKE_NEVER_READY)
		(void)pause();
	if (boot.limits.commit_wait_ms != FAKE_DIE_EARLY)
		send_hdr(OM_PROC_READY, sizeof(struct om_proc_hdr), NULL);
	misbehave();
	serve();
	return 0;
}
