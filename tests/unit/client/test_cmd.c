/*
 * test_cmd.c: the parts of the objm command that need no daemon: options, tables and completion, safe paths, files that
 * appear whole or not at all, quoting.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "client/cmd/cmd.h"
#include "common/om_text.h"

static char *read_file(const char *path)
{
	OM_AUTO_FILE f = fopen(path, "re");
	char *buf = calloc(1, 65536);

	assert_non_null(f);
	assert_non_null(buf);
	assert_true(fread(buf, 1, 65535, f) > 0);
	return buf;
}

/* True if `word` stands in `text` with no letter or dash beside it. */
static bool has_word(const char *text, const char *word)
{
	static const char part[] = "abcdefghijklmnopqrstuvwxyz-";
	size_t n = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p++)
		if ((p == text || !strchr(part, p[-1])) && (!p[n] || !strchr(part, p[n])))
			return true;
	return false;
}

static void test_tables(void **state)
{
	OM_AUTO_FREE char *completion = read_file(OBJM_SOURCE "/client/cmd/objm.bash");

	(void)state;
	for (size_t i = 0; i < cmd_table_len; i++) {
		const struct cmd *c = &cmd_table[i];

		assert_ptr_equal(cmd_find(c->name), c);
		assert_true(has_word(completion, c->name));
		assert_non_null(strchr(c->keys, 's'));
		assert_non_null(strchr(c->keys, 'h'));
		assert_non_null(strstr(c->text, "Example"));
	}
	for (size_t i = 0; i < cmd_options_len; i++) {
		char name[64];
		bool used = false;

		(void)snprintf(name, sizeof(name), "--%s", cmd_options[i].name);
		if (!has_word(completion, name))
			fail_msg("%s is not in the completion", name);
		for (size_t c = 0; c < cmd_table_len; c++)
			used = used || strchr(cmd_table[c].keys, cmd_options[i].key);
		assert_true(used);
		for (size_t j = 0; j < i; j++)
			assert_true(cmd_options[i].key != cmd_options[j].key && strcmp(cmd_options[i].name, cmd_options[j].name) != 0);
	}
}

static int parse(const char *name, struct cmd_opts *opts, int *ret_first, char **argv)
{
	int argc = 0, r;

	*opts = (struct cmd_opts){0};
	while (argv[argc])
		argc++;
	(void)freopen("/dev/null", "w", stderr); /* usage messages are not what is looked at */
	r = cmd_opts_parse(cmd_find(name), argc, argv, opts, ret_first);
	cmd_opts_clear(opts);
	return r;
}
#define PARSE(name, ...) parse(name, &opts, &first, (char *[]){(char[]){name}, __VA_ARGS__, NULL})
#define W(text) ((char[]){text})

static void test_options(void **state)
{
	struct cmd_opts opts;
	int first = 0;

	(void)state;
	assert_int_equal(PARSE("put", W("--ephemeral"), W("--ttl"), W("2m"), W("/u"), W("file"), W("--no-clobber")), 0);
	assert_int_equal(opts.flags, OBJM_EPHEMERAL);
	assert_int_equal(opts.ttl_s, 120);
	assert_true(opts.no_clobber);
	assert_int_equal(first, 5); /* operands were moved behind the options */
	assert_int_equal(PARSE("put", W("--meta"), W("a=b=c"), W("/u"), W("f")), 0);
	assert_int_equal(PARSE("put", W("--meta"), W("=b"), W("/u"), W("f")), CMD_USAGE);
	assert_int_equal(PARSE("put", W("--meta"), W("a"), W("/u"), W("f")), CMD_USAGE);
	assert_int_equal(PARSE("put", W("--meta=a=1"), W("--meta=a=2"), W("/u"), W("f")), CMD_USAGE);
	assert_int_equal(PARSE("put", W("--ttl=0"), W("/u"), W("f")), CMD_USAGE);
	assert_int_equal(PARSE("put", W("--ttl=-1"), W("/u"), W("f")), CMD_USAGE);
	assert_int_equal(PARSE("put", W("--ttl=4294967296"), W("/u"), W("f")), CMD_USAGE);
	assert_int_equal(PARSE("put", W("--type="), W("/u"), W("f")), CMD_USAGE);
	assert_int_equal(PARSE("put", W("-j"), W("65"), W("/u"), W("f")), CMD_USAGE);
	assert_int_equal(PARSE("put", W("--json"), W("/u"), W("f")), CMD_USAGE); /* not one of put's */
	assert_int_equal(PARSE("ls", W("--long=1")), CMD_USAGE);
	assert_int_equal(PARSE("ls", W("-E")), CMD_USAGE); /* a name inside the program is no letter */
	assert_int_equal(PARSE("ls", W("-0"), W("/p")), 0);
	assert_true(opts.zero);
	/* A command's own options are not ours. */
	assert_int_equal(PARSE("exec", W("/u"), W("--"), W("ls"), W("-l")), 0);
	assert_int_equal(first, 1);
	assert_int_equal(PARSE("exec", W("/u"), W("ls"), W("--json")), 0);
}

static void test_path_safe(void **state)
{
	static const char *const good[] = {"a", "a/b", ".hidden", "...", "a..b/c", "a/..b", "\t"};
	static const char *const bad[] = {"", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", "./a", "a/./b", "/"};

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(good); i++)
		assert_true(cmd_path_safe(good[i]));
	for (size_t i = 0; i < OM_ARRAY_SIZE(bad); i++)
		assert_false(cmd_path_safe(bad[i]));
}

static void test_path_parent(void **state)
{
	char dir[] = "/tmp/objm-cmd-XXXXXX", link_path[64], remove[64];
	const char *name;
	OM_AUTO_FD dirfd = -1;
	OM_AUTO_FD fd = -1;

	(void)state;
	assert_non_null(mkdtemp(dir));
	dirfd = open(dir, O_PATH | O_DIRECTORY);
	assert_int_equal(cmd_path_parent(dirfd, "a/b/c", &fd, &name), 0);
	assert_string_equal(name, "c");
	assert_int_equal(faccessat(dirfd, "a/b", F_OK, 0), 0);
	/* A symbolic link in the way is not followed. */
	(void)snprintf(link_path, sizeof(link_path), "%s/evil", dir);
	assert_int_equal(symlink("/tmp", link_path), 0);
	om_close(&fd);
	assert_int_equal(cmd_path_parent(dirfd, "evil/c", &fd, &name), -OBJM_STATUS_SYSTEM);
	assert_int_equal(fd, -1);
	(void)snprintf(remove, sizeof(remove), "rm -r %s", dir);
	assert_int_equal(system(remove), 0);
}

static int entries(const char *dir)
{
	char command[128];
	FILE *p;
	int n = -1;

	(void)snprintf(command, sizeof(command), "ls -A %s | wc -l", dir);
	p = popen(command, "r");
	assert_non_null(p);
	assert_int_equal(fscanf(p, "%d", &n), 1);
	(void)pclose(p);
	return n;
}

static void test_file_replace(void **state)
{
	char dir[] = "/tmp/objm-cmd-XXXXXX", path[64], source[] = "/tmp/objm-src-XXXXXX", remove[64];
	OM_AUTO_FD dirfd = -1;
	OM_AUTO_FD src = mkstemp(source);
	struct stat st;

	(void)state;
	assert_int_equal(write(src, "0123456789", 10), 10);
	assert_non_null(mkdtemp(dir));
	dirfd = open(dir, O_PATH | O_DIRECTORY);
	assert_int_equal(cmd_file_replace(dirfd, "new", src, 10, NULL), 0);
	assert_int_equal(fstatat(dirfd, "new", &st, 0), 0);
	assert_int_equal(st.st_size, 10);
	/* An object shorter than its record: the old file stays, nothing is left over. */
	assert_int_equal(cmd_file_replace(dirfd, "new", src, 11, NULL), -OBJM_STATUS_CORRUPT);
	assert_int_equal(fstatat(dirfd, "new", &st, 0), 0);
	assert_int_equal(st.st_size, 10);
	assert_int_equal(entries(dir), 1);
	/* Replaced, with its permissions. */
	(void)snprintf(path, sizeof(path), "%s/new", dir);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(cmd_file_write(path, src, 4, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(cmd_file_write(dir, src, 4, NULL), -OBJM_STATUS_INVALID_REQUEST);
	/* Interrupted: as if nothing had happened. */
	cmd_interrupted = SIGINT;
	assert_int_equal(cmd_file_write(path, src, 10, NULL), -OBJM_STATUS_SYSTEM);
	cmd_interrupted = 0;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(entries(dir), 1);
	assert_int_equal(cmd_file_write("/tmp/no/such/dir/x", src, 4, NULL), -OBJM_STATUS_SYSTEM);
	assert_int_equal(errno, ENOENT);
	(void)snprintf(remove, sizeof(remove), "rm -r %s %s", dir, source);
	assert_int_equal(system(remove), 0);
}

static void test_tree_prefix(void **state)
{
	static const char *const pairs[][2] = {{"", ""}, {"/", "/"}, {"/a", "/a/"}, {"/a/", "/a/"}, {"a", "a/"}};

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(pairs); i++) {
		OM_AUTO_FREE char *p = cmd_tree_prefix(pairs[i][0]);

		assert_string_equal(p, pairs[i][1]);
	}
}

static void assert_quoted(const char *text, size_t len, const char *want)
{
	OM_AUTO_FREE char *q = om_text_quote(text, len);

	assert_string_equal(q, want);
}

static void test_quote(void **state)
{
	(void)state;
	assert_quoted("plain", 5, "plain");
	assert_quoted("\xc3\xa4\xe2\x82\xac", 5, "\xc3\xa4\xe2\x82\xac");
	assert_quoted("a\nb\t\r", 5, "a\\nb\\t\\r");
	assert_quoted("\x1b[31m", 5, "\\x1b[31m");
	assert_quoted("a\0b", 3, "a\\x00b");
	assert_quoted("\xff\xc0\xaf", 3, "\\xff\\xc0\\xaf");
	assert_quoted("\xe2\x82", 2, "\\xe2\\x82");		  /* cut in two */
	assert_quoted("\xc2\x9b", 2, "\\xc2\\x9b");		  /* C1: a terminal's CSI */
	assert_quoted("\xe2\x80\xae", 3, "\\xe2\\x80\\xae");	  /* right to left */
	assert_quoted("\xed\xa0\x80", 3, "\\xed\\xa0\\x80");	  /* a surrogate */
	assert_quoted("", 0, "");
}

static void test_binary(void **state)
{
	(void)state;
	assert_false(om_text_is_binary("text\n\t\r\f", 8));
	assert_false(om_text_is_binary("\xc3\xa4", 2));
	assert_false(om_text_is_binary("abc\xe2\x82", 5)); /* the sample ends inside a character */
	assert_false(om_text_is_binary("", 0));
	assert_true(om_text_is_binary("a\0b", 3));
	assert_true(om_text_is_binary("\x1b[31m", 5));
	assert_true(om_text_is_binary("\xff\xfe", 2));
	assert_true(om_text_is_binary("\x89PNG", 4));
	assert_true(om_text_is_binary("a\x80" "bcdef", 7));
}

static void test_units(void **state)
{
	char text[OM_TEXT_SHORT];
	uint64_t v = 7;

	(void)state;
	om_text_size(0, text);
	assert_string_equal(text, "0");
	om_text_size(999, text);
	assert_string_equal(text, "999");
	om_text_size(1023, text);
	assert_string_equal(text, "1.0 KiB");
	om_text_size(1536, text);
	assert_string_equal(text, "1.5 KiB");
	om_text_size(UINT64_MAX, text);
	assert_string_equal(text, "16 EiB");
	om_text_span(3, text);
	assert_string_equal(text, "3s");
	om_text_span(2 * 86400 + 5 * 3600, text);
	assert_string_equal(text, "2d 5h");
	assert_int_equal(om_text_parse_span("90", 1000, &v), 0);
	assert_int_equal(v, 90);
	assert_int_equal(om_text_parse_span("2h", 10000, &v), 0);
	assert_int_equal(v, 7200);
	assert_int_equal(om_text_parse_size("4KiB", UINT64_MAX, &v), 0);
	assert_int_equal(v, 4096);
	assert_int_equal(om_text_parse_size("1G", UINT64_MAX, &v), 0);
	assert_int_equal(v, 1u << 30);
	static const char *const bad[] = {"", "-1", "x", "1x", "1hh", " 1", "1 h", "99999999999999999999", "10001"};
	for (size_t i = 0; i < OM_ARRAY_SIZE(bad); i++) {
		v = 7;
		assert_int_equal(om_text_parse_span(bad[i], 10000, &v), -OBJM_STATUS_INVALID_REQUEST);
		assert_int_equal(v, 7);
	}
	assert_true(om_text_parse_size("16777216T", UINT64_MAX, &v) < 0);
	assert_true(om_text_parse_size("1KB1", UINT64_MAX, &v) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),	  cmocka_unit_test(test_options),
		cmocka_unit_test(test_path_safe),    cmocka_unit_test(test_path_parent),  cmocka_unit_test(test_file_replace),
		cmocka_unit_test(test_tree_prefix),  cmocka_unit_test(test_quote),	  cmocka_unit_test(test_binary),
		cmocka_unit_test(test_units),
	};

	return cmocka_run_group_tests_name("cmd", tests, NULL, NULL);
}
