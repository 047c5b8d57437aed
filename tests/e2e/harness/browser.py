"""Chromium without a window, spoken to through a pipe (Chrome DevTools Protocol)."""

import base64
import json
import os
import select
import subprocess
import time

from .places import patience, system
from .proc import TempDir

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    """with Browser() as b: page = b.page(1280, "dark"); page.go(url)"""

    def __init__(self):
        self.temp = TempDir()
        to_read, self.out = os.pipe()
        self.into, to_write = os.pipe()
        self.count, self.text, self.events = 0, b"", []

        def descriptors():
            # 3 and 4 are what it reads and writes; neither may be in the way
            a, b = os.dup(to_read), os.dup(to_write)
            a, b = (os.dup2(a, 100), os.dup2(b, 101))
            os.dup2(a, 3)
            os.dup2(b, 4)
        self.child = subprocess.Popen(
            [system(*PROGRAMS), "--headless=new", "--no-sandbox",
             "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--no-proxy-server", "--hide-scrollbars",
             "--disable-background-networking", "--disable-component-update",
             f"--user-data-dir={self.temp.path}/profile",
             "--remote-debugging-pipe", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, close_fds=False,
            preexec_fn=descriptors, start_new_session=True,
            env={**os.environ, "HOME": self.temp.path})
        os.close(to_read)
        os.close(to_write)

    def _receive(self, until):
        """The next message."""
        while b"\0" not in self.text:
            left = until - time.monotonic()
            ready, _, _ = select.select([self.into], [], [], max(left, 0))
            got = os.read(self.into, 1 << 20) if ready else b""
            if not got:
                raise AssertionError("Chromium says nothing more")
            self.text += got
        message, _, self.text = self.text.partition(b"\0")
        return json.loads(message)

    def call(self, method, session=None, **params):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + patience(60)
        while True:
            got = self._receive(until)
            if got.get("id") == self.count:
                if "error" in got:
                    raise AssertionError(f"{method}: {got['error']}")
                return got["result"]
            self.events.append(got)

    def wait(self, method, session, **params):
        """The event, which may have come already."""
        until = time.monotonic() + patience(60)
        while True:
            for event in self.events:
                if event.get("method") == method and \
                        event.get("sessionId") == session and \
                        params.items() <= event["params"].items():
                    self.events.remove(event)
                    return event["params"]
            self.events.append(self._receive(until))

    def page(self, width, scheme, height=900):
        return View(self, width, scheme, height)

    def close(self):
        try:
            self.call("Browser.close")
        except (AssertionError, OSError):
            self.child.kill()
        self.child.wait(patience(20))
        os.close(self.out)
        os.close(self.into)
        self.temp.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class View:
    """A page of a width and a colour scheme. said: what its console had."""

    def __init__(self, browser, width, scheme, height):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")
        self.session = browser.call(
            "Target.attachToTarget", targetId=target["targetId"],
            flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)
        self.call("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=1, mobile=width < 500)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def go(self, url):
        self.browser.events.clear()
        # of this document: the one before may be told of as late as now
        loader = self.call("Page.navigate", url=url)["loaderId"]
        self.browser.wait("Page.lifecycleEvent", self.session, name="load",
                          loaderId=loader)

    def run(self, script):
        """What the expression comes to."""
        got = self.call("Runtime.evaluate", expression=script,
                        returnByValue=True)
        if "exceptionDetails" in got:
            raise AssertionError(got["exceptionDetails"])
        return got["result"].get("value")

    def press(self, key, code):
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=code)
        if key == "Enter":
            self.call("Input.dispatchKeyEvent", type="char", key=key,
                      text="\r", windowsVirtualKeyCode=code)

    @property
    def said(self):
        """Lines of its console, and what the browser found amiss."""
        self.run("0")
        return [e["params"] for e in self.browser.events
                if e.get("method") in ("Runtime.consoleAPICalled",
                                       "Runtime.exceptionThrown",
                                       "Log.entryAdded")
                and e.get("sessionId") == self.session]

    def screenshot(self):
        """PNG of the whole page."""
        got = self.call("Page.captureScreenshot", format="png",
                        captureBeyondViewport=True)
        return base64.b64decode(got["data"])
