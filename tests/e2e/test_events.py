#!/usr/bin/python3
"""Every route that changes something writes its event, in the transaction of
the change, and none costs more than its round trips: the routes are taken from
/openapi.json, so a new one cannot be forgotten here."""

import os
import signal
import sys

sys.dont_write_bytecode = True

from harness import Redis, Story, main, wait_until  # noqa: E402
from harness.relay import relay  # noqa: E402

T = "/v1/t/{tenant}"
# A change outside of any tenant, which has no event.
OUTSIDE = {("POST", "/v1/sessions"), ("DELETE", "/v1/sessions/current")}
# What is sent to an inbox is nobody's request: test_inboxes.py sees its events.
OUTSIDE |= {(m, "/in/{token}") for m in ("POST", "PUT", "PATCH", "DELETE")}


# An event stands in one of the two.
TOLD = ("(select tenant_id, id, type, subject_id, payload, actor_id, trace_id,"
        " parent_span_id, request_id, created_at from outbox_events union all"
        " select tenant_id, id, type, subject_id, payload, actor_id, trace_id,"
        " parent_span_id, request_id, created_at from events) told")


class Tenants(Story):

    def setUp(self):
        self.t = self.stack.signup()
        self.owner = self.t.user["id"]
        self.project = self.post("/projects", {"name": "P"}, 201)["id"]
        self.task = self.post(f"/projects/{self.project}/tasks",
                              {"title": "T"}, 201)["id"]
        self.key = self.post("/api-keys", {"name": "K", "role": "viewer"}, 201)["id"]
        self.job = self.stack.leave_job(self.t)

    def call(self, method, path, body, status):
        got = self.stack.api(method, self.t.path + path, self.t.session, body)
        self.assertEqual(got.status, status, got)
        return got

    def post(self, path, body, status):
        return self.call("POST", path, body, status).json


    def line_of(self, got):
        return self.stack.pool.wait_line(request_id=got.headers["X-Request-Id"],
                                         msg="request")

    def listed(self, *methods):
        """The routes of these methods."""
        return {(method.upper(), path)
                for path, item in self.stack.api("GET", "/openapi.json").json["paths"].items()
                for method in item if method in methods}


class Changes(Tenants):
    """What there is to be called, a tenant with some of everything."""

    def member(self):
        """Somebody else in the tenant: there are no invitations yet."""
        user = self.stack.signup(key=False).user["id"]
        self.stack.postgres.query(
            "insert into memberships (tenant_id, user_id, role)"
            f" values ('{self.t.id}', '{user}', 'member')")
        return user

    def inbox(self):
        """An inbox, and two requests that it recorded."""
        inbox = self.post("/inboxes", {"name": "I"}, 201)
        for _ in range(2):
            self.stack.api("POST", "/in/" + inbox["url"].split("/in/")[1], body=b"x")
        got = self.call("GET", f"/inboxes/{inbox['id']}/requests", None, 200)
        return inbox["id"], got.json["data"][0]["id"]

    def changes(self):
        """Route: how to call it, and the event that it has to leave."""
        p, k, a, m = (f"/projects/{self.project}", f"/tasks/{self.task}",
                      f"/api-keys/{self.key}", f"/members/{self.member()}")
        i, r = self.inbox()
        i = f"/inboxes/{i}"
        r = f"{i}/requests/{r}"
        return [
            ("POST", T + "/projects", "/projects", {"name": "N"}, 201,
             "project.created"),
            ("PATCH", T + "/projects/{id}", p, {"name": "M"}, 200,
             "project.updated"),
            ("POST", T + "/projects/{id}/tasks", p + "/tasks",
             {"title": "N"}, 201, "task.created"),
            ("PATCH", T + "/tasks/{id}", k, {"status": "done"}, 200,
             "task.updated"),
            ("DELETE", T + "/tasks/{id}", k, None, 204, "task.deleted"),
            ("DELETE", T + "/projects/{id}", p, None, 204, "project.deleted"),
            ("POST", T + "/api-keys", "/api-keys",
             {"name": "N", "role": "member"}, 201, "api_key.created"),
            ("POST", T + "/api-keys/{id}/rotate", a + "/rotate", None, 200,
             "api_key.rotated"),
            ("DELETE", T + "/api-keys/{id}", a, None, 204, "api_key.revoked"),
            ("PATCH", T + "/members/{user_id}", m, {"role": "viewer"}, 200,
             "member.updated"),
            ("DELETE", T + "/members/{user_id}", m, None, 204,
             "member.removed"),
            ("POST", T + "/jobs/{id}/retry", f"/jobs/{self.job}/retry", None, 200,
             "job.retried"),
            ("POST", T + "/jobs/{id}/cancel", f"/jobs/{self.job}/cancel", None, 200,
             "job.cancelled"),
            *self.of_webhooks(),
            ("POST", T + "/inboxes", "/inboxes", {"name": "N"}, 201, "inbox.created"),
            ("PATCH", T + "/inboxes/{id}", i, {"name": "M"}, 200, "inbox.updated"),
            ("POST", T + "/inboxes/{id}/requests/{request_id}/replay", r + "/replay",
             {"url": "http://10.0.0.1/"}, 202, "inbox.replayed"),
            ("DELETE", T + "/inboxes/{id}/requests/{request_id}", r, None, 204,
             "inbox_request.deleted"),
            ("DELETE", T + "/inboxes/{id}/requests", i + "/requests", None, 204,
             "inbox.emptied"),
            ("DELETE", T + "/inboxes/{id}", i, None, 204, "inbox.deleted"),
            ("PATCH", T, "", {"name": "Renamed"}, 200, "tenant.updated"),
            ("DELETE", T, "", None, 204, "tenant.deleted"),
        ]

    def of_webhooks(self):
        """The same of webhooks: there is one, and it was told of something."""
        made = self.post("/webhooks", {"url": "https://example.test/", "event_types": []}, 201)
        w, v = f"/webhooks/{made['id']}", "/webhook-deliveries/"
        told = self.post(w + "/test", None, 202)["id"]
        relay(self.stack.postgres, "drain")
        return [
            ("POST", T + "/webhooks", "/webhooks",
             {"url": "https://example.test/", "event_types": ["task.*"]}, 201, "webhook.created"),
            ("PATCH", T + "/webhooks/{id}", w, {"status": "paused"}, 200, "webhook.updated"),
            ("POST", T + "/webhooks/{id}/rotate-secret", w + "/rotate-secret", None, 200,
             "webhook.rotated"),
            ("POST", T + "/webhooks/{id}/test", w + "/test", None, 202, "webhook.tested"),
            ("POST", T + "/webhook-deliveries/{id}/replay", v + told + "/replay", None, 202,
             "webhook.replayed"),
            ("POST", T + "/webhooks/{id}/replay", w + "/replay",
             {"since": "2026-01-01T00:00:00Z"}, 202, "webhook.replayed"),
            ("DELETE", T + "/webhooks/{id}", w, None, 204, "webhook.removed"),
        ]

    def reads(self):
        """Route: its path. Of what the changes have not touched."""
        i, r = self.inbox()
        told = self.of_webhooks()
        hook, delivery = told[1][2], told[4][2].removesuffix("/replay")
        self.tell()
        event = self.call("GET", "/events", None, 200).json["data"][0]["id"]
        own = {
            "": "", "/members": None, "/members/{user_id}": f"/members/{self.owner}",
            "/api-keys": None, "/api-keys/{id}": f"/api-keys/{self.key}",
            "/projects": None, "/projects/{id}": f"/projects/{self.project}",
            "/projects/{id}/tasks": f"/projects/{self.project}/tasks",
            "/tasks": None, "/tasks/{id}": f"/tasks/{self.task}",
            "/events": None, "/events/{id}": f"/events/{event}",
            "/jobs": None, "/jobs/{id}": f"/jobs/{self.job}",
            "/webhooks": None, "/webhooks/{id}": hook,
            "/webhooks/{id}/deliveries": hook + "/deliveries",
            "/webhook-deliveries/{id}": delivery,
            "/inboxes": None, "/inboxes/{id}": f"/inboxes/{i}",
            "/inboxes/{id}/requests": f"/inboxes/{i}/requests",
            "/inboxes/{id}/requests/{request_id}": f"/inboxes/{i}/requests/{r}"}
        return {"/v1/me": "/v1/me", **{
            T + route: self.t.path + (route if path is None else path)
            for route, path in own.items()}}

    def tell(self):
        relay(self.stack.postgres, "drain")

    def assertOneTrip(self, got, route, pg=1):
        """To PostgreSQL one, or as many; to Redis one at the most. Neither where
        Redis answered for PostgreSQL."""
        line = self.line_of(got)
        trips = line["rt"]
        self.assertLessEqual(trips["redis"], int(self.redis is not None), (route, line))
        self.assertEqual(trips["pg"], 0 if line["cache"] == "hit" else pg, (route, line))


class RoundTrips(Changes):
    """DESIGN 3, for each route that there is. Twice, for Redis may know the second."""

    redis = Redis

    def test_each_read_costs_one(self):
        reads = self.reads()
        for route, path in reads.items():
            for _ in range(2):
                got = self.stack.api("GET", path, self.t.session)
                self.assertEqual(got.status, 200, got)
                self.assertOneTrip(got, route)
        self.assertEqual({path for _, path in self.listed("get")} - set(reads),
                         {"/livez", "/readyz", "/openapi.json", "/in/{token}"})

    def test_each_change_costs_one(self):
        for method, route, path, body, status, _ in self.changes():
            self.assertOneTrip(self.call(method, path, body, status), (method, route))

    def test_a_password_costs_two(self):
        t = self.stack.signup()
        self.assertOneTrip(self.expect(201, "POST", "/v1/sessions", None, {
            "email": t.email, "password": t.password}), "/v1/sessions", pg=2)
        self.assertOneTrip(self.expect(204, "DELETE", "/v1/sessions/current", t.session),
                           "/v1/sessions/current")


class RoundTripsWithoutRedis(RoundTrips):

    redis = None


class Events(Changes):

    def events(self, request_id):
        return self.stack.postgres.query(
            "select type, encode(trace_id, 'hex'), encode(parent_span_id, 'hex'),"
            f" actor_id, tenant_id from {TOLD} where request_id = '{request_id}'")

    def test_each_change_leaves_its_event(self):
        done = {("POST", "/v1/signup")}
        for method, route, path, body, status, event in self.changes():
            got = self.call(method, path, body, status)
            line = self.line_of(got)
            self.assertEqual(self.events(line["request_id"]), [
                [event, line["trace_id"], line["span_id"], self.owner,
                 self.t.id]], (method, route))
            done.add((method, route))
        self.assertEqual(done | OUTSIDE, self.listed("post", "put", "patch", "delete"))

    def test_a_sign_up_leaves_the_tenants_first_event(self):
        types = self.stack.postgres.query(
            f"select type, actor_id from {TOLD} where tenant_id ="
            f" '{self.t.id}' order by created_at, id limit 1")
        self.assertEqual(types, [["tenant.created", self.owner]])

    def test_what_fails_leaves_none(self):
        unknown = "01890a5d-ac96-774b-bcce-b302099a8057"
        for method, path, body, status in (
                ("POST", f"/projects/{unknown}/tasks", {"title": "T"}, 404),
                ("POST", f"/projects/{self.project}/tasks",
                 {"title": "T", "assignee_id": unknown}, 422),
                ("PATCH", f"/tasks/{unknown}", {"title": "T"}, 404),
                ("DELETE", f"/projects/{unknown}", None, 404),
                ("POST", f"/jobs/{unknown}/retry", None, 404),
                ("POST", f"/jobs/{unknown}/cancel", None, 404),
                ("DELETE", f"/members/{self.owner}", None, 409)):
            got = self.call(method, path, body, status)
            self.assertEqual(self.events(got.headers["X-Request-Id"]), [], path)

    def test_a_created_task_is_told_whole(self):
        task = self.post(f"/projects/{self.project}/tasks", {
            "title": "T", "body": "B\u0001", "due_at": "2027-01-02T03:04:05Z"}, 201)
        self.assertEqual(task, self.call("GET", f"/tasks/{task['id']}", None, 200).json)
        [[payload]] = self.stack.postgres.query(
            "select (payload->>'created_at')::timestamptz ="
            f" '{task['created_at']}' and payload->'updated_at' ="
            " payload->'created_at' and payload->>'title' = 'T' and"
            " payload->>'body' = e'B\\x01' and payload->>'status' = 'open' and"
            " payload->>'version' = '1' and (payload->>'due_at')::timestamptz ="
            f" '{task['due_at']}' from {TOLD} where subject_id ="
            f" '{task['id']}'")
        self.assertEqual(payload, "t")


class Feed(Tenants):
    """GET /v1/t/{tenant}/events, once the relay has told."""

    def setUp(self):
        super().setUp()
        self.tell()

    def tell(self):
        relay(self.stack.postgres, "drain")

    def get(self, query="", token=None, status=200):
        got = self.stack.api("GET", f"{self.t.path}/events{query}", token or self.t.token)
        self.assertEqual(got.status, status, got)
        return got

    def types(self, query=""):
        return [e["type"] for e in self.get(query).json["data"]]

    def test_a_tenants_history_the_oldest_first(self):
        self.assertEqual(self.types(), [
            "tenant.created", "api_key.created", "project.created", "task.created",
            "api_key.created"])

    def test_an_event_says_what_who_and_by_which_request(self):
        got = self.call("PATCH", f"/projects/{self.project}", {"name": "Renamed"}, 200)
        line = self.stack.pool.wait_line(request_id=got.headers["X-Request-Id"])
        self.tell()
        event = self.get("?type=project.updated").json["data"][0]
        one = self.call("GET", f"/events/{event['id']}", None, 200)
        self.assertEqual(one.json, event)
        payload = event.pop("payload")
        self.assertEqual({k: payload[k] for k in ("id", "name", "status", "version")}, {
            "id": self.project, "name": "Renamed", "status": "active", "version": 2})
        self.assertRegex(event.pop("created_at"), r"^20..-..-..T.*Z$")
        self.assertRegex(event.pop("id"), r"^[0-9a-f-]{36}$")
        self.assertEqual(event, {
            "type": "project.updated", "subject_id": self.project,
            "actor_id": self.owner, "trace_id": line["trace_id"],
            "request_id": line["request_id"]})

    def test_a_page_after_the_other_and_no_end(self):
        all_of_them = self.get().json["data"]
        seen, query, pages = [], "?limit=2", 0
        while True:
            got = self.get(query)
            self.assertIn('rel="next"', got.headers["Link"])
            seen += got.json["data"]
            pages += 1
            query = f"?limit=2&cursor={got.json['next_cursor']}"
            if len(got.json["data"]) < 2:
                break
        self.assertEqual((seen, pages), (all_of_them, 3))
        # nothing yet: the same place
        again = self.get(query)
        self.assertEqual((again.json["data"], query), (
            [], f"?limit=2&cursor={again.json['next_cursor']}"))
        self.post("/projects", {"name": "New"}, 201)
        self.tell()
        self.assertEqual(self.types(query), ["project.created"])

    def test_who_comes_too_early_misses_nothing(self):
        early = self.stack.signup()
        path = f"{early.path}/events"
        empty = self.expect(200, "GET", path, early.token).json
        self.assertEqual(empty["data"], [])
        # also of a page that was empty twice
        cursor = self.expect(200, "GET", f"{path}?cursor={empty['next_cursor']}",
                             early.token).json["next_cursor"]
        self.assertEqual(cursor, empty["next_cursor"])
        self.tell()
        got = self.expect(200, "GET", f"{path}?cursor={cursor}", early.token).json
        self.assertEqual([e["type"] for e in got["data"]],
                         ["tenant.created", "api_key.created"])

    def test_of_one_type(self):
        self.assertEqual(self.types("?type=api_key.created&limit=1"), ["api_key.created"])
        cursor = self.get("?type=api_key.created&limit=1").json["next_cursor"]
        self.assertEqual(self.types(f"?type=api_key.created&cursor={cursor}"),
                         ["api_key.created"])
        self.assertEqual(self.types("?type=nothing.happened"), [])
        for query in (f"?cursor={cursor}", f"?type=task.created&cursor={cursor}",
                      "?cursor=x", "?type=", "?limit=101", "?kind=x"):
            self.assertProblem(self.get(query, status=400), 400)

    def test_a_viewer_reads_it_and_nobody_elses(self):
        self.get(token=self.stack.key(self.t, "viewer"))
        other = self.stack.signup()
        self.assertProblem(self.get(token=other.token, status=404), 404)
        self.tell()
        theirs = self.expect(200, "GET", f"{other.path}/events", other.token).json["data"]
        self.assertEqual({e["actor_id"] for e in theirs}, {other.user["id"]})
        self.assertProblem(self.call("GET", f"/events/{theirs[0]['id']}", None, 404),
                           404)
        self.assertProblem(self.expect(404, "GET", f"{self.t.path}/events/x",
                                       self.t.token), 404)

    def test_one_round_trip(self):
        self.get()      # by which this host knows the tenant
        for query in ("", "?type=task.created", "?limit=100"):
            got = self.get(query)
            line = self.stack.pool.wait_line(request_id=got.headers["X-Request-Id"])
            self.assertEqual(line["rt"], {"pg": 1, "redis": 0}, line)

    def test_the_reference_has_it(self):
        paths = self.stack.api("GET", "/openapi.json").json
        route = paths["paths"][T + "/events"]["get"]
        self.assertLessEqual({"type", "cursor", "limit"},
                             {p["name"] for p in route["parameters"] if "name" in p})
        self.assertEqual(paths["components"]["schemas"]["Event"]["properties"]
                         ["payload"]["type"], "object")


class Told(Story):
    """The relay as rowhouse-jobs does it."""

    jobs = True
    exporter = True
    settings = {"jobs_workers": 2}

    def setUp(self):
        self.t = self.stack.signup()

    def create(self, name):
        return self.expect(201, "POST", f"{self.t.path}/projects", self.t.token,
                           {"name": name}).json["id"]

    def told(self):
        """(type, name) of all that happened to projects, page by page."""
        got, query = [], "?limit=100"
        while True:
            page = self.expect(200, "GET", f"{self.t.path}/events{query}",
                               self.t.token).json
            got += [(e["type"], e["payload"].get("name")) for e in page["data"]
                    if e["type"].startswith("project.")]
            if len(page["data"]) < 100:
                return got
            query = f"?limit=100&cursor={page['next_cursor']}"

    def wait_told(self, n):
        wait_until(lambda: len(self.told()) >= n, f"{n} are told", 60.0)
        return self.told()

    def value(self, series):
        return self.stack.exporter.value(f"rowhouse_outbox_{series}")

    def test_what_happens_is_told(self):
        self.create("told")
        self.assertEqual(self.wait_told(1), [("project.created", "told")])

    def test_workers_killed_all_the_while_each_is_told_once(self):
        wanted = []
        for i in range(10):
            project = self.create(f"p{i}")
            wanted.append(("project.created", f"p{i}"))
            for pid in sorted(self.stack.jobs.answering())[:1]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:      # its own end came first
                    pass
            for j in range(3):
                self.expect(200, "PATCH", f"{self.t.path}/projects/{project}",
                            self.t.token, {"name": f"p{i}.{j}"})
                wanted.append(("project.updated", f"p{i}.{j}"))
        got = self.wait_told(len(wanted))
        self.assertEqual(sorted(got), sorted(wanted))
        for i in range(10):
            of_one = [e for e in got if e[1].split(".")[0] == f"p{i}"]
            self.assertEqual(of_one, wanted[4 * i:4 * i + 4])

    def test_what_waits_is_counted(self):
        with self.stack.postgres.session() as other:
            other.run("begin; select pg_advisory_xact_lock(events_lock()) \\g /dev/null\n")
            for i in range(3):
                self.create(f"w{i}")
            wait_until(lambda: self.value("pending") >= 3 and self.value("lag_seconds") > 0,
                       "they are counted", 30.0)
            self.assertEqual(self.told(), [])
        self.assertEqual(len(self.wait_told(3)), 3)
        wait_until(lambda: self.value("pending") == 0 == self.value("lag_seconds"),
                   "nothing waits", 30.0)


if __name__ == "__main__":
    main()
