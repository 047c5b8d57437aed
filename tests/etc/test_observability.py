#!/usr/bin/python3
"""Rules, alerts and dashboards of etc/: promtool takes them, every alert has
its runbook entry, and every series in them is one that we have."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ.get("top_srcdir") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../..")
RULES = ("etc/prometheus/rowhouse.rules.yml", "etc/prometheus/rowhouse.alerts.yml")
NOT_OURS = {"up", "ALERTS"}


def path(name):
    return os.path.join(SOURCE, name)


def text(name):
    with open(path(name), encoding="utf-8") as f:
        return f.read()


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True,
                          text=True, check=False, timeout=120)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)


def dashboards():
    return {name: json.loads(text(name)) for name in sorted(
        os.path.relpath(found, SOURCE) for found in
        glob.glob(path("etc/grafana/dashboards/*.json")))}


def queries(board):
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield f"{board['uid']} {panel['title']}", target["expr"]
    for note in board["annotations"]["list"]:
        yield f"{board['uid']} {note['name']}", note["target"]["expr"]


def known():
    """What the table of series, the exporter and our own rules name."""
    names = {f"rowhouse_{name}" for name in re.findall(
        r'\{ S\(\w+\), .*? "(\w+)", ', text("lib/serve/series.c"))}
    for name in sorted(glob.glob(path("lib/jobs/*.c"))):
        names |= {f"rowhouse_{found}" for found in re.findall(
            r'RH_M_(?:COUNTER|GAUGE|HISTOGRAM),[^"]*"(\w+)"', text(name))}
    names |= set(re.findall(r'"((?:rowhouse|process)_\w+)"',
                            text("fcgi/exporter/pool.c")))
    names |= set(re.findall(r"record: (\S+)", text(RULES[0])))
    assert len(names) > 30, names
    return names


def runbook():
    """Its entries, by the alert."""
    return dict(re.findall(r"(?ms)^### (Rowhouse\w+)\n(.*?)(?=^##|\Z)",
                           text("etc/README.md")))


def used(expression):
    """Names of series: what is no label, no function and no number."""
    bare = re.sub(r'\{[^{}]*\}|"[^"]*"|\[[^]]*\]', " ", expression)
    bare = re.sub(r"\b(by|ignoring|on|group_left)\s*\([^)]*\)", " ", bare)
    names = set(re.findall(r"\b(?:[a-z_]+:)?rowhouse_[\w:]+|\bprocess_\w+|"
                           r"\bup\b|\bALERTS\b", bare))
    return {re.sub(r"_(bucket|count|sum)\Z", "", name)
            if ":" not in name else name for name in names}


class Prometheus(unittest.TestCase):
    def test_rules_are_rules(self):
        promtool("check", "rules", *map(path, RULES))

    def test_alerts_fire_where_they_should(self):
        promtool("test", "rules", path("tests/etc/prometheus/rowhouse.test.yml"))

    def test_the_configuration_is_one(self):
        with tempfile.TemporaryDirectory() as temp:
            for name in (*RULES, "etc/prometheus/prometheus.yml"):
                shutil.copy(path(name), temp)
            promtool("check", "config", f"{temp}/prometheus.yml")

    def test_every_alert_has_a_runbook_entry_and_a_test(self):
        alerts = set(re.findall(r"alert: (\w+)", text(RULES[1])))
        self.assertGreater(len(alerts), 8)
        self.assertEqual(alerts, set(re.findall(r"(?m)^### (Rowhouse\w+)$",
                                                text("etc/README.md"))))
        tests = text("tests/etc/prometheus/rowhouse.test.yml")
        for alert in alerts:
            self.assertIn(f'"{alert}"', tests)

    def test_the_runbook_names_what_is_there(self):
        """Panels and dashboards, directives, other entries; its commands are run
        by tests/e2e/test_alerts.py."""
        titles = {panel["title"] for board in dashboards().values()
                  for panel in board["panels"]}
        boards = {os.path.basename(name) for name in dashboards()}
        directives = set(re.findall(r"(?m)^#?(\w+) = ", text("etc/rowhouse.conf")))
        words = directives | known() | {"request_id", "jobs_past"}
        entries = runbook()
        self.assertGreater(len(entries), 8)
        for alert, entry in entries.items():
            code = re.findall(r"`([^`]+)`", entry)
            with self.subTest(alert):
                self.assertLessEqual(set(re.findall(
                    r'"([^"]+)"', re.sub(r"`[^`]*`", "", entry))), titles)
                self.assertLessEqual({c for c in code if c.endswith(".json")}, boards)
                self.assertLessEqual({c for c in code if re.fullmatch(
                    r"[a-z]+(_[a-z]+)+", c)}, words)
                self.assertLessEqual({c for c in code if c.startswith("Rowhouse")},
                                     set(entries))

    def test_they_name_series_that_are_there(self):
        for name in RULES:
            found = re.findall(r"expr: (?:\|\n((?: {10}.*\n)+)|(.*))", text(name))
            self.assertTrue(found)
            for expression in found:
                self.assertLessEqual(used("".join(expression)),
                                     known() | NOT_OURS, expression)


class Grafana(unittest.TestCase):
    def test_they_name_series_that_are_there(self):
        for board in dashboards().values():
            for where, expression in queries(board):
                names = used(expression)
                self.assertTrue(names, where)
                self.assertLessEqual(names, known() | NOT_OURS, where)

    def test_prometheus_reads_their_queries(self):
        rules = [{"record": "x:x", "expr": re.sub(r"\$\w+", ".*", expression
                  .replace("$__rate_interval", "5m").replace("$__range", "1h"))}
                 for board in dashboards().values()
                 for _, expression in queries(board)]
        self.assertGreater(len(rules), 30)
        # promtool warns of two rules that are alike
        rules = list({rule["expr"]: rule for rule in rules}.values())
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as f:
            json.dump({"groups": [{"name": f"g{n}", "rules": [rule]}
                                  for n, rule in enumerate(rules)]}, f)
            f.flush()
            promtool("check", "rules", f.name)

    def test_they_are_provisioned_and_templated(self):
        boards = dashboards()
        self.assertGreaterEqual(len(boards), 4)
        self.assertEqual(len({b["uid"] for b in boards.values()}), len(boards))
        for name, board in boards.items():
            with self.subTest(name):
                variables = {v["name"] for v in board["templating"]["list"]}
                self.assertLessEqual({"datasource", "exporter", "job"}, variables)
                ids = [p["id"] for p in board["panels"]]
                self.assertEqual(len(set(ids)), len(ids))
                for panel in board["panels"]:
                    self.assertEqual(panel["datasource"]["uid"], "${datasource}")
                    self.assertTrue(panel["fieldConfig"]["defaults"]["unit"])
                    for target in panel["targets"]:
                        self.assertLessEqual(
                            set(re.findall(r"\$(\w+)", target["expr"])) -
                            {"__rate_interval", "__range"}, variables)
                        # a rate over a fixed time lies on some zoom or other
                        self.assertNotRegex(target["expr"],
                                            r"(?<!in)rate\([^()]*\[\d")
                # nothing comes from another host
                self.assertEqual(re.findall(r"https?://(?!127\.0\.0\.1)",
                                            json.dumps(board)), [])

    def test_exemplars_lead_somewhere(self):
        self.assertTrue(any(target.get("exemplar") for board in
                            dashboards().values() for panel in board["panels"]
                            for target in panel["targets"]))
        source = text("etc/grafana/provisioning/datasources/rowhouse.yml")
        self.assertIn("exemplarTraceIdDestinations", source)
        self.assertIn("/requests/$${__value.raw}", source)


if __name__ == "__main__":
    if not shutil.which("promtool"):
        print("skipped: promtool is not installed")
        sys.exit(77)
    unittest.main(verbosity=2)
