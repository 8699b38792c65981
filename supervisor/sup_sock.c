/*
 * sup_sock.c: see sup_sock.h. In the supervisor; the workers get the descriptors with BOOT.
 */
#include "supervisor/sup_sock.h"

#include <poll.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/om_log.h"

#define ENDING_WAIT_MS 1000 /* how long somebody may still listen on our path before it is somebody else */
#define ENDING_NAP_MS 10

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16; the headers of older systems do not have it */
#endif

static bool unix_addr(const char *path, struct sockaddr_un *ret)
{
	size_t len = strlen(path);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len == 0 || len >= sizeof(ret->sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(ret->sun_path, path, len + 1);
	return true;
}

/* The daemon never needs a client's descriptor: let the kernel refuse them at the sender. */
static void refuse_rights(int fd)
{
	const int off = 0;
	/* ENOPROTOOPT before Linux 6.16: then the workers receive and close them */
	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
}

/* Remove the socket at `path` if nobody accepts there. 0 also when there is nothing. */
static int clear_stale(const char *path, const struct sockaddr_un *sa)
{
	struct stat st, now;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -OBJM_STATUS_SYSTEM;
	if (!S_ISSOCK(st.st_mode))
		return -OBJM_STATUS_INVALID_REQUEST;
	OM_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -OBJM_STATUS_SYSTEM;
	if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno == EAGAIN)
		return -OBJM_STATUS_BUSY; /* EAGAIN: its queue is full, so somebody listens */
	if (errno == ENOENT)
		return 0;
	if (errno != ECONNREFUSED) /* EPROTOTYPE: somebody's socket of another type; EACCES: not ours to judge */
		return errno == EPROTOTYPE ? -OBJM_STATUS_BUSY : -OBJM_STATUS_SYSTEM;
	if (lstat(path, &now) < 0 || now.st_dev != st.st_dev || now.st_ino != st.st_ino)
		return -OBJM_STATUS_BUSY; /* somebody is at work here */
	return unlink(path) < 0 && errno != ENOENT ? -OBJM_STATUS_SYSTEM : 0;
}

int sup_sock_unix(const char *path, const struct sup_sock_perm *perm, unsigned kind, struct sup_sock *ret)
{
	struct sockaddr_un sa;
	struct stat st;
	int err, bound;

	if (!unix_addr(path, &sa))
		return -OBJM_STATUS_SYSTEM;
	err = clear_stale(path, &sa);
	if (err < 0)
		return err;
	OM_AUTO_FREE char *name = strdup(path);
	OM_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (!name || fd < 0 || fchmod(fd, (mode_t)perm->mode) < 0)
		return -OBJM_STATUS_SYSTEM;
	refuse_rights(fd);
	/* the file gets the descriptor's mode minus the umask: right from its first moment, with no chmod by name */
	mode_t mask = umask(0);
	bound = bind(fd, (struct sockaddr *)&sa, sizeof(sa));
	(void)umask(mask);
	if (bound < 0)
		return errno == EADDRINUSE ? -OBJM_STATUS_BUSY : -OBJM_STATUS_SYSTEM;
	if ((perm->chown && lchown(path, perm->uid, perm->gid) < 0) || lstat(path, &st) < 0 || listen(fd, SOMAXCONN) < 0) {
		int why = errno;
		(void)unlink(path);
		errno = why;
		return -OBJM_STATUS_SYSTEM;
	}
	*ret = (struct sup_sock){ .kind = kind, .name = OM_TAKE_PTR(name), .ours = true, .dev = st.st_dev, .ino = st.st_ino };
	ret->fd = om_take_fd(&fd);
	return 0;
}

int sup_sock_tcp(const struct om_conf_tcp *tcp, struct sup_sock *ret)
{
	const int on = 1;
	OM_AUTO_FREE char *name = strdup(tcp->text);
	OM_AUTO_FD fd = socket(tcp->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (!name || fd < 0)
		return -OBJM_STATUS_SYSTEM;
	/* without it a restart waits out the connections of the last run */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (tcp->addr.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)); /* [::] is not 0.0.0.0 */
	if (bind(fd, (const struct sockaddr *)&tcp->addr, tcp->addr_len) < 0 || listen(fd, SOMAXCONN) < 0)
		return -OBJM_STATUS_SYSTEM;
	*ret = (struct sup_sock){ .kind = OM_LISTEN_TCP, .name = OM_TAKE_PTR(name) };
	ret->fd = om_take_fd(&fd);
	return 0;
}

/* What a socket handed over is for, by the name of its FileDescriptorName= or its unit. */
static bool kind_of(const char *name, unsigned *ret)
{
	static const struct {
		const char *name;
		unsigned kind;
	} names[] = {
		{ "data", OM_LISTEN_DATA },	{ "objmapper.socket", OM_LISTEN_DATA },
		{ "admin", SUP_SOCK_ADMIN },	{ "objmapper-ctl.socket", SUP_SOCK_ADMIN },
		{ "legacy", OM_LISTEN_LEGACY }, { "objmapper-legacy.socket", OM_LISTEN_LEGACY },
		{ "tcp", OM_LISTEN_TCP },	{ "objmapper-tcp.socket", OM_LISTEN_TCP },
	};

	for (size_t i = 0; i < OM_ARRAY_SIZE(names); i++) {
		if (!strcmp(names[i].name, name)) {
			*ret = names[i].kind;
			return true;
		}
	}
	return false;
}

/* NULL if `fd` listens on a stream of the right family, or what is wrong. */
static const char *unfit(int fd, unsigned kind, struct sockaddr_un *ret_addr)
{
	int type = 0, listening = 0;
	union {
		struct sockaddr_storage any;
		struct sockaddr_un un;
	} sa = { 0 };
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
		return "it is not a stream socket";
	len = sizeof(listening);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 || !listening)
		return "it does not listen";
	len = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return "it has no address";
	if (kind == OM_LISTEN_TCP)
		return sa.any.ss_family == AF_INET || sa.any.ss_family == AF_INET6 ? NULL : "it is not a TCP socket";
	*ret_addr = sa.un;
	return sa.any.ss_family == AF_UNIX ? NULL : "it is not a Unix socket";
}

/* Room for one more of this kind? The admin's own place is kept free. */
static bool room(const struct sup_socks *socks, unsigned kind)
{
	unsigned clients = 0;

	for (unsigned i = 0; i < socks->n; i++)
		clients += socks->v[i].kind != SUP_SOCK_ADMIN;
	if (kind == SUP_SOCK_ADMIN)
		return clients == socks->n; /* one of them */
	return clients < OM_LISTEN_MAX;
}

void sup_sock_adopt(struct sup_socks *socks, int first, int n, char **names)
{
	for (int i = 0; i < n; i++) {
		int fd = first + i;
		const char *name = names && names[i] ? names[i] : "unknown", *why = NULL;
		struct sockaddr_un addr = { 0 };
		unsigned kind = 0;

		if (!kind_of(name, &kind))
			why = "its name is none of data, admin, legacy, tcp (FileDescriptorName= of the socket unit)";
		else if (!room(socks, kind))
			why = "there are too many of its kind";
		else
			why = unfit(fd, kind, &addr);
		/* messages name the path where there is one: more than 107 bytes cannot be in it */
		char *copy = why ? NULL : strndup(addr.sun_path[0] ? addr.sun_path : name, sizeof(addr.sun_path));
		if (!why && !copy)
			why = "out of memory";
		if (why) {
			om_log(OM_MSG_CONFIG, "socket \"%s\" from systemd is not used: %s", name, why);
			om_close(&fd);
			continue;
		}
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); /* fails for nothing that is open */
		if (kind != OM_LISTEN_TCP)
			refuse_rights(fd);
		socks->v[socks->n++] = (struct sup_sock){ .fd = fd, .kind = kind, .name = copy };
	}
}

static void say_why(const char *name, int err)
{
	if (err == -OBJM_STATUS_BUSY)
		om_log(OM_MSG_FATAL, "cannot listen on %s: another process serves there; stop it, or set another path in `listen:`", name);
	else if (err == -OBJM_STATUS_INVALID_REQUEST)
		om_log(OM_MSG_FATAL, "cannot listen on %s: what lies there is not a socket; remove it, or set another path in `listen:`", name);
	else
		om_log(OM_MSG_FATAL, "cannot listen on %s: %m; see `listen:` in the configuration", name);
}

/* Owner and mode of our Unix sockets: 0, or a negative status after a line. */
static int perm_of(const char *key, const char *group, uint32_t mode, const struct sup_user *user, struct sup_sock_perm *ret)
{
	*ret = (struct sup_sock_perm){ .mode = mode, .uid = (uid_t)-1, .gid = (gid_t)-1 };
	if (user->drop) {
		ret->chown = true;
		ret->uid = user->uid;
		ret->gid = user->gid;
	}
	if (*group) {
		int err = sup_priv_group(group, &ret->gid);
		if (err < 0) {
			om_log(OM_MSG_FATAL, "%s: there is no group \"%s\"; make it (groupadd), or correct the configuration", key, group);
			return err;
		}
		ret->chown = true;
	}
	return 0;
}

static int open_unix(struct sup_socks *socks, const char *path, const struct sup_sock_perm *perm, unsigned kind)
{
	if (!*path || sup_sock_find(socks, kind))
		return 0;
	int err = sup_sock_unix(path, perm, kind, &socks->v[socks->n]);
	/* A process of the last run may have given up the lock already and its listener not yet: it is ending. */
	for (unsigned ms = 0; err == -OBJM_STATUS_BUSY && ms < ENDING_WAIT_MS; ms += ENDING_NAP_MS) {
		(void)poll(NULL, 0, ENDING_NAP_MS);
		err = sup_sock_unix(path, perm, kind, &socks->v[socks->n]);
	}
	if (err < 0)
		say_why(path, err);
	else
		socks->n++;
	return err;
}

unsigned sup_sock_count(const struct om_conf *conf)
{
	return 1u + (*conf->listen.legacy != '\0') + (unsigned)conf->listen.tcp.n;
}

int sup_sock_open(struct sup_socks *socks, const struct om_conf *conf, const struct sup_user *user)
{
	struct sup_sock_perm data, admin;
	int err = perm_of("listen.group", conf->listen.group, conf->listen.mode, user, &data);

	if (err == 0)
		err = perm_of("listen.admin_group", conf->listen.admin_group, conf->listen.admin_mode, user, &admin);
	if (err == 0)
		err = open_unix(socks, conf->listen.admin, &admin, SUP_SOCK_ADMIN);
	if (err == 0)
		err = open_unix(socks, conf->listen.data, &data, OM_LISTEN_DATA);
	if (err == 0)
		err = open_unix(socks, conf->listen.legacy, &data, OM_LISTEN_LEGACY);
	if (err == 0 && !sup_sock_find(socks, OM_LISTEN_TCP)) {
		for (size_t i = 0; err == 0 && i < conf->listen.tcp.n; i++) {
			if (!room(socks, OM_LISTEN_TCP)) {
				om_log(OM_MSG_FATAL, "listen: more than %u sockets", OM_LISTEN_MAX);
				err = -OBJM_STATUS_LIMIT_EXCEEDED;
				break;
			}
			err = sup_sock_tcp(&conf->listen.tcp.v[i], &socks->v[socks->n]);
			if (err < 0)
				say_why(conf->listen.tcp.v[i].text, err);
			else
				socks->n++;
		}
	}
	if (err < 0)
		sup_sock_fini(socks);
	return err;
}

struct sup_sock *sup_sock_find(struct sup_socks *socks, unsigned kind)
{
	for (unsigned i = 0; i < socks->n; i++)
		if (socks->v[i].kind == kind)
			return &socks->v[i];
	return NULL;
}

void sup_sock_close(struct sup_socks *socks)
{
	for (unsigned i = 0; i < socks->n; i++)
		om_close(&socks->v[i].fd);
}

void sup_sock_fini(struct sup_socks *socks)
{
	sup_sock_close(socks);
	for (unsigned i = 0; i < socks->n; i++) {
		struct sup_sock *s = &socks->v[i];
		struct stat st;
		if (s->ours && lstat(s->name, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
			(void)unlink(s->name); /* a path left behind is seen to be stale by the next start */
		free(s->name);
	}
	socks->n = 0;
}
