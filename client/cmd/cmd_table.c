/*
 * cmd_table.c: every command and every option of `objm`, declared once.
 *
 * From these rows come the parser (cmd_opts.c), --help, and the test that compares them with the completion (objm.bash).
 */
#include "client/cmd/cmd.h"

const struct cmd_option cmd_options[] = {
	{'s', true, "socket", "SOCKET", "the daemon's socket (default: $OBJM_SOCKET, then " OBJM_SOCKET_DEFAULT ")"},
	{'r', true, "recursive", NULL, "a whole directory, or everything that begins with PREFIX"},
	{'E', false, "ephemeral", NULL, "keep it in memory only: it survives the daemon, not a reboot, and never touches a disk"},
	{'P', false, "pin", NULL, "keep it on the tier where it is put"},
	{'V', false, "evictable", NULL, "its only copy may be removed when room is needed (a cache entry)"},
	{'T', false, "ttl", "TIME", "remove it after this time: seconds, or 90s, 15m, 12h, 7d"},
	{'Y', false, "type", "MIME", "content type, such as image/png"},
	{'M', false, "meta", "KEY=VALUE", "custom metadata; may be given up to 64 times"},
	{'N', false, "no-clobber", NULL, "fail if there is such an object already"},
	{'J', false, "json", NULL, "JSON, for programs"},
	{'l', true, "long", NULL, "flags, size, time and tier too"},
	{'0', true, "null", NULL, "end each URI with a NUL byte instead of a newline (for xargs -0)"},
	{'A', false, "all", NULL, "allow an empty PREFIX: every object"},
	{'f', true, "force", NULL, "an object that is not there is no failure"},
	{'j', true, "jobs", "N", "objects at a time with -r, 1 to 64 (default 8)"},
	{'h', true, "help", NULL, "this text"},
};
const size_t cmd_options_len = OM_ARRAY_SIZE(cmd_options);

#define TEXT_PUT \
	"Stores FILE (- is standard input) under URI, or replaces what is there. Readers see the old object or\n" \
	"the new one, whole; whoever has the old one open keeps it. When put returns 0 the object is as durable as\n" \
	"its tier promises (a disk tier: on stable storage).\n\n" \
	"With -r the second operand is a directory: each regular file below it becomes one object, named URI/path.\n" \
	"Symbolic links and special files are left out with a remark, empty directories have no object.\n\n" \
	"Examples:\n" \
	"  objm put /logo logo.png --type image/png        store a file\n" \
	"  tar c src | objm put --ephemeral /tmp/src.tar -   store a stream, in memory only\n" \
	"  objm put --ttl 15m --evictable /cache/a page.html\n" \
	"  objm put --meta author=ann --meta rev=7 /doc doc.pdf\n" \
	"  objm put -r /site ./public                       ./public/index.html becomes /site/index.html\n"

#define TEXT_GET \
	"Writes the object's bytes to FILE, or to standard output without FILE or with -. A file appears whole or\n" \
	"not at all: the bytes go to a nameless file first. Binary data is not written to a terminal (use cat for that).\n\n" \
	"With -r everything below URI/ is written to the directory FILE (default: the current one). Names that would\n" \
	"leave the directory (.., empty or absolute parts) are refused and counted as failures.\n\n" \
	"Examples:\n" \
	"  objm get /logo logo.png\n" \
	"  objm get /data | gzip > data.gz\n" \
	"  objm get -r /site ./copy                         /site/index.html becomes ./copy/index.html\n\n" \
	"A program that only reads needs no copy: see objm exec --help.\n"

#define TEXT_STAT \
	"Shows what is known of each object, without opening it. --json prints one object a line with: uri, size (bytes),\n" \
	"version (changes with the bytes), revision (changes with metadata), tier (serves it), home (keeps it), flags,\n" \
	"heat (0 to 1), access_count (an estimate that decays), last_access and mtime (seconds since 1970, 0: not known),\n" \
	"expiry (0: never), type, meta. A type or metadata value that is not UTF-8 is {\"base64\": \"...\"}.\n\n" \
	"Examples:\n" \
	"  objm stat /logo\n" \
	"  objm stat --json /logo | jq .size\n"

#define TEXT_RM \
	"Deletes objects. Whoever has one open keeps its bytes until it is closed.\n\n" \
	"With -r each PREFIX stands for every object whose URI begins with it, exactly what `objm ls PREFIX` lists:\n" \
	"-r /a removes /ab too, -r /a/ does not. An empty PREFIX needs --all.\n\n" \
	"Examples:\n" \
	"  objm rm /logo\n" \
	"  objm rm -r /site/\n"

#define TEXT_LS \
	"Lists the URIs that begin with PREFIX (all without it), one a line, in bytewise order. On a terminal control\n" \
	"characters are shown escaped; in a pipe they are not: use -0 where URIs may contain newlines.\n" \
	"--json prints one JSON object a line: uri, size, version, revision, tier, home, flags, mtime, expiry, type\n" \
	"(as objm stat).\n\n" \
	"Examples:\n" \
	"  objm ls /site/\n" \
	"  objm ls --long\n" \
	"  objm ls -0 /tmp/ | xargs -0 -n 100 objm rm\n"

#define TEXT_SET \
	"Changes what is told of an object: content type, custom metadata (all of it: what is not given goes), time to live.\n" \
	"Its bytes stay, and so does its version; the revision rises.\n\n" \
	"Examples:\n" \
	"  objm set --type text/html /page\n" \
	"  objm set --meta author=ann --meta rev=8 /doc\n" \
	"  objm set --ttl 1h /tmp/report                    it goes an hour from now\n"

#define TEXT_PIN \
	"Pins objects: they stay on the tier where they are and are never evicted. At most half of a tier can be pinned.\n" \
	"unpin takes that back.\n\n" \
	"Examples:\n" \
	"  objm pin /logo /style.css\n" \
	"  objm unpin /logo\n"

#define TEXT_WATCH \
	"Prints a line for each change of an object whose URI begins with PREFIX (of all without it), as it happens and in\n" \
	"the order in which it became visible: put, delete, set or moved, and the URI. \"lost\" means that changes before it were not\n" \
	"told (the daemon was started again, or this command was too slow): list again. It ends when it is interrupted.\n" \
	"--json prints one JSON object a line: change, uri, size, version, revision, flags, mtime, expiry, epoch, position.\n\n" \
	"Examples:\n" \
	"  objm watch /site/\n" \
	"  objm watch --json /in/ | while read -r line; do jq -r .uri <<<\"$line\"; done\n"

#define TEXT_CAT \
	"Writes the bytes of each object to standard output, one after the other, on a terminal too.\n\n" \
	"Examples:\n" \
	"  objm cat /logo | sha256sum\n" \
	"  objm cat /part/1 /part/2 > whole\n"

#define TEXT_EXEC \
	"Runs COMMAND with the object as its standard input: the kernel's own handle on the bytes, nothing is copied,\n" \
	"whatever the size. It is a regular file, so COMMAND may seek in it and map it. The exit status is that of\n" \
	"COMMAND; 127 if there is no such command, 126 if it cannot be run, 1 if the object cannot be had.\n\n" \
	"Examples:\n" \
	"  objm exec /logo -- sha256sum /dev/stdin\n" \
	"  objm exec /big.tar -- tar tf -\n" \
	"  objm exec /db.sqlite -- sqlite3 'file:/dev/stdin?mode=ro&immutable=1' .tables\n"

const struct cmd cmd_table[] = {
	{"put", "[OPTION]... URI FILE|-", "store a file or a stream; -r: a directory tree", cmd_put, "srEPVTYMNjh", 2, 2, false,
	 TEXT_PUT},
	{"get", "[OPTION]... URI [FILE|-]", "write an object to a file; -r: a tree", cmd_get, "srjh", 1, 2, false, TEXT_GET},
	{"cat", "URI...", "write objects to standard output", cmd_cat, "sh", 1, INT32_MAX, false, TEXT_CAT},
	{"exec", "URI -- COMMAND [ARGUMENT]...", "run a command with an object as its standard input, without a copy", cmd_exec,
	 "sh", 2, INT32_MAX, true, TEXT_EXEC},
	{"stat", "[--json] URI...", "show what is known of an object", cmd_stat, "sJh", 1, INT32_MAX, false, TEXT_STAT},
	{"ls", "[OPTION]... [PREFIX]", "list objects", cmd_ls, "slJ0h", 0, 1, false, TEXT_LS},
	{"rm", "[OPTION]... URI...", "delete objects; -r: all that begin with PREFIX", cmd_rm, "srfAjh", 1, INT32_MAX, false,
	 TEXT_RM},
	{"set", "[OPTION]... URI", "change content type, metadata or time to live", cmd_set, "sTYMh", 1, 1, false, TEXT_SET},
	{"pin", "URI...", "keep objects where they are", cmd_pin, "sh", 1, INT32_MAX, false, TEXT_PIN},
	{"unpin", "URI...", "let objects move and go again", cmd_unpin, "sh", 1, INT32_MAX, false, TEXT_PIN},
	{"watch", "[--json] [PREFIX]", "tell of changes as they happen", cmd_watch, "sJh", 0, 1, false, TEXT_WATCH},
};
const size_t cmd_table_len = OM_ARRAY_SIZE(cmd_table);
