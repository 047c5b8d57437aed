"""A real receiver of HTTP requests: what came, and what it answers to each."""

import http.server
import threading

from .proc import wait_until


class Caught:
    """One request: method, path, headers (a message), body (bytes)."""

    def __init__(self, method, path, headers, body):
        self.method, self.path = method, path
        self.headers, self.body = headers, body

    def __repr__(self):
        return f"{self.method} {self.path} {dict(self.headers)} {self.body[:200]!r}"


class Handler(http.server.BaseHTTPRequestHandler):

    protocol_version = "HTTP/1.1"

    def handle_one_request(self):
        # any method, not those alone that have a function here
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = self.server.catch(Caught(self.command, self.path, self.headers, body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):      # pylint: disable=arguments-differ
        pass


class Server(http.server.ThreadingHTTPServer):

    daemon_threads = True
    owner = None

    def catch(self, caught):
        return self.owner.catch(caught)


class Catcher:
    """with Catcher(500, 500) as c: fails twice, then 200 for ever."""

    def __init__(self, *statuses):
        self._statuses = list(statuses)
        self._lock = threading.Lock()
        self.caught = []
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.owner = self
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def catch(self, caught):
        with self._lock:
            self.caught.append(caught)
            return self._statuses.pop(0) if self._statuses else 200

    def wait(self, n, seconds=60.0):
        """The first n, once they are there."""
        wait_until(lambda: len(self.caught) >= n, f"{n} requests are caught", seconds)
        return self.caught[:n]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
