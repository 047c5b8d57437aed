#!/usr/bin/python3
"""The rules and alerts of etc/prometheus in a real Prometheus, against a pool
that is well, and then is not."""

import json
import os
import sys
import threading
import urllib.error
import urllib.request

sys.dont_write_bytecode = True

from harness import SOURCE, Daemon, Story, free_port, main, wait_until  # noqa: E402
from harness.places import system  # noqa: E402


class Alerts(Story):

    exporter = True
    jobs = True
    settings = {"workers": 2, "connect_timeout": "1s"}

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

        self.stack.postgres.stop()
        try:
            wait_until(lambda: ask(503) and {
                "RowhouseDependencyDown", "RowhouseErrorBudget"} <= self.raised(),
                       "PostgreSQL's absence is noticed", 60.0)
        finally:
            self.stack.postgres.start()
        wait_until(lambda: ask(200) and "RowhouseDependencyDown" not in
                   self.raised(), "and its return", 60.0)

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
