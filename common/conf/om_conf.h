/*
 * om_conf.h: the configuration: one YAML (or JSON) file read, checked, completed and held as a struct.
 *
 * Linked by the supervisor and the tests. Every key is a row of common/tbl/conf.def, which also says each field's unit,
 * range and default; doc/configuration.md is made from the same rows. No state and no threads: any thread may call, and
 * a loaded struct om_conf is read-only for all. Nothing here looks at the machine (the number of CPUs, for one warning,
 * apart): whether paths exist, what 90% is, who "www-data" is, stays with the caller; see om_conf_resolve_ids().
 *
 *	struct om_conf_report rep = {0};
 *	struct om_conf *conf = NULL;
 *	int rc = om_conf_load(file, &conf, &rep);
 *	om_conf_report_print(&rep, stderr);
 *	om_conf_report_free(&rep);
 *	if (rc < 0)
 *		exit(2);
 *	... conf->listen.data, conf->limits.connections, conf->backends[0].name ...
 *	om_conf_free(conf);
 */
#ifndef OM_CONF_H
#define OM_CONF_H

#include <sys/socket.h>

#include "common/om_base.h"
#include "common/om_obj.h"
#include "common/om_rules.h"

#define OM_CONF_FILE_MAX (1u << 20) /* bytes of a configuration file */
#define OM_CONF_FILE_DEFAULT "/etc/objmapper/objmapper.yaml"

/* How much a tier may hold: exactly one of the two is not 0. */
struct om_conf_capacity {
	uint64_t bytes;
	uint32_t pct; /* share of the filesystem that holds the tier's path, 1..100 */
};

/* A user or a group as the file names it. */
enum om_conf_id_kind {
	OM_CONF_ID_NONE, /* no such key in the file */
	OM_CONF_ID_SELF, /* the daemon's own uid */
	OM_CONF_ID_ANY,	 /* "*" */
	OM_CONF_ID_NAME, /* a name not looked up yet: `id` is not valid */
	OM_CONF_ID_ID,	 /* `id` is valid; `name` is the name that it came from, or "" */
};
struct om_conf_id {
	enum om_conf_id_kind kind;
	uint32_t id;   /* uid or gid, by the field that holds it */
	unsigned line; /* of the file; 0: a default */
	char *name;    /* never NULL */
};
struct om_conf_ids {
	struct om_conf_id *v;
	size_t n;
};

/* An address to listen on. */
struct om_conf_tcp {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	bool loopback;
	char *text; /* canonical: "127.0.0.1:7070", "[::1]:7070" */
};
struct om_conf_tcps {
	struct om_conf_tcp *v;
	size_t n;
};

/* A network of TCP peers. An address alone has all its bits. */
struct om_conf_net {
	int family;	  /* AF_INET, AF_INET6; 0: none */
	uint8_t addr[16]; /* network byte order; the first 4 for AF_INET; bits beyond prefix_len are 0 */
	uint8_t prefix_len;
};

/* A role: which tier new, ephemeral and cached objects go to. */
struct om_conf_role {
	char *name;	   /* the tier's id; "" when no tier has the role */
	unsigned tier; /* its index in backends[]; OM_TIER_NONE */
	bool given;    /* by the file, not by default */
};

/*
 * Types of values: X(type, C type of the field, "how a value is written").
 * Texts are never NULL: "" is absent.
 */
#define OM_CONF_TYPE_MAP(X) \
	X(U32, uint32_t, "a whole number") \
	X(AUTO_U32, uint32_t, "a whole number or `auto`") /* auto: 0; see om_conf_max_workers() */ \
	X(RATIO, double, "a number") \
	X(FACTOR, double, "a number or `auto`") /* auto: 0 */ \
	X(BOOL, bool, "true or false") \
	X(AUTO_BOOL, bool, "true, false or `auto`") /* auto is decided when loading */ \
	X(SIZE, uint64_t, "a size such as 512K, 16G (powers of 1024)") /* bytes */ \
	X(CAPACITY, struct om_conf_capacity, "a size such as 16G, or a share such as 90%") \
	X(CAPACITY_GB, struct om_conf_capacity, "a number of GiB") \
	X(MS, uint32_t, "a time such as 500ms, 30s, 5m, 1h; a number alone is milliseconds") /* ms */ \
	X(SECS, uint32_t, "a time such as 30s, 5m, 1h; a number alone is seconds") /* whole seconds */ \
	X(MODE, uint32_t, "permissions in octal such as 0660") \
	X(STR, char *, "a text") \
	X(PATH, char *, "a path; a relative one is taken from the configuration file's directory") /* absolute */ \
	X(SOCKET, char *, "a path of at most 107 bytes; a relative one is taken from the configuration file's directory") \
	X(ROLE, struct om_conf_role, "the name of a tier") \
	X(TIER_TYPE, uint8_t, "memory, nvme, ssd, hdd or network") /* enum om_tier_type */ \
	X(TIER_FLAGS, uint32_t, "a list of ephemeral, persistent, readable, writable, migration_src, migration_dst") \
	X(DURABILITY, uint8_t, "sync, batch, none or `auto`") /* enum om_durability; auto is decided when loading */ \
	X(LOG_LEVEL, int, "error, warning, notice, info or debug") /* a priority of syslog.h: LOG_ERR .. LOG_DEBUG */ \
	X(ID, struct om_conf_id, "a name or a number") \
	X(IDS, struct om_conf_ids, "a list of names or numbers") \
	X(NET, struct om_conf_net, "an address or a network such as 10.0.0.0/8") \
	X(TCPS, struct om_conf_tcps, "a list of ADDRESS:PORT") \
	X(RIGHTS, uint32_t, "a list of read, write, delete, list, pin, ephemeral, evictable, legacy") /* enum om_right */

enum om_conf_type {
#define OM_CONF_TYPE_ENUM(type, ctype, text) OM_CONF_T_##type,
	OM_CONF_TYPE_MAP(OM_CONF_TYPE_ENUM)
#undef OM_CONF_TYPE_ENUM
	OM_CONF_T_COUNT
};

/* om_conf_U32 and so on: the C type of a field. */
#define OM_CONF_TYPE_DECL(type, ctype, text) typedef ctype om_conf_##type;
OM_CONF_TYPE_MAP(OM_CONF_TYPE_DECL)
#undef OM_CONF_TYPE_DECL

/*
 * struct om_conf_backend, om_conf_rule, om_conf_thread_pool, om_conf_protocol, om_conf_index, om_conf_lifecycle,
 * om_conf_listen, om_conf_access, om_conf_limits, om_conf_log: the sections of common/tbl/conf.def with
 * their keys as members, in that order (backends[].name is `label` as written, and `name`, the id).
 */
#define OM_CONF_SECTION(section, path, kind, max, text) struct om_conf_##section {
#define OM_CONF(section, key, field, type, unit, min, max, def, reload, help, text) om_conf_##type field;
#define OM_CONF_DERIVED(section, declaration) declaration;
#define OM_CONF_SECTION_END(section) };
#define OM_CONF_TOP_LEFT_OUT
#include "common/tbl/conf.def"

/* The whole configuration, complete: defaults filled in, roles and ids given, paths absolute. */
struct om_conf {
	/* state_dir, user, default_tier, ephemeral_tier, cache_tier, drain_timeout_ms, commit_wait_ms, io_threads */
#define OM_CONF(section, key, field, type, unit, min, max, def, reload, help, text) om_conf_##type field;
#define OM_CONF_TOP_ONLY
#include "common/tbl/conf.def"
	struct om_conf_thread_pool thread_pool;
	struct om_conf_protocol protocol;
	struct om_conf_index index;
	struct om_conf_lifecycle lifecycle;
	struct om_conf_listen listen;
	struct om_conf_access access; /* rules[n_rules] too */
	struct om_conf_limits limits;
	struct om_conf_log log;
	struct om_conf_backend *backends; /* in the file's order; at least one */
	size_t n_backends;
	char *file; /* where it was read from; "(built-in)" for om_conf_default() */
};

/* One thing that is wrong or unwise. Texts are safe to print: control characters are escaped. */
struct om_conf_msg {
	bool error; /* else a warning */
	unsigned line, column; /* 1..; 0: of no line */
	char *file;
	char *key;	/* dotted: backends[1].capacity; "" when of no key */
	char *text;	/* "found X, expected Y" and what else helps */
};

/* All that was found. Start it as {0}; it may collect over several calls; om_conf_report_free() empties it. */
struct om_conf_report {
	struct om_conf_msg *v;
	size_t n;
	size_t n_errors, n_warnings; /* all of them, those beyond the bound of v[] included */
};

/**
 * Read, check and complete a configuration file.
 *
 * @param file     path; relative paths inside are taken from the directory that it lies in
 * @param ret_conf owned by the caller: om_conf_free(); only written on success
 * @param rep      errors and warnings are added, in the order of their lines; also filled on success (warnings)
 * @return 0; -OBJM_STATUS_INVALID_REQUEST: the file has errors, see rep; -OBJM_STATUS_NOT_FOUND,
 *         -OBJM_STATUS_PERMISSION_DENIED, -OBJM_STATUS_STORAGE: it cannot be read, rep says why;
 *         -OBJM_STATUS_TOO_LARGE: beyond OM_CONF_FILE_MAX; -OBJM_STATUS_OUT_OF_MEMORY
 *
 * Context: any thread; blocks on the file.
 */
int om_conf_load(const char *file, struct om_conf **ret_conf, struct om_conf_report *rep) OM_MUST_USE;

/**
 * The same for a text in memory.
 *
 * @param text     YAML or JSON, UTF-8, len bytes
 * @param name     what messages call it
 * @param base_dir relative paths are taken from here; NULL: the current directory
 */
int om_conf_parse(const char *text, size_t len, const char *name, const char *base_dir, struct om_conf **ret_conf,
		  struct om_conf_report *rep) OM_MUST_USE;

/**
 * The embedded default, for a first run without a file: a memory tier "memory" at memory_dir, a tier "disk" (ssd) at
 * BASE/disk, BASE/state, and the sockets BASE/objmapper.sock and BASE/objmapper-ctl.sock. It is a text that goes through
 * the same parser.
 *
 * @param base_dir   BASE
 * @param memory_dir a directory on a tmpfs
 * @return as om_conf_parse(); INVALID_REQUEST when BASE is too long for a socket's path
 */
int om_conf_default(const char *base_dir, const char *memory_dir, struct om_conf **ret_conf,
		    struct om_conf_report *rep) OM_MUST_USE;

/** Free a configuration; NULL is fine. */
void om_conf_free(struct om_conf *conf);

/**
 * Write the effective form: every key with its value, as YAML that loads again to the same.
 * @return 0; -OBJM_STATUS_STORAGE: the stream failed
 */
int om_conf_print(const struct om_conf *conf, FILE *out) OM_MUST_USE;

/** Write the reference part of doc/configuration.md (Markdown), made from the table. @return as om_conf_print(). */
int om_conf_dump_doc(FILE *out) OM_MUST_USE;

/**
 * Look up every user and group name of trusted_writers, legacy and rules (getpwnam, getgrnam; `self` becomes
 * self_uid): afterwards their kinds are ID or ANY or NONE.
 *
 * A name that does not exist is an error in rep, and the others are still looked up.
 * @return 0; -OBJM_STATUS_NOT_FOUND: see rep; -OBJM_STATUS_OUT_OF_MEMORY
 *
 * Context: at start or reload, supervisor only; may block on the name service. Idempotent.
 */
int om_conf_resolve_ids(struct om_conf *conf, uint32_t self_uid, struct om_conf_report *rep) OM_MUST_USE;

/** Worker processes at the most, `auto` decided: cpus is how many the daemon may use. Never less than min_workers. */
uint32_t om_conf_max_workers(const struct om_conf *conf, unsigned cpus);
/** How slow a tier is: its perf_factor, or for `auto` the usual one of its type. */
double om_conf_perf_factor(const struct om_conf_backend *tier);
#define OM_CONF_DIR_MAX 4200u /* a path of the configuration, which has at most 4,000 bytes, and a tier's id below it */
/**
 * The directory of a tier's catalog: its index_path; where that was left out (index_given) and the tier lies on a network filesystem, whatever its type
 * (om_fs_remote()), its id below state_dir. Looks at the tier's path, so it blocks as that filesystem does: not in a loop.
 * @param cap  OM_CONF_DIR_MAX is enough
 * @return index_path, or `buf`; lives as long as the shorter of them
 */
const char *om_conf_catalog_dir(const char *state_dir, const struct om_conf_backend *tier, char *buf, size_t cap);
/** The tier of that id, or of that name as written; NULL: none. */
const struct om_conf_backend *om_conf_find_tier(const struct om_conf *conf, const char *name);

/** Names for messages: "sync", "batch", "none"; "?" for what is none. */
const char *om_conf_durability_name(unsigned durability);
/** Name of one tier flag ("writable"); "?" for what is none. */
const char *om_conf_tier_flag_name(unsigned flag);

/** Print all messages, a line each: "FILE:LINE: error: KEY: found X, expected Y". */
void om_conf_report_print(const struct om_conf_report *rep, FILE *out);
/** Empty a report; it can be used again. */
void om_conf_report_free(struct om_conf_report *rep);

#endif
