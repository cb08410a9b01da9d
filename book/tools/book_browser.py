"""Open the built book in headless Chromium, from disk, and see what a reader would see.

Speaks the DevTools protocol over a pipe with the standard library alone: no driver, no port, no network.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",  # the pages are our own; a container has no user namespace to make a sandbox with
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
)
# What a page says of itself once its equations stand.
REPORT = """(async () => {
  // the sidebar slides when the window grows for the picture, and would be caught half way
  const still = "*, *::before { transition: none !important; animation: none !important; }";
  document.head.appendChild(document.createElement("style")).textContent = still;
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  await document.fonts.ready;
  const images = [...document.images];
  images.forEach(i => { i.loading = "eager"; });
  await Promise.all(images.map(i => i.decode().catch(() => 0)));
  return {
    height: Math.ceil(document.documentElement.scrollHeight),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    images: images.filter(i => i.naturalWidth === 0).map(i => i.getAttribute("src")),
    equations: document.querySelectorAll("mjx-container").length,
    wrong: [...document.querySelectorAll("mjx-merror")].map(e => e.getAttribute("title") || e.textContent),
    bare: [...document.querySelectorAll(".math")].filter(e => !e.querySelector("mjx-container"))
      .map(e => e.textContent.slice(0, 60)),
  };
})()"""


def find_browser() -> str | None:
    """The path of a Chromium: the one TDFUSION_BROWSER names, or the first on the path."""
    named = os.environ.get("TDFUSION_BROWSER")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Visit:
    """What opening one page showed."""

    page: str
    problems: list[str] = field(default_factory=list)  # one sentence each
    equations: int = 0  # rendered by MathJax
    picture: bytes = b""  # PNG of the whole page, where it was asked for


class Browser:
    """A headless Chromium with a fresh profile, for ``with``."""

    def __init__(self, path: str | None = None, timeout: float = 60.0) -> None:
        self.path = path or find_browser()
        if self.path is None:
            raise FileNotFoundError("no Chromium found: install one, or name it in TDFUSION_BROWSER")
        self.timeout = timeout  # seconds, for each answer
        self._last = 0
        self._buffer = b""
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        from_us, self._write = os.pipe()
        self._read, to_us = os.pipe()

        def place_pipes() -> None:  # Chromium reads from descriptor 3 and writes to 4
            spare = [os.dup(from_us), os.dup(to_us)]
            for target, one in zip((3, 4), spare):
                os.dup2(one, target, inheritable=True)

        command = [self.path, *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            command,
            preexec_fn=place_pipes,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(from_us)
        os.close(to_us)
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except (OSError, TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        os.close(self._write)
        self._profile.cleanup()

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send one command and return its result; events that come meanwhile are kept."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise OSError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._events.append(answer)
        raise OSError(f"{method}: Chromium went away")

    def evaluate(self, session: str, expression: str) -> Any:
        """The value of a JavaScript expression on the page; a promise is waited for."""
        done = self.call(
            "Runtime.evaluate", session, expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            raise OSError(done["exceptionDetails"].get("exception", {}).get("description", "script failed"))
        return done["result"].get("value")

    def _messages(self) -> Iterator[dict[str, Any]]:
        end = time.monotonic() + self.timeout
        while True:
            while b"\0" in self._buffer:
                text, self._buffer = self._buffer.split(b"\0", 1)
                yield json.loads(text)
            if not select.select([self._read], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"Chromium did not answer within {self.timeout:.0f} s")
            more = os.read(self._read, 1 << 20)
            if not more:
                return
            self._buffer += more

    def open(self, page: Path, width: int = 1280, dark: bool = False, javascript: bool = True) -> str:
        """Open a file in a new tab of that width (pixels) and return its session once it has loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable", session)
        self._size(session, width, 900)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", session, features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", session, value=not javascript)
        self._events.clear()
        self.call("Page.navigate", session, url=page.resolve().as_uri())
        if not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            for event in self._messages():
                self._events.append(event)
                if event.get("method") == "Page.loadEventFired":
                    break
        return session

    def visit(self, page: Path, picture: bool = False, javascript: bool = True, **how: Any) -> Visit:
        """Open a page, wait for its equations, and gather every problem a reader would meet."""
        session = self.open(page, javascript=javascript, **how)
        seen = Visit(page.name)
        if javascript:
            report = self.evaluate(session, REPORT)
            seen.equations = report["equations"]
            seen.problems += [f"image does not load: {src}" for src in report["images"]]
            seen.problems += [f"equation is wrong: {said}" for said in report["wrong"]]
            seen.problems += [f"equation is not rendered: {said}" for said in report["bare"]]
            if report["overflow"] > 1:
                seen.problems.append(f"the page is {report['overflow']} px wider than the screen")
            height = report["height"]
        else:
            height = round(self.call("Page.getLayoutMetrics", session)["cssContentSize"]["height"])
        if picture:
            self._size(session, how.get("width", 1280), min(height, 12000))
            taken = self.call("Page.captureScreenshot", session, format="png", captureBeyondViewport=True)
            seen.picture = base64.b64decode(taken["data"])
        seen.problems += self.problems(session)
        self.close(session)
        return seen

    def close(self, session: str) -> None:
        """Close a page that `open` opened."""
        info = self.call("Target.getTargetInfo", session)
        self.call("Target.closeTarget", targetId=info["targetInfo"]["targetId"])

    def problems(self, session: str) -> list[str]:
        """Failed requests, requests to other hosts, errors in the console, since the page opened."""
        time.sleep(0.05)  # let late events arrive; the answer to any call brings them along
        self.call("Page.getLayoutMetrics", session)
        found, urls = [], {}
        for event in self._events:
            said, what = event.get("params", {}), event.get("method")
            if event.get("sessionId") != session:
                continue
            if what == "Network.requestWillBeSent":
                urls[said["requestId"]] = said["request"]["url"]
                if said["request"]["url"].startswith(("http:", "https:", "ws:", "wss:")):
                    found.append(f"asks the network for {said['request']['url']}")
            elif what == "Network.loadingFailed" and said.get("blockedReason") != "csp":  # scripts are off
                found.append(f"request failed: {urls.get(said['requestId'])} ({said.get('errorText')})")
            elif what == "Runtime.exceptionThrown":
                details = said["exceptionDetails"]
                found.append(
                    f"script error: {details.get('exception', {}).get('description', details['text'])}"
                )
            elif what == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
                text = " ".join(str(a.get("value", a.get("description"))) for a in said["args"])
                found.append(f"console {said['type']}: {text}")
            elif what == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
                found.append(f"console {said['entry']['level']}: {said['entry']['text']}")
        return found

    def _size(self, session: str, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            session,
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
