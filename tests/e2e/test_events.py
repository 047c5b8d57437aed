#!/usr/bin/python3
"""Every route that changes something writes its event, in the transaction of
the change: the routes are taken from /openapi.json, so a new one cannot be
forgotten here."""

import sys

sys.dont_write_bytecode = True

from harness import Story, main  # noqa: E402

T = "/v1/t/{tenant}"
# A change outside of any tenant, which has no event.
OUTSIDE = {("POST", "/v1/sessions"), ("DELETE", "/v1/sessions/current")}


class Events(Story):

    def setUp(self):
        self.t = self.stack.signup()
        self.owner = self.t.user["id"]
        self.project = self.post("/projects", {"name": "P"}, 201)["id"]
        self.task = self.post(f"/projects/{self.project}/tasks",
                              {"title": "T"}, 201)["id"]
        self.key = self.post("/api-keys", {"name": "K", "role": "viewer"}, 201)["id"]

    def call(self, method, path, body, status):
        got = self.stack.api(method, self.t.path + path, self.t.session, body)
        self.assertEqual(got.status, status, got)
        return got

    def post(self, path, body, status):
        return self.call("POST", path, body, status).json

    def member(self):
        """Somebody else in the tenant: there are no invitations yet."""
        user = self.stack.signup(key=False).user["id"]
        self.stack.postgres.query(
            "insert into memberships (tenant_id, user_id, role)"
            f" values ('{self.t.id}', '{user}', 'member')")
        return user

    def changes(self):
        """Route: how to call it, and the event that it has to leave."""
        p, k, a, m = (f"/projects/{self.project}", f"/tasks/{self.task}",
                      f"/api-keys/{self.key}", f"/members/{self.member()}")
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
            ("PATCH", T, "", {"name": "Renamed"}, 200, "tenant.updated"),
            ("DELETE", T, "", None, 204, "tenant.deleted"),
        ]

    def events(self, request_id):
        return self.stack.postgres.query(
            "select type, encode(trace_id, 'hex'), encode(parent_span_id, 'hex'),"
            f" actor_id, tenant_id from outbox_events where request_id = '{request_id}'")

    def test_each_change_leaves_its_event(self):
        done = {("POST", "/v1/signup")}
        for method, route, path, body, status, event in self.changes():
            got = self.call(method, path, body, status)
            line = self.stack.pool.wait_line(request_id=got.headers["X-Request-Id"],
                                             msg="request")
            self.assertEqual(self.events(line["request_id"]), [
                [event, line["trace_id"], line["span_id"], self.owner,
                 self.t.id]], (method, route))
            done.add((method, route))
        listed = {(method.upper(), path)
                  for path, item in self.stack.api("GET", "/openapi.json").json["paths"].items()
                  for method in item if method in ("post", "put", "patch", "delete")}
        self.assertEqual(done | OUTSIDE, listed)

    def test_a_sign_up_leaves_the_tenants_first_event(self):
        types = self.stack.postgres.query(
            "select type, actor_id from outbox_events where tenant_id ="
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
                ("DELETE", f"/members/{self.owner}", None, 409)):
            got = self.call(method, path, body, status)
            self.assertEqual(self.events(got.headers["X-Request-Id"]), [], path)

    def test_a_created_task_is_told_whole(self):
        task = self.post(f"/projects/{self.project}/tasks", {
            "title": "T", "body": "B", "due_at": "2027-01-02T03:04:05Z"}, 201)
        [[payload]] = self.stack.postgres.query(
            "select (payload->>'created_at')::timestamptz ="
            f" '{task['created_at']}' and payload->>'title' = 'T' and"
            " payload->>'body' = 'B' and payload->>'status' = 'open' and"
            " payload->>'version' = '1' and (payload->>'due_at')::timestamptz ="
            f" '{task['due_at']}' from outbox_events where subject_id ="
            f" '{task['id']}'")
        self.assertEqual(payload, "t")


if __name__ == "__main__":
    main()
