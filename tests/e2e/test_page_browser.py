#!/usr/bin/python3
"""The operator's page in a browser: drawn without a script, legible in light
and dark, as wide as a phone or a desktop, and by keyboard alone."""

import os
import struct
import sys

sys.dont_write_bytecode = True

from harness import (Client, Jobs, Pool, Story, eventually, main, program,  # noqa: E402
                     wait_until)
from harness.browser import PROGRAMS, Browser  # noqa: E402
from harness.places import system  # noqa: E402

QUERY = "/v1/t/{tenant}/debug/query"

# Texts that are seen, with too little contrast to their ground (WCAG 1.4.3), and
# lines of charts (1.4.11): each with what it has, and what it needs.
CONTRAST = r"""
(() => {
  const canvas = document.createElement('canvas').getContext('2d',
      { willReadFrequently: true });
  const rgba = css => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const d = canvas.getImageData(0, 0, 1, 1).data;
    return [d[0], d[1], d[2], d[3] / 255]; };
  const over = (top, low) => top.slice(0, 3).map((v, i) =>
      v * top[3] + low[i] * (1 - top[3])).concat(1);
  const light = c => { const [r, g, b] = c.map(v => { v /= 255;
      return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const ratio = (a, b) => { const x = light(a) + .05, y = light(b) + .05;
    return Math.max(x, y) / Math.min(x, y); };
  const ground = e => { const layers = [];
    for (; e; e = e.parentElement)
      layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((low, top) => over(top, low),
        [255, 255, 255, 1]); };
  const found = [];
  let texts = 0, lines = 0;
  for (const e of document.querySelectorAll('body *')) {
    const style = getComputedStyle(e);
    if (e.matches('path.line')) {
      lines++;
      const has = ratio(rgba(style.stroke), ground(e.closest('svg')));
      if (has < 3) found.push([e.getAttribute('class'), has, 3]);
      continue;
    }
    if (e.closest('svg') || !e.getClientRects().length ||
        style.visibility != 'visible') continue;
    if (![...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())) continue;
    texts++;
    const size = parseFloat(style.fontSize);
    const need = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const low = ground(e), has = ratio(over(rgba(style.color), low), low);
    if (has < need) found.push([e.outerHTML.slice(0, 120), has, need]);
  }
  for (const e of document.querySelectorAll('input')) {
    const s = getComputedStyle(e, '::placeholder');
    const low = ground(e), has = ratio(over(rgba(s.color), low), low);
    if (has < 4.5) found.push(['placeholder', has, 4.5]);
  }
  return { found, texts, lines };
})()
"""

# What a screen reader finds its way by, and what is missing.
SHAPE = r"""
(() => {
  const found = [], all = s => [...document.querySelectorAll(s)];
  const levels = all('h1,h2,h3,h4').map(h => +h.tagName[1]);
  if (levels.filter(l => l == 1).length != 1 || levels[0] != 1)
    found.push('h1: ' + levels);
  levels.reduce((a, b) => { if (b > a + 1) found.push('headings skip: ' + levels);
    return b; });
  for (const t of all('table')) {
    const heads = t.tHead ? t.tHead.rows[0].cells.length : 0;
    for (const r of t.tBodies[0].rows)
      if (r.cells.length != heads) found.push('cells: ' + r.cells.length +
          ' under ' + heads);
  }
  for (const th of all('th')) if (!th.scope) found.push('th: ' + th.outerHTML);
  for (const i of all('input')) if (!i.labels.length && !i.ariaLabel)
    found.push('no label: ' + i.outerHTML);
  for (const s of all('svg')) if (!s.hasAttribute('aria-hidden') &&
      !s.getAttribute('aria-label')) found.push('svg: ' + s.className.baseVal);
  for (const a of all('a,button')) if (!a.textContent.trim() && !a.ariaLabel)
    found.push('nameless: ' + a.outerHTML);
  for (const e of all('main,header,html[lang],title,nav[aria-label]'))
    e.seen = true;
  for (const s of ['main', 'header', 'html[lang]', 'title', 'nav[aria-label]'])
    if (!document.querySelector(s)) found.push('missing: ' + s);
  const ids = all('[id]').map(e => e.id);
  if (new Set(ids).size != ids.length) found.push('ids: ' + ids);
  return found;
})()
"""


class DebugPool(Pool):
    """With the routes of fcgi/debug."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.program = program("rowhouse-fcgi-debug")


class InABrowser(Story):

    pool = DebugPool
    exporter = True
    settings = {"workers": 3, "trace_ratio": 0, "slow": "50ms",
                "jobs_workers": 2}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        s = cls.stack
        s.jobs = Jobs(s.pool)
        s.jobs.program = program("rowhouse-jobs-debug")
        s.jobs.start()
        t = s.signup()
        for what in ("fails", "project"):
            s.api("POST", f"{t.path}/debug/jobs?what={what}", t.token,
                  headers={"X-Request-Id": f"one-that-left-{what}"})
        s.api("POST", f"{t.path}/debug/jobs?what=nothing&delay_ms=600000",
              t.token, headers={"X-Request-Id": "one-that-left-a-hostile"})
        s.postgres.query(
            "update jobs set kind = '<script>document.title=1</script>',"
            " run_at = now() where request_id = 'one-that-left-a-hostile'")
        for _ in range(40):
            s.api("GET", f"{t.path}/projects", t.token)
        s.api("POST", f"{t.path}/debug/crash?kind=segv", t.token,
              headers={"X-Request-Id": "one-that-crashed"})
        s.api("GET", f"{t.path}/debug/query?ms=80", t.token,
              headers={"X-Request-Id": "a-slow-one"})
        s.api("GET", f"{t.path}/<script>document.title=1</script>", t.token,
              headers={"X-Request-Id": "a-plain-one",
                       "User-Agent": "<script>document.title=1</script>"})
        cls.base = f"http://127.0.0.1:{s.exporter.port}"
        cls.pages = {"overview": "/?range=15m", "requests": "/requests",
                     "slow": "/requests/a-slow-one",
                     "crashed": "/requests/one-that-crashed",
                     "plain": "/requests/a-plain-one",
                     "jobs": "/requests/one-that-left-fails",
                     "jobs-kept": "/requests/one-that-left-project",
                     "jobs-hostile": "/requests/one-that-left-a-hostile",
                     "jobs-list": "/requests?what=job",
                     "tenant": f"/?range=1h&tenant={t.slug}",
                     "route": f"/?range=15m&method=GET&route={QUERY}"}
        for path in cls.pages.values():
            wait_until(lambda p=path: cls.status(p) == 200, f"{path} is there")
        for name, n in (("fails", 2), ("project", 1), ("a-hostile", 1)):
            wait_until(lambda p=name, n=n: cls.attempts(p) >= n,
                       f"what was left by {name} is there", 30.0)
        wait_until(lambda: cls.has_history(), "the history has begun", 20.0)
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    @classmethod
    def status(cls, path):
        with Client(cls.stack.exporter.port) as c:
            return c.request("GET", path).status

    @classmethod
    def attempts(cls, name):
        with Client(cls.stack.exporter.port) as c:
            got = c.request("GET", f"/requests/one-that-left-{name}",
                            headers={"Accept": "application/json"})
        return len(got.json["jobs"]) if got.json["trace"] else 0

    @classmethod
    def has_history(cls):
        with Client(cls.stack.exporter.port) as c:
            got = c.request("GET", "/?range=15m",
                            headers={"Accept": "application/json"})
        return got.json["total"]["requests"] > 30

    def test_every_page_in_every_dress(self):
        for scheme in ("light", "dark"):
            for width in (1280, 390):
                page = self.browser.page(width, scheme)
                for name, path in self.pages.items():
                    with self.subTest(name, scheme=scheme, width=width):
                        page.go(self.base + path)
                        self.look(page, name, scheme, width)

    def look(self, page, name, scheme, width):
        self.assertEqual(page.said, [])
        # the policy lets our own style sheet in
        self.assertEqual(page.run(
            "getComputedStyle(document.body).fontVariantNumeric"),
            "tabular-nums")
        dark = page.run("getComputedStyle(document.body).backgroundColor")
        self.assertEqual(dark == "rgb(14, 19, 25)", scheme == "dark", dark)
        self.assertLessEqual(page.run("document.documentElement.scrollWidth"),
                             width)
        self.assertNotEqual(page.run("document.title"), "1")
        self.assertEqual(page.run(SHAPE), [])
        got = page.run(CONTRAST)
        self.assertEqual(got["found"], [])
        self.assertGreater(got["texts"], 20)
        if name in ("overview", "tenant", "route"):
            self.assertGreater(got["lines"], 3)
            self.assertGreater(page.run(
                "Math.max(...[...document.querySelectorAll('.plot path.line')]"
                ".map(p => p.getTotalLength()))"), 1)
        png = page.screenshot()
        self.assertEqual(png[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">I", png[16:20])[0], width)
        self.assertGreater(len(png), 10000)
        if os.environ.get("ROWHOUSE_SHOTS"):
            with open(f"{os.environ['ROWHOUSE_SHOTS']}/{name}-{scheme}-{width}"
                      ".png", "wb") as f:
                f.write(png)

    def test_by_keyboard(self):
        page = self.browser.page(1280, "light")
        page.go(self.base + self.pages["slow"])
        page.press("Tab", 9)
        self.assertEqual(page.run("document.activeElement.className"), "skip")
        self.assertGreater(page.run(
            "document.activeElement.getBoundingClientRect().left"), 0)
        for _ in range(30):
            page.press("Tab", 9)
            self.assertNotEqual(page.run(
                "getComputedStyle(document.activeElement).outlineStyle"),
                "none", page.run("document.activeElement.outerHTML"))
            if page.run("document.activeElement.tagName") == "SUMMARY":
                break
        self.assertEqual(page.run("document.activeElement.tagName"), "SUMMARY")
        page.press("Enter", 13)
        self.assertIs(page.run("document.activeElement.parentElement.open"),
                      True)
        self.assertIn("span_id", page.run(
            "document.activeElement.parentElement.innerText"))

    def test_the_form_finds_a_request(self):
        page = self.browser.page(390, "dark")
        page.go(self.base + "/")
        page.run("document.querySelector('.find input').value = 'a-slow-one';"
                 "document.querySelector('.find').requestSubmit()")

        def is_shown():
            # while one page follows another there is none to ask, an error
            self.assertEqual(page.run(
                "location.pathname + '|' + document.readyState"),
                "/requests/a-slow-one|complete")
        eventually(is_shown)


if __name__ == "__main__":
    if not system(*PROGRAMS):
        print("skipped: chromium is not installed")
        sys.exit(77)
    main()
