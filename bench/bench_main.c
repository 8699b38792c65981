/*
 * bench_main.c: objm-bench, the load generator: reads the command line, runs one measurement, prints it.
 */
#include <getopt.h>

#include "bench/bench.h"
#include "common/om_text.h"

static void help(FILE *f)
{
	fputs("Usage: objm-bench get|put|floor [OPTION]...\n"
	      "Measure a running objmapperd (get, put), or what the kernel alone costs for the same messages (floor).\n\n"
	      "  get    descriptors of objects, which are stored first and removed at the end\n"
	      "  put    objects of --size bytes\n"
	      "  floor  two processes that exchange the bytes and descriptors of a get, without a server\n\n"
	      "  -s, --socket SOCKET   the daemon's socket (default: $OBJM_SOCKET, then the library's)\n"
	      "      --objects N       objects to choose from (1000)\n"
	      "      --size BYTES      of each; K, M, G are understood (4096)\n"
	      "      --depth D         requests sent before their answers are awaited, 1 to 253 (1)\n"
	      "      --connections C   one thread each (1)\n"
	      "      --seconds T       how long (5)\n"
	      "      --zipf S          get: popularity by Zipf's law with this exponent, such as 0.99; else uniform\n"
	      "      --read            get: read every byte\n"
	      "      --copy            get: bytes through the socket (protocol version 2) instead of descriptors\n"
	      "      --ephemeral       objects in memory only\n"
	      "      --open            floor: open and close a file for each descriptor\n"
	      "      --same-cpu        floor: both processes on one CPU\n"
	      "      --client-cpu X    bind the clients to a CPU\n"
	      "      --server-cpu X    bind the workers (floor: the second process) to a CPU\n"
	      "      --prefix URI      of the objects (/objm-bench)\n"
	      "      --keep            leave the objects there\n"
	      "      --json            one JSON object: ops_per_s, p50_us, p99_us, p999_us, errors, ...\n\n"
	      "With --depth above 1 a latency is that of a whole batch. put sends one request at a time on each connection.\n"
	      "Not there yet: --cache, the commands index and start.\n\n"
	      "Examples:\n"
	      "  objm-bench floor --depth 64 --seconds 2\n"
	      "  objm-bench get --objects 1000 --depth 64 --seconds 2\n"
	      "  objm-bench put --size 4K --connections 64 --seconds 2\n", f);
}

static int usage(const char *what, const char *which)
{
	fprintf(stderr, "objm-bench: %s: %s\nTry: objm-bench --help\n", what, which);
	return BENCH_USAGE;
}

enum opt {
	OPT_OBJECTS = 256, OPT_SIZE, OPT_DEPTH, OPT_CONNECTIONS, OPT_SECONDS, OPT_ZIPF, OPT_READ, OPT_COPY, OPT_EPHEMERAL, OPT_OPEN,
	OPT_SAME_CPU, OPT_CLIENT_CPU, OPT_SERVER_CPU, OPT_PREFIX, OPT_KEEP, OPT_JSON, OPT_CACHE, OPT_VERSION
};

static const struct option longs[] = {
	{"socket", required_argument, NULL, 's'},	     {"objects", required_argument, NULL, OPT_OBJECTS},
	{"size", required_argument, NULL, OPT_SIZE},	     {"depth", required_argument, NULL, OPT_DEPTH},
	{"connections", required_argument, NULL, OPT_CONNECTIONS}, {"seconds", required_argument, NULL, OPT_SECONDS},
	{"zipf", required_argument, NULL, OPT_ZIPF},	     {"read", no_argument, NULL, OPT_READ},
	{"copy", no_argument, NULL, OPT_COPY},		     {"ephemeral", no_argument, NULL, OPT_EPHEMERAL},
	{"open", no_argument, NULL, OPT_OPEN},		     {"same-cpu", no_argument, NULL, OPT_SAME_CPU},
	{"client-cpu", required_argument, NULL, OPT_CLIENT_CPU}, {"server-cpu", required_argument, NULL, OPT_SERVER_CPU},
	{"prefix", required_argument, NULL, OPT_PREFIX},     {"keep", no_argument, NULL, OPT_KEEP},
	{"json", no_argument, NULL, OPT_JSON},		     {"cache", no_argument, NULL, OPT_CACHE},
	{"help", no_argument, NULL, 'h'},		     {"version", no_argument, NULL, OPT_VERSION},
	{0}};

static bool number(const char *arg, uint64_t min, uint64_t max, uint64_t *ret)
{
	return om_text_parse_number(arg, min, max, ret) == 0;
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

/* An option with a value: false if the value is not allowed. */
static bool take_value(int opt, const char *arg, struct bench_opts *o)
{
	uint64_t v = 0;

	switch (opt) {
	case 's': o->socket = arg; return true;
	case OPT_PREFIX: o->prefix = arg; return *arg && strlen(arg) < 200;
	case OPT_OBJECTS: return number(arg, 1, 1000000000, &o->objects);
	case OPT_SIZE: return om_text_parse_size(arg, UINT64_C(1) << 40, &o->size) == 0;
	case OPT_SECONDS: return real(arg, 0.01, 86400, &o->seconds);
	case OPT_ZIPF: return real(arg, 0.01, 10, &o->zipf);
	case OPT_DEPTH:
		if (!number(arg, 1, BENCH_DEPTH_MAX, &v))
			return false;
		o->depth = (uint32_t)v;
		return true;
	case OPT_CONNECTIONS:
		if (!number(arg, 1, BENCH_CONNECTIONS_MAX, &v))
			return false;
		o->connections = (uint32_t)v;
		return true;
	default: /* the two CPUs */
		if (!number(arg, 0, 1023, &v))
			return false;
		*(opt == OPT_CLIENT_CPU ? &o->client_cpu : &o->server_cpu) = (int)v;
		return true;
	}
}

static void take_flag(int opt, struct bench_opts *o)
{
	switch (opt) {
	case OPT_READ: o->read = true; break;
	case OPT_COPY: o->copy = true; break;
	case OPT_EPHEMERAL: o->ephemeral = true; break;
	case OPT_OPEN: o->open = true; break;
	case OPT_SAME_CPU: o->same_cpu = true; break;
	case OPT_KEEP: o->keep = true; break;
	default: o->json = true; break;
	}
}

int main(int argc, char **argv)
{
	struct bench_opts o = {.prefix = "/objm-bench", .objects = 1000, .size = 4096, .depth = 1, .connections = 1, .seconds = 5,
			       .client_cpu = -1, .server_cpu = -1};
	const char *what;
	int opt;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":s:h", longs, NULL)) != -1) {
		if (opt == 'h') {
			help(stdout);
			return fflush(stdout) == 0 ? BENCH_OK : BENCH_FAILED;
		}
		if (opt == OPT_VERSION) {
			puts("objm-bench " OM_VERSION);
			return BENCH_OK;
		}
		if (opt == '?' || opt == ':')
			return usage(opt == ':' ? "an option needs an argument" : "no such option", argv[optind - 1]);
		if (opt == OPT_CACHE)
			return usage("comes later", "--cache: libobjm has no cache yet");
		if (optarg && !take_value(opt, optarg, &o))
			return usage("not a value of this option", optarg);
		if (!optarg)
			take_flag(opt, &o);
	}
	if (argc - optind != 1)
		return usage("one command is expected", "get, put or floor");
	what = argv[optind];
	if (strcmp(what, "index") == 0 || strcmp(what, "start") == 0)
		return usage("comes later", what);
	if (strcmp(what, "put") == 0 && o.depth != 1)
		return usage("put has depth 1 only, use --connections", "--depth");
	return strcmp(what, "get") == 0	    ? bench_get(&o)
	       : strcmp(what, "put") == 0   ? bench_put(&o)
	       : strcmp(what, "floor") == 0 ? bench_floor(&o)
					    : usage("no such command", what);
}
