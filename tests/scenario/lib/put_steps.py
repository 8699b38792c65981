"""put_steps.py LIBOBJM SOCKET URI BYTES: a put in steps through libobjm, slowly: writes half, prints "half", waits for a
line, writes the rest, commits. With the server restarted in between nothing may be noticed. Prints "done" or the message."""
import ctypes
import os
import sys

lib = ctypes.CDLL(sys.argv[1])
lib.objm_error.restype = ctypes.c_char_p
lib.objm_error.argtypes = [ctypes.c_void_p]
session, put = ctypes.c_void_p(), ctypes.c_void_p()


def check(result):
    if result < 0:
        sys.exit(f"{result}: {lib.objm_error(session).decode()}")


check(lib.objm_open(sys.argv[2].encode(), None, ctypes.byref(session)))
check(lib.objm_put_begin(session, sys.argv[3].encode(), None, ctypes.byref(put)))
lib.objm_put_writefd.argtypes = [ctypes.c_void_p]
fd = lib.objm_put_writefd(put)
half = b"x" * int(sys.argv[4])
os.write(fd, half)
print("half", flush=True)
sys.stdin.readline()
fd = lib.objm_put_writefd(put)
os.pwrite(fd, half[::-1] + b"end\n", len(half))
check(lib.objm_put_commit(put, None))
lib.objm_close(session)
print("done")
