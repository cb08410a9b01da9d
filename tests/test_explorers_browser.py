"""The explorers in a browser, from disk: their controls move the picture, by pointer and by keyboard."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT

from tdfusion.data.pair import Pair
from tdfusion.data.synthroad.scenes import SynthRoad

pytest.importorskip("anywidget", reason="the explorers need anywidget: pip install 'tdfusion[explorers]'")

from browser import Browser, opened

from tdfusion.explorers import (
    FusionLens,
    LookAhead,
    LossLandscape,
    MetricPlayground,
    WeightsExplorer,
    Written,
)

HTML = Path(os.environ.get("TDFUSION_HTML") or ROOT / "_build" / "html")
PAGE = HTML / "notebooks" / "explorers.html"
ELSEWHERE = {
    "lookahead": HTML / "notebooks" / "read_37_lookahead.html"
}  # those that stand on a page of their own
# All that a reader sees of an explorer: pixels, the vector layers, where things stand, and what is said.
SEEN = """((root) => [...root.querySelectorAll("canvas")].map((c) => c.toDataURL() + c.style.clipPath).join() +
  [...root.querySelectorAll("svg")].map((s) => s.outerHTML).join() + root.innerText)"""


class Seen:
    """One page in the browser, and one explorer on it."""

    def __init__(self, browser: Browser, page: Path, kind: str, **how: Any) -> None:
        self.kind, self.stack = kind, ExitStack()
        self.page, self.problems = self.stack.enter_context(opened(browser, page, **how))
        self.page.wait_for_selector(f".tdx-{kind}[data-drawn]", state="attached")

    def ask(self, expression: str) -> Any:
        return self.page.evaluate(expression)

    def root(self, expression: str) -> Any:
        return self.ask(f"((root) => {expression})(document.querySelector('.tdx-{self.kind}'))")

    def picture(self) -> str:
        """What is seen once nothing moves any more."""
        return self.ask(
            f"""(async () => {{
              const seen = {SEEN}, root = document.querySelector(".tdx-{self.kind}");
              let before = null, now = seen(root);
              while (now !== before) {{
                await new Promise((done) => setTimeout(done, 120));
                [before, now] = [now, seen(root)];
              }}
              return now;
            }})()"""
        )

    def said(self) -> str:
        self.picture()
        return self.root("root.querySelector('.tdx-reading').textContent")

    def labelled(self, label: str) -> str:
        """The control with this label, as JavaScript."""
        return (
            f"[...root.querySelectorAll('label')].find((l) => l.textContent.startsWith('{label}'))"
            ".querySelector('select, input')"
        )

    def press(self, key: str, times: int = 1) -> None:
        for _ in range(times):
            self.page.keyboard.press(key)

    def focus(self, control: str) -> None:
        self.root(f"{control}.focus()")

    def choose(self, label: str, option: str) -> None:
        box = self.page.locator(f".tdx-{self.kind} label").filter(has_text=re.compile("^" + label))
        box.locator("select").select_option(label=option)

    def pointer(self, selector: str, x: float, y: float, press: bool = True) -> None:
        """Move, or drag from the middle, to a place given as shares of an element's width and height."""
        place = self.page.locator(f".tdx-{self.kind} {selector}").first
        place.evaluate("(e) => e.scrollIntoView({block: 'center', behavior: 'instant'})")
        box, mouse = place.bounding_box(), self.page.mouse
        if press:
            mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            mouse.down()
        mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if press:
            mouse.up()

    def photograph(self, name: str) -> None:
        """A picture of the page, where TDFUSION_SHOTS names a folder for them, or else in runs/explorers."""
        folder = Path(os.environ.get("TDFUSION_SHOTS") or ROOT / "runs" / "explorers")
        self.picture()
        self.page.locator(f".tdx-{self.kind}").screenshot(path=folder / f"{name}.png", animations="disabled")

    def close(self) -> list[str]:
        self.page.wait_for_timeout(50)  # late events arrive
        self.stack.close()
        return self.problems


# Explorers of known content, on a page of their own


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Scenes whose luma is rounded to 8 bits as well, so that nothing is lost on the way to the browser."""
    scenes = SynthRoad(split="test", length=5, size=(48, 64), seed=0)
    return [replace(scenes[i], vi=(scenes[i].vi * 255).round() / 255) for i in (0, 4)]


@pytest.fixture(scope="module")
def known(pairs) -> dict[str, Any]:
    torch.manual_seed(0)
    made = [(task, epoch) for task in ("segmentation", "detection") for epoch in (1, 2, 3)]
    written = [
        Written(task, "paper", epoch, [torch.rand(1, 48, 64) for _ in pairs], [torch.rand(1, 48, 64) for _ in pairs])
        for task, epoch in made
    ]  # fmt: skip
    lens = {p.name: {"infrared": p.ir, "visible": p.vi, "mean": (p.ir + p.vi) / 2} for p in pairs}
    return {
        "weights": WeightsExplorer(pairs, written, epoch=1),
        "landscape": LossLandscape(pairs, {"ours": [p.vi for p in pairs]}, w_a=0.8),
        "lens": FusionLens(lens),
        "playground": MetricPlayground(
            pairs[1], {"mean": (pairs[1].ir + pairs[1].vi) / 2, "max": pairs[1].vi}
        ),
        "lookahead": LookAhead(
            pairs,
            {F: {stop: [torch.randn(48, 64) for _ in pairs] for stop in ("near", "far")} for F in "AB"},
            {F: {"near": [0.5, 0.52], "far": [0.6, 0.7]} for F in "AB"},
        ),
    }


@pytest.fixture(scope="module")
def bodies(known) -> str:
    return "".join(explorer.html() for explorer in known.values())


@pytest.fixture
def open_known(bodies, browser, tmp_path) -> Iterator[Any]:
    page = tmp_path / "page.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">{bodies}'
    )
    opened = []

    def look(kind: str, **how: Any) -> Seen:
        opened.append(Seen(browser, page, kind, **how))
        return opened[-1]

    yield look
    for seen in opened:
        assert seen.close() == []


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"(?<![\w.])-?\d+\.\d+", text)]


def test_the_weights_explorer_says_what_the_networks_gave(open_known, known, pairs) -> None:
    seen, explorer = open_known("weights"), known["weights"]
    w, other = explorer.written[0], explorer.written[3]
    for steps, (x, y) in ((0, (32, 24)), (3, (35, 24))):
        seen.focus("root.querySelector('.tdx-panels')")
        seen.press("ArrowRight", steps)
        values = [image[0, y, x] for image in (pairs[0].ir, pairs[0].vi, w.I_f[0], w.w_a[0], 1 - w.w_a[0])]
        values.append(abs(w.w_a[0][0, y, x] - other.w_a[0][0, y, x]))
        said = seen.said()
        assert f"pixel ({x}, {y})" in said
        assert numbers(said) == pytest.approx([float(v) for v in values], abs=0.5 / 255 + 0.0006)


def test_epochs_play_and_stop_at_the_last(open_known) -> None:
    seen = open_known("weights")
    pictures = {seen.picture()}
    seen.focus("root.querySelector('button')")
    seen.press(" ")
    done = seen.ask(
        """new Promise((done) => { const root = document.querySelector(".tdx-weights"), t = setInterval(() => {
          if (root.querySelector("button").textContent === "play") { clearInterval(t); done(true); } }, 50); })"""
    )
    pictures.add(seen.picture())
    assert done and len(pictures) == 2
    assert seen.root(f"{seen.labelled('after epoch')}.getAttribute('aria-valuetext')") == "3"


@pytest.mark.parametrize("region", ["one pixel", "15 x 15 pixels", "the whole scene"])
@pytest.mark.parametrize("variant", ["paper", "released"])
def test_the_landscape_finds_the_minima_that_python_finds(open_known, known, region, variant) -> None:
    seen, explorer = open_known("landscape"), known["landscape"]
    seen.choose("region", region)
    seen.choose("variant", variant)
    if region != "the whole scene":  # nothing is outside it
        seen.choose("outside it", "ours")
    seen.focus(seen.labelled("w_a"))
    seen.press("ArrowLeft", 10)
    said = seen.said()
    explorer.set_state({"region": region, "variant": variant, "rest": "ours", "w_a": 0.7})
    closed, both = explorer.pulled()
    values, intensity, gradient = explorer.curves()
    best = int((values - both).abs().argmin())
    assert numbers(said)[-4:-1] == pytest.approx([closed, both, float(intensity[best])], abs=0.0006)
    # where both sources have one gradient up to its sign, rounding decides which of them is asked for
    assert numbers(said)[-1] == pytest.approx(float(gradient[best]), abs=0.002)
    seen.focus(seen.labelled("α"))
    seen.press("Home")
    assert numbers(seen.said())[-3] == pytest.approx(closed, abs=0.0031)


def test_the_playground_shows_the_metrics_of_the_amount(open_known, known) -> None:
    seen, explorer = open_known("playground"), known["playground"]
    seen.choose("spoil by", "noise")
    seen.focus(seen.labelled("amount"))
    seen.press("ArrowRight", 4)
    expected = explorer.values["mean", "noise"][4]
    said = seen.said()
    assert [f"{name} {value:.2f}" in said for name, value in expected.items()] == [True] * 6


def test_the_look_ahead_says_the_shares_of_the_push_on_show(open_known, known) -> None:
    seen, explorer = open_known("lookahead"), known["lookahead"]
    before = seen.picture()
    seen.choose("F", "B")
    seen.focus(seen.labelled("the loss looks ahead"))
    seen.press("ArrowRight")
    explorer.set_state({"network": "B", "stop": 1})
    found, said = explorer.reading(), seen.said()
    assert said.startswith("far, B: ") and seen.picture() != before
    expected = [found["scene"], sum(found["seeds"]) / 2, *found["seeds"]]
    assert [int(v) for v in re.findall(r"(\d+) %", said)] == pytest.approx(
        [100 * v for v in expected], abs=0.51
    )
    drawn = seen.root("[...root.querySelector('.tdx-panels').lastChild.querySelector('canvas').getContext('2d')"
                      ".getImageData(0, 0, 64, 48).data]")  # fmt: skip
    push = explorer.pushes["B"]["far"][0]
    red, blue = (torch.tensor(drawn).view(48, 64, 4)[..., k].float() for k in (0, 2))
    assert (red > blue)[push > 0.3].all() and (blue > red)[push < -0.3].all()  # orange up, purple down


JUPYTER = """<!doctype html><meta charset="utf-8"><div id="here"></div>
<script type="application/json" id="state">STATE</script><script type="application/json" id="code">CODE</script>
<script type="module">
const state = JSON.parse(document.getElementById("state").textContent), heard = {};
window.saved = [];
window.model = {
  get: (name) => state[name],
  set(name, value) { state[name] = value; (heard["change:" + name] ?? []).forEach((react) => react()); },
  save_changes() { window.saved.push({ pixel: state.pixel, w_a: state.w_a }); },
  on: (event, react) => (heard[event] ??= []).push(react),
  off: (event, react) => { heard[event] = heard[event].filter((one) => one !== react); },
};
const code = new Blob([JSON.parse(document.getElementById("code").textContent)], { type: "text/javascript" });
const module = await import(URL.createObjectURL(code));
window.finish = await module.default.render({ model: window.model, el: document.getElementById("here") });
</script>"""


def test_as_a_module_of_jupyter_it_tells_python_and_follows_it(known, browser, tmp_path) -> None:
    """The script as anywidget loads it, with a model that keeps what Python would be sent."""
    explorer = known["landscape"]
    names = ("kind", "data", *explorer.traits(control=True))
    explorer.set_state({"region": "one pixel", "pixel": [32, 24], "w_a": 0.8})
    state = {name: getattr(explorer, name) for name in names}
    page = tmp_path / "jupyter.html"
    texts = [json.dumps(value).replace("</", "<\\/") for value in (state, str(explorer._esm))]
    page.write_text(JUPYTER.replace("STATE", texts[0]).replace("CODE", texts[1]))
    seen = Seen(browser, page, "landscape")
    before = seen.picture()
    seen.focus("root.querySelector('.tdx-panels')")
    seen.press("ArrowRight", 2)
    after = seen.picture()
    assert after != before
    assert seen.ask("window.saved.at(-1).pixel") == [34, 24]
    seen.ask("void window.model.set('w_a', 0.25)")  # as a message of Python does
    assert seen.picture() != after
    assert seen.root(f"{seen.labelled('w_a')}.value") == "25"
    fewer = "{ ...window.model.get('data'), scenes: window.model.get('data').scenes.slice(0, 1) }"
    seen.ask(f"void window.model.set('data', {fewer})")
    seen.picture()
    assert seen.root("root.querySelector('select').options.length") == 1
    seen.ask("void window.finish()")
    still = seen.picture()
    seen.ask("void window.model.set('w_a', 0.9)")
    assert seen.picture() == still
    assert seen.close() == []


# The built page


@pytest.fixture
def open_page(browser) -> Iterator[Any]:
    if not PAGE.is_file():
        pytest.skip("the book is not built here: make book")
    opened = []

    def look(kind: str, **how: Any) -> Seen:
        opened.append(Seen(browser, ELSEWHERE.get(kind, PAGE), kind, **how))
        return opened[-1]

    yield look
    for seen in opened:
        assert seen.close() == []  # no failed request, none to another host, no error


KINDS = ("weights", "landscape", "lens", "playground", "lookahead")


def test_no_label_of_a_chart_stands_outside_it(open_page) -> None:
    """Names on the page are longer than those of the tests; a drawing is cut off at its edge."""
    chart = "root.querySelector('svg.tdx-chart')"
    outside = f"""[...{chart}.querySelectorAll("text")].filter((text) => {{
        const [box, all] = [text, {chart}].map((node) => node.getBoundingClientRect());
        return box.left < all.left - 1 || box.right > all.right + 1
          || box.top < all.top - 1 || box.bottom > all.bottom + 1;
      }}).map((text) => text.textContent)"""
    seen = open_page("lookahead")
    assert seen.root(f"{chart}.querySelectorAll('text').length") > 8
    assert seen.root(outside) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_control_changes_the_picture_on_the_built_page(open_page, kind) -> None:
    seen = open_page(kind)
    before = seen.picture()
    boxes = seen.root("[...root.querySelectorAll('select, input')].map((c) => c.disabled)")
    moved = 0
    for i, disabled in enumerate(boxes):
        control = f"root.querySelectorAll('select, input')[{i}]"
        count = seen.root(f"{control}.options?.length ?? 2")
        if disabled or count < 2:
            continue
        seen.focus(control)
        if seen.root(f"{control}.type") == "checkbox":
            seen.press(" ")
        else:
            last = seen.root(
                f"{control}.selectedIndex === {count} - 1 || +{control}.value === +{control}.max"
            )
            seen.press("ArrowLeft" if last else "ArrowRight", 1)
        after = seen.picture()
        label = seen.root(f"{control}.closest('label').textContent.slice(0, 30)")
        assert after != before, f"{kind}: {label} changes nothing"
        before, moved = after, moved + 1
    assert moved >= 3
    seen.photograph(f"{kind}-moved")


@pytest.mark.parametrize(
    ("kind", "place"),
    [("weights", ".tdx-picture"), ("landscape", ".tdx-picture"), ("lens", ".tdx-wipe")],
)
def test_the_pointer_moves_what_is_read(open_page, kind, place) -> None:
    seen = open_page(kind)
    before = seen.picture()
    seen.pointer(place, 0.25, 0.4, press=kind != "weights")
    assert seen.picture() != before
    if kind == "lens":
        assert seen.root("root.querySelector('.tdx-divider').style.left") == "25%"


@pytest.mark.parametrize("kind", ["weights", "landscape"])
def test_arrow_keys_move_the_pixel_and_leave_the_page_where_it_is(open_page, kind) -> None:
    seen = open_page(kind)
    seen.focus("root.querySelector('.tdx-panels')")
    seen.press("Home")
    first = seen.said()
    at = seen.ask("[scrollX, scrollY, location.href]")
    seen.press("Shift+ArrowDown", 2)
    assert seen.said() != first
    seen.press("Home")
    assert seen.said() == first
    assert seen.ask("[scrollX, scrollY, location.href]") == at


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_named_for_a_screen_reader(open_page, kind) -> None:
    seen = open_page(kind)
    assert seen.root("root.getAttribute('aria-label')")
    nameless = seen.root(
        "[...root.querySelectorAll('canvas, svg, select, input, button, [tabindex]')].filter((e) => !("
        "e.getAttribute('aria-label') || e.getAttribute('aria-hidden') || e.closest('label')?.textContent.trim() ||"
        " e.textContent.trim())).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert nameless == []
    if kind != "lens":
        assert seen.root("root.querySelector('[aria-live=polite]').textContent.length") > 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone_and_keeps_its_contrast(open_page, kind, dark) -> None:
    seen = open_page(kind, width=390, dark=dark)
    assert seen.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 1
    assert seen.root("root.scrollWidth - root.clientWidth") <= 1
    text, ground = seen.root("[getComputedStyle(root).color, getComputedStyle(root).backgroundColor]")
    assert contrast(text, ground) > 7
    seen.photograph(f"{kind}-phone-{'dark' if dark else 'light'}")


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours ``rgb(r, g, b)``, by WCAG 2."""

    def luminance(colour: str) -> float:
        levels = [int(v) / 255 for v in re.findall(r"\d+", colour)[:3]]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_page_stays_within_two_megabytes() -> None:
    if not PAGE.is_file():
        pytest.skip("the book is not built here: make book")
    assert PAGE.stat().st_size < 2_000_000
