/*
 * tier_main.c: objm-tiering: replays a request trace through cache policies and counts what misses.
 *
 * One trace, any policies, any cache sizes; the result is a table or JSON.
 */
#include <getopt.h>

#include <jansson.h>

#include "bench/tiering/tier.h"
#include "common/om_text.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct opts {
	const char *trace, *policies, *sizes;
	int format; /* -1: not given */
	bool by_count, json;
	bool zipf_given;
	struct tier_synth synth;
	uint64_t size[TIER_SIZES_MAX];
	unsigned sizes_n;
};

static void help(FILE *f)
{
	fputs("Usage: objm-tiering TRACE CACHE --policy NAME[,NAME...] [--json]\n"
	      "Replay requests through cache policies and count what misses: how good a fast tier of some size can be.\n\n"
	      "TRACE, one of\n"
	      "  --trace FILE --format csv            lines time,key,size (a heading is allowed)\n"
	      "  --trace FILE --format cloudphysics   lines version,time,op,size,lbn; the object is the lbn\n"
	      "  --trace FILE --format keys           a key a line, or a range a line: start count ...; every size is 1\n"
	      "  --zipf S --objects N --requests M    made up: independent draws by Zipf's law with exponent S\n"
	      "      --seed K      of the random numbers (1)\n"
	      "      --scan SHARE  this share of the requests (0 to 1) goes to objects that never come back\n"
	      "      --drift N     the ranking of the objects is dealt anew N times\n"
	      "      --spread N    sizes from 1 KiB to 2^N KiB, else all are 1\n\n"
	      "CACHE, one of\n"
	      "  --cache-bytes N[,N...]     K, M, G are understood; 10% is that part of the bytes of all objects\n"
	      "  --cache-objects N[,N...]   every object takes one place, whatever its size; 10% of all objects\n\n"
	      "POLICIES (--policy all: each of them)\n", f);
	for (unsigned i = 0; tier_policy_at(i); i++)
		fprintf(f, "  %-9s %s\n", tier_policy_at(i)->name, tier_policy_at(i)->what);
	fputs("\nAn object has the size of its first request. One larger than the cache always misses.\n"
	      "--json prints policy, requests, objects and for each size: requests, misses, bytes_requested, bytes_missed.\n\n"
	      "Example:\n"
	      "  objm-tiering --zipf 0.99 --objects 100000 --requests 1000000 --cache-objects 0.1%,1%,10% --policy all\n", f);
}

static int usage(const char *what, const char *which)
{
	fprintf(stderr, "objm-tiering: %s: %s\nTry: objm-tiering --help\n", what, which);
	return EXIT_USAGE;
}

enum opt { OPT_TRACE = 256, OPT_FORMAT, OPT_BYTES, OPT_COUNT, OPT_POLICY, OPT_JSON, OPT_ZIPF, OPT_OBJECTS, OPT_REQUESTS, OPT_SEED,
	   OPT_SCAN, OPT_DRIFT, OPT_SPREAD, OPT_VERSION };

static const struct option longs[] = {
	{"trace", required_argument, NULL, OPT_TRACE},	   {"format", required_argument, NULL, OPT_FORMAT},
	{"cache-bytes", required_argument, NULL, OPT_BYTES}, {"cache-objects", required_argument, NULL, OPT_COUNT},
	{"policy", required_argument, NULL, OPT_POLICY},   {"json", no_argument, NULL, OPT_JSON},
	{"zipf", required_argument, NULL, OPT_ZIPF},	   {"objects", required_argument, NULL, OPT_OBJECTS},
	{"requests", required_argument, NULL, OPT_REQUESTS}, {"seed", required_argument, NULL, OPT_SEED},
	{"scan", required_argument, NULL, OPT_SCAN},	   {"drift", required_argument, NULL, OPT_DRIFT},
	{"spread", required_argument, NULL, OPT_SPREAD},   {"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPT_VERSION},	   {0}};

static bool real(const char *arg, double min, double max, double *ret)
{
	char *end;
	double v = strtod(arg, &end);

	if (end == arg || *end || !(v >= min && v <= max))
		return false;
	*ret = v;
	return true;
}

static bool take_format(const char *arg, int *ret)
{
	static const char *const names[] = {[TIER_CSV] = "csv", [TIER_CLOUDPHYSICS] = "cloudphysics", [TIER_KEYS] = "keys"};

	for (int i = 0; i < (int)OM_ARRAY_SIZE(names); i++) {
		if (strcmp(arg, names[i]) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* An option with a value: false if the value is not allowed. */
static bool take(int opt, const char *arg, struct opts *o)
{
	uint64_t v = 0;

	switch (opt) {
	case OPT_TRACE: o->trace = arg; return *arg != '\0';
	case OPT_FORMAT: return take_format(arg, &o->format);
	case OPT_POLICY: o->policies = arg; return *arg != '\0';
	case OPT_BYTES: case OPT_COUNT:
		if (o->sizes)
			return false;
		o->sizes = arg;
		o->by_count = opt == OPT_COUNT;
		return true;
	case OPT_ZIPF: o->zipf_given = true; return real(arg, 0, 10, &o->synth.zipf);
	case OPT_OBJECTS: return om_text_parse_number(arg, 1, UINT32_MAX / 2, &o->synth.objects) == 0;
	case OPT_REQUESTS: return om_text_parse_number(arg, 1, TIER_REQUESTS_MAX, &o->synth.requests) == 0;
	case OPT_SEED: return om_text_parse_number(arg, 0, UINT64_MAX, &o->synth.seed) == 0;
	case OPT_SCAN: return real(arg, 0, 1, &o->synth.scan);
	case OPT_DRIFT: return real(arg, 0, 1e6, &o->synth.drift);
	default: /* --spread */
		if (om_text_parse_number(arg, 0, 30, &v) < 0)
			return false;
		o->synth.spread = (unsigned)v;
		return true;
	}
}

/* One size of the list: a number, or a part of the whole. */
static bool take_size(const char *text, const struct opts *o, const struct tier_trace *t, uint64_t *ret)
{
	uint64_t whole = o->by_count ? t->objects : t->footprint;
	size_t len = strlen(text);
	char number[32];
	double part;

	if (len == 0)
		return false;
	if (text[len - 1] != '%')
		return (o->by_count ? om_text_parse_number(text, 1, UINT32_MAX, ret) : om_text_parse_size(text, UINT64_C(1) << 60, ret)) == 0 &&
		       *ret > 0;
	if (len >= sizeof(number))
		return false;
	memcpy(number, text, len - 1);
	number[len - 1] = '\0';
	if (!real(number, 0, 100, &part))
		return false;
	*ret = OM_MAX((uint64_t)((double)whole * part / 100), 1);
	return true;
}

static int take_sizes(struct opts *o, const struct tier_trace *t)
{
	OM_AUTO_FREE char *list = strdup(o->sizes);
	char *rest = list;

	if (!list)
		return usage("out of memory", "sizes");
	for (char *one; (one = strsep(&rest, ","));) {
		if (o->sizes_n == TIER_SIZES_MAX)
			return usage("too many cache sizes", o->sizes);
		if (!take_size(one, o, t, &o->size[o->sizes_n++]))
			return usage("not a cache size", *one ? one : o->sizes);
	}
	return EXIT_OK;
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 1.0 - (double)part / (double)whole : 0.0;
}

static json_t *to_json(const struct opts *o, const struct tier_result *r)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:I}", o->by_count ? "cache_objects" : "cache_bytes", (json_int_t)r->cache,
			 "requests", (json_int_t)r->requests, "misses", (json_int_t)r->misses, "bytes_requested",
			 (json_int_t)r->bytes_requested, "bytes_missed", (json_int_t)r->bytes_missed, "object_hit_ratio",
			 share(r->misses, r->requests), "byte_hit_ratio", share(r->bytes_missed, r->bytes_requested), "ns_per_request",
			 r->ns, o->by_count ? "fetched_objects" : "fetched_bytes", (json_int_t)r->fetched);
}

/* One policy over all sizes: a line of the table each, or an object appended to `into`. */
static int run(const struct opts *o, const struct tier_trace *t, const struct tier_policy *policy, json_t *into)
{
	json_t *sizes = json_array();

	for (unsigned i = 0; i < o->sizes_n; i++) {
		struct tier_sim sim = {.trace = t, .capacity = o->size[i], .by_count = o->by_count};
		struct tier_result r;

		if (tier_policy_run(policy, &sim, &r) < 0) {
			fprintf(stderr, "objm-tiering: %s: out of memory\n", policy->name);
			json_decref(sizes);
			return EXIT_FAILED;
		}
		if (o->json)
			(void)json_array_append_new(sizes, to_json(o, &r)); /* a failure leaves the list short: seen below */
		else
			printf("%-9s %16llu %12llu %12llu %9.3f %9.3f %9.2f %7.0f\n", policy->name, (unsigned long long)r.cache,
			       (unsigned long long)r.requests, (unsigned long long)r.misses, 100 * share(r.misses, r.requests),
			       100 * share(r.bytes_missed, r.bytes_requested), (double)r.fetched / (double)r.cache, r.ns);
	}
	if (o->json && json_array_size(sizes) != o->sizes_n) {
		fputs("objm-tiering: out of memory\n", stderr);
		json_decref(sizes);
		return EXIT_FAILED;
	}
	(void)json_array_append_new(into, json_pack("{s:s, s:I, s:I, s:I, s:o}", "policy", policy->name, "requests",
						    (json_int_t)t->requests, "objects", (json_int_t)t->objects, "footprint_bytes",
						    (json_int_t)t->footprint, "sizes", sizes));
	return EXIT_OK;
}

static int run_all(struct opts *o, const struct tier_trace *t)
{
	OM_AUTO_FREE char *list = strdup(o->policies);
	char *rest = list;
	json_t *runs = json_array();
	int status = take_sizes(o, t);

	if (status == EXIT_OK && !o->json)
		printf("%-9s %16s %12s %12s %9s %9s %9s %7s\n", "policy", o->by_count ? "objects" : "bytes", "requests", "misses",
		       "objects %", "bytes %", "fetched", "ns");
	if (list && strcmp(list, "all") == 0) {
		for (unsigned i = 0; tier_policy_at(i) && status == EXIT_OK; i++)
			status = run(o, t, tier_policy_at(i), runs);
	} else {
		for (char *one; status == EXIT_OK && (one = strsep(&rest, ","));)
			status = run(o, t, tier_policy_get(one), runs); /* names were checked */
	}
	if (status == EXIT_OK && o->json) {
		const json_t *out = json_array_size(runs) == 1 ? json_array_get(runs, 0) : runs;

		if (json_dumpf(out, stdout, JSON_REAL_PRECISION(9)) < 0)
			status = EXIT_FAILED;
		putchar('\n');
	}
	json_decref(runs);
	return fflush(stdout) == 0 ? status : EXIT_FAILED;
}

/* What can be wrong before a trace is read. */
static int check(const struct opts *o)
{
	OM_AUTO_FREE char *list = o->policies ? strdup(o->policies) : NULL;
	char *rest = list;

	if (!o->trace == !o->zipf_given)
		return usage("one of the two is needed", "--trace or --zipf");
	if (o->trace && o->format < 0)
		return usage("--trace needs it", "--format csv|cloudphysics|keys");
	if (o->zipf_given && (!o->synth.objects || !o->synth.requests))
		return usage("--zipf needs them", "--objects and --requests");
	if (!o->sizes)
		return usage("one of the two is needed", "--cache-bytes or --cache-objects");
	if (!list)
		return usage("missing", "--policy");
	for (char *one; strcmp(o->policies, "all") != 0 && (one = strsep(&rest, ","));)
		if (!tier_policy_get(one))
			return usage("no such policy", one);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	struct opts o = {.format = -1, .synth = {.seed = 1}};
	struct tier_trace trace = {0};
	int opt, status;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		if (opt == 'h') {
			help(stdout);
			return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
		}
		if (opt == OPT_VERSION) {
			puts("objm-tiering " OM_VERSION);
			return EXIT_OK;
		}
		if (opt == '?' || opt == ':')
			return usage(opt == ':' ? "an option needs an argument" : "no such option", argv[optind - 1]);
		if (opt == OPT_JSON)
			o.json = true;
		else if (!take(opt, optarg, &o))
			return usage("not a value of this option", optarg);
	}
	if (optind != argc)
		return usage("unexpected", argv[optind]);
	status = check(&o);
	if (status != EXIT_OK)
		return status;
	if (o.trace ? tier_trace_read(o.trace, (enum tier_format)o.format, stderr, &trace) < 0 : tier_synth_make(&o.synth, &trace) < 0) {
		if (!o.trace)
			fputs("objm-tiering: no memory for such a trace\n", stderr);
		return EXIT_FAILED;
	}
	if (trace.resized)
		fprintf(stderr, "objm-tiering: %llu requests name another size than the first of the object did: the first counts\n",
			(unsigned long long)trace.resized);
	status = run_all(&o, &trace);
	tier_trace_fini(&trace);
	return status;
}
