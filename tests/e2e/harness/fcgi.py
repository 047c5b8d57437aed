"""FastCGI 1.0 records by hand, good ones and others."""

import socket
import struct

from .places import patience

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES, \
    GET_VALUES_RESULT, UNKNOWN_TYPE = range(1, 12)


def record(kind, content=b"", request=1, version=1, padding=0, length=None):
    return struct.pack("!BBHHBB", version, kind, request,
                       len(content) if length is None else length, padding,
                       0) + content + b"\0" * padding


def begin(keep=False, role=1, request=1):
    return record(BEGIN, struct.pack("!HB5x", role, int(keep)), request)


def size(n):
    return bytes([n]) if n < 128 else struct.pack("!I", n | 0x80000000)


def pair(name, value):
    name, value = (x if isinstance(x, bytes) else x.encode() for x in (name, value))
    return size(len(name)) + size(len(value)) + name + value


def params(pairs, request=1):
    """PARAMS and their end."""
    content = b"".join(pair(n, v) for n, v in pairs)
    out = b""
    for at in range(0, len(content), 65535):
        out += record(PARAMS, content[at:at + 65535], request)
    return out + record(PARAMS, request=request)


def get(path="/livez", more=(), method="GET"):
    """The parameters of a plain request."""
    return [("REQUEST_METHOD", method), ("REQUEST_URI", path),
            ("SERVER_PROTOCOL", "HTTP/1.1"), ("REMOTE_ADDR", "127.0.0.1"), *more]


def request(pairs, body=b"", keep=False, number=1):
    out = begin(keep, request=number) + params(pairs, number)
    for at in range(0, len(body), 65535):
        out += record(STDIN, body[at:at + 65535], number)
    return out + record(STDIN, request=number)


class Connection:
    """To the pool's socket."""

    def __init__(self, path, seconds=60.0):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.s.settimeout(patience(seconds))
        self.s.connect(path)

    def send(self, data):
        """False where the pool has closed."""
        try:
            self.s.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def _exactly(self, n):
        got = b""
        while len(got) < n:
            try:
                chunk = self.s.recv(n - len(got))
            except ConnectionResetError:
                return None
            if not chunk:
                return None
            got += chunk
        return got

    def record(self):
        """(type, request, content); None where the pool has closed."""
        head = self._exactly(8)
        if head is None:
            return None
        _, kind, number, length, padding, _ = struct.unpack("!BBHHBB", head)
        content = self._exactly(length + padding)
        return None if content is None else (kind, number, content[:length])

    def answer(self):
        """All of STDOUT up to END_REQUEST, or to where the pool closed."""
        out = b""
        while got := self.record():
            if got[0] == STDOUT:
                out += got[2]
            elif got[0] == END:
                break
        return out

    def status(self):
        """The answer's status; 0 where there is none."""
        out = self.answer()
        if not out:
            return 0
        for line in out.split(b"\r\n\r\n")[0].split(b"\r\n"):
            if line.lower().startswith(b"status:"):
                return int(line.split()[1])
        return 200

    def end_sending(self):
        try:
            self.s.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
