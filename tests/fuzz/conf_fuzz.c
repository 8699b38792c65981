/*
 * conf_fuzz.c: any bytes as a configuration: read, print, read again, print: both prints must be the same.
 *
 * libFuzzer target; seeds: doc/examples and the examples of doc/configuration.md.
 */
#include "common/conf/om_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *printed(const struct om_conf *conf, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	OM_ASSERT(out);
	OM_ASSERT(om_conf_print(conf, out) == 0);
	OM_ASSERT(fclose(out) == 0);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct om_conf_report rep = { 0 };
	struct om_conf *one = NULL, *two = NULL;
	size_t one_len = 0, two_len = 0;
	int rc = om_conf_parse((const char *)data, size, "fuzz.yaml", "/base", &one, &rep);

	OM_ASSERT((rc == 0) == (rep.n_errors == 0));
	if (rc == 0) {
		OM_AUTO_FREE char *text = printed(one, &one_len);
		OM_ASSERT(om_conf_parse(text, one_len, "again.yaml", "/elsewhere", &two, &rep) == 0);
		OM_AUTO_FREE char *again = printed(two, &two_len);
		OM_ASSERT(one_len == two_len && memcmp(text, again, one_len) == 0);
	}
	OM_AUTO_FREE char *messages = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&messages, &len);
	OM_ASSERT(out);
	om_conf_report_print(&rep, out);
	OM_ASSERT(fclose(out) == 0);
	/* Messages go to terminals: nothing but line ends may control one. */
	for (size_t i = 0; i < len; i++)
		OM_ASSERT((unsigned char)messages[i] >= 0x20 || messages[i] == '\n');
	om_conf_report_free(&rep);
	om_conf_free(one);
	om_conf_free(two);
	return 0;
}
