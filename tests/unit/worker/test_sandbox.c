/*
 * test_sandbox.c: what a worker that was taken over can not do. Each attempt runs in a process of its own that narrows itself
 * exactly as the worker does; as a control, the same attempt in a process that does not must succeed.
 */
#include "wrk_harness.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "backend/be_how.h"
#include "worker/wrk_open.h"
#include "worker/wrk_sandbox.h"

#define THREADS 8u
#define NOBODY 61234 /* whom the attempts on objects are repeated as, when we are root */

static struct wrk self;
static bool passed; /* peers can send us descriptors: reading is Landlock's to judge */
static char dir[] = "/tmp/objm-sandbox-XXXXXX";
static uid_t owner; /* of all below `dir`; 0: us */
static int index_fd, gens_fd, object_fd, sock[2];
static struct idxw *idx;
static struct idx_genw *gens;
static long secret_word = 4711; /* in the parent: what an attempt wants to read */

#define OBJ_DIR "000000000"
#define OBJ_PATH OBJ_DIR "/0000000000000001"
#define OBJ_BYTES "what was committed"

static int setup(void **state)
{
	struct wrk_tier *t = &self.tiers[0];
	char path[64];
	int fd;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/objects", dir);
	(void)mkdir(path, 0700);
	t->objects_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "%s/staging", dir);
	(void)mkdir(path, 0700);
	t->staging_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	self.boot.limits.io_threads = THREADS - 1;
	t->known = true;
	t->row.flags = OM_TIERF_READABLE;
	(void)mkdirat(t->objects_fd, OBJ_DIR, 0700);
	fd = openat(t->objects_fd, OBJ_PATH, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (write(fd, OBJ_BYTES, sizeof(OBJ_BYTES)) != (ssize_t)sizeof(OBJ_BYTES))
		return -1;
	(void)close(fd);
	object_fd = openat(t->objects_fd, OBJ_PATH, O_RDONLY | O_CLOEXEC);
	if (object_fd < 0 || idxw_new(100, &idx) < 0 || idx_genw_new(&gens) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sock) < 0)
		return -1;
	index_fd = dup(idxw_fd(idx));
	gens_fd = dup(idx_genw_fd(gens));
	return 0;
}

static int teardown(void **state)
{
	char cmd[64];

	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

/* ---------------------------------------------------------------- attempts: true if it was possible */

static int objects(void) { return self.tiers[0].objects_fd; }
static int staging(void) { return self.tiers[0].staging_fd; }

static bool opens(const char *path, int flags) { return open(path, flags | O_CLOEXEC, 0600) >= 0; }
static bool try_passwd(void) { return opens("/etc/passwd", O_RDONLY); }
static bool try_create(void) { return opens("/tmp/objm-sandbox-made", O_WRONLY | O_CREAT); }
static bool try_object_write(void) { return openat(objects(), OBJ_PATH, O_WRONLY | O_CLOEXEC) >= 0; }
static bool try_object_rdwr(void) { return openat(objects(), OBJ_PATH, O_RDWR | O_CLOEXEC) >= 0; }
static bool try_object_trunc(void) { return openat(objects(), OBJ_PATH, O_RDONLY | O_TRUNC | O_CLOEXEC) >= 0; }
static bool try_object_reopen(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", object_fd);
	return opens(path, O_WRONLY);
}
static const char *object_path(void)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/objects/" OBJ_PATH, dir);
	return path;
}
static bool try_truncate(void) { return truncate(object_path(), 0) == 0; }
static bool try_object_rdwr_trunc(void) { return openat(objects(), OBJ_PATH, O_RDWR | O_TRUNC | O_CLOEXEC) >= 0; }
static bool try_proc_trunc(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", object_fd);
	return opens(path, O_RDONLY | O_TRUNC);
}
static bool openat2_trunc(const struct open_how *how)
{
	return syscall(SYS_openat2, objects(), OBJ_PATH, how, sizeof(*how)) >= 0;
}
static bool try_openat2_trunc(void) { return openat2_trunc(&(struct open_how){ .flags = O_RDONLY | O_TRUNC | O_CLOEXEC }); }
static bool try_openat2_write(void) { return openat2_trunc(&(struct open_how){ .flags = O_WRONLY | O_CLOEXEC }); }
static bool try_ftruncate(void) { return ftruncate(object_fd, 0) == 0; }
static bool try_punch(void) { return fallocate(object_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0; }
#if defined(SYS_open) && defined(SYS_creat)
static bool try_old_open(void) { return syscall(SYS_open, object_path(), O_RDONLY | O_TRUNC) >= 0; }
static bool try_old_creat(void) { return syscall(SYS_creat, object_path(), 0600) >= 0; }
#endif
#ifdef __x86_64__
static bool try_x32(void) { return syscall(0x40000000 | SYS_truncate, object_path(), 0) == 0; }
#endif
/* Where the mode of committed files refuses, their owner may have an access list say otherwise. */
static bool try_acl(void)
{
	static const struct __attribute__((packed)) {
		uint32_t version;
		struct __attribute__((packed)) {
			uint16_t tag, perm;
			uint32_t id;
		} e[3];
	} acl = { 2, { { 0x01, 6, UINT32_MAX }, { 0x04, 0, UINT32_MAX }, { 0x20, 0, UINT32_MAX } } };

	(void)fsetxattr(object_fd, "system.posix_acl_access", &acl, sizeof(acl), 0); /* may work */
	return try_object_trunc() || try_openat2_trunc() || try_truncate() || try_object_write();
}
static bool try_link(void)
{
	return linkat(objects(), OBJ_PATH, staging(), "away", 0) == 0 && openat(staging(), "away", O_WRONLY | O_CLOEXEC) >= 0;
}
static bool try_link_trunc(void)
{
	return linkat(objects(), OBJ_PATH, staging(), "away", 0) == 0 && openat(staging(), "away", O_RDONLY | O_TRUNC | O_CLOEXEC) >= 0;
}

/* The page that openat2() is told from: whoever can change it can have O_TRUNC. */
static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }
static void *pinned(void) { return (void *)(uintptr_t)be_how_first(); }
static bool pinned_trunc(void)
{
	*(struct open_how *)pinned() = (struct open_how){ .flags = O_RDONLY | O_TRUNC };
	return openat2_trunc(pinned());
}
static bool try_pin_mprotect(void)
{
	return pinned() && mprotect(pinned(), page(), PROT_READ | PROT_WRITE) == 0 && pinned_trunc();
}
static bool try_pin_replace(void)
{
	return pinned() && mmap(pinned(), page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED &&
	       pinned_trunc();
}
static bool try_pin_unmap(void)
{
	return pinned() && munmap(pinned(), page()) == 0;
}
static bool try_pin_move(void)
{
	return pinned() && mremap(pinned(), page(), 2 * page(), MREMAP_MAYMOVE) != MAP_FAILED;
}
static bool try_pin_onto(void)
{
	void *p = mmap(NULL, page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return pinned() && mremap(p, page(), page(), MREMAP_MAYMOVE | MREMAP_FIXED, pinned()) != MAP_FAILED && pinned_trunc();
}
static bool try_pin_forget(void) /* zeros: nothing that keeps it below objects/ */
{
	return pinned() && madvise(pinned(), page(), MADV_DONTNEED) == 0;
}
static bool try_pin_receive(void) /* the kernel writes for us */
{
	return pinned() && send(sock[0], "0123456789abcdef", 16, 0) == 16 && recv(sock[1], pinned(), 16, 0) == 16;
}
static bool try_pin_mem(void)
{
	static const struct open_how how = { .flags = O_RDONLY | O_TRUNC };
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	return pinned() && fd >= 0 && pwrite(fd, &how, sizeof(how), (off_t)(uintptr_t)pinned()) > 0;
}

/* Reading what is no object. */
static const struct open_how plain = { .flags = O_RDONLY | O_CLOEXEC };
static bool reads(int dirfd, const char *path) /* as openat2 can, at its best */
{
	if (pinned() && syscall(SYS_openat2, dirfd, path, pinned(), sizeof(struct open_how)) >= 0)
		return true;
	return syscall(SYS_openat2, dirfd, path, &plain, sizeof(plain)) >= 0;
}
static bool try_read_absolute(void) { return reads(objects(), "/etc/passwd"); }
static bool try_read_above(void) { return reads(objects(), "../../../etc/passwd"); }
static bool try_read_cwd(void) { return reads(AT_FDCWD, "etc/passwd"); }
static bool try_read_cwd_64(void) /* the kernel looks at 32 bits of it */
{
	return pinned() && syscall(SYS_openat2, 0x100000000 + (unsigned)AT_FDCWD, "etc/passwd", pinned(), sizeof(struct open_how)) >= 0;
}
static bool try_read_dir(void) { return reads(open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "passwd"); }
static bool try_read_path_dir(void) { return reads(open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC), "passwd"); }
static bool try_read_rdwr(void) { return opens("/etc/passwd", O_RDWR); }
static bool again(int fd) /* once more, for reading */
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd >= 0 && (be_how_reopen(fd) >= 0 || opens(path, O_RDONLY));
}
static bool try_again_path(void) { return again(open("/etc/passwd", O_PATH | O_CLOEXEC)); }
static bool try_again_neither(void) { return again(open("/etc/passwd", O_ACCMODE | O_CLOEXEC)); }
static bool try_again_written(void) { return again(open("/etc/passwd", O_WRONLY | O_CLOEXEC)); }
static char *kept_path(void) { return (char *)(uintptr_t)be_how_path(); }
static bool try_kept_mprotect(void)
{
	return kept_path() && mprotect(kept_path(), page(), PROT_READ | PROT_WRITE) == 0 && opens(strcpy(kept_path(), "/etc/passwd"), O_RDONLY);
}
static bool try_kept_replace(void)
{
	return kept_path() &&
	       mmap(kept_path(), page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED &&
	       opens(strcpy(kept_path(), "/etc/passwd"), O_RDONLY);
}
static bool try_kept_unmap(void) { return kept_path() && munmap(kept_path(), page()) == 0; }
static bool try_kept_middle(void) /* "proc/self/fd/N" */
{
	return kept_path() && open(kept_path() + 1, O_RDONLY | O_CLOEXEC) >= 0;
}
static bool try_kept_trunc(void)
{
	return kept_path() && dup3(object_fd, atoi(kept_path() + strlen("/proc/self/fd/")), O_CLOEXEC) >= 0 &&
	       opens(kept_path(), O_RDONLY | O_TRUNC);
}
static bool try_kept_write(void)
{
	return kept_path() && dup3(object_fd, atoi(kept_path() + strlen("/proc/self/fd/")), O_CLOEXEC) >= 0 && opens(kept_path(), O_RDWR);
}
static bool try_pin_size(void) { return pinned() && syscall(SYS_openat2, objects(), OBJ_PATH, pinned(), sizeof(struct open_how) + 8) >= 0; }
static bool try_unlink(void) { return unlinkat(objects(), OBJ_PATH, 0) == 0; }
static bool try_rmdir(void) { return mkdirat(objects(), "empty", 0700) == 0 && unlinkat(objects(), "empty", AT_REMOVEDIR) == 0; }
static bool try_rename(void) { return renameat(objects(), OBJ_PATH, objects(), "away") == 0; }
static bool try_exchange(void)
{
	return syscall(SYS_renameat2, objects(), OBJ_PATH, staging(), "away", 0) == 0;
}
static bool try_symlink(void) { return symlinkat("/etc/passwd", objects(), "link") == 0; }
static bool try_mknod(void) { return mknodat(objects(), "fifo", S_IFIFO | 0600, 0) == 0; }
static bool try_socket(void) { return socket(AF_UNIX, SOCK_STREAM, 0) >= 0; }
static bool try_inet(void) { return socket(AF_INET, SOCK_STREAM, 0) >= 0; }
static bool try_shutdown(void) { return shutdown(sock[0], SHUT_RDWR) == 0; }
static bool try_exec(void)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL };

	(void)close(2);
	return execv("/bin/true", argv) == 0; /* success: exit status 0 of another program; seen as "possible" below */
}
static bool try_fork(void)
{
	pid_t p = fork();

	if (p == 0)
		_exit(0);
	return p > 0;
}
static bool try_vm_read(void)
{
	long got = 0;
	struct iovec to = { &got, sizeof(got) }, from = { &secret_word, sizeof(secret_word) };

	return process_vm_readv(getppid(), &to, 1, &from, 1, 0) == (ssize_t)sizeof(got) && got == 4711;
}
static bool try_ptrace(void) { return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0; }
static bool try_proc_mem(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/mem", getppid());
	return opens(path, O_RDONLY);
}
static bool try_kill(void) { return kill(getppid(), 0) == 0; }
static bool try_tgkill(void) { return syscall(SYS_tgkill, getppid(), getppid(), 0) == 0; }
static bool try_fchmod_write(void) { return fchmod(object_fd, 0600) == 0; }
static bool try_fchmod_read(void) { return fchmod(object_fd, 0444) == 0; }
static bool try_fchmodat(void) { return fchmodat(objects(), OBJ_PATH, 0400, 0) == 0; }
static bool try_fchown(void) { return fchown(object_fd, getuid(), getgid()) == 0; }
static bool try_setfl(void) { return fcntl(sock[0], F_SETFL, O_NONBLOCK) == 0; }
static bool try_setsockopt(void)
{
	int v = 1;

	return setsockopt(sock[0], SOL_SOCKET, SO_PASSCRED, &v, sizeof(v)) == 0;
}
static bool try_io_uring(void)
{
	struct io_uring_params p = { 0 };

	return syscall(SYS_io_uring_setup, 4, &p) >= 0;
}
static bool try_prot_exec(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}
static bool try_handle(void)
{
	struct {
		struct file_handle h;
		char room[128];
	} f = { .h = { .handle_bytes = 128 } };
	int mount;

	return name_to_handle_at(objects(), OBJ_PATH, &f.h, &mount, 0) == 0;
}
static bool try_mount(void) { return syscall(SYS_unshare, 0) == 0; }

/* The segments: refused by their seals already, so these have no control. */
static bool mappable(int fd) { return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED; }
static bool try_map_index(void) { return mappable(index_fd); }
static bool try_map_gens(void) { return mappable(gens_fd); }
static bool try_mprotect_index(void)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, index_fd, 0);

	return p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_WRITE) == 0;
}
static bool try_reopen_index(void)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", index_fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd >= 0 && mappable(fd);
}
static bool try_write_index(void) { return pwrite(index_fd, "x", 1, 0) == 1; }
static bool try_truncate_index(void) { return ftruncate(index_fd, 0) == 0; }
static bool try_fchmod_index(void) { return fchmod(index_fd, 0600) == 0; }
static bool try_reopen_gens(void)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", gens_fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd >= 0 && (mappable(fd) || write(fd, "x", 1) == 1);
}

static const struct attempt {
	const char *name;
	bool (*fn)(void);
	bool control; /* possible without the sandbox */
	bool root;    /* control only as root */
	bool object;  /* on an object's bytes: as an ordinary user, too */
} attempts[] = {
	{ "open /etc/passwd", try_passwd, true, false, false },
	{ "make a file elsewhere", try_create, true, false, false },
	{ "open an object for writing", try_object_write, true, false, true },
	{ "open an object for reading and writing", try_object_rdwr, true, false, true },
	{ "open an object with O_TRUNC", try_object_trunc, true, false, true },
	{ "reopen an object for writing through /proc", try_object_reopen, true, false, true },
	{ "truncate an object", try_truncate, true, false, true },
	{ "open an object with O_RDWR and O_TRUNC", try_object_rdwr_trunc, true, false, true },
	{ "reopen an object with O_TRUNC through /proc", try_proc_trunc, true, false, true },
	{ "openat2 with O_TRUNC", try_openat2_trunc, true, false, true },
	{ "openat2 for writing", try_openat2_write, true, false, true },
	{ "ftruncate of what was opened for reading", try_ftruncate, false, false, true },
	{ "a hole in what was opened for reading", try_punch, false, false, true },
#if defined(SYS_open) && defined(SYS_creat)
	{ "open() with O_TRUNC", try_old_open, true, false, true },
	{ "creat()", try_old_creat, true, false, true },
#endif
#ifdef __x86_64__
	{ "truncate by the x32 table", try_x32, false, false, true },
#endif
	{ "an access list, then O_TRUNC", try_acl, true, false, true },
	{ "link an object to staging and write", try_link, true, false, true },
	{ "link an object to staging and truncate", try_link_trunc, true, false, true },
	{ "make openat2's page writable", try_pin_mprotect, false, false, true },
	{ "map over openat2's page", try_pin_replace, false, false, true },
	{ "unmap openat2's page", try_pin_unmap, false, false, true },
	{ "move openat2's page away", try_pin_move, false, false, true },
	{ "move another one onto openat2's page", try_pin_onto, false, false, true },
	{ "have openat2's page forgotten", try_pin_forget, false, false, true },
	{ "receive into openat2's page", try_pin_receive, false, false, true },
	{ "write openat2's page through /proc/self/mem", try_pin_mem, false, false, true },
	{ "openat2 with its page and another size", try_pin_size, false, false, true },
	{ "openat2 of an absolute path", try_read_absolute, true, false, false },
	{ "openat2 of a path that goes up", try_read_above, true, false, false },
	{ "openat2 below the current directory", try_read_cwd, true, false, false },
	{ "the same with more bits", try_read_cwd_64, false, false, false },
	{ "openat2 below another directory", try_read_dir, true, false, false },
	{ "openat2 below a directory that was opened as a path", try_read_path_dir, true, false, false },
	{ "open /etc/passwd for reading and writing", try_read_rdwr, true, true, false },
	{ "open as a path, then for reading", try_again_path, true, false, false },
	{ "open for neither, then for reading", try_again_neither, true, true, false },
	{ "open for writing, then for reading", try_again_written, true, true, false },
	{ "make the kept paths writable", try_kept_mprotect, false, false, true },
	{ "map over the kept paths", try_kept_replace, false, false, true },
	{ "unmap the kept paths", try_kept_unmap, false, false, true },
	{ "open from the middle of a kept path", try_kept_middle, false, false, true },
	{ "truncate by a kept path", try_kept_trunc, false, false, true },
	{ "write by a kept path", try_kept_write, false, false, true },
	{ "unlink an object", try_unlink, true, false, true },
	{ "remove a directory", try_rmdir, true, false, false },
	{ "rename an object", try_rename, true, false, true },
	{ "move an object to staging", try_exchange, true, false, true },
	{ "make a symbolic link", try_symlink, true, false, false },
	{ "make a fifo", try_mknod, true, false, false },
	{ "socket()", try_socket, true, false, false },
	{ "socket() of the network", try_inet, true, false, false },
	{ "shutdown()", try_shutdown, true, false, false },
	{ "execve()", try_exec, true, false, false },
	{ "fork()", try_fork, true, false, false },
	{ "read the parent's memory", try_vm_read, true, true, false },
	{ "ptrace the parent", try_ptrace, true, true, false },
	{ "open /proc/PARENT/mem", try_proc_mem, true, true, false },
	{ "signal the parent", try_kill, true, false, false },
	{ "signal a thread of the parent", try_tgkill, true, false, false },
	{ "fchmod 0600", try_fchmod_write, true, false, false },
	{ "fchmod 0444", try_fchmod_read, true, false, false },
	{ "fchmodat", try_fchmodat, true, false, false },
	{ "fchown", try_fchown, true, false, false },
	{ "F_SETFL", try_setfl, true, false, false },
	{ "setsockopt", try_setsockopt, true, false, false },
	{ "io_uring_setup()", try_io_uring, false, false, false }, /* sysctl may forbid it already */
	{ "executable memory", try_prot_exec, true, false, false },
	{ "name_to_handle_at()", try_handle, false, false, false },
	{ "unshare()", try_mount, true, false, false },
	{ "map the index writable", try_map_index, false, false, false },
	{ "make a map of the index writable", try_mprotect_index, false, false, false },
	{ "reopen the index and map it writable", try_reopen_index, false, false, false },
	{ "write the index", try_write_index, false, false, false },
	{ "truncate the index", try_truncate_index, false, false, false },
	{ "fchmod the index", try_fchmod_index, false, false, false },
	{ "map the generations writable", try_map_gens, false, false, false },
	{ "reopen the generations", try_reopen_gens, false, false, false },
};

/* ---------------------------------------------------------------- running them */

static void *idle_thread(void *arg)
{
	(void)arg;
	for (;;)
		(void)pause(); /* refused or not: it only has to exist while seccomp is loaded */
	return NULL;
}

static void narrow(void)
{
	const int listener = sock[0]; /* as the kernel makes it: descriptors may be sent to it */
	pthread_t t;

	self.boot.n_listen = passed ? 1 : 0;
	if (wrk_sandbox_files(&self, &listener) < 0)
		_exit(77);
	if (pthread_create(&t, NULL, idle_thread, NULL) != 0 || wrk_sandbox_calls() < 0)
		_exit(77);
}

/* 1 possible, 0 refused, 77 no sandbox here */
static int run_as(bool (*fn)(void), bool sandbox, uid_t uid)
{
	int status;
	pid_t p = fork();

	if (p == 0) {
		OM_ASSERT(chdir("/") == 0);
		if (uid && (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
			_exit(78);
		if (sandbox)
			narrow();
		_exit(fn() ? 1 : 0);
	}
	assert_true(p > 0);
	assert_int_equal(waitpid(p, &status, 0), p);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS); /* killed by the filter: refused */
		return 0;
	}
	if (fn == try_exec && WEXITSTATUS(status) == 0 && !sandbox)
		return 1; /* /bin/true ran */
	return WEXITSTATUS(status);
}

static int run(bool (*fn)(void), bool sandbox) { return run_as(fn, sandbox, 0); }

/* Put back what a control may have changed. */
static void restore(void)
{
	int fd;

	(void)unlinkat(objects(), OBJ_PATH, 0);
	fd = openat(objects(), OBJ_PATH, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	OM_ASSERT(write(fd, OBJ_BYTES, sizeof(OBJ_BYTES)) == (ssize_t)sizeof(OBJ_BYTES));
	OM_ASSERT(!owner || fchown(fd, owner, owner) == 0);

	(void)unlinkat(objects(), "away", 0);
	(void)unlinkat(staging(), "away", 0);
	(void)unlinkat(objects(), "link", 0);
	(void)unlinkat(objects(), "fifo", 0);
	(void)unlinkat(objects(), "empty", AT_REMOVEDIR);
	(void)unlink("/tmp/objm-sandbox-made");
	(void)fchmod(fd, 0600);
	(void)close(fd);
	(void)close(sock[0]);
	(void)close(sock[1]);
	OM_ASSERT(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	(void)close(object_fd);
	object_fd = openat(objects(), OBJ_PATH, O_RDONLY | O_CLOEXEC);
}

static bool nothing(void) { return true; }

/* The object is there and has the bytes that it had. */
static bool intact(void)
{
	OM_AUTO_FD fd = openat(objects(), OBJ_PATH, O_RDONLY | O_CLOEXEC);
	char buf[sizeof(OBJ_BYTES) + 1];

	return fd >= 0 && pread(fd, buf, sizeof(buf), 0) == (ssize_t)sizeof(OBJ_BYTES) && !memcmp(buf, OBJ_BYTES, sizeof(OBJ_BYTES));
}

/* @return attempts that were possible, or prove nothing */
static unsigned refused(const struct attempt *a)
{
	unsigned bad = 0;

	restore();
	if (run_as(a->fn, true, owner) != 0 || !intact()) {
		print_error("# possible in the sandbox%s: %s\n", owner ? " of an ordinary user" : "", a->name);
		bad++;
	}
	restore();
	if (a->control && (!a->root || geteuid() == 0) && run_as(a->fn, false, owner) != 1) {
		print_error("# the control%s failed, so this proves nothing: %s\n", owner ? " as an ordinary user" : "", a->name);
		bad++;
	}
	restore();
	return bad;
}

static void test_refused(void **state)
{
	unsigned bad = 0;

	(void)state;
	if (run(nothing, true) == 77) {
		print_message("# SKIP: this kernel has no Landlock or no seccomp\n");
		skip();
	}
	for (size_t i = 0; i < OM_ARRAY_SIZE(attempts); i++)
		bad += refused(&attempts[i]);
	assert_int_equal(bad, 0);
}

static void all_to(uid_t uid)
{
	owner = uid;
	assert_int_equal(chown(dir, uid, uid), 0);
	assert_int_equal(fchown(objects(), uid, uid), 0);
	assert_int_equal(fchown(staging(), uid, uid), 0);
	assert_int_equal(fchownat(objects(), OBJ_DIR, uid, uid, 0), 0);
	restore();
}

/* The same on objects without root's rights, where files of our own are writable but for the sandbox. */
static void test_refused_user(void **state)
{
	unsigned bad = 0;

	(void)state;
	if (geteuid() != 0 || run(nothing, true) == 77) {
		print_message("# SKIP: not root, so the test above has shown it; or no sandbox\n");
		skip();
	}
	all_to(NOBODY);
	for (size_t i = 0; i < OM_ARRAY_SIZE(attempts); i++)
		if (attempts[i].object)
			bad += refused(&attempts[i]);
	all_to(0);
	assert_int_equal(bad, 0);
}

/* ---------------------------------------------------------------- what must go on working */

static bool can_put(void)
{
	char path[64];
	int rw = openat(staging(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), ro;
	char byte;

	if (rw < 0 || write(rw, "x", 1) != 1 || fallocate(rw, 0, 0, 4096) < 0 || ftruncate(rw, 1) < 0)
		return false;
	ro = be_how_reopen(rw);
	if (ro < 0)
		return false;
	(void)close(rw);
	if (fcntl(ro, F_SETLEASE, F_RDLCK) < 0 || fsetxattr(ro, "user.objm", "v", 1, 0) < 0 ||
	    fcntl(ro, F_SETLEASE, F_UNLCK) < 0 || fchmod(ro, 0400) < 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", ro);
	if (mkdirat(objects(), "000000001", 0700) < 0 ||
	    linkat(AT_FDCWD, path, objects(), "000000001/0000000000001000", AT_SYMLINK_FOLLOW) < 0)
		return false;
	ro = be_how_open(objects(), "000000001/0000000000001000", BE_HOW_NOW);
	if (ro < 0 || pread(ro, &byte, 1, 0) != 1 || fsync(ro) < 0)
		return false;
	ro = openat(objects(), "000000001", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return ro >= 0 && fsync(ro) == 0 && syncfs(ro) == 0;
}

static bool can_pass(void)
{
	char ctl[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 'X';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &object_fd, sizeof(object_fd));
	return sendmsg(sock[0], &m, MSG_DONTWAIT) == 1 && recvmsg(sock[1], &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == 1;
}

/* What objects are opened by, on tiers in memory and on disk. */
static bool can_open(void)
{
	struct wrk_tier *t = &self.tiers[0];
	int a = -1, b = -1, c = -1;

	t->row.type = OM_TIER_MEMORY;
	if (wrk_open_now(&self, 0, 1, &a) < 0)
		return false;
	t->row.type = OM_TIER_SSD;
	return wrk_open_now(&self, 0, 1, &b) == 0 && a != b && fcntl(b, F_GETFD) == FD_CLOEXEC && wrk_open_wait(&self, 0, 1, &c) == 0;
}

/* What one opens once more is what it was given, whoever does the same meanwhile; and nothing of it stays behind. */
static void *again_body(void *arg)
{
	char want = (char)('a' + (intptr_t)arg), got;

	for (int i = 0; i < 500; i++) {
		OM_AUTO_FD rw = openat(staging(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		OM_AUTO_FD ro = rw >= 0 && write(rw, &want, 1) == 1 ? be_how_reopen(rw) : -1;

		if (ro < 0 || pread(ro, &got, 1, 0) != 1 || got != want || write(ro, "x", 1) >= 0)
			return NULL;
		om_close(&rw);
		if (fcntl(ro, F_SETLEASE, F_RDLCK) < 0)
			return NULL;
	}
	return arg;
}

static bool can_open_again(void)
{
	pthread_t t[THREADS];
	bool ok = true;
	void *got;

	for (intptr_t i = 0; i < (intptr_t)THREADS; i++)
		OM_ASSERT(pthread_create(&t[i], NULL, again_body, (void *)(i + 1)) == 0);
	for (intptr_t i = 0; i < (intptr_t)THREADS; i++)
		ok &= pthread_join(t[i], &got) == 0 && got == (void *)(i + 1);
	return ok;
}

/* Of what is told from pages that cannot change, all is there when peers cannot send descriptors, and none of it is used else. */
static bool is_pinned(void) { return be_how_first() != NULL; }
static bool is_confined(void) { return be_how_confined(); }

static void *thread_body(void *arg) { return arg; }

static bool can_thread(void)
{
	pthread_t t;
	void *got;

	return pthread_create(&t, NULL, thread_body, &self) == 0 && pthread_join(t, &got) == 0 && got == &self;
}

static bool can_abort(void)
{
	return raise(SIGUSR1) == 0; /* ignored by the caller below; what abort() needs */
}

static void test_allowed(void **state)
{
	(void)state;
	if (run(nothing, true) == 77)
		skip();
	(void)signal(SIGUSR1, SIG_IGN);
	if (passed)
		assert_int_equal(run(is_confined, true), 0);
	else if (run(is_pinned, true) == 0)
		print_message("# this kernel has no mseal(): all is left to Landlock\n");
	else
		assert_int_equal(run(is_confined, true), 1);
	assert_int_equal(run(can_open_again, true), 1);
	assert_int_equal(run(can_put, true), 1);
	assert_int_equal(run(can_pass, true), 1);
	assert_int_equal(run(can_open, true), 1);
	assert_int_equal(run(can_thread, true), 1);
	assert_int_equal(run(can_abort, true), 1);
	assert_int_equal(unlinkat(objects(), "000000001/0000000000001000", 0), 0);
	assert_int_equal(unlinkat(objects(), "000000001", AT_REMOVEDIR), 0);
}

/* The same where peers can send descriptors. */
static int with_passing(void **state)
{
	(void)state;
	passed = true;
	return 0;
}

static int without_passing(void **state)
{
	(void)state;
	passed = false;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_refused_user),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test_setup_teardown(test_refused, with_passing, without_passing),
		cmocka_unit_test_setup_teardown(test_refused_user, with_passing, without_passing),
		cmocka_unit_test_setup_teardown(test_allowed, with_passing, without_passing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
