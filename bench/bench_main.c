/*
 * bench_main.c: objm-bench, the load generator: reads the command line, runs one measurement, prints it. The options are one
 * table: what each is for, which commands take it, its help.
 */
#include <getopt.h>

#include "bench/bench.h"
#include "common/om_text.h"

enum { GET = 1, PUT = 2, MIX = 4, FLOOR = 8, INDEX = 16, START = 32, LOAD = GET | PUT | MIX, ALL = 63 };

static const struct command {
	const char *name;
	unsigned bit;
	int (*run)(const struct bench_opts *o);
	const char *help;
} commands[] = {
	{"get", GET, bench_get, "descriptors of objects, which are stored first and removed at the end"},
	{"put", PUT, bench_put, "objects of --size bytes"},
	{"mix", MIX, bench_mix, "gets, and puts in between"},
	{"floor", FLOOR, bench_floor, "two processes that exchange the bytes and descriptors of a get, without a server"},
	{"index", INDEX, bench_index, "look-ups in the shared index and in LMDB, in this process alone"},
	{"start", START, bench_start, "a daemon of its own with N records: how soon it answers after a clean end and after SIGKILL"},
};

enum kind { FLAG, TEXT, NUMBER, SIZE, REAL, SMALL, CPU };

/* X(option, argument, kind, member, least, most, commands, help) */
#define OPTIONS(X) \
	X("socket", "SOCKET", TEXT, socket, 0, 0, LOAD, "the server's socket (default: $OBJM_SOCKET, then the library's)") \
	X("objects", "N", NUMBER, objects, 1, 1e9, LOAD | FLOOR | INDEX | START, "objects to choose from (1000; index and start: 1000000); floor: files") \
	X("size", "BYTES", SIZE, size, 0, 0, LOAD | FLOOR, "of each; K, M, G are understood (4096)") \
	X("depth", "D", SMALL, depth, 1, BENCH_DEPTH_MAX, LOAD | FLOOR, "requests sent before their answers are awaited, 1 to 253 (1)") \
	X("connections", "C", SMALL, connections, 1, BENCH_CONNECTIONS_MAX, LOAD, "one thread each (1)") \
	X("seconds", "T", REAL, seconds, 0.01, 86400, LOAD | FLOOR, "how long (5)") \
	X("rate", "R", REAL, rate, 0.001, 1e9, LOAD, "open loop: R requests a second in all, latencies from the time they were due") \
	X("spin", "US", NUMBER, spin_us, 0, 1000000, LOAD, "with --rate: for so many us before a request is due look at the clock instead of sleeping (0)") \
	X("zipf", "S", REAL, zipf, 0.01, 10, GET | MIX, "popularity by Zipf's law with this exponent, such as 0.99; else uniform") \
	X("puts", "SHARE", REAL, puts, 0, 1, MIX, "share of puts, 0 to 1 (0.1)") \
	X("cache", NULL, FLAG, cache, 0, 0, GET | MIX, "through the client cache, filled before: descriptors, or bytes where the limit of descriptors is too low") \
	X("cache-data", NULL, FLAG, cache_data, 0, 0, GET | MIX, "the same, always bytes in memory instead of descriptors") \
	X("copy", NULL, FLAG, copy, 0, 0, GET, "bytes through the socket (protocol version 2) instead of descriptors") \
	X("read", NULL, FLAG, read, 0, 0, GET | MIX, "read every byte") \
	X("ephemeral", NULL, FLAG, ephemeral, 0, 0, LOAD, "objects in memory only") \
	X("durability", "D", TEXT, durability, 0, 0, LOAD, "of what is stored: none, batch or sync (default: the tier's own)") \
	X("open", NULL, FLAG, open, 0, 0, FLOOR, "open and close a file for each descriptor") \
	X("files", "DIR", TEXT, files, 0, 0, LOAD | FLOOR, "floor: pass the files below it instead of files of its own; peers path, http, bare, rename: where files lie") \
	X("same-cpu", NULL, FLAG, same_cpu, 0, 0, FLOOR, "both processes on one CPU") \
	X("client-cpu", "X", CPU, client_cpu, 0, 1023, LOAD | FLOOR | START, "bind the clients to a CPU") \
	X("server-cpu", "X", CPU, server_cpu, 0, 1023, LOAD | FLOOR | START, "bind the workers (floor: the second process; a peer: all of it) to a CPU") \
	X("prefix", "URI", TEXT, prefix, 0, 0, LOAD | FLOOR, "of the objects (/objm-bench); floor: whose requests have that length") \
	X("keep", NULL, FLAG, keep, 0, 0, LOAD, "leave the objects there") \
	X("no-prepare", NULL, FLAG, no_prepare, 0, 0, GET | MIX, "the objects are there already (from a run with --keep)") \
	X("cold", NULL, FLAG, cold, 0, 0, START, "start once more, with nothing in the page cache (needs root)") \
	X("peer", "NAME", TEXT, peer, 0, 0, LOAD, "another system at --socket: redis, memcached, http; or none: path (open a file), bare and rename (store one)") \
	X("dir", "DIR", TEXT, dir, 0, 0, INDEX | START, "for scratch data, removed at the end (index: /dev/shm; start: /var/tmp)") \
	X("programs", "DIR", TEXT, programs, 0, 0, START, "build directory of the daemon (default: the one of this program, else installed)") \
	X("json", NULL, FLAG, json, 0, 0, ALL, "one JSON object: ops_per_s, p50_us, p99_us, p999_us, errors, ...")

static const struct option_row {
	const char *name, *arg;
	enum kind kind;
	size_t at;
	double min, max;
	unsigned commands;
	const char *help;
} rows[] = {
#define OPTION_ROW(name, arg, kind, member, min, max, commands, help) \
	{name, arg, kind, offsetof(struct bench_opts, member), min, max, commands, help},
	OPTIONS(OPTION_ROW)
#undef OPTION_ROW
};
#define ROWS OM_ARRAY_SIZE(rows)

static void help(FILE *f)
{
	fputs("Usage: objm-bench COMMAND [OPTION]...\n"
	      "Measure a running objmapperd, or what the kernel and others cost for the same.\n\n", f);
	for (size_t i = 0; i < OM_ARRAY_SIZE(commands); i++)
		fprintf(f, "  %-6s %s\n", commands[i].name, commands[i].help);
	fputs("\n", f);
	for (size_t i = 0; i < ROWS; i++) {
		char left[64];

		(void)snprintf(left, sizeof(left), "%s--%s%s%s", i == 0 ? "-s, " : "    ", rows[i].name, rows[i].arg ? " " : "",
			       rows[i].arg ? rows[i].arg : "");
		fprintf(f, "  %-23s %s", left, rows[i].help);
		if (rows[i].commands != ALL) {
			const char *before = " [";

			for (size_t c = 0; c < OM_ARRAY_SIZE(commands); c++)
				if (rows[i].commands & commands[c].bit) {
					fprintf(f, "%s%s", before, commands[c].name);
					before = " ";
				}
			fputs("]", f);
		}
		fputs("\n", f);
	}
	fputs("  -h, --help              this text\n"
	      "      --version\n\n"
	      "With --depth above 1 a latency is that of a whole batch; with --cache that of one get, taken from 64 in a row; with --rate that\n"
	      "of each request from when it was due (JSON: late, what of that the generator itself was late; call, from when it was sent). index gives lookup_ns, lookup_batch_ns, lmdb_get_ns, bytes_per_object (and before,\n"
	      "while and after it grows); start gives\n"
	      "first_get_ms_clean, first_get_ms_kill, complete_ms, ram_bytes_per_object, stop_ms.\n\n"
	      "Examples:\n"
	      "  objm-bench floor --depth 64 --seconds 2\n"
	      "  objm-bench get --objects 1000 --depth 64 --seconds 2\n"
	      "  objm-bench get --objects 10000 --cache --seconds 2\n"
	      "  objm-bench get --rate 20000 --connections 4 --zipf 0.99\n"
	      "  objm-bench put --size 4K --connections 64 --seconds 2\n"
	      "  objm-bench index --objects 10000000\n", f);
}

static int usage(const char *what, const char *which)
{
	fprintf(stderr, "objm-bench: %s: %s\nTry: objm-bench --help\n", which, what);
	return BENCH_USAGE;
}

static bool real(const char *arg, double min, double max, double *ret)
{
	char *end;
	double v = strtod(arg, &end);

	if (end == arg || *end || !(v >= min && v <= max))
		return false;
	*ret = v;
	return true;
}

/* False if the value is not allowed. */
static bool take(const struct option_row *row, const char *arg, struct bench_opts *o)
{
	void *member = (char *)o + row->at;
	uint64_t v = 0;

	switch (row->kind) {
	case FLAG: *(bool *)member = true; return true;
	case TEXT: *(const char **)member = arg; return *arg != '\0';
	case SIZE: return om_text_parse_size(arg, UINT64_C(1) << 40, (uint64_t *)member) == 0;
	case REAL: return real(arg, row->min, row->max, (double *)member);
	default: break;
	}
	if (om_text_parse_number(arg, (uint64_t)row->min, (uint64_t)row->max, &v) < 0)
		return false;
	if (row->kind == NUMBER)
		*(uint64_t *)member = v;
	else if (row->kind == SMALL)
		*(uint32_t *)member = (uint32_t)v;
	else
		*(int *)member = (int)v;
	return true;
}

/* What does not go together. NULL: all is well. */
static const char *clash(const struct bench_opts *o)
{
	static const char *const durabilities[] = {"none", "batch", "sync"};
	bool known = !o->durability;

	for (size_t i = 0; !known && i < OM_ARRAY_SIZE(durabilities); i++)
		known = strcmp(o->durability, durabilities[i]) == 0;
	if (!known)
		return "--durability: none, batch or sync";
	if (strlen(o->prefix) > 200 || *o->prefix != '/')
		return "--prefix: begins with / and has at most 200 bytes";
	if (o->copy && o->cache)
		return "--copy and --cache: one of them";
	if (o->peer && (o->copy || o->cache))
		return "--peer: neither with --copy nor with --cache";
	return NULL;
}

static int run(const struct command *c, uint64_t given, struct bench_opts *o)
{
	const char *why;

	for (size_t i = 0; i < ROWS; i++)
		if ((given >> i & 1) && !(rows[i].commands & c->bit)) {
			fprintf(stderr, "objm-bench: --%s: not with %s\nTry: objm-bench --help\n", rows[i].name, c->name);
			return BENCH_USAGE;
		}
	if (o->cache_data)
		o->cache = true;
	why = clash(o);
	if (why)
		return usage(why, c->name);
	if (o->objects == 0)
		o->objects = c->bit & (INDEX | START) ? 1000000 : 1000;
	return c->run(o);
}

int main(int argc, char **argv)
{
	struct bench_opts o = {.prefix = "/objm-bench", .size = 4096, .depth = 1, .connections = 1, .seconds = 5, .puts = 0.1,
			       .client_cpu = -1, .server_cpu = -1};
	struct option longs[ROWS + 3] = {{0}};
	uint64_t given = 0;
	int opt;

	static_assert(ROWS < 64, "a bit for each option");
	for (size_t i = 0; i < ROWS; i++)
		longs[i] = (struct option){rows[i].name, rows[i].arg ? required_argument : no_argument, NULL, (int)(256 + i)};
	longs[ROWS] = (struct option){"help", no_argument, NULL, 'h'};
	longs[ROWS + 1] = (struct option){"version", no_argument, NULL, 'V'};
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":s:h", longs, NULL)) != -1) {
		if (opt == 'h') {
			help(stdout);
			return fflush(stdout) == 0 ? BENCH_OK : BENCH_FAILED;
		}
		if (opt == 'V') {
			puts("objm-bench " OM_VERSION);
			return BENCH_OK;
		}
		if (opt == '?' || opt == ':')
			return usage(opt == ':' ? "an option needs an argument" : "no such option", argv[optind - 1]);
		size_t row = opt == 's' ? 0 : (size_t)opt - 256;
		if (!take(&rows[row], optarg, &o)) {
			fprintf(stderr, "objm-bench: --%s: not a value of this option: %s\nTry: objm-bench --help\n", rows[row].name, optarg);
			return BENCH_USAGE;
		}
		given |= UINT64_C(1) << row;
	}
	if (argc - optind != 1)
		return usage("one command is expected: get, put, mix, floor, index or start", "command line");
	for (size_t i = 0; i < OM_ARRAY_SIZE(commands); i++)
		if (strcmp(argv[optind], commands[i].name) == 0)
			return run(&commands[i], given, &o);
	return usage("no such command", argv[optind]);
}
