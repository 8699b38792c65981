/*
 * plain_client.c: what libobjm promises, against a real daemon, with nothing but objm.h and the C library: for builds with
 * another one (tools/musl), where cmocka is not at hand. Usage: plain_client SOCKET MAX_FDS (0: the library's default).
 *
 * Many descriptors to a message are what differs: musl copies a message's control data into a buffer of fixed size when it
 * sends, and has been seen to refuse the kernel's greatest number. Here: 2,000 objects in one call, each read and compared,
 * none lost, none left over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/objm.h"

#define OBJECTS 2000

#define MUST(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "plain_client: line %d: %s (%s)\n", __LINE__, #cond, s ? objm_error(s) : objm_error(NULL)); \
			exit(1); \
		} \
	} while (0)

static objm_t *s;
static int at_start; /* descriptors that a child has, before there is a session */

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	MUST(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* Descriptors that a program has which is started now: fork and exec, as any program might that knows nothing of the library. */
static int inherited(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)execl("/proc/self/exe", "plain_client", "--count", (char *)NULL);
		_exit(127);
	}
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) < 127);
	return WEXITSTATUS(status);
}

static const char *name(unsigned i)
{
	static char buf[32];

	(void)snprintf(buf, sizeof(buf), "/plain/%04u", i);
	return buf;
}

static void put_all(void)
{
	struct objm_put_options opt = OBJM_PUT_OPTIONS_INIT;
	char text[32];

	opt.flags = OBJM_EPHEMERAL;
	for (unsigned i = 0; i < OBJECTS; i++) {
		int n = snprintf(text, sizeof(text), "object %u", i);

		MUST(objm_put_buf(s, name(i), text, (size_t)n, &opt, NULL) == 0);
	}
}

static void check(int fd, unsigned i)
{
	char want[32], got[64];
	int n = snprintf(want, sizeof(want), "object %u", i);

	MUST(pread(fd, got, sizeof(got), 0) == n && memcmp(got, want, (size_t)n) == 0);
	MUST(fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

static void get_many(void)
{
	static struct objm_result results[OBJECTS + 1];
	static const char *uris[OBJECTS + 1];
	static char names[OBJECTS + 1][32];
	int before = open_fds();

	for (unsigned i = 0; i < OBJECTS; i++)
		uris[i] = strcpy(names[i], name(i));
	uris[OBJECTS] = "/plain/none";
	for (unsigned round = 0; round < 3; round++) {
		MUST(objm_get_many(s, uris, OBJECTS + 1, OBJM_WANT_META, results) == 0);
		for (unsigned i = 0; i < OBJECTS; i++) {
			MUST(results[i].status == 0 && results[i].info.size == strlen("object ") + (i < 10 ? 1 : i < 100 ? 2 : i < 1000 ? 3 : 4));
			check(results[i].fd, i);
		}
		MUST(inherited() == at_start); /* with 2,000 of them open, and the connection */
		for (unsigned i = 0; i < OBJECTS; i++)
			(void)close(results[i].fd);
		MUST(results[OBJECTS].status == -OBJM_STATUS_NOT_FOUND && results[OBJECTS].fd == -1);
	}
	MUST(open_fds() == before);
}

static void one_of_each(void)
{
	char path[] = "/tmp/plain.XXXXXX", text[64];
	struct objm_stat *st;
	struct objm_map map;
	struct objm_list_options lopt = OBJM_LIST_OPTIONS_INIT;
	const struct objm_entry *e;
	objm_list_t *list;
	size_t size;
	unsigned n = 0;
	int fd = mkstemp(path), got;

	MUST(fd >= 0 && unlink(path) == 0);
	MUST(ftruncate(fd, 1 << 20) == 0 && pwrite(fd, "begin", 5, 0) == 5);
	MUST(objm_put_fd(s, "/plain-file", fd, NULL, NULL) == 0); /* through a descriptor of the server's */
	(void)close(fd);
	MUST(objm_get_map(s, "/plain-file", &map) == 0 && map.size == 1 << 20 && !memcmp(map.data, "begin", 5));
	objm_unmap(&map);
	MUST(objm_get(s, "/plain-file", 0, NULL, &got) == 0);
	MUST(read(got, text, 5) == 5 && lseek(got, 0, SEEK_CUR) == 5 && write(got, "x", 1) < 0);
	(void)close(got);
	MUST(objm_read(s, name(7), text, sizeof(text), &size, NULL) == 0 && size == 8);
	MUST(objm_stat(s, "/plain-file", &st) == 0 && st->info.size == 1 << 20);
	objm_stat_free(st);
	lopt.prefix = "/plain/";
	MUST(objm_list_open(s, &lopt, &list) == 0);
	for (; objm_list_next(list, &e) == 1; n++)
		MUST(strcmp(e->uri, name(n)) == 0);
	objm_list_close(list);
	MUST(n == OBJECTS);
	MUST(objm_delete(s, "/plain-file", NULL) == 0 && objm_delete(s, "/plain-file", NULL) == -OBJM_STATUS_NOT_FOUND);
}

/* No room for what a message brings: an error, never an answer without its descriptor. */
static void few_descriptors(void)
{
	struct rlimit was, rl;
	struct objm_result results[64];
	const char *uris[64];
	static char names[64][32];
	int before = open_fds(), r, good = 0;

	MUST(getrlimit(RLIMIT_NOFILE, &was) == 0);
	rl = was;
	rl.rlim_cur = (rlim_t)before + 8;
	MUST(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	for (unsigned i = 0; i < 64; i++)
		uris[i] = strcpy(names[i], name(i));
	r = objm_get_many(s, uris, 64, 0, results);
	for (unsigned i = 0; i < 64; i++) {
		MUST((results[i].status == 0) == (results[i].fd >= 0));
		if (results[i].status == 0) {
			check(results[i].fd, i);
			(void)close(results[i].fd);
			good++;
		} else {
			MUST(results[i].status == -OBJM_STATUS_LIMIT_EXCEEDED);
		}
	}
	MUST(good < 64 && (r == 0 || r == -OBJM_STATUS_LIMIT_EXCEEDED));
	MUST(setrlimit(RLIMIT_NOFILE, &was) == 0);
	MUST(objm_get(s, name(3), 0, NULL, &r) == 0);
	check(r, 3);
	(void)close(r);
}

int main(int argc, char **argv)
{
	struct objm_options opt = OBJM_OPTIONS_INIT;
	struct rlimit rl;

	if (argc == 2 && strcmp(argv[1], "--count") == 0)
		return open_fds();
	if (argc != 3)
		return 2;
	at_start = inherited();
	MUST(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	rl.rlim_cur = rl.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	opt.max_fds = (uint32_t)atoi(argv[2]);
	MUST(objm_open(argv[1], &opt, &s) == 0);
	put_all();
	get_many();
	one_of_each();
	few_descriptors();
	objm_close(s);
	printf("%u objects in each call, descriptors to a message: %s\n", OBJECTS, argv[2][0] == '0' ? "the library's default" : argv[2]);
	return 0;
}
