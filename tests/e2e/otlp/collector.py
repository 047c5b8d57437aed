#!/usr/bin/python3
"""A collector of the tests' own: it takes OTLP/HTTP and does as it is told.

As a module, for stories in Python:

    with Collector() as collector:
        collector.tell(status=503, headers={"Retry-After": "1"})
        ...                      # OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
        spans = collector.wait_for(3)

As a program, for everybody else:

    collector.py [--port N]      prints its URL, runs until stdin ends

    POST /_tell    [{"status": 503, "headers": {"Retry-After": "1"}}, ...]
    GET  /_spans   what was accepted, as JSON
    GET  /_requests  what was asked, without bodies
    POST /_release   all that is held goes on

An answer is told for one request, in order; after the last told one all are
200. Members: status, headers, body, rejected (partial_success), delay_s,
close (no reply), hang (no reply, and open until the collector ends), hold (all
that only once release() was called; what is told later is held anew).
"""
import argparse
import gzip
import http.server
import json
import os
import socket
import ssl
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import decode  # noqa: E402  pylint: disable=wrong-import-position


class Request:
    """One POST to /v1/traces, decoded when it is asked for."""

    def __init__(self, path, headers, raw, answer):
        self.path, self.headers, self.raw = path, headers, raw
        self.answer, self.at = answer, time.monotonic()
        self.wall = time.time()
        self._spans = None

    @property
    def accepted(self):
        return 200 <= self.answer.get("status", 200) < 300 and not (
            self.answer.get("close") or self.answer.get("hang"))

    @property
    def body(self):
        if self.headers.get("Content-Encoding") == "gzip":
            return gzip.decompress(self.raw)
        return self.raw

    @property
    def spans(self):
        if self._spans is None:
            read = decode.spans_of_json \
                if self.headers["Content-Type"] == "application/json" \
                else decode.spans_of_protobuf
            self._spans = read(self.body)
        return self._spans


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.owner.opened(self.connection)

    def handle(self):
        # an owner that has ended has closed what it knew of
        if not self.server.owner.ended.is_set():
            super().handle()

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass

    def reply(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def read_body(self):
        if self.headers.get("Transfer-Encoding"):
            raise ValueError("a length was expected")
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self):
        owner = self.server.owner
        shown = {
            "/_spans": lambda: owner.spans(),
            "/_requests": lambda: [
                {"path": r.path, "headers": dict(r.headers.items()),
                 "bytes": len(r.raw), "answer": {
                     **r.answer, "hold": "hold" in r.answer}}
                for r in owner.requests()],
        }.get(self.path)
        if shown is None:
            self.reply(404)
        else:
            self.reply(200, json.dumps(shown()).encode(),
                       {"Content-Type": "application/json"})

    def do_POST(self):
        owner = self.server.owner
        body = self.read_body()
        if self.path == "/_tell":
            for answer in json.loads(body):
                owner.tell(**answer)
            self.reply(204)
            return
        if self.path == "/_release":
            owner.release()
            self.reply(204)
            return
        answer = owner.take_answer()
        request = Request(self.path, self.headers, body, answer)
        owner.store(request)
        time.sleep(answer.get("delay_s", 0))
        if answer.get("hold"):
            answer["hold"].wait()
        if answer.get("hang"):
            owner.ended.wait()
        if answer.get("hang") or answer.get("close"):
            self.close_connection = True
            return
        kind = self.headers.get("Content-Type", "")
        text = answer.get("body", "").encode()
        if "rejected" in answer:
            text = decode.partial_success(kind, answer["rejected"], "told so")
        self.reply(answer.get("status", 200), text,
                   {"Content-Type": kind, **answer.get("headers", {})})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # a test stops and starts a collector on one port
    allow_reuse_address = True
    request_queue_size = 128
    owner = None

    def handle_error(self, request, client_address):
        # a client that does not like our certificate, or shows none
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


def held_port():
    """One that nobody else gets while we run, also between two collectors: what
    is bound beside them listens to nobody."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _held.append(held)
    return held.getsockname()[1]


_held = []


class Collector:
    def __init__(self, port=0, tls=None):
        """port: of one that was closed, to come back; tls: an ssl.SSLContext."""
        self.ended = threading.Event()
        self._news = threading.Condition()
        self._held = threading.Event()
        self._answers, self._requests, self._connections = [], [], []
        if not port:
            port = held_port()
        self._server = Server(("127.0.0.1", port), Handler)
        self._server.owner = self
        if tls:
            # the handshake is done by whoever serves the connection
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True,
                do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def opened(self, connection):
        with self._news:
            self._connections.append(connection)

    def tell(self, **answer):
        with self._news:
            if answer.pop("hold", False):
                answer["hold"] = self._held
            self._answers.append(answer)

    def release(self):
        with self._news:
            self._held.set()
            self._held = threading.Event()

    def take_answer(self):
        with self._news:
            return self._answers.pop(0) if self._answers else {}

    def store(self, request):
        with self._news:
            self._requests.append(request)
            self._news.notify_all()

    def requests(self):
        with self._news:
            return list(self._requests)

    def spans(self):
        """All spans of the requests that were answered with success."""
        return [s for r in self.requests() if r.accepted for s in r.spans]

    def wait(self, ready, timeout_s=60):
        """Until ready() is true, looked at after each request."""
        end = time.monotonic() + timeout_s
        with self._news:
            while not ready():
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError("the collector waited in vain")
                self._news.wait(min(left, 0.5))

    def wait_for(self, n, timeout_s=60):
        self.wait(lambda: len(self.spans()) >= n, timeout_s)
        return self.spans()

    def wait_for_requests(self, n, timeout_s=60):
        self.wait(lambda: len(self._requests) >= n, timeout_s)
        return self.requests()

    def close(self):
        self.ended.set()
        self.release()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        # or a kept connection would still be answered
        with self._news:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def main():
    parser = argparse.ArgumentParser(description="collects OTLP/HTTP traces")
    parser.add_argument("--port", type=int, default=0)
    with Collector(parser.parse_args().port) as collector:
        print(collector.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
