"""A small HTTP client: what was answered, as it came."""

import http.client
import json as jsonlib
import select
import socket

from .places import patience


class Reply:
    """Unpacks into status, headers, json. headers ignore case; json is None
    where the body is not JSON; body is bytes."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        kind = headers.get("Content-Type", "").split(";")[0].strip()
        self.json = None
        if body and (kind == "application/json" or kind.endswith("+json")):
            self.json = jsonlib.loads(body)

    def __iter__(self):
        return iter((self.status, self.headers, self.json))

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:600]!r}"


class Client:
    """One connection, kept open and opened again where the server closed it
    between two requests. source: the address to come from."""

    def __init__(self, port, host="127.0.0.1", timeout=30.0, source=None):
        self.conn = http.client.HTTPConnection(
            host, port, timeout=patience(timeout),
            source_address=(source, 0) if source else None)

    def request(self, method, path, token=None, body=None, headers=None):
        """body: bytes as they are; anything else as JSON."""
        send = dict(headers or {})
        lower = {k.lower() for k in send}
        if body is not None and not isinstance(body, bytes):
            body = jsonlib.dumps(body).encode()
            if "content-type" not in lower:
                send["Content-Type"] = "application/json"
        if token and "authorization" not in lower:
            send["Authorization"] = f"Bearer {token}"
        # the line as it stands: http.client would refuse some on purpose
        self.conn._validate_path = lambda url: None
        self.conn._encode_request = lambda r: r.encode("latin-1")
        if self.is_over():
            self.conn.close()
        self.conn.request(method, path, body=body, headers=send)
        got = self.conn.getresponse()
        return Reply(got.status, got.headers, got.read())

    def is_over(self):
        """Whether the server has closed it: between two requests nothing is due."""
        if not self.conn.sock:
            return False
        poll = select.poll()
        poll.register(self.conn.sock, select.POLLIN)
        return bool(poll.poll(0))

    def close(self):
        self.conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def raw(port, data, seconds=20.0):
    """Sends bytes, answers all bytes until the server closes."""
    with socket.create_connection(("127.0.0.1", port),
                                  timeout=patience(seconds)) as s:
        s.sendall(data)
        got = b""
        while chunk := s.recv(65536):
            got += chunk
        return got
