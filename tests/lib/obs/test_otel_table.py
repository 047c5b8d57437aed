#!/usr/bin/python3
"""Every variable of the two tables in lib/obs/README.md has a row in
check_otlp_env.c, and every variable that is read stands in the tables."""

import os
import re
import unittest

SOURCE = os.environ.get("top_srcdir") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../..")


def text(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as f:
        return f.read()


def tables():
    """For each variable of a first column all names that it may be short for:
    "…_KEY" has the beginning of one before it in its row."""
    found = []
    part = text("lib/obs/README.md").split("## OTEL_* variables")[1]
    for row in re.findall(r"(?m)^\| (`OTEL_.*?) \|", part):
        before = []
        for name in re.findall("`(.*?)`", row):
            if not name.startswith("…"):
                before.append(name)
                found.append([name])
                continue
            if name.endswith("…"):      # "and their `…_TRACES_…` forms"
                found += [[full.replace("_OTLP_", "_OTLP_TRACES_")]
                          for full in before]
                continue
            found.append([full[:at.start()] + name[1:] for full in before
                          for at in re.finditer("_", full)])
            before += [full for full in found[-1] if full in KNOWN]
    return found


def rows():
    """Names of variables that check_otlp_env.c sets."""
    code = text("tests/lib/obs/check_otlp_env.c")
    code = re.sub(r'\bE "', '"OTEL_EXPORTER_OTLP_', code)
    code = re.sub(r'\bT "', '"OTEL_EXPORTER_OTLP_TRACES_', code)
    return set(re.findall(r'"(OTEL_[A-Z_]+)=', code))


def read():
    """Names that otlp_env.c asks the environment for."""
    code = text("lib/obs/otlp_env.c")
    found = set(re.findall(r'"(OTEL_[A-Z_]+[A-Z])"', code))
    for suffix in re.findall(r'\bOTLP\("([A-Z_]+)"\)', code):
        found |= {f"OTEL_EXPORTER_OTLP_{suffix}",
                  f"OTEL_EXPORTER_OTLP_TRACES_{suffix}"}
    return found


KNOWN = rows()


class Table(unittest.TestCase):
    def test_every_variable_has_a_row(self):
        names = tables()
        self.assertGreater(len(names), 60)
        for candidates in names:
            with self.subTest(candidates[0]):
                # OTEL_BLRP_*, OTEL_<LANGUAGE>_*: one of them stands for all
                patterns = [re.compile(re.escape(name).replace(
                    r"\*", "[A-Z_]+").replace("<LANGUAGE>", "[A-Z]+") + r"\Z")
                            for name in candidates]
                self.assertTrue(any(p.match(row) for p in patterns
                                    for row in KNOWN), candidates)

    def test_what_is_read_is_in_the_tables(self):
        listed = {name for names in tables() for name in names}
        self.assertGreater(len(read()), 30)
        self.assertEqual(read() - listed, set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
