"""A real browser, headless, spoken to over a pipe (Chrome DevTools Protocol), for the tests."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next((path for path in map(shutil.which, NAMES) if path), None)
LIMIT = 60.0


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, folder, width=1300, height=800):
        out_read, out_write = os.pipe()
        in_read, in_write = os.pipe()

        def as_three_and_four():
            # the protocol wants the pipe at these numbers; first out of their own way
            kept = os.dup(in_read), os.dup(out_write)
            os.dup2(kept[0], 3)
            os.dup2(kept[1], 4)

        self._process = subprocess.Popen(
            [
                BROWSER,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-pipe",
                f"--user-data-dir={folder}",
                f"--window-size={width},{height}",
                "about:blank",
            ],
            close_fds=False,
            preexec_fn=as_three_and_four,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(in_read)
        os.close(out_write)
        self._in, self._out = os.fdopen(in_write, "wb", 0), os.fdopen(out_read, "rb", 0)
        self._number, self._rest = 0, b""
        self._session = None
        self.events = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        found = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._in.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self._rest:
            data = self._out.read(1 << 20)
            if not data:
                raise RuntimeError("the browser has ended")
            self._rest += data
        text, self._rest = self._rest.split(b"\0", 1)
        return json.loads(text)

    def open(self, path, hash_=""):
        self.call("Page.navigate", url="about:blank")
        self.events.clear()
        self.call("Page.navigate", url=f"file://{path}{hash_}")
        until = time.monotonic() + LIMIT
        while self("document.documentElement?.dataset.ready || ''") == "":
            if time.monotonic() > until:
                raise RuntimeError(f"the page is not ready after {LIMIT:g} s")
            time.sleep(0.05)

    def __call__(self, expression):
        """Value of an expression on the page; promises are awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def drawn(self):
        """Wait for the next two frames."""
        self("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def click(self, left, top):
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind, x=left, y=top, button="left", clickCount=1,
            )  # fmt: skip
        self.drawn()

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
        return path

    def complaints(self):
        """Errors and exceptions that the page has caused."""
        texts = []
        for event in self.events:
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                texts.append(str(params["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                texts.append(params["entry"]["text"])
        return texts

    def requests(self):
        """Addresses that the page has asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def close(self):
        self._process.kill()
        self._process.wait()
        self._in.close()
        self._out.close()
