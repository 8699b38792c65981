/*
 * ctl_table.c: every command of objmctl, declared once: parser, --help and the completion's test read it.
 */
#include "ctl/ctl.h"

const struct ctl_cmd ctl_table[] = {
	{{"status", NULL}, NULL, "status", NULL, ctl_print_status, "processes, tiers, index, uptime"},
	{{"tier", "list"}, NULL, "tier-list", NULL, ctl_print_tiers, "tiers with their state, capacity and objects"},
	{{"tier", "rebuild"}, "NAME", "tier-rebuild", "name", ctl_print_rebuild,
	 "make a tier's catalog again from its files, while the daemon serves"},
	{{"workers", NULL}, NULL, "workers", NULL, ctl_print_workers, "worker processes"},
	{{"counters", NULL}, NULL, "counters", NULL, ctl_print_counters, "statistics, summed over the workers"},
	{{"metrics", "prometheus"}, NULL, "metrics", NULL, ctl_print_metrics, "every figure in Prometheus's own text form"},
	{{"metrics", NULL}, NULL, "metrics", NULL, ctl_print_metrics, "every figure as OpenMetrics text"},
	{{"ping", NULL}, NULL, "ping", NULL, ctl_print_ping, "ask for a sign of life"},
};
const size_t ctl_table_len = OM_ARRAY_SIZE(ctl_table);
