#!/usr/bin/python3
"""Webhooks out: each event comes to each endpoint that wants it, signed, on the
trace of its request; again after a failure, under the same id; whoever stalls,
refuses or dies holds nobody else."""

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import uuid

sys.dont_write_bytecode = True

from harness import BUILD, Jobs, Receiver, Story, eventually, main, wait_until  # noqa: E402
from harness.places import patience  # noqa: E402
from harness.pool import SECRET_KEY  # noqa: E402

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD_SECRET = "whsec_" + base64.b64encode(bytes(range(100, 124))).decode()

# The independent implementation: contrib/check-webhooks installs it, and says where
NODE_MODULES = os.environ.get("ROWHOUSE_NODE_MODULES")
VERIFY = """
const { Webhook } = require('standardwebhooks');
const { secret, headers, body } = JSON.parse(require('fs').readFileSync(0));
new Webhook(secret).verify(body, headers);
for (const bent of [body + ' ', body.replace('{', '[')]) {
  let taken = true;
  try { new Webhook(secret).verify(bent, headers); } catch (e) { taken = false; }
  if (taken) throw new Error('it took another body');
}
"""


def signature(secret, got):
    """What Standard Webhooks says that it is, of a request."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = b".".join([got.headers["webhook-id"].encode(),
                      got.headers["webhook-timestamp"].encode(), got.body])
    return "v1," + base64.b64encode(
        hmac.new(key, text, hashlib.sha256).digest()).decode()


class DeliverStory(Story):
    """What the stories below have in common."""

    settings = {"jobs_workers": 2, "workers": 2, "webhook_allow": "127.0.0.1",
                "webhook_retry": "100ms", "webhook_timeout": "2min",
                "webhook_connections": 8}
    exporter = True

    @classmethod
    def setUpClass(cls):
        cls.receiver = Receiver()
        cls.addClassCleanup(cls.receiver.close)
        super().setUpClass()
        cls.stack.jobs = Jobs(cls.stack.pool).start()

    def setUp(self):
        self.t = self.stack.signup()

    def query(self, sql):
        return self.stack.postgres.query(sql)

    def sealed(self, tenant, webhook, secret):
        done = subprocess.run(
            [f"{BUILD}/tests/lib/jobs/seal", SECRET_KEY, tenant, webhook, secret],
            check=True, capture_output=True, text=True, timeout=patience(30))
        return f"decode('{done.stdout.strip()}', 'hex')"

    def hook(self, path, types="{}", tenant=None, url=None, old=None, **columns):
        """A webhook for the receiver's path; its id."""
        t, hook = tenant or self.t, str(uuid.uuid4())
        columns = {"secret": self.sealed(t.id, hook, SECRET), **columns}
        if old:
            columns["old_secret"] = self.sealed(t.id, hook, old)
        self.query(
            f"insert into webhooks (tenant_id, id, url, event_types,"
            f" {', '.join(columns)}) values ('{t.id}', '{hook}',"
            f" '{url or self.receiver.url(path)}', '{types}',"
            f" {', '.join(map(str, columns.values()))})")
        return hook

    def project(self, tenant=None):
        """An event project.created; the reply."""
        t = tenant or self.t
        return self.expect(201, "POST", f"{t.path}/projects", t.token, {"name": "P"})

    def path(self):
        return "/" + self.id().rsplit(".", 1)[1]

    def delivery(self, hook, state):
        """The one delivery, once it is so: its status, attempt, error."""
        def row():
            rows = self.query("select state, status, attempt, error from"
                              f" webhook_deliveries where webhook_id = '{hook}'")
            return rows[0][1:] if len(rows) == 1 and rows[0][0] == state else None
        return wait_until(row, f"the delivery is {state}")

    def attempts(self, hook, n):
        """What was written of the first n, once it is there."""
        def rows():
            got = self.query(
                "select a.attempt, a.status, a.error, convert_from(a.reply, 'utf8')"
                " from webhook_attempts a join webhook_deliveries d on d.tenant_id ="
                " a.tenant_id and d.id = a.delivery_id where d.webhook_id ="
                f" '{hook}' order by a.attempt")
            return got[:n] if len(got) >= n else None
        return wait_until(rows, f"{n} attempts for {hook}")


class Delivery:

    def test_an_event_is_told_as_it_happened_and_signed(self):
        path = self.path()
        hook = self.hook(path, "{project.created}")
        made = self.project()
        [got] = self.receiver.wait(path)
        body = json.loads(got.body)
        [[event, at]] = self.query(
            "select id, to_char(created_at at time zone 'utc',"
            " 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from events where tenant_id ="
            f" '{self.t.id}' and type = 'project.created'")
        self.assertEqual(
            {k: body[k] for k in body if k != "data"},
            {"id": event, "type": "project.created", "timestamp": at,
             "tenant": self.t.id, "subject_id": made.json["id"],
             "actor_id": self.t.user["id"],
             "request_id": made.headers["X-Request-Id"]})
        self.assertEqual(body["data"]["name"], "P")
        self.assertEqual(got.method, "POST")
        self.assertEqual(got.headers["content-type"], "application/json")
        self.assertEqual(got.headers["webhook-id"], event)
        self.assertEqual(got.headers["webhook-signature"], signature(SECRET, got))
        self.assertTrue(got.headers["user-agent"].startswith("Rowhouse/"))
        self.assertEqual(self.delivery(hook, "delivered"), ["200", "1", ""])
        self.assertEqual(self.attempts(hook, 1), [["1", "200", "", "hello"]])

    def an_independent_implementation_verifies_it(self):
        path = self.path()
        self.hook(path, "{project.created}", old=OLD_SECRET,
                  old_secret_until="now() + interval '1 hour'")
        self.project()
        [got] = self.receiver.wait(path)
        for secret in (SECRET, OLD_SECRET):
            done = subprocess.run(
                ["node", "-e", VERIFY], text=True, capture_output=True,
                env={**os.environ, "NODE_PATH": NODE_MODULES},
                check=False, timeout=patience(60),
                input=json.dumps({"secret": secret, "headers": got.headers,
                                  "body": got.body.decode()}))
            self.assertEqual(done.returncode, 0, done.stderr)

    if NODE_MODULES:
        test_an_independent_implementation_verifies_it = \
            an_independent_implementation_verifies_it

    def test_its_trace_is_the_requests(self):
        path = self.path()
        hook = self.hook(path, "{project.created}")
        made = self.project()
        [got] = self.receiver.wait(path)
        request = self.stack.pool.wait_line(
            request_id=made.headers["X-Request-Id"])
        line = self.stack.jobs.wait_line(msg="webhook", webhook_id=hook)
        self.assertEqual(got.headers["traceparent"],
                         f"00-{request['trace_id']}-{line['span_id']}-03")
        self.assertNotEqual(line["span_id"], request["span_id"])
        [[delivery]] = self.query("select id from webhook_deliveries where"
                                  f" webhook_id = '{hook}'")
        for name, value in {
                "trace_id": request["trace_id"], "tenant_id": self.t.id,
                "request_id": request["request_id"], "delivery_id": delivery,
                "attempt": 1, "status": 200, "outcome": "delivered",
                "type": "project.created", "sampled": True,
                "level": "info"}.items():
            self.assertEqual(line[name], value, line)
        self.assertNotIn("url", line)

    def test_it_is_counted(self):
        def count():
            return self.stack.exporter.value(
                "rowhouse_webhook_delivery_duration_seconds_count"
                '{result="delivered"}')
        before, path = count(), self.path()
        self.hook(path, "{project.*}")
        for _ in range(3):
            self.project()
        eventually(lambda: self.assertGreaterEqual(count(), before + 3))

    def test_an_endpoint_hears_what_it_asked_for(self):
        path = self.path()
        for name, types in (("all", "{}"), ("one", "{project.created}"),
                            ("kind", "{project.*}"),
                            ("other", "{task.*,project.deleted}")):
            self.hook(f"{path}/{name}", types)
        paused = self.hook(f"{path}/paused", status="'paused'",
                           paused_reason="'asked'")
        foreign = self.hook(f"{path}/foreign", "{project.*}",
                            tenant=self.stack.signup())
        project = self.project().json
        self.expect(201, "POST", f"{self.t.path}/projects/{project['id']}/tasks",
                    self.t.token, {"title": "T"})
        # it may be told of the sign-up, too
        eventually(lambda: self.assertLessEqual(
            {"project.created", "task.created"},
            {json.loads(g.body)["type"] for g in self.receiver.got(f"{path}/all")}))
        for name, types in (("one", ["project.created"]),
                            ("kind", ["project.created"]),
                            ("other", ["task.created"])):
            eventually(lambda: self.assertEqual(
                sorted(json.loads(g.body)["type"]
                       for g in self.receiver.got(f"{path}/{name}")),
                types))
        self.assertEqual(self.query(
            "select count(*) from webhook_deliveries where webhook_id in"
            f" ('{paused}', '{foreign}')"), [["0"]])

    def test_two_secrets_sign_until_the_old_one_is_over(self):
        path = self.path()
        self.hook(f"{path}/two", "{project.created}", old=OLD_SECRET,
                  old_secret_until="now() + interval '1 hour'")
        self.hook(f"{path}/one", "{project.created}", old=OLD_SECRET,
                  old_secret_until="now()")
        self.project()
        [two] = self.receiver.wait(f"{path}/two")
        self.assertEqual(two.headers["webhook-signature"].split(),
                         [signature(SECRET, two), signature(OLD_SECRET, two)])
        [one] = self.receiver.wait(f"{path}/one")
        self.assertEqual(one.headers["webhook-signature"], signature(SECRET, one))


class Trouble:

    def test_what_fails_is_told_again_as_it_was(self):
        path = self.path()
        self.receiver.answers(path, 500, 200)
        hook = self.hook(path, "{project.created}")
        self.project()
        first, second = self.receiver.wait(path, 2)
        self.assertEqual(first.headers["webhook-id"], second.headers["webhook-id"])
        self.assertEqual(first.body, second.body)
        self.assertEqual(second.headers["webhook-signature"],
                         signature(SECRET, second))
        self.assertNotEqual(first.headers["traceparent"],
                            second.headers["traceparent"])
        self.assertEqual(first.headers["traceparent"][:36],
                         second.headers["traceparent"][:36])
        self.assertEqual(self.delivery(hook, "delivered"), ["200", "2", ""])
        self.assertEqual(self.attempts(hook, 2), [["1", "500", "", "hello"],
                                                  ["2", "200", "", "hello"]])
        line = self.stack.jobs.wait_line(msg="webhook", webhook_id=hook, attempt=1)
        self.assertEqual((line["outcome"], line["status"]), ("retried", 500))
        [[failing]] = self.query("select failing_since is not null from webhooks"
                                 f" where id = '{hook}'")
        self.assertEqual(failing, "f")

    def test_a_redirect_is_a_failure_and_not_followed(self):
        path = self.path()
        self.receiver.answers(path, (
            307, {"Location": self.receiver.url(f"{path}/elsewhere")}, b""))
        hook = self.hook(path, "{project.created}")
        self.project()
        self.assertEqual(self.attempts(hook, 1), [["1", "307", "", ""]])
        self.assertEqual(self.receiver.got(f"{path}/elsewhere"), [])

    def test_who_hangs_up_is_told_again(self):
        path = self.path()
        self.receiver.answers(path, None, 200)
        hook = self.hook(path, "{project.created}")
        self.project()
        self.delivery(hook, "delivered")

    def test_a_receiver_says_when_to_come_again(self):
        path = self.path()
        self.receiver.answers(path, (503, {"Retry-After": "3600"}, b""))
        hook = self.hook(path, "{project.created}")
        self.project()
        self.attempts(hook, 1)
        [[waits]] = self.query("select due_at > now() + interval '50 min' from"
                               f" webhook_deliveries where webhook_id = '{hook}'")
        self.assertEqual(waits, "t")

    def test_who_is_gone_is_paused_and_that_is_told(self):
        path = self.path()
        self.receiver.answers(path, 410)
        hook = self.hook(path, "{project.created}")
        listener = self.hook(f"{path}/listener", "{webhook.*}")
        self.project()
        [got] = self.receiver.wait(f"{path}/listener")
        body = json.loads(got.body)
        self.assertEqual((body["type"], body["subject_id"], body["actor_id"]),
                         ("webhook.paused", hook, None))
        self.assertEqual(body["data"]["paused_reason"], "gone")
        self.assertEqual(self.query(
            f"select status, paused_reason from webhooks where id = '{hook}'"),
            [["paused", "gone"]])
        self.assertEqual(self.delivery(hook, "waiting"), ["410", "1", ""])
        # resumed, what waited goes on
        self.receiver.answers(path, 200)
        self.query("update webhooks set status = 'active', paused_reason = null"
                   f" where id = '{hook}'")
        self.assertEqual(self.delivery(hook, "delivered"), ["200", "2", ""])
        self.delivery(listener, "delivered")

    def test_who_fails_for_days_is_paused(self):
        path = self.path()
        self.receiver.answers(path, 500)
        hook = self.hook(path, "{project.created}",
                         failing_since="now() - interval '6 days'")
        self.project()
        eventually(lambda: self.assertEqual(self.query(
            f"select status, paused_reason from webhooks where id = '{hook}'"),
            [["paused", "failing"]]))

    def test_the_last_attempt_is_the_last(self):
        path = self.path()
        self.receiver.answers(path, 500)
        hook = self.hook(path, "{project.created}", status="'paused'",
                         paused_reason="'asked'")
        self.query(
            "insert into webhook_deliveries (tenant_id, id, webhook_id, event_id,"
            " type, subject_id, payload, happened_at, attempt, trace_id,"
            f" parent_span_id, request_id) select '{self.t.id}', gen_random_uuid(),"
            f" '{hook}', gen_random_uuid(), 'project.created', gen_random_uuid(),"
            " '{}', now(), 9, substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8),"
            " 'r'; update webhooks set status = 'active', paused_reason = null"
            f" where id = '{hook}'")
        self.assertEqual(self.delivery(hook, "failed"), ["500", "10", ""])
        line = self.stack.jobs.wait_line(msg="webhook", webhook_id=hook)
        self.assertEqual((line["outcome"], line["level"]), ("failed", "error"))

    def test_an_address_of_ours_is_refused(self):
        path = self.path()
        # the receiver is there, by a name and an address that are not allowed
        for url in (self.receiver.url(path, "127.0.0.2"),
                    self.receiver.url(path, "[::ffff:127.0.0.3]"),
                    "http://169.254.169.254/latest/meta-data/",
                    "http://[::1]:8080/"):
            hook = self.hook(path, "{project.created}", url=url)
            self.project()
            self.assertEqual(self.attempts(hook, 1)[0],
                             ["1", "", "refused.address", ""])
            line = self.stack.jobs.wait_line(msg="webhook", webhook_id=hook)
            self.assertEqual(line["error"], "refused.address")
            self.query(f"delete from webhooks where id = '{hook}'")
        self.assertEqual(self.receiver.got(path), [])

    def test_a_secret_of_another_key_signs_nothing(self):
        path = self.path()
        hook = self.hook(path, "{project.created}", secret="'\\x00'")
        self.project()
        self.assertEqual(self.attempts(hook, 1)[0],
                         ["1", "", "refused.secret", ""])
        self.assertEqual(self.receiver.got(path), [])


class Many:

    def test_who_stalls_holds_nobody(self):
        path = self.path()
        self.receiver.stall(f"{path}/slow")
        self.hook(f"{path}/slow", "{project.created}")
        quick = self.hook(f"{path}/quick", "{project.created}")
        other = self.stack.signup()
        self.hook(f"{path}/other", "{project.created}", tenant=other)
        for _ in range(12):
            self.project()
        self.receiver.wait(f"{path}/slow", 1)
        self.project(other)
        self.receiver.wait(f"{path}/other")
        self.receiver.wait(f"{path}/quick", 12)
        # as many as an endpoint may have on their way, and the rest waits
        self.assertLessEqual(len(self.receiver.got(f"{path}/slow")), 4)
        self.receiver.release(f"{path}/slow")
        self.receiver.wait(f"{path}/slow", 12)
        self.assertLessEqual(self.receiver.most(f"{path}/slow"), 4)
        eventually(lambda: self.assertEqual(self.query(
            "select distinct state from webhook_deliveries where webhook_id ="
            f" '{quick}'"), [["delivered"]]))

    def test_many_endpoints_that_stall_leave_room_for_another_tenant(self):
        path = self.path()
        for i in range(10):
            self.receiver.stall(f"{path}/slow{i}")
            self.hook(f"{path}/slow{i}", "{project.created}")
        for _ in range(4):
            self.project()
        other = self.stack.signup()
        self.hook(f"{path}/other", "{project.created}", tenant=other)
        wait_until(lambda: sum(len(self.receiver.got(f"{path}/slow{i}"))
                               for i in range(10)) >= 4, "they stall")
        self.project(other)
        self.receiver.wait(f"{path}/other")
        for i in range(10):
            self.receiver.release(f"{path}/slow{i}")
        for i in range(10):
            self.receiver.wait(f"{path}/slow{i}", 4)

    def test_an_endpoint_bounds_what_it_gets(self):
        path = self.path()
        self.receiver.stall(path)
        hook = self.hook(path, "{project.created}", concurrency=1)
        for _ in range(4):
            self.project()
        self.receiver.wait(path)
        self.receiver.release(path)
        self.receiver.wait(path, 4)
        self.assertEqual(self.receiver.most(path), 1)
        eventually(lambda: self.assertEqual(self.query(
            "select count(*) from webhook_deliveries where state = 'delivered' and"
            f" webhook_id = '{hook}'"), [["4"]]))

    def test_an_endpoint_has_its_rate(self):
        path = self.path()
        hook = self.hook(path, "{project.created}", rate_per_s=2)
        for _ in range(6):
            self.project()
        self.receiver.wait(path, 6)
        eventually(lambda: self.assertEqual(self.query(
            "select count(*) from webhook_deliveries where state = 'delivered' and"
            f" webhook_id = '{hook}'"), [["6"]]))
        [[seconds]] = self.query(
            "select extract(epoch from max(started_at) - min(started_at)) from"
            " webhook_attempts where delivery_id in (select id from"
            f" webhook_deliveries where webhook_id = '{hook}')")
        # a second's are let through at once, the other four at their time
        self.assertGreater(float(seconds), 1)

    def test_a_tenant_that_is_away_is_told_nothing_here(self):
        path = self.path()
        hook = self.hook(path, "{project.created}")
        self.query("insert into tenant_limits (tenant_id, away) values"
                   f" ('{self.t.id}', true) on conflict (tenant_id) do update set"
                   " away = true")
        self.query(
            "insert into webhook_deliveries (tenant_id, id, webhook_id, event_id,"
            " type, subject_id, payload, happened_at, trace_id, parent_span_id,"
            f" request_id) select '{self.t.id}', gen_random_uuid(), '{hook}',"
            " gen_random_uuid(), 'project.created', gen_random_uuid(), '{}', now(),"
            " substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 'r'")
        other = self.stack.signup()
        self.hook(f"{path}/other", "{project.created}", tenant=other)
        for _ in range(3):
            self.project(other)
        self.receiver.wait(f"{path}/other", 3)
        self.assertEqual(self.receiver.got(path), [])
        self.query(f"update tenant_limits set away = false where tenant_id ="
                   f" '{self.t.id}'")
        self.receiver.wait(path)


class Deaths:

    def killed(self):
        """All workers at once, as by a host that runs out of memory."""
        for pid in self.stack.jobs.answering():
            os.kill(pid, signal.SIGKILL)

    def test_who_dies_in_between_tells_it_again_and_the_attempt_counts(self):
        path = self.path()
        hook = self.hook(path, "{project.created}")
        self.receiver.stall(path)
        self.project()
        self.receiver.wait(path)
        with self.stack.postgres.transaction() as lock:
            lock("select 1 from webhook_deliveries where webhook_id ="
                 f" '{hook}' for update")
            self.receiver.release(path)
            # it was answered, and that waits to be written down
            wait_until(lambda: self.query(
                "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
                " and query like '%webhook_settle%'"), "the settlement waits")
            self.killed()
            # or it would do what it was told once it has the lock
            self.query("select pg_terminate_backend(pid) from pg_stat_activity"
                       " where wait_event_type = 'Lock'")
        first, second = self.receiver.wait(path, 2)
        self.assertEqual(first.headers["webhook-id"], second.headers["webhook-id"])
        self.assertEqual(self.delivery(hook, "delivered"), ["200", "2", ""])
        self.assertEqual([a[:3] for a in self.attempts(hook, 2)],
                         [["1", "", "worker.died"], ["2", "200", ""]])

    def test_who_is_stopped_settles_what_was_answered(self):
        path = self.path()
        hook = self.hook(path, "{project.created}")
        for _ in range(5):
            self.project()
        self.receiver.wait(path, 5)
        self.stack.jobs.stop()
        try:
            self.assertEqual(self.query(
                "select state, attempt, count(*) from webhook_deliveries where"
                f" webhook_id = '{hook}' group by 1, 2"), [["delivered", "1", "5"]])
        finally:
            self.stack.jobs = Jobs(self.stack.pool).start()
        self.assertEqual(len(self.receiver.got(path)), 5)

    def test_what_was_on_its_way_is_told_after_the_database_was_away(self):
        path = self.path()
        hook = self.hook(path, "{project.created}")
        self.receiver.stall(path)
        self.project()
        self.receiver.wait(path)
        self.query("select pg_terminate_backend(pid) from pg_stat_activity where"
                   " application_name = 'rowhouse-jobs'")
        self.receiver.release(path)
        self.assertEqual(self.delivery(hook, "delivered"), ["200", "1", ""])


class Webhooks(Delivery, Trouble, Many, Deaths, DeliverStory):
    """One stack for all of them."""


class Sampling(DeliverStory):
    """With a ratio of 0: a webhook is kept for its request's reason."""

    settings = {**DeliverStory.settings, "trace_ratio": 0}

    def post(self, flags, path, body):
        headers = flags and {"traceparent":
                             f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-{flags}"}
        got = self.stack.api("POST", f"{self.t.path}{path}", self.t.token, body,
                             headers or {})
        self.assertIn(got.status, (201, 202), got)
        return got

    def told(self, path, n, **facts):
        """The flag that its n-th request has, and how the line tells of it."""
        got = self.receiver.wait(path, n)[n - 1]
        line = self.stack.jobs.wait_line(msg="webhook", **facts)
        self.assertEqual(got.headers["traceparent"][3:52],
                         f"{line['trace_id']}-{line['span_id']}")
        return (int(got.headers["traceparent"][-2:], 16) & 1, line["sampled"],
                line["sampled_by"])

    def test_a_webhook_is_kept_as_its_request_was(self):
        project, key = {"name": "P"}, {"name": "K", "role": "viewer"}
        kept, dropped = (1, True, "parent"), (0, False, "none")
        for n, (flags, path, body, expected) in enumerate((
                ("01", "/projects", project, kept),
                ("00", "/projects", project, dropped),
                (None, "/projects", project, dropped),
                (None, "/api-keys", key, kept),       # security-related
                ("00", "/api-keys", key, kept))):
            with self.subTest(path, flags=flags):
                to = f"{self.path()}-{n}"
                hook = self.hook(to, "{project.created,api_key.created}")
                got = self.post(flags, path, body)
                self.assertEqual(self.told(to, 1, webhook_id=hook), expected)
                request = self.stack.pool.wait_line(
                    request_id=got.headers["X-Request-Id"])
                self.assertEqual(request["sampled"], expected[1])
                # told again, it goes on with the same trace
                [[delivery]] = self.query("select id from webhook_deliveries"
                                          f" where webhook_id = '{hook}'")
                again = self.post(None, f"/webhook-deliveries/{delivery}/replay", None)
                self.assertEqual(self.told(
                    to, 2, delivery_id=again.json["id"]), expected)
                self.query(f"delete from webhooks where id = '{hook}'")

    def test_so_is_what_an_inbox_received(self):
        to = self.path()
        hook = self.hook(to, "{inbox.received}")
        inbox = self.post(None, "/inboxes", {"name": "I"}).json
        for n, (flags, expected) in enumerate((("01", (1, True, "parent")),
                                               ("00", (0, False, "none"))), 1):
            got = self.stack.api("POST", "/" + inbox["url"].split("/", 3)[3], None,
                                 {"n": n}, {"traceparent":
                                            f"00-{n:032x}-{n:016x}-{flags}"})
            self.assertEqual(got.status, 200, got)
            self.assertEqual(self.told(to, n, webhook_id=hook,
                                       trace_id=f"{n:032x}"), expected)


if __name__ == "__main__":
    main()
