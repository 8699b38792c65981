#!/usr/bin/env bats
# objmctl monitor on a terminal of its own (a pty): what it shows, how it ends, and that it leaves the terminal as it was.
load lib/daemon.bash

setup() { scenario_setup; write_conf; daemon_start; }
teardown() { scenario_teardown; }

# drive ACTIONS: run objmctl monitor on a pty, do ACTIONS (Python; `screen(text)` waits for a text), print what was drawn.
drive() {
	python3 - "$1" <<-'P'
		import os, pty, re, select, signal, subprocess, sys, termios, time
		pid, fd = pty.fork()
		if pid == 0:
		    os.environ.update(TERM="xterm", LINES="30", COLUMNS="110")
		    os.execvp("objmctl", ["objmctl", "--watch=1", "monitor"])
		before = termios.tcgetattr(fd)
		seen = b""
		def pump(t):
		    global seen
		    if select.select([fd], [], [], t)[0]:
		        try:
		            d = os.read(fd, 65536)
		        except OSError:
		            d = b""
		        seen += d
		        return bool(d)
		    return True
		def screen(*texts):
		    end = time.monotonic() + 30
		    while not all(t.encode() in seen for t in texts):
		        assert time.monotonic() < end, (texts, seen[-3000:])
		        if not pump(0.2):
		            break
		    assert all(t.encode() in seen for t in texts), (texts, seen[-3000:])
		def run(*args):
		    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)
		def ended(status):
		    end = time.monotonic() + 30
		    while time.monotonic() < end:
		        pump(0.05)
		        p, s = os.waitpid(pid, os.WNOHANG)
		        if p:
		            assert os.WIFEXITED(s) and os.WEXITSTATUS(s) == status, s
		            return
		    os.kill(pid, signal.SIGKILL)
		    raise SystemExit("it did not end: %r" % seen[-2000:])
		exec(sys.argv[1])
	P
}

@test "it shows the daemon, its tiers and objects, follows changes, and q ends it" {
	printf x | objm put /hot/one -
	for _ in 1 2 3 4 5; do objm get /hot/one - >/dev/null; done
	drive '
screen("objmapperd", "REQUESTS A SECOND", "TIER ", "disk", "MOVES", "HOTTEST", "q: quit")
seen = b""
run("objm", "put", "/two", "/etc/hostname")
for i in range(9):
    run("objm", "get", "/two", "-")
screen("/two")
os.write(fd, b"q")
ended(0)
assert b"\x1b[?1049l" in seen, seen[-500:]   # the other screen is left
'
}

@test "the daemon ends under it: it says so and goes on; q ends it" {
	drive "
screen('REQUESTS A SECOND')
seen = b''
os.kill($DPID, signal.SIGTERM)
screen('no daemon listens')
os.write(fd, b'q')
ended(0)
"
	wait "$DPID" || true
	DPID=
}

@test "no terminal, no daemon, operands: said, with an exit status" {
	fails 2 "none" objmctl monitor
	fails 2 "no operand" objmctl monitor x
	daemon_stop
	drive "
screen('no daemon listens')
ended(4)
"
}
