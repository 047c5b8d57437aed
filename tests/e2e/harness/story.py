"""The frame of a story: one Stack for all tests of a class."""

import os
import sys
import unittest

from .places import BUILD, program, system
from .pool import Pool
from .postgres import bin_dir
from .stack import Stack
from .web import Apache, Nginx


def missing(*more):
    """What a story cannot do without, as a sentence; None if all is there."""
    for name in ("rowhouse-fcgi", "rowhouse-jobs", "rowhouse-exporter",
                 "rowhouse-migrate"):
        if not os.path.exists(program(name)):
            return f"{name} is not built in {BUILD}"
    if not bin_dir():
        return "the PostgreSQL server is not installed"
    for name in ("nginx", "apache2", "haproxy", *more):
        if not system(name):
            return f"{name} is not installed"
    return None


class Story(unittest.TestCase):
    """self.stack runs from the first test of the class to its last. A class
    names what it wants otherwise: settings (rowhouse.conf), web, web_options,
    exporter, env, pg_settings, pool, bouncer, jobs, redis (a function that makes one)."""

    settings = {}
    web = Nginx
    web_options = {}
    exporter = False
    env = {}
    pg_settings = {}
    pool = Pool
    bouncer = False
    redis = None
    jobs = False
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(web=cls.web, web_options=cls.web_options,
                          exporter=cls.exporter, env=cls.env,
                          pg_settings=cls.pg_settings, pool=cls.pool,
                          bouncer=cls.bouncer, jobs=cls.jobs,
                          redis=cls.redis() if cls.redis else None,
                          **cls.settings)
        cls.stack.__enter__()
        cls.addClassCleanup(cls.stack.stop)

    def expect(self, status, method, path, token=None, body=None, headers=None):
        """The reply, whose status must be this one."""
        got = self.stack.api(method, path, token, body, headers)
        self.assertEqual(got.status, status,
                         f"{method} {path}: {got}{self.fault(got, status)}")
        return got

    def fault(self, reply, status):
        """What the log says of a reply that is ours to explain."""
        if reply.status < 500 or reply.status == status:
            return ""
        try:
            line = self.stack.pool.wait_line(
                5.0, request_id=reply.headers.get("X-Request-Id"))
        except AssertionError:
            return "; no line tells of it"
        return f"; {line}"

    def assertProblem(self, reply, status, **members):
        """RFC 9457, with what DESIGN section 12 adds."""
        self.assertEqual(reply.status, status, reply)
        self.assertEqual(reply.headers["Content-Type"],
                         "application/problem+json", reply)
        for name in ("type", "title", "detail", "instance", "request_id",
                     "trace_id"):
            self.assertIsInstance(reply.json.get(name), str, (name, reply))
        self.assertEqual(reply.json["status"], status, reply)
        self.assertEqual(reply.json["request_id"],
                         reply.headers["X-Request-Id"], reply)
        for name, value in members.items():
            self.assertEqual(reply.json.get(name), value, reply)


def again(module, only=None, **otherwise):
    """The stories of a module, or only some, once more, with these things otherwise, as
    globals() of another: globals().update(again(test_api, bouncer=True)). A name has the
    module's in front, for others have an Api too."""
    prefix = module.__name__.removeprefix("test_").title().replace("_", "")
    return {f"{prefix}{name}": type(f"{prefix}{name}", (story,),
                                    {"__module__": "__main__", **otherwise})
            for name, story in vars(module).items()
            if isinstance(story, type) and issubclass(story, Story) and
            story is not Story and (only is None or name in only)}


def main(needs=()):
    """Runs the stories of the calling file; 77 where something is missing."""
    lacking = missing(*needs)
    if lacking:
        print(f"skipped: {lacking}")
        sys.exit(77)
    unittest.main(verbosity=2)


__all__ = ["Apache", "Nginx", "Story", "again", "main", "missing"]
