#!/usr/bin/python3
"""The resources, as a client sees them: roles, problems, versions, pages."""

import sys

sys.dont_write_bytecode = True

from harness import Story, main  # noqa: E402

UNKNOWN_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


class Accounts(Story):

    def test_signup_answers_user_tenant_and_token(self):
        got = self.stack.api("POST", "/v1/signup", body={
            "email": "a@accounts.example", "password": "long enough password",
            "name": "A", "tenant": {"slug": "accounts-a", "name": "Tenant A"}})
        self.assertEqual(got.status, 201, got)
        self.assertEqual(sorted(got.json), ["expires_at", "tenant", "token", "user"])
        self.assertRegex(got.json["token"], r"\Arhs_[0-9A-Za-z]{38}\Z")
        self.assertEqual(got.json["tenant"]["slug"], "accounts-a")
        self.assertEqual(got.json["user"]["email"], "a@accounts.example")
        self.assertEqual(got.headers["Cache-Control"], "no-store")
        self.assertNotIn(b"password", got.body)

    def test_slug_and_email_are_given_once(self):
        body = {"email": "b@accounts.example", "password": "long enough password",
                "name": "B", "tenant": {"slug": "accounts-b", "name": "B"}}
        self.expect(201, "POST", "/v1/signup", body=body)
        again = self.stack.api("POST", "/v1/signup", body={
            **body, "email": "other@accounts.example"})
        self.assertProblem(again, 409)
        again = self.stack.api("POST", "/v1/signup", body={
            **body, "tenant": {"slug": "accounts-b2", "name": "B"}})
        self.assertProblem(again, 409)

    def test_unknown_email_and_wrong_password_look_the_same(self):
        t = self.stack.signup()
        wrong = self.stack.api("POST", "/v1/sessions", body={
            "email": t.email, "password": "not the password"})
        unknown = self.stack.api("POST", "/v1/sessions", body={
            "email": "nobody@accounts.example", "password": "not the password"})
        for got in (wrong, unknown):
            self.assertProblem(got, 401)
            for own in ("request_id", "trace_id"):
                del got.json[own]
        self.assertEqual(wrong.json, unknown.json)

    def test_a_session_ends_with_its_sign_out(self):
        t = self.stack.signup()
        token = self.expect(201, "POST", "/v1/sessions", body={
            "email": t.email, "password": t.password}).json["token"]
        self.expect(200, "GET", t.path, token)
        self.expect(204, "DELETE", "/v1/sessions/current", token)
        self.assertProblem(self.stack.api("GET", t.path, token), 401)
        self.expect(200, "GET", t.path, t.session)

    def test_me_lists_memberships(self):
        t = self.stack.signup()
        me = self.expect(200, "GET", "/v1/me", t.session).json
        self.assertEqual(me["user"]["email"], t.email)
        self.assertEqual(len(me["memberships"]), 1)
        self.assertEqual(me["memberships"][0]["role"], "owner")

    def test_no_and_bad_tokens_are_401(self):
        t = self.stack.signup()
        good = t.token
        swapped = good[:-1] + ("0" if good[-1] != "0" else "1")
        for token in (None, "", "rhk_short", swapped, "rhs_" + good[4:],
                      "rhk_" + "0" * 38, "x" * 4000, "rhk_%00" + good[8:]):
            with self.subTest(token=token and token[:12]):
                got = self.stack.api("GET", t.path, headers={
                    "Authorization": f"Bearer {token}"} if token is not None else None)
                self.assertProblem(got, 401)
                self.assertIn("Bearer", got.headers["WWW-Authenticate"])
        got = self.stack.api("GET", t.path, headers={"Authorization": "Basic YTpi"})
        self.assertProblem(got, 401)


class Tenancy(Story):

    def test_a_foreign_tenant_is_one_that_does_not_exist(self):
        mine, other = self.stack.signup("here-01"), self.stack.signup("ther-02")
        paths = ["", "/projects", "/members", "/api-keys", "/tasks",
                 f"/projects/{UNKNOWN_ID}", f"/projects/{UNKNOWN_ID}/tasks"]
        for token in (mine.token, mine.session):
            for path in paths:
                with self.subTest(path=path, kind=token[:3]):
                    foreign = self.stack.api("GET", f"/v1/t/ther-02{path}", token)
                    unknown = self.stack.api("GET", f"/v1/t/none-03{path}", token)
                    self.assertProblem(foreign, 404)
                    self.assertEqual(self.bare(foreign, "ther-02"),
                                     self.bare(unknown, "none-03"))
        self.assertEqual(other.slug, "ther-02")

    def bare(self, reply, slug):
        """What is left when ids, times and the slug that was asked for go."""
        body = reply.body.decode().replace(slug, "SLUG")
        for name in ("request_id", "trace_id"):
            body = body.replace(reply.json[name], name)
        drop = {"date", "x-request-id", "traceresponse", "server-timing",
                "ratelimit"}
        return body, sorted((k.lower(), v) for k, v in reply.headers.items()
                            if k.lower() not in drop)

    def test_rows_of_another_tenant_are_404(self):
        mine, other = self.stack.signup(), self.stack.signup()
        theirs = self.expect(201, "POST", f"{other.path}/projects", other.token,
                             {"name": "Theirs"}).json["id"]
        for method, body in (("GET", None), ("PATCH", {"name": "Mine"}),
                             ("DELETE", None)):
            got = self.stack.api(method, f"{mine.path}/projects/{theirs}",
                                 mine.token, body)
            self.assertProblem(got, 404)
        self.assertProblem(self.stack.api(
            "POST", f"{mine.path}/projects/{theirs}/tasks", mine.token,
            {"title": "x"}), 404)
        self.assertProblem(self.stack.api(
            "GET", f"{mine.path}/projects/{theirs}/tasks", mine.token), 404)
        self.expect(200, "GET", f"{other.path}/projects/{theirs}", other.token)

    def test_an_owner_changes_and_deletes_the_tenant(self):
        t = self.stack.signup()
        got = self.expect(200, "PATCH", t.path, t.token, {"name": "Renamed"})
        self.assertEqual(got.json["name"], "Renamed")
        admin = self.stack.key(t, "admin")
        self.assertProblem(self.stack.api("PATCH", t.path, admin, {"name": "x"}), 403)
        self.assertProblem(self.stack.api("DELETE", t.path, admin), 403)
        self.expect(204, "DELETE", t.path, t.session)
        got = self.stack.api("GET", f"{t.path}/projects", t.session)
        self.assertIn(got.status, (401, 404), got)
        again = self.stack.api("POST", "/v1/signup", body={
            "email": "heir@tenancy.example", "password": "long enough password",
            "name": "Heir", "tenant": {"slug": t.slug, "name": "Again"}})
        self.assertProblem(again, 409)


class Roles(Story):

    def test_each_role_may_what_it_may(self):
        t = self.stack.signup()
        keys = {role: self.stack.key(t, role)
                for role in ("viewer", "member", "admin", "owner")}
        project = self.expect(201, "POST", f"{t.path}/projects", t.token,
                              {"name": "P"}).json["id"]
        rank = ["viewer", "member", "admin", "owner"]
        rows = [
            ("GET", "/projects", None, "viewer", 200),
            ("GET", f"/projects/{project}", None, "viewer", 200),
            ("GET", "/tasks", None, "viewer", 200),
            ("POST", "/projects", {"name": "N"}, "member", 201),
            ("PATCH", f"/projects/{project}", {"description": "d"}, "member", 200),
            ("POST", f"/projects/{project}/tasks", {"title": "t"}, "member", 201),
            ("GET", "/api-keys", None, "admin", 200),
            ("POST", "/api-keys", {"name": "k", "role": "viewer"}, "admin", 201),
            ("PATCH", "", {"name": "T"}, "owner", 200),
        ]
        for method, path, body, least, status in rows:
            for role in rank:
                with self.subTest(f"{method} {path} as {role}"):
                    got = self.stack.api(method, t.path + path, keys[role], body)
                    if rank.index(role) >= rank.index(least):
                        self.assertEqual(got.status, status, got)
                    else:
                        self.assertProblem(got, 403)

    def test_nobody_gives_a_role_above_their_own(self):
        t = self.stack.signup()
        admin = self.stack.key(t, "admin")
        got = self.stack.api("POST", f"{t.path}/api-keys", admin,
                             {"name": "k", "role": "owner"})
        self.assertProblem(got, 403)

    def test_the_last_owner_cannot_go(self):
        t = self.stack.signup()
        member = f"{t.path}/members/{t.user['id']}"
        for got in (self.stack.api("DELETE", member, t.session),
                    self.stack.api("PATCH", member, t.session, {"role": "viewer"})):
            self.assertProblem(got, 409)
        members = self.expect(200, "GET", f"{t.path}/members", t.session).json["data"]
        self.assertEqual([m["role"] for m in members], ["owner"])


class ApiKeys(Story):

    def test_a_key_lives_until_revoked(self):
        t = self.stack.signup()
        made = self.expect(201, "POST", f"{t.path}/api-keys", t.session,
                           {"name": "ci", "role": "member"})
        key = made.json["key"]
        self.assertRegex(key, r"\Arhk_[0-9A-Za-z]{38}\Z")
        self.assertEqual(made.headers["Cache-Control"], "no-store")
        self.expect(200, "GET", f"{t.path}/projects", key)
        listed = self.expect(200, "GET", f"{t.path}/api-keys", t.session)
        self.assertIn(made.json["id"], [k["id"] for k in listed.json["data"]])
        self.assertNotIn(key.encode(), listed.body)
        self.assertNotIn(key[4:].encode(), listed.body)
        self.expect(200, "GET", f"{t.path}/api-keys/{made.json['id']}", t.session)
        self.expect(204, "DELETE", f"{t.path}/api-keys/{made.json['id']}", t.session)
        self.assertProblem(self.stack.api("GET", f"{t.path}/projects", key), 401)

    def test_rotation_gives_another_key(self):
        t = self.stack.signup()
        made = self.expect(201, "POST", f"{t.path}/api-keys", t.session,
                           {"name": "ci", "role": "member"}).json
        got = self.stack.api("POST", f"{t.path}/api-keys/{made['id']}/rotate",
                             t.session)
        self.assertIn(got.status, (200, 201), got)
        self.assertNotEqual(got.json["key"], made["key"])
        self.expect(200, "GET", f"{t.path}/projects", got.json["key"])
        self.assertProblem(self.stack.api("GET", f"{t.path}/projects", made["key"]), 401)

    def test_an_expired_key_is_401(self):
        t = self.stack.signup()
        made = self.expect(201, "POST", f"{t.path}/api-keys", t.session, {
            "name": "old", "role": "member",
            "expires_at": "2099-01-01T00:00:00Z"}).json
        self.expect(200, "GET", t.path, made["key"])
        # behind the API's back, so of nothing that it has cached
        self.stack.postgres.query("update api_keys set expires_at = now() - interval"
                                  f" '1 hour' where id = '{made['id']}'")
        self.assertProblem(self.stack.api("GET", f"{t.path}/projects", made["key"]), 401)


class Projects(Story):

    def project(self, t, **members):
        return self.expect(201, "POST", f"{t.path}/projects", t.token,
                           {"name": "P", **members})

    def test_one_is_made_read_changed_deleted(self):
        t = self.stack.signup()
        made = self.project(t, description="first")
        self.assertEqual(made.headers["Location"],
                         f"{t.path}/projects/{made.json['id']}")
        for name in ("id", "created_at", "updated_at", "version"):
            self.assertIn(name, made.json)
        self.assertRegex(made.json["id"],
                         r"\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab]")
        self.assertRegex(made.json["created_at"],
                         r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
        self.assertEqual(made.json["status"], "active")
        path = made.headers["Location"]
        read = self.expect(200, "GET", path, t.token)
        self.assertEqual(read.json, made.json)
        changed = self.expect(200, "PATCH", path, t.token, {"status": "archived"})
        self.assertEqual(changed.json["status"], "archived")
        self.assertEqual(changed.json["name"], "P")
        self.assertGreater(changed.json["version"], made.json["version"])
        self.expect(204, "DELETE", path, t.token)
        self.assertProblem(self.stack.api("GET", path, t.token), 404)
        self.assertProblem(self.stack.api("DELETE", path, t.token), 404)

    def test_versions_guard_reads_and_writes(self):
        t = self.stack.signup()
        path = self.project(t).headers["Location"]
        read = self.expect(200, "GET", path, t.token)
        tag = read.headers["ETag"]
        self.assertEqual(read.headers["Cache-Control"], "private, no-cache")
        for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            got = self.expect(304, "GET", path, t.token,
                              headers={"If-None-Match": header})
            self.assertEqual(got.body, b"")
            self.assertEqual(got.headers["ETag"], tag)
        self.expect(200, "GET", path, t.token, headers={"If-None-Match": '"other"'})
        changed = self.expect(200, "PATCH", path, t.token, {"name": "Q"},
                              {"If-Match": tag})
        self.assertNotEqual(changed.headers["ETag"], tag)
        for method, body in (("PATCH", {"name": "R"}), ("DELETE", None)):
            got = self.stack.api(method, path, t.token, body, {"If-Match": tag})
            self.assertProblem(got, 412)
        self.assertEqual(self.expect(200, "GET", path, t.token).json["name"], "Q")
        self.expect(200, "GET", path, t.token, headers={"If-None-Match": tag})
        self.expect(204, "DELETE", path, t.token,
                    headers={"If-Match": changed.headers["ETag"]})

    def test_a_merge_patch_changes_what_it_names(self):
        t = self.stack.signup()
        path = self.project(t, description="text").headers["Location"]
        got = self.expect(200, "PATCH", path, t.token, b'{"description":""}',
                          {"Content-Type": "application/merge-patch+json"})
        self.assertEqual((got.json["name"], got.json["description"]), ("P", ""))
        got = self.expect(200, "PATCH", path, t.token, {})
        self.assertEqual(got.json["name"], "P")
        self.assertProblem(self.stack.api("PATCH", path, t.token, {"name": None}), 422)

    def test_faults_of_a_body_are_named(self):
        t = self.stack.signup()
        got = self.stack.api("POST", f"{t.path}/projects", t.token,
                             {"status": "gone", "colour": "red"})
        self.assertProblem(got, 422)
        pointers = sorted(e["pointer"] for e in got.json["errors"])
        self.assertEqual(pointers, ["/colour", "/name", "/status"])
        for error in got.json["errors"]:
            self.assertTrue(error["detail"])

    def test_pages_hold_every_row_once(self):
        t = self.stack.signup()
        made = [self.project(t, name=f"P{i}").json["id"] for i in range(45)]
        path, seen, sizes = f"{t.path}/projects", [], []
        while path:
            got = self.expect(200, "GET", path, t.token)
            seen += [p["id"] for p in got.json["data"]]
            sizes.append(len(got.json["data"]))
            cursor = got.json["next_cursor"]
            if cursor is None:
                self.assertIsNone(got.headers.get("Link"))
                path = None
            else:
                link = got.headers["Link"]
                self.assertTrue(link.endswith('>; rel="next"'), link)
                path = link[link.index("<") + 1:link.index(">")]
                self.assertIn(cursor, path)
        self.assertEqual(sizes, [20, 20, 5])
        self.assertEqual(seen, made[::-1])

    def test_an_exact_page_has_no_next(self):
        t = self.stack.signup()
        for i in range(3):
            self.project(t, name=f"P{i}")
        got = self.expect(200, "GET", f"{t.path}/projects?limit=3", t.token).json
        self.assertEqual((len(got["data"]), got["next_cursor"]), (3, None))
        got = self.expect(200, "GET", f"{t.path}/projects?limit=2", t.token).json
        self.assertIsNotNone(got["next_cursor"])

    def test_a_filter_and_its_cursor_belong_together(self):
        t = self.stack.signup()
        for i in range(6):
            self.project(t, name=f"P{i}", status="archived" if i % 2 else "active")
        got = self.expect(200, "GET", f"{t.path}/projects?status=archived&limit=2",
                          t.token).json
        self.assertEqual({p["status"] for p in got["data"]}, {"archived"})
        cursor = got["next_cursor"]
        rest = self.expect(200, "GET", f"{t.path}/projects?status=archived&limit=2"
                           f"&cursor={cursor}", t.token).json
        self.assertEqual(len(rest["data"]), 1)
        for path in (f"{t.path}/projects?cursor={cursor}",
                     f"{t.path}/projects?status=active&cursor={cursor}",
                     f"{t.path}/tasks?cursor={cursor}"):
            self.assertProblem(self.stack.api("GET", path, t.token), 400)

    def test_cursors_that_are_not_ours_are_400(self):
        t, other = self.stack.signup(), self.stack.signup()
        for who in (t, other):
            for i in range(2):
                self.project(who, name=f"P{i}")
        cursor = self.expect(200, "GET", f"{t.path}/projects?limit=1",
                             t.token).json["next_cursor"]
        theirs = self.expect(200, "GET", f"{other.path}/projects?limit=1",
                             other.token).json["next_cursor"]
        bad = [cursor[:i] + ("A" if cursor[i] != "A" else "B") + cursor[i + 1:]
               for i in range(len(cursor))]
        bad += [cursor[:-1], cursor + "A", "x", "%00", "....", theirs, "A" * 4000]
        for text in bad:
            with self.subTest(cursor=text[:50]):
                self.assertProblem(self.stack.api(
                    "GET", f"{t.path}/projects?cursor={text}", t.token), 400)

    def test_query_parameters_are_strict(self):
        t = self.stack.signup()
        for query in ("limit=0", "limit=101", "limit=-1", "limit=1.5", "limit=x",
                      "limit=", "limit=1&limit=2", "status=gone", "unknown=1",
                      "limit=99999999999999999999"):
            with self.subTest(query):
                got = self.stack.api("GET", f"{t.path}/projects?{query}", t.token)
                self.assertIn(got.status, (400, 422), got)
                self.assertProblem(got, got.status)
        self.expect(200, "GET", f"{t.path}/projects?limit=100", t.token)


class Tasks(Story):

    def test_tasks_live_in_projects(self):
        t = self.stack.signup()
        project = self.expect(201, "POST", f"{t.path}/projects", t.token,
                              {"name": "P"}).json["id"]
        made = self.expect(201, "POST", f"{t.path}/projects/{project}/tasks",
                           t.token, {"title": "Täsk \U0001f600", "body": "b",
                                     "due_at": "2027-01-02T03:04:05+01:00",
                                     "assignee_id": t.user["id"]})
        self.assertEqual(made.json["title"], "Täsk \U0001f600")
        self.assertEqual(made.json["status"], "open")
        self.assertEqual(made.json["due_at"], "2027-01-02T02:04:05.000000Z")
        self.assertEqual(made.headers["Location"], f"{t.path}/tasks/{made.json['id']}")
        path = made.headers["Location"]
        self.assertEqual(self.expect(200, "GET", path, t.token).json, made.json)
        for listing in (f"{t.path}/projects/{project}/tasks", f"{t.path}/tasks",
                        f"{t.path}/tasks?status=open",
                        f"{t.path}/tasks?assignee_id={t.user['id']}"):
            got = self.expect(200, "GET", listing, t.token).json
            self.assertEqual([x["id"] for x in got["data"]], [made.json["id"]], listing)
        got = self.expect(200, "GET", f"{t.path}/tasks?status=done", t.token).json
        self.assertEqual(got["data"], [])
        got = self.expect(200, "PATCH", path, t.token,
                          {"status": "done", "assignee_id": None, "body": None})
        self.assertEqual([got.json[k] for k in ("status", "assignee_id", "body", "due_at")],
                         ["done", None, None, made.json["due_at"]])
        self.expect(204, "DELETE", path, t.token)
        self.assertProblem(self.stack.api("GET", path, t.token), 404)

    def test_a_project_that_is_not_there_is_404(self):
        t = self.stack.signup()
        for project in (UNKNOWN_ID, "not-a-uuid", "0"):
            path = f"{t.path}/projects/{project}/tasks"
            self.assertProblem(self.stack.api("GET", path, t.token), 404)
            self.assertProblem(self.stack.api("POST", path, t.token,
                                              {"title": "x"}), 404)

    def test_an_assignee_is_a_member(self):
        t, other = self.stack.signup(), self.stack.signup()
        project = self.expect(201, "POST", f"{t.path}/projects", t.token,
                              {"name": "P"}).json["id"]
        for who in (other.user["id"], UNKNOWN_ID):
            got = self.stack.api("POST", f"{t.path}/projects/{project}/tasks",
                                 t.token, {"title": "x", "assignee_id": who})
            self.assertIn(got.status, (404, 409, 422), got)
            self.assertProblem(got, got.status)


class Protocol(Story):

    def test_405_names_what_is_allowed(self):
        t = self.stack.signup()
        rows = [("PUT", f"{t.path}/projects", {"GET", "POST"}),
                ("POST", f"{t.path}/projects/{UNKNOWN_ID}", {"GET", "PATCH", "DELETE"}),
                ("GET", "/v1/signup", {"POST"}),
                ("BREW", "/v1/signup", {"POST"})]
        for method, path, allowed in rows:
            with self.subTest(f"{method} {path}"):
                got = self.stack.api(method, path, t.token)
                self.assertProblem(got, 405)
                allow = {a.strip() for a in got.headers["Allow"].split(",")}
                self.assertEqual(allow - {"HEAD", "OPTIONS"}, allowed)

    def test_an_unknown_path_is_a_problem(self):
        for path in ("/", "/v1", "/v1/", "/v2/me", "/v1/t", "/v1/me/"):
            with self.subTest(path):
                self.assertProblem(self.stack.api("GET", path), 404)

    def test_only_json_is_taken(self):
        t = self.stack.signup()
        path = f"{t.path}/projects"
        for kind in ("text/plain", "application/x-www-form-urlencoded",
                     "multipart/form-data; boundary=x", "application/jsonx"):
            with self.subTest(kind):
                self.assertProblem(self.stack.api(
                    "POST", path, t.token, b'{"name":"x"}',
                    {"Content-Type": kind}), 415)
        for kind in ("application/json", "application/json; charset=utf-8",
                     "Application/JSON"):
            self.expect(201, "POST", path, t.token, b'{"name":"x"}',
                        {"Content-Type": kind})

    def test_a_body_over_1_mib_is_413(self):
        t = self.stack.signup()
        body = b'{"name":"x","description":"' + b"y" * (1 << 20) + b'"}'
        got = self.stack.api("POST", f"{t.path}/projects", t.token, body,
                             {"Content-Type": "application/json"})
        self.assertProblem(got, 413)
        self.expect(200, "GET", f"{t.path}/projects", t.token)

    def test_head_is_get_without_its_body(self):
        t = self.stack.signup()
        got = self.stack.api("HEAD", f"{t.path}/projects", t.token)
        self.assertEqual((got.status, got.body), (200, b""))

    def test_a_request_id_is_kept_or_made(self):
        got = self.stack.api("GET", "/livez", headers={"X-Request-Id": "abcdefgh-1"})
        self.assertEqual(got.headers["X-Request-Id"], "abcdefgh-1")
        for bad in ("short", "x" * 129, "has space in it", "a\\b\"cdefgh"):
            got = self.stack.api("GET", "/livez", headers={"X-Request-Id": bad})
            self.assertRegex(got.headers["X-Request-Id"],
                             r"\A[0-9a-f]{8}-[0-9a-f]{4}-7")

    def test_every_change_has_its_event(self):
        t = self.stack.signup()
        path = self.expect(201, "POST", f"{t.path}/projects", t.token, {"name": "P"},
                           {"X-Request-Id": "event-request-1"}).headers["Location"]
        self.expect(200, "PATCH", path, t.token, {"name": "Q"})
        task = self.expect(201, "POST", f"{path}/tasks", t.token,
                           {"title": "t"}).headers["Location"]
        self.expect(204, "DELETE", task, t.token)
        self.expect(204, "DELETE", path, t.token)
        rows = self.stack.postgres.query(
            "select type, request_id from outbox_events where tenant_id ="
            f" '{t.id}' order by 1")
        names = [row[0] for row in rows]
        for name in ("project.created", "project.updated", "project.deleted",
                     "task.created", "task.deleted"):
            self.assertEqual(names.count(name), 1, names)
        self.assertIn(["project.created", "event-request-1"], rows)

    def test_health_and_description(self):
        self.expect(200, "GET", "/livez")
        self.expect(200, "GET", "/readyz")
        got = self.expect(200, "GET", "/openapi.json")
        self.assertTrue(got.json["openapi"].startswith("3.1"))
        self.assertIn("/v1/t/{tenant}/projects", got.json["paths"])


class Limits(Story):

    settings = {"limits": True, "limit_tenant": 30, "limit_token": 20,
                "limit_window": "1h", "limit_credentials": 1000}

    def test_over_the_rate_is_429(self):
        t = self.stack.signup()
        got = self.expect(200, "GET", f"{t.path}/projects", t.token)
        self.assertIn('"tenant";q=30;w=3600', got.headers["RateLimit-Policy"])
        self.assertIn('"token";q=20;w=3600', got.headers["RateLimit-Policy"])
        self.assertRegex(got.headers["RateLimit"], r'"tenant";r=\d+;t=\d+')
        statuses = [self.stack.api("GET", f"{t.path}/projects", t.token).status
                    for _ in range(25)]
        self.assertEqual(statuses.count(200), 19, statuses)
        got = self.stack.api("GET", f"{t.path}/projects", t.token)
        self.assertProblem(got, 429)
        self.assertGreater(int(got.headers["Retry-After"]), 0)
        other = self.stack.signup()
        self.expect(200, "GET", f"{other.path}/projects", other.token)


if __name__ == "__main__":
    main()
