"""Command lines that the pages show, so that tests can run them as they stand.

commands.py run FILE...    the blocks marked to be run, as one shell script
commands.py check FILE...  every block of commands must be marked; those that are not are printed, exit status 1

A block of commands is fenced with ```sh, or indented by four spaces with a command of ours or of systemd in its first line.
Its mark is a comment on one of the two lines before it: "<!-- run -->" or "<!-- not run: REASON -->".
"""
import re
import sys

COMMAND = re.compile(r"    (?:(?:\$ )?(?:objm|objmctl|objmapperd|objm-bench|objm-exporter|systemctl|journalctl|usermod|install|mkdir|cc|tools/)\b)")


def blocks(path):
    """(line number, mark or None, lines)"""
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    i = 0
    while i < len(lines):
        start, body = i, None
        if lines[i].startswith("```"):
            end = next(k for k in range(i + 1, len(lines)) if lines[k].startswith("```"))
            if lines[i].strip() == "```sh":
                body = lines[i + 1:end]
            i = end + 1
        elif COMMAND.match(lines[i]) and (i == 0 or not lines[i - 1].startswith("    ")):
            while i < len(lines) and lines[i].startswith("    "):
                i += 1
            body = [line[4:] for line in lines[start:i]]
        else:
            i += 1
        if body is not None:
            mark = [m for line in lines[max(0, start - 2):start] if (m := re.match(r"<!-- (run|not run: .+) -->$", line))]
            yield start + 1, mark[-1][1] if mark else None, body


def main(what, *paths):
    bad = 0
    for path in paths:
        for line, mark, body in blocks(path):
            if what == "run" and mark == "run":
                print(f": '{path}:{line}'")
                print("\n".join(body))
            elif what == "check" and mark is None:
                print(f"{path}:{line}: neither <!-- run --> nor <!-- not run: REASON -->: {body[0]}")
                bad = 1
    return bad


sys.exit(main(*sys.argv[1:]))
