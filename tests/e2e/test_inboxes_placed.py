#!/usr/bin/python3
"""Inboxes of tenants with a database of their own."""

import sys

sys.dont_write_bytecode = True

from harness import main  # noqa: E402
from harness.placed import Placed  # noqa: E402


class Elsewhere(Placed):
    """An inbox of a tenant with a database of its own: the token does not say where."""

    settings = {**Placed.settings, "limits": False}

    def test_it_is_found_wherever_it_is(self):
        s = self.stack
        t = s.signup()
        make = f"{t.path}/inboxes"
        first = self.expect(201, "POST", make, t.token, {}).json
        urls = {first["id"]: first["url"].split("/in/")[1]}
        self.expect(200, "POST", f"/in/{urls[first['id']]}/home", body=b"1")
        self.place(t)
        second = self.expect(201, "POST", make, t.token, {}).json
        urls[second["id"]] = second["url"].split("/in/")[1]
        for inbox, token in urls.items():
            self.expect(200, "POST", f"/in/{token}/big", body=b"2")
            rows = self.expect(200, "GET", f"{make}/{inbox}/requests", t.token).json
            self.assertEqual(rows["data"][0]["path"], "/big")
            self.assertEqual(s.postgres.query(
                f"select count(*) from inbox_requests where inbox_id = '{inbox}'"), [["0"]])
        self.expect(404, "POST", f"/in/{'x' * 42}", body=b"2")
        gone = urls.pop(second["id"])
        self.expect(204, "DELETE", f"{make}/{second['id']}", t.token)
        self.expect(404, "POST", f"/in/{gone}", body=b"2")
        # on its way it is at neither end: that is no 404 to a sender
        self.big.query(f"update tenant_limits set away = true where tenant_id = '{t.id}'")
        got = self.expect(503, "POST", f"/in/{urls[first['id']]}", body=b"2")
        self.assertTrue(got.headers["Retry-After"])
        self.big.query(f"update tenant_limits set away = false where tenant_id = '{t.id}'")
        self.expect(200, "POST", f"/in/{urls[first['id']]}", body=b"2")


if __name__ == "__main__":
    main()
