/*
 * sup_main.c: objmapperd's command line. Reads the configuration, then hands over to sup_run.c.
 */
#include <getopt.h>

#include "common/om_log.h"
#include "common/om_sd.h"
#include "supervisor/sup_dump.h"
#include "supervisor/sup_preflight.h"
#include "supervisor/sup_start.h"

enum mode { RUN, CHECK, PREFLIGHT, DROPIN, PRINT, DUMP_CONF, DUMP_TABLES, LIST_FAULTS };

struct options {
	enum mode mode;
	const char *config, *base, *memory;
	struct sup_run_opt run;
};

static const char usage_text[] =
	"Usage: objmapperd [--config FILE | --embedded BASE MEMORY_DIR] [--user NAME] [--adopt TIER]\n"
	"       objmapperd --check-config | --preflight | --systemd-dropin | --print-config\n"
	"                  [--config FILE | --embedded BASE MEMORY_DIR]\n"
	"\n"
	"Keeps objects (immutable byte strings named by a URI) and hands them to local processes as open\n"
	"file descriptors. Runs in the foreground and logs to standard error, or to the journal under systemd.\n"
	"SIGTERM finishes what is under way and ends; a second one ends at once.\n"
	"\n"
	"  -c, --config FILE        configuration (default " OM_CONF_FILE_DEFAULT ")\n"
	"      --embedded BASE MEM  no file: a memory tier in MEM (a directory on a tmpfs), a disk tier,\n"
	"                           the state and the sockets below BASE\n"
	"      --user NAME          started as root: become this user (default: `user` of the configuration)\n"
	"      --adopt TIER         take over what lies at the tier's path though its marker is missing, damaged or\n"
	"                           another installation's (a lost state_dir): its catalog is made again from its\n"
	"                           files. May be given again for another tier; the next\n"
	"                           start needs it no more\n"
	"      --check-config       say what is wrong or unwise; exit status 0: it can be used, 2: it has errors\n"
	"      --preflight          before a restart: would this program come up here, with all of its tiers? Changes\n"
	"                           nothing, may be asked while a daemon serves. Exit status 0: yes, 1: no, 2: wrong\n"
	"                           configuration\n"
	"      --systemd-dropin     what objmapper.service must be told of the configured tiers\n"
	"      --print-config       the effective configuration, every key with its value\n"
	"      --dump-conf-doc      every key of the configuration, as Markdown\n"
	"      --dump-tables        counters, statuses, log messages, fault points, commands, as Markdown\n"
	"      --list-faults        fault points for OBJM_FAULT=POINT[:ACTION[:NTH]], one a line\n"
	"  -V, --version            version\n"
	"  -h, --help               this text\n"
	"\n"
	"Try it, without root and without a file:\n"
	"  objmapperd --embedded ./run /dev/shm/objmapper-$USER &\n"
	"  objm -s ./run/objmapper.sock put /hello /etc/hostname\n"
	"  objmctl -s ./run/objmapper-ctl.sock status\n"
	"\n"
	"Exit status: 0 ended as asked, 1 failed (the log says why), 2 wrong configuration or usage.\n";

static int usage(const char *what, const char *arg)
{
	(void)fprintf(stderr, "objmapperd: %s%s%s\nTry `objmapperd --help`.\n", what, arg ? ": " : "", arg ? arg : "");
	return SUP_EXIT_CONF;
}

enum { OPT_EMBEDDED = 256, OPT_USER, OPT_ADOPT, OPT_MODE };
#define MODE_OPT(name, mode) { name, no_argument, NULL, OPT_MODE + (mode) }

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "embedded", required_argument, NULL, OPT_EMBEDDED },
	{ "user", required_argument, NULL, OPT_USER },
	{ "adopt", required_argument, NULL, OPT_ADOPT },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	MODE_OPT("check-config", CHECK),
	MODE_OPT("preflight", PREFLIGHT),
	MODE_OPT("systemd-dropin", DROPIN),
	MODE_OPT("print-config", PRINT),
	MODE_OPT("dump-conf-doc", DUMP_CONF),
	MODE_OPT("dump-tables", DUMP_TABLES),
	MODE_OPT("list-faults", LIST_FAULTS),
	{ 0 },
};

/* -1: go on; else an exit status. */
static int parse(int argc, char **argv, struct options *ret)
{
	unsigned n_adopt = 0;
	int opt;

	while ((opt = getopt_long(argc, argv, "+c:Vh", long_options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			ret->config = optarg;
			break;
		case OPT_EMBEDDED: /* the one option with two values */
			ret->base = optarg;
			if (optind >= argc || argv[optind][0] == '-')
				return usage("--embedded needs two directories, BASE and MEMORY_DIR", NULL);
			ret->memory = argv[optind++];
			break;
		case OPT_USER:
			ret->run.user = optarg;
			break;
		case OPT_ADOPT:
			if (n_adopt == OM_TIERS_MAX)
				return usage("--adopt too often", optarg);
			ret->run.adopt[n_adopt++] = optarg;
			break;
		case 'V':
			(void)puts("objmapperd " OM_VERSION);
			return SUP_EXIT_OK;
		case 'h':
			(void)fputs(usage_text, stdout);
			return SUP_EXIT_OK;
		default:
			if (opt < OPT_MODE)
				return usage("wrong options", NULL); /* getopt has said which */
			if (ret->mode != RUN)
				return usage("only one of the options that print something", NULL);
			ret->mode = (enum mode)(opt - OPT_MODE);
		}
	}
	if (optind < argc)
		return usage("what is this for", argv[optind]);
	if (ret->config && ret->base)
		return usage("--config or --embedded, not both", NULL);
	ret->run.embedded = ret->base != NULL;
	return -1;
}

static int load(const struct options *o, struct om_conf **ret, struct om_conf_report *rep)
{
	if (o->base)
		return om_conf_default(o->base, o->memory, ret, rep);
	return om_conf_load(o->config ? o->config : OM_CONF_FILE_DEFAULT, ret, rep);
}

static int check(const struct options *o, struct om_conf *conf, const struct om_conf_report *rep)
{
	unsigned more = conf ? sup_start_check(conf, &o->run, stdout) : 0;

	om_conf_report_print(rep, stdout);
	if (conf && more == 0)
		(void)printf("%s: ok, %zu warning%s\n", conf->file, rep->n_warnings, rep->n_warnings == 1 ? "" : "s");
	else
		(void)printf("%s: not usable, %zu error%s\n", conf ? conf->file : o->config ? o->config : OM_CONF_FILE_DEFAULT,
			     rep->n_errors + more, rep->n_errors + more == 1 ? "" : "s");
	return conf && more == 0 ? SUP_EXIT_OK : SUP_EXIT_CONF;
}

static int with_conf(const struct options *o)
{
	struct om_conf_report rep = { 0 };
	struct om_conf *conf = NULL;
	int status = SUP_EXIT_CONF;
	int err = load(o, &conf, &rep);

	if (o->mode == CHECK) {
		status = check(o, conf, &rep);
	} else if (err < 0) {
		om_conf_report_print(&rep, stderr);
		if (err == -OBJM_STATUS_NOT_FOUND && !o->config && !o->base)
			(void)fputs("objmapperd: write that file, name another with --config, or try it without one: --embedded (see --help)\n",
				    stderr);
	} else if (o->mode == PREFLIGHT) {
		om_conf_report_print(&rep, stdout);
		status = sup_preflight(conf, &o->run, stdout);
	} else if (o->mode == DROPIN) {
		status = sup_dropin(conf, stdout) == 0 && fflush(stdout) == 0 ? SUP_EXIT_OK : SUP_EXIT_FAILED;
	} else if (o->mode == PRINT) {
		status = om_conf_print(conf, stdout) == 0 && fflush(stdout) == 0 ? SUP_EXIT_OK : SUP_EXIT_FAILED;
	} else {
		for (size_t i = 0; i < rep.n; i++)
			om_log(OM_MSG_CONFIG, "%s:%u: %s: %s", rep.v[i].file, rep.v[i].line, rep.v[i].key, rep.v[i].text);
		om_conf_report_free(&rep);
		return sup_run(OM_TAKE_PTR(conf), &o->run);
	}
	om_conf_report_free(&rep);
	om_conf_free(conf);
	return status;
}

int main(int argc, char **argv)
{
	struct options o = { .mode = RUN };
	int status = parse(argc, argv, &o);

	if (status >= 0)
		return status;
	om_log_ident("objmapperd");
	if (om_sd_under_journal())
		om_log_sink(om_sd_journal, NULL);
	switch (o.mode) {
	case DUMP_CONF:
		if (om_conf_dump_doc(stdout) < 0)
			return SUP_EXIT_FAILED;
		break;
	case DUMP_TABLES:
		sup_dump_tables(stdout);
		break;
	case LIST_FAULTS:
		sup_dump_faults(stdout);
		break;
	case RUN:
	case CHECK:
	case PREFLIGHT:
	case DROPIN:
	case PRINT:
		return with_conf(&o);
	}
	return fflush(stdout) == 0 && !ferror(stdout) ? SUP_EXIT_OK : SUP_EXIT_FAILED;
}
