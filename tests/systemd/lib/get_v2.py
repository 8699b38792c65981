"""get_v2.py HOST PORT URI: a GET of protocol version 2 in copy mode over TCP; writes the object's bytes."""
import socket
import struct
import sys


def read(sock, n):
    data = b""
    while len(data) < n:
        part = sock.recv(n - len(data))
        if not part:
            sys.exit("the server closed the connection")
        data += part
    return data


host, port, uri = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
with socket.create_connection((host, port), 10) as s:
    s.sendall(b"OBJM" + struct.pack(">BHH", 2, 2, 0))
    ack = read(s, 10)
    if ack[:5] != b"OBJM\x02":
        sys.exit(f"not an acknowledgement: {ack!r}")
    s.sendall(struct.pack(">BIBBH", 1, 7, 0, ord("2"), len(uri)) + uri)
    kind, ident, status, length, meta = struct.unpack(">BIBQH", read(s, 16))
    read(s, meta)
    if (kind, ident, status) != (2, 7, 0):
        sys.exit(f"response {kind} to request {ident}: status 0x{status:02x}")
    sys.stdout.buffer.write(read(s, length))
