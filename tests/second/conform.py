"""Does a daemon do what doc/protocol.md says? Every check of one kind of socket, or those named.

conform.py unix SOCKET [CHECK...]
conform.py tcp ADDRESS:PORT SOCKET [CHECK...]       SOCKET: where objects can be put; a rule lets the address read and list
conform.py legacy LEGACY_SOCKET SOCKET [CHECK...]
"""
import random
import sys

import checks
import objm_second as o
# the checks register themselves
import conform_basic  # noqa: F401 pylint: disable=unused-import
import conform_ext  # noqa: F401 pylint: disable=unused-import
import conform_legacy  # noqa: F401 pylint: disable=unused-import


class Env:
    """Where to connect, and the objects that are there: URI to bytes."""

    def __init__(self, where, ordinary):
        self.where, self.ordinary = where, ordinary
        self.unix = where.startswith("/")
        rng = random.Random(7)
        sizes = (0, 1, 4095, 4096, 4097, 65536, 700001)
        self.objects = {b"/second/%d" % n: rng.randbytes(n) for n in sizes}
        with self.writer() as w:
            for uri, data in self.objects.items():
                f = w.call(o.PUT_INLINE, (o.URI, uri), payload=data)
                assert f.status == o.OK, f

    def writer(self):
        return o.V2(self.ordinary, caps=o.CAP_OOO | o.CAP_PIPELINE | o.CAP_EXT)


def main(kind, where, *more):
    ordinary, names = (where, more) if kind == "unix" else (more[0], more[1:])
    return checks.run(kind, names, Env(where, ordinary))


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("unix", "tcp", "legacy"):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
