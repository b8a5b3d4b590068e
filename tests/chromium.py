"""A headless Chromium, driven over a pipe by its DevTools protocol: what a page loads, logs, shows
and prints.
"""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_FLAGS = (
    *(
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ),
    *(
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--remote-debugging-pipe",
    ),
)
_PATIENCE = 60.0


class Chromium:
    """A browser with one tab; ``requests`` and ``console`` are of all pages that it has opened."""

    def __init__(self, profile: Path):
        from_browser, browser_out = os.pipe()
        browser_in, to_browser = os.pipe()
        # the protocol's file descriptors are 3 and 4
        shell = f'exec 3<&{browser_in} 4>&{browser_out}; exec "$0" "$@"'
        command = [
            "bash",
            "-c",
            shell,
            PROGRAM,
            *_FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            command, pass_fds=(browser_in, browser_out), stderr=subprocess.DEVNULL
        )
        os.close(browser_in)
        os.close(browser_out)
        self._from, self._to = from_browser, to_browser
        self._rest, self._count, self._session = b"", 0, None
        self.events: list[dict] = []
        self.requests: list[str] = []
        self.console: list[dict] = []
        target = next(
            t
            for t in self._when(lambda: self.call("Target.getTargets")["targetInfos"])
            if t["type"] == "page"
        )
        self._session = self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        os.close(self._to)  # a browser whose pipe ends, ends
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)

    def call(self, method: str, **parameters) -> dict:
        """One command of the protocol and its result."""
        self._count += 1
        number = self._count
        message = {"id": number, "method": method, "params": parameters} | (
            {"sessionId": self._session} if self._session else {}
        )
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path: Path, width: int = 1200, height: int = 900) -> None:
        """Show a file in a window of this size, loaded completely."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.events.clear()
        self.call("Page.navigate", url=path.absolute().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._read()

    def evaluate(self, expression: str):
        """The value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)[
            "result"
        ].get("value")

    def screenshot(self, path: Path) -> None:
        """Write a picture of the whole page."""
        path.write_bytes(
            base64.b64decode(
                self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
            )
        )

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode(
            self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"]
        )

    def _read(self) -> dict:
        while b"\0" not in self._rest:
            piece = os.read(self._from, 2**20)
            assert piece, "the browser has ended"
            self._rest += piece
        raw, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(raw)
        if "method" in message:
            self.events.append(message)
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            elif message["method"] in (
                "Log.entryAdded",
                "Runtime.consoleAPICalled",
                "Runtime.exceptionThrown",
            ):
                self.console.append(message["params"])
        return message

    @staticmethod
    def _when(condition):
        deadline = time.monotonic() + _PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, "the browser has not started"
            time.sleep(0.1)
        return value
