"""Where webhooks are sent to: a real HTTP server on loopback, which remembers
what it got and answers as a story says."""

import http.server
import threading
import time

from .places import patience
from .proc import wait_until


class Got:
    """A request, as it came."""

    def __init__(self, handler, body):
        self.path, self.method = handler.path, handler.command
        self.headers = {k.lower(): v for k, v in handler.headers.items()}
        self.body, self.at = body, time.time()

    def __repr__(self):
        return f"{self.method} {self.path} {self.headers}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 600

    def handle_one_request(self):
        # any method, not those alone that have a function here
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.server.receiver.take(Got(self, body))
        if answer is None:
            self.close_connection = True
            return
        status, headers, said = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):  # who hung up has nothing to tell
        pass


class Receiver:
    """with Receiver() as r: r.url("/a"); r.answers("/a", 500, 200)

    A path answers 200, or, one after the other, what answers() said; the last
    of it for ever. A stalled path answers once it is released. ANY is all that
    were not spoken of."""

    ANY = None

    def __init__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.receiver = self
        self.port = self.server.server_address[1]
        self._lock = threading.Lock()
        self._got, self._answers, self._stalled = [], {}, {}
        self._inside, self._most = {}, {}
        threading.Thread(target=self.server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def url(self, path="", host="127.0.0.1"):
        return f"http://{host}:{self.port}{path}"

    def answers(self, path, *answers):
        """Each a status, or (status, headers, body); None: hangs up."""
        with self._lock:
            self._answers[path] = [
                a if a is None or isinstance(a, tuple) else (a, {}, b"hello")
                for a in answers]

    def stall(self, path):
        with self._lock:
            self._stalled[path] = threading.Event()

    def release(self, path):
        with self._lock:
            self._stalled.pop(path).set()

    def take(self, got):
        with self._lock:
            self._got.append(got)
            stalled = self._stalled.get(got.path)
            inside = self._inside[got.path] = self._inside.get(got.path, 0) + 1
            self._most[got.path] = max(inside, self._most.get(got.path, 0))
        if stalled:
            stalled.wait(patience(120))
        with self._lock:
            self._inside[got.path] -= 1
            left = (self._answers.get(got.path) or self._answers.get(self.ANY) or
                    [(200, {}, b"hello")])
            return left.pop(0) if len(left) > 1 else left[0]

    def got(self, path=ANY):
        with self._lock:
            return [g for g in self._got if path in (g.path, self.ANY)]

    def most(self, path):
        """As many as were inside at a time."""
        with self._lock:
            return self._most.get(path, 0)

    def wait(self, path=ANY, n=1, seconds=30.0):
        """The first n, once they are there."""
        return wait_until(lambda: len(self.got(path)) >= n and self.got(path)[:n],
                          f"{n} requests for {path}", seconds)

    def close(self):
        with self._lock:
            for event in self._stalled.values():
                event.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
