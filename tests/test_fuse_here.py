"""F in the reader's browser: what it needs is the published and the carried, and it gives the command's images."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import Browser, opened
from conftest import ROOT
from fuse_here import FIELDS
from make_fuse_parts import EXAMPLE, MODEL, image_file, scene, weights_digest
from parts import read_part
from PIL import Image
from vendor_onnxruntime import ONNXRUNTIME, PUBLISHED
from vendored import STATIC, differences

from tdfusion.data.images import read_image
from tdfusion.figures.panels import visible_rgb
from tdfusion.fusing import fuse_files, match_pairs
from tdfusion.models import FusionNet

HTML = Path(os.environ.get("TDFUSION_HTML") or ROOT / "_build" / "html")
PAGE = HTML / "book" / "use" / "fuse.html"

# What the page loads


def test_the_runtime_is_the_published_one() -> None:
    assert differences(ONNXRUNTIME.target) == []
    files, _ = read_part(ONNXRUNTIME.target / "runtime.js")
    assert {name: hashlib.sha256(file).hexdigest() for name, file in files.items()} == PUBLISHED


def test_the_model_is_the_F_that_the_package_carries() -> None:
    """If not: python book/tools/make_fuse_parts.py."""
    files, about = read_part(MODEL)
    assert about["weights_sha256"] == weights_digest()
    onnxruntime = pytest.importorskip("onnxruntime")
    network = onnxruntime.InferenceSession(files["F.onnx"])
    I_a, I_b = torch.rand(2, 1, 1, 45, 38)
    (found,) = network.run(None, {"I_a": I_a.numpy(), "I_b": I_b.numpy()})
    with torch.no_grad():
        expected = FusionNet.from_pretrained()(I_a, I_b).numpy()
    assert abs(found - expected).max() < 1e-5


def test_the_example_is_the_scene_that_is_drawn() -> None:
    files, _ = read_part(EXAMPLE)
    found = {name: np.asarray(Image.open(io.BytesIO(file)), int) for name, file in files.items()}
    pair = scene()
    drawn = {
        "thermal.png": np.asarray(Image.open(io.BytesIO(image_file(pair.ir, "PNG"))), int),
        "photo.jpg": np.asarray(Image.open(io.BytesIO(image_file(visible_rgb(pair), "PNG"))), int),
    }
    assert abs(found["thermal.png"] - drawn["thermal.png"]).max() <= 1
    assert abs(found["photo.jpg"] - drawn["photo.jpg"]).mean() < 4  # JPEG


# In the browser, from disk


class Fields:
    """The fields on a page of their own, or on the book's."""

    def __init__(self, browser: Browser, page: Path, **how: Any) -> None:
        self.stack = ExitStack()
        self.page, self.problems = self.stack.enter_context(opened(browser, page, **how))
        self.root = self.page.locator(".tdx-fuse")
        self.settled("waiting")

    def settled(self, state: str) -> str:
        """Wait for this state; what is said then."""
        self.page.wait_for_selector(
            f".tdx-fuse:is([data-state={state}], [data-state=error])", timeout=120_000
        )
        text = self.root.locator("output").inner_text()
        assert self.root.get_attribute("data-state") == state, text
        return text

    def give(self, ir: Path, vi: Path) -> None:
        for role, file in (("ir", ir), ("vi", vi)):
            self.root.locator(f"[data-role={role}] input").set_input_files(file)

    def button(self, name: str) -> Any:
        return self.root.locator(f"[name={name}]")

    def saved(self) -> np.ndarray:
        """The PNG that a reader gets, (H, W, 3)."""
        with self.page.expect_download() as download:
            self.button("save").click()
        return np.asarray(Image.open(download.value.path()).convert("RGB"), int)

    def close(self) -> list[str]:
        self.page.wait_for_timeout(50)  # late events arrive
        self.stack.close()
        return self.problems


@pytest.fixture
def fields(browser, tmp_path) -> Iterator[Callable[..., Fields]]:
    style = (ROOT / "tdfusion" / "explorers" / "explorers.css").read_text("utf-8")
    body = FIELDS.read_text("utf-8").replace("{static}", STATIC.as_uri()).replace("{style}", style)
    page = tmp_path / "page.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">{body}'
    )
    those = []

    def look(**how: Any) -> Fields:
        those.append(Fields(browser, page, **how))
        return those[-1]

    yield look
    for one in those:
        assert one.close() == []  # no error, nothing asked of the network


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """Two files of an odd size: infrared in gray, visible in colour."""
    shown = scene()
    ir, vi = tmp_path / "thermal.png", tmp_path / "photo.png"
    ir.write_bytes(image_file(shown.ir[:, :101, :75], "PNG"))
    vi.write_bytes(image_file(visible_rgb(shown)[:, :101, :75], "PNG"))
    return ir, vi


def by_the_command(ir: Path, vi: Path, **options: Any) -> np.ndarray:
    F = FusionNet.from_pretrained()
    (file,) = fuse_files(
        F, match_pairs(ir, vi, ir.parent / "out"), overwrite=True, say=str, warn=None, **options
    )
    return np.asarray(Image.open(file).convert("RGB"), int)


@pytest.mark.slow
def test_it_gives_the_command_s_image_within_one_level(fields, pair) -> None:
    there = fields()
    there.give(*pair)
    assert there.settled("ready") == "Ready to fuse."
    there.button("go").click()
    assert "Fused 75x101 pixels" in there.settled("done")
    found, expected = there.saved(), by_the_command(*pair)
    assert found.shape == expected.shape
    assert abs(found - expected).max() <= 1 and (found == expected).mean() > 0.99
    there.button("stretch").uncheck()
    plain, expected = there.saved(), by_the_command(*pair, minmax=False)
    assert abs(plain - expected).max() <= 1 and (plain != found).any()


@pytest.mark.slow
def test_kinds_of_files_that_it_reads_as_the_command_does(fields, pair, tmp_path) -> None:
    """Infrared in false colours, in a palette and at 16 bits over its range; visible gray, and as JPEG."""
    ir, vi = (np.asarray(Image.open(file)) for file in pair)
    named = {
        "false.png": Image.fromarray(np.stack([ir, ir // 2, 255 - ir], -1)),
        "palette.png": Image.fromarray(ir).convert("P"),
        "deep.png": Image.fromarray((ir - ir.min()).astype(np.uint16) * (65535 // int(np.ptp(ir)))),
    }
    visible = {"gray.png": Image.fromarray(vi).convert("L"), "photo.jpg": Image.fromarray(vi)}
    for name, image in {**named, **visible}.items():
        image.save(tmp_path / name)
    there = fields()
    for first, second, said in (
        ("false.png", "gray.png", "the luma is taken"),
        ("palette.png", "gray.png", "Ready to fuse."),
        ("deep.png", "photo.jpg", "16 bits, of which a browser reads the upper 8"),
    ):
        two = tmp_path / first, tmp_path / second
        there.give(*two)
        assert said in there.settled("ready")
        there.button("go").click()
        there.settled("done")
        away = abs(there.saved() - by_the_command(*two))
        # decoders of JPEG may round differently, here as elsewhere
        assert away.max() <= (3 if second.endswith("jpg") else 1), (first, second)


@pytest.mark.slow
def test_a_smaller_size_is_that_of_means_of_pixels(fields, pair, tmp_path) -> None:
    there = fields()
    there.give(*pair)
    there.settled("ready")
    there.button("size").select_option("2")
    there.button("go").click()
    assert "37x50" in there.settled("done")
    small = []
    for file in pair:
        image = read_image(file)[:, :100, :74]
        means = image.reshape(len(image), 50, 2, 37, 2).mean((2, 4))
        small.append(tmp_path / f"small-{file.name}")
        small[-1].write_bytes(image_file(means, "PNG"))
    # files hold whole levels, the page does not: the stretch widens what rounding took
    assert abs(there.saved() - by_the_command(*small)).mean() < 1


def test_what_cannot_be_fused_is_said(fields, pair, tmp_path) -> None:
    ir, vi = pair
    words, wide, deep = tmp_path / "words.png", tmp_path / "wide.png", tmp_path / "kelvin.png"
    words.write_text("no image")
    Image.new("L", (80, 101)).save(wide)
    Image.fromarray(np.linspace(29800, 30600, 101 * 75).reshape(101, 75).astype(np.uint16)).save(deep)
    there = fields()
    for first, said in (
        (words, "words.png cannot be read as an image by this browser"),
        (wide, "wide.png is 80x101 but photo.png is 75x101; a pair must be registered and of one size"),
        (deep, "kelvin.png has 16 bits, of which a browser reads the upper 8"),
    ):
        there.give(first, vi)
        assert said in there.settled("error")
        assert there.button("go").is_disabled()
    there.page.reload()
    there.settled("waiting")
    there.root.locator("[data-role=ir] input").set_input_files(ir)
    there.page.wait_for_function("document.querySelector('.tdx-fuse output').textContent.includes('visible')")


@pytest.mark.slow
def test_the_example_by_the_keyboard_and_a_run_that_is_stopped(fields) -> None:
    there = fields()
    there.page.keyboard.press("Tab")
    assert there.page.evaluate("document.activeElement.type") == "file"
    there.button("example").focus()
    there.page.keyboard.press("Enter")
    assert "Fused 256x192 pixels" in there.settled("done")
    first = there.saved()
    there.button("go").focus()
    there.page.keyboard.press("Enter")
    there.settled("running")
    there.page.evaluate("document.querySelector('.tdx-fuse [name=stop]').click()")
    assert there.settled("ready") == "Stopped."
    there.button("go").click()
    there.settled("done")
    assert (there.saved() == first).all()


def test_files_that_are_dropped_are_taken(fields, pair) -> None:
    there = fields()
    drop = """([role, bytes, names]) => {
      const files = new DataTransfer();
      for (const name of names) files.items.add(new File([Uint8Array.from(bytes)], name));
      const event = new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true });
      document.querySelector(`[data-role=${role}]`).dispatchEvent(event);
      return event.defaultPrevented;
    }"""
    assert there.page.evaluate(drop, ["ir", list(pair[0].read_bytes()), ["a.png", "b.png"]])
    assert "one image file on each" in there.settled("error")
    there.page.evaluate(drop, ["ir", list(pair[0].read_bytes()), ["a.png"]])
    there.page.wait_for_function("document.querySelector('.tdx-fuse output').textContent.includes('visible')")
    assert "a.png, 75x101" in there.root.inner_text()


# The built page


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_of_the_book_fuses_on_a_phone(browser, dark) -> None:
    if not PAGE.is_file():
        pytest.skip("the book is not built here: make book")
    there = Fields(browser, PAGE, width=390, dark=dark)
    assert there.page.evaluate("self.tdfusionParts") is None, "4 MB are loaded before anybody asks"
    there.button("example").click()
    there.settled("done")
    too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert there.page.evaluate(too_wide) <= 1
    nameless = there.page.evaluate(
        "[...document.querySelectorAll('.tdx-fuse :is(canvas, select, input, button, progress)')].filter((e) => !("
        "e.getAttribute('aria-label') || e.closest('label')?.textContent.trim() || e.textContent.trim()))"
        ".map((e) => e.outerHTML)"
    )
    assert nameless == []
    folder = Path(os.environ.get("TDFUSION_SHOTS") or ROOT / "runs" / "explorers")
    there.root.screenshot(path=folder / f"fuse-phone-{'dark' if dark else 'light'}.png")
    assert there.close() == []
