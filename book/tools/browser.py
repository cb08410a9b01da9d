"""Open the built book in the system's Chromium, from disk, and see what a reader would meet (by Playwright)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, WebSocket, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Still, and with every picture loaded: the theme's sidebar slides, and pictures wait until they come into view.
SETTLE = """async () => {
  const still = "*, *::before { transition: none !important; animation: none !important; }";
  document.head.appendChild(document.createElement("style")).textContent = still;
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  await document.fonts.ready;
  const images = [...document.images];
  images.forEach(i => { i.loading = "eager"; });
  await Promise.all(images.map(i => i.decode().catch(() => 0)));
}"""
# What a page says of itself once its equations stand.
REPORT = """() => ({
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  images: [...document.images].filter(i => i.naturalWidth === 0).map(i => i.getAttribute("src")),
  equations: document.querySelectorAll("mjx-container").length,
  wrong: [...document.querySelectorAll("mjx-merror")].map(e => e.getAttribute("title") || e.textContent),
  bare: [...document.querySelectorAll(".math")].filter(e => !e.querySelector("mjx-container"))
    .map(e => e.textContent.slice(0, 60)),
})"""


def find_browser() -> str | None:
    """The path of a Chromium: the one TDFUSION_BROWSER names, or the first on the path."""
    return os.environ.get("TDFUSION_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium, for ``with``."""
    path = find_browser()
    if path is None:
        raise FileNotFoundError("no Chromium found: install one, or name it in TDFUSION_BROWSER")
    with sync_playwright() as driver:
        # the pages are our own; a container has no user namespace to make a sandbox with
        running = driver.chromium.launch(executable_path=path, chromium_sandbox=False)
        yield running
        running.close()


@contextmanager
def opened(
    browser: Browser,
    file: Path,
    width: int = 1280,
    dark: bool = False,
    javascript: bool = True,
    patience: float = 30.0,
) -> Iterator[tuple[Page, list[str]]]:
    """A page opened from disk, ``width`` pixels wide, and the list of its problems, which grows while it is open:
    failed requests, requests to other hosts, errors in the console. What takes over ``patience`` seconds fails."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        is_mobile=width < 600,
        color_scheme="dark" if dark else "light",
        java_script_enabled=javascript,
    )
    context.set_default_timeout(1000 * patience)
    page, problems = context.new_page(), []

    def asked(request: Request | WebSocket) -> None:
        if request.url.startswith(("http:", "https:", "ws:", "wss:")):
            problems.append(f"asks the network for {request.url}")

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            problems.append(f"console {message.type}: {message.text}")

    page.on("request", asked)
    page.on("websocket", asked)
    page.on("requestfailed", lambda sent: problems.append(f"request failed: {sent.url} ({sent.failure})"))
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on("console", said)
    page.goto(file.resolve().as_uri())
    yield page, problems
    context.close()


@dataclass
class Visit:
    """What opening one page showed."""

    problems: list[str] = field(default_factory=list)  # one sentence each
    equations: int = 0  # rendered by MathJax
    picture: bytes = b""  # PNG of the whole page, where it was asked for


def visit(
    browser: Browser, file: Path, picture: bool = False, javascript: bool = True, **how: object
) -> Visit:
    """Open a page, wait for its equations, and gather every problem a reader would meet."""
    seen = Visit()
    with opened(browser, file, javascript=javascript, **how) as (page, problems):
        if javascript:
            page.evaluate(SETTLE)
            report = page.evaluate(REPORT)
            seen.equations = report["equations"]
            problems += [f"image does not load: {src}" for src in report["images"]]
            problems += [f"equation is wrong: {said}" for said in report["wrong"]]
            problems += [f"equation is not rendered: {said}" for said in report["bare"]]
            if report["overflow"] > 1:
                problems.append(f"the page is {report['overflow']} px wider than the screen")
        if picture:
            seen.picture = page.screenshot(full_page=True)
        page.wait_for_timeout(50)  # late events arrive
        seen.problems = problems
    return seen
