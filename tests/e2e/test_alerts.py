#!/usr/bin/python3
"""The rules and alerts of etc/prometheus, and what the dashboards of etc/grafana
ask, in a real Prometheus, against a pool that is well, and then is not."""

import glob
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True

from harness import (SOURCE, Daemon, Receiver, Story, free_port,  # noqa: E402
                     main, patience, program, wait_until)
from harness.places import system  # noqa: E402

# What may have nothing to show: a release is one for two minutes, and while
# PostgreSQL is away nobody knows whose request it is that fails.
QUIET = ("Releases", "tenants/Errors")
# what has something to show once requests fail
FAILING = {"overview/Errors by route", "slo/Alerts"}


def boards():
    for name in sorted(glob.glob(f"{SOURCE}/etc/grafana/dashboards/*.json")):
        with open(name, encoding="utf-8") as f:
            yield os.path.basename(name).removesuffix(".json"), json.load(f)


def filled(text):
    """As Grafana does it, with all of what a variable may be."""
    text = text.replace("$__rate_interval", "5m").replace("$__range", "5m")
    return re.sub(r"\$(?!job\b)\w+", ".*", text).replace("$job", "rowhouse")


def asked():
    """All that Grafana would ask, by dashboard and panel."""
    found = {}
    for name, board in boards():
        for panel in board["panels"]:
            for n, target in enumerate(panel["targets"]):
                found[f"{name}/{panel['title']}" + f" {n}" * bool(n)] = \
                    filled(target["expr"])
        for note in board["annotations"]["list"]:
            found[f"{name}/{note['name']}"] = filled(note["target"]["expr"])
    return found


def offered():
    """The lists of the variables: a series, and its label."""
    for name, board in boards():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                series, label = re.fullmatch(r"label_values\((.*), (\w+)\)",
                                             variable["query"]["query"]).groups()
                yield f"{name} ${variable['name']}", filled(series), label


class Alerts(Story):

    exporter = True
    jobs = True
    settings = {"workers": 2, "connect_timeout": "1s",
                "webhook_allow": "127.0.0.1", "limits": True}

    @classmethod
    def setUpClass(cls):
        cls.receiver = Receiver()
        cls.addClassCleanup(cls.receiver.close)
        super().setUpClass()

    def setUp(self):
        temp = os.path.join(self.stack.temp, "prometheus")
        os.mkdir(temp)
        for name in ("rowhouse.rules.yml", "rowhouse.alerts.yml"):
            with open(f"{SOURCE}/etc/prometheus/{name}", encoding="utf-8") as f:
                text = f.read()
            with open(f"{temp}/{name}", "w", encoding="utf-8") as f:
                f.write(text.replace("interval: 30s", "interval: 1s"))
        with open(f"{temp}/p.yml", "w", encoding="utf-8") as f:
            json.dump({
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": ["rowhouse.*.yml"],
                "scrape_configs": [{"job_name": "rowhouse", "static_configs": [
                    {"targets": [f"127.0.0.1:{self.stack.exporter.port}"]}]}]}, f)
        self.port = free_port()
        prometheus = Daemon(
            [system("prometheus"), f"--config.file={temp}/p.yml",
             f"--storage.tsdb.path={temp}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], log=f"{temp}/log")
        self.addCleanup(prometheus.stop)

    def get(self, what):
        try:
            with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.port}/api/v1/{what}", timeout=5) as r:
                return json.load(r)["data"]
        except (urllib.error.URLError, OSError):
            return None

    def value(self, expression):
        """What it comes to, the numbers alone; None: Prometheus refuses it."""
        got = self.get("query?" + urllib.parse.urlencode({"query": expression}))
        return got and [float(s["value"][1]) for s in got["result"]
                        if s["value"][1] != "NaN"]

    def work(self, t):
        """Who does some more of everything: a webhook and a job that arrive, a
        tenant that asks for too much. A job is given up, and in each pool a
        worker is replaced."""
        self.expect(201, "POST", f"{t.path}/webhooks", t.token, {
            "url": self.receiver.url("/hook"), "event_types": []})
        inbox = self.expect(201, "POST", f"{t.path}/inboxes", t.token, {
            "forward_url": self.receiver.url("/inbox")}).json
        self.stack.postgres.query(
            "insert into jobs (tenant_id, id, kind, state, priority, args, run_at,"
            " max_attempts, trace_id, parent_span_id, trace_flags, request_id) values"
            f" ('{t.id}', gen_random_uuid(), 'inbox.forward', 'ready', 0, '{{}}',"
            " now(), 1, substr(sha256('t'), 1, 16), substr(sha256('p'), 1, 8), 1,"
            " 'a-job-that-dies')")
        other = self.stack.signup()
        self.stack.postgres.query("insert into tenant_limits (tenant_id, tenant)"
                                  f" values ('{other.id}', 1)")
        for pool in (self.stack.pool, self.stack.jobs):
            os.kill(min(pool.answering()), signal.SIGKILL)

        def more():
            self.stack.api("POST", f"{t.path}/projects", t.token, {"name": "P"})
            self.stack.api("POST", "/" + inbox["url"].split("/", 3)[3], None, {"a": 1})
            self.stack.api("GET", f"{other.path}/projects", other.token)
        return more

    def unanswered(self):
        """What of the dashboards had no data yet; who had is not asked again."""
        for name in sorted(self.left):
            got = self.value(self.left[name])
            self.assertIsNotNone(got, f"{name}: {self.left[name]}")
            if got:
                del self.left[name]
        return {name for name in self.left if not name.endswith(QUIET)}

    def assertLists(self):
        """Each variable has something to choose from."""
        for name, series, label in offered():
            self.assertTrue(self.get(f"label/{label}/values?" + urllib.parse.urlencode(
                {"match[]": series})), f"{name}: {series}")

    def assertRunbookRuns(self):
        """What an operator is told to type, and that it has something to say."""
        with open(f"{SOURCE}/etc/README.md", encoding="utf-8") as f:
            told = f.read().partition("\n## Runbook\n")[2]
        self.stack.jobs.wait_line(msg="job", outcome="dead")
        with open(f"{self.stack.temp}/rowhouse.log", "w", encoding="utf-8") as f:
            for line in self.stack.pool.lines + self.stack.jobs.lines:
                f.write(json.dumps(line) + "\n")
        tried = set()
        for command in re.findall(r"`([^`]+)`", told):
            program_of = command.split()[0]
            if program_of == "select":
                self.assertTrue(self.stack.postgres.query(command))
            elif program_of.startswith("/requests?"):
                command = f"curl -fsS localhost:9464{command}"
            elif program_of not in ("jq", "curl", "rowhouse-ctl"):
                continue
            tried.add(program_of)
            if program_of != "select":
                self.assertTrue(self.typed(command), command)
        self.assertLessEqual({"jq", "curl", "rowhouse-ctl", "select"}, tried)

    def typed(self, command):
        for said, here in (
                ("localhost:9464", f"127.0.0.1:{self.stack.exporter.port}"),
                ("rowhouse-ctl ", f"{program('rowhouse-ctl')} -c"
                 f" {self.stack.pool.conf} "), (" --watch", "")):
            command = command.replace(said, here)
        done = subprocess.run(
            command, shell=True, cwd=self.stack.temp, capture_output=True,
            env={**self.stack.pool.env, "PATH": os.environ["PATH"],
                 "OTEL_EXPORTER_OTLP_ENDPOINT": self.receiver.url()},
            check=False, timeout=patience(30))
        self.assertEqual(done.returncode, 0, f"{command}: {done}")
        return done.stdout

    def rules(self):
        return [rule for group in (self.get("rules") or {"groups": []})["groups"]
                for rule in group["rules"]]

    def raised(self):
        """Pending is enough: they want it to last for minutes."""
        return {rule["name"] for rule in self.rules()
                if rule.get("state") in ("pending", "firing")}

    def unfounded(self):
        """What is raised though all is well. Where this machine stood still, some
        request was late, and the alert that says so is right."""
        name = "rowhouse_http_request_duration_seconds"
        late = self.stack.exporter.value(f"{name}_count{{") > sum(
            float(line.split(" # ")[0].rsplit(" ", 1)[1])
            for line in self.stack.exporter.metrics().splitlines()
            if line.startswith(f"{name}_bucket{{") and 'le="0.5"' in line)
        return self.raised() - ({"RowhouseLatencyBudget"} if late else set())

    def test_they_see_what_happens(self):
        t = self.stack.signup()
        wait_until(lambda: (lambda rules: len(rules) > 30 and all(
            rule["health"] == "ok" for rule in rules))(self.rules()),
                   "all rules are evaluated", 60.0)

        def ask(status):
            """By several at once: a worker notices by what it is asked."""
            got = []

            def one():
                with self.stack.client() as c:
                    got.append(c.request("GET", f"{t.path}/projects",
                                         t.token).status)
            threads = [threading.Thread(target=one) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return set(got) == {status}
        for _ in range(10):
            self.assertTrue(ask(200))
        wait_until(lambda: any(
            sample["metric"]["job"] == "rowhouse" for sample in
            (self.get("query?query=job:rowhouse_slo_errors:ratio_rate5m") or
             {"result": []})["result"]), "the ratios are there", 30.0)
        # a queue, or a scrape that failed, is over with the next scrape
        wait_until(lambda: self.unfounded() == set(), "nothing is raised", 30.0)

        self.left = asked()     # who waits in vain says what is left
        self.assertGreater(len(self.left), 50)
        more = self.work(t)
        # a rate is none before what is counted rises between two scrapes
        wait_until(lambda: (more(), self.unanswered() <= FAILING)[1],
                   self.left, 60.0)
        self.assertLists()

        self.stack.postgres.stop()
        try:
            wait_until(lambda: ask(503) and {
                "RowhouseDependencyDown", "RowhouseErrorBudget"} <= self.raised(),
                       "PostgreSQL's absence is noticed", 60.0)
            wait_until(lambda: ask(503) and not self.unanswered(),
                       self.left, 60.0)
        finally:
            self.stack.postgres.start()
        wait_until(lambda: ask(200) and "RowhouseDependencyDown" not in
                   self.raised(), "and its return", 60.0)

        self.assertRunbookRuns()
        self.stack.jobs.stop()
        wait_until(lambda: "RowhouseNoWorkers" in self.raised(),
                   "the absence of who does jobs is noticed", 60.0)
        self.stack.jobs.start()
        wait_until(lambda: "RowhouseNoWorkers" not in self.raised(),
                   "and its return", 60.0)

        self.stack.pool.stop()
        wait_until(lambda: "RowhouseNoWorkers" in self.raised(),
                   "the pool's absence is noticed", 60.0)
        self.stack.exporter.stop()
        wait_until(lambda: "RowhouseExporterDown" in self.raised(),
                   "the exporter's absence is noticed", 60.0)


if __name__ == "__main__":
    main(["prometheus"])
