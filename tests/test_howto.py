"""The Python of the how-to pages, run as it stands on the page."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT

from tdfusion import results
from tdfusion.data.images import read_gray, to_uint8
from tdfusion.data.registration import CONFIDENT, TOLERANCE, misregistration
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.results import wide

PAGE = (ROOT / "book" / "use" / "register.md").read_text("utf-8")
H, W = 240, 320
CORNERS = np.float64([[40, 30], [280, 30], [40, 210], [280, 210], [160, 120]])


def run(heading: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Run the block under a heading in a folder; its names."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```python\n(.*?)^```$", section, re.S | re.M)
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(compile(block, f"register.md: {heading}", "exec"), names)
    return names


def take(
    folder: Path, scene: int, to_photo: np.ndarray, name: str = "", size: tuple[int, int] = (W, H)
) -> None:
    """A scene's two files; ``to_photo`` (3, 3) says where in the photo what the thermal image shows is."""
    pair = SynthRoad(length=6, size=(H, W))[scene]
    ir = folder / (f"thermal/{name}" if name else "thermal.png")
    vi = folder / (f"photos/{name}" if name else "photo.png")
    for path in (ir, vi):
        path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(ir, to_uint8(pair.ir))
    assert cv2.imwrite(vi, cv2.warpPerspective(to_uint8(pair.vi), to_photo, size))


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (n, 2) through a matrix (2 or 3, 3)."""
    full = matrix if len(matrix) == 3 else np.vstack([matrix, [0, 0, 1]])
    x = np.c_[points, np.ones(len(points))] @ full.T
    return x[:, :2] / x[:, 2:]


def turned(turn: float, scale: float, dx: float, dy: float) -> np.ndarray:
    matrix = np.vstack([cv2.getRotationMatrix2D((W / 2, H / 2), turn, scale), [0, 0, 1]])
    matrix[:2, 2] += dx, dy
    return matrix


def test_the_number(tmp_path, monkeypatch, capsys) -> None:
    take(tmp_path, 4, turned(0, 1, 7, -4))
    offset = run("How well is a pair registered?", tmp_path, monkeypatch)["offset"]
    assert offset[:2] == pytest.approx((7, -4), abs=0.5)
    assert capsys.readouterr().out.startswith(("7.", "6."))


def test_from_clicked_points(tmp_path, monkeypatch) -> None:
    """A larger photo seen at a slant, clicks off by half a pixel, and one that is wrong."""
    to_photo = np.diag([1.5, 1.5, 1]) @ turned(4, 0.9, 12, -8)
    to_photo[2, :2] = 1e-4, -5e-5
    take(tmp_path, 1, to_photo, size=(480, 360))
    rng = np.random.default_rng(0)
    points = np.mgrid[20:301:93, 20:221:100].reshape(2, -1).T + rng.uniform(-9, 9, (12, 2))
    clicked = np.c_[points, moved(points, to_photo) + rng.uniform(-0.5, 0.5, (12, 2))]
    clicked[5, 2] += 40
    np.savetxt(tmp_path / "points.csv", clicked.round(1), delimiter=",")
    names = run("From clicked points", tmp_path, monkeypatch)
    assert names["kept"].sum() == 11 and not names["kept"][5]
    assert np.abs(moved(moved(CORNERS, to_photo), names["matrix"]) - CORNERS).max() < 1
    assert cv2.imread(tmp_path / "registered.png").shape == (H, W, 3)


@pytest.mark.parametrize("scene, dx, dy", [(1, 11, -6), (4, -15, 8), (5, 0, 9)])
def test_a_shift(tmp_path, monkeypatch, scene: int, dx: int, dy: int) -> None:
    take(tmp_path, scene, turned(0, 1, dx, dy))
    names = run("Automatically: a shift", tmp_path, monkeypatch)
    assert names["matrix"][:, 2] == pytest.approx((-dx, -dy), abs=0.5)
    after = misregistration(read_gray("thermal.png"), read_gray("registered.png"))
    assert after[:2] == pytest.approx((0, 0), abs=0.5)


def test_a_shift_that_cannot_be_told_is_refused(tmp_path, monkeypatch) -> None:
    take(tmp_path, 1, np.eye(3))
    cv2.imwrite(tmp_path / "photo.png", np.random.default_rng(0).integers(0, 256, (H, W), np.uint8))
    with pytest.raises(SystemExit, match="click points"):
        run("Automatically: a shift", tmp_path, monkeypatch)


@pytest.mark.slow
def test_turn_scale_and_shift_and_then_the_whole_folder(tmp_path, monkeypatch) -> None:
    to_photo = turned(1.2, 1.025, 9, -6)
    take(tmp_path, 4, to_photo)
    for scene in (1, 4):
        take(tmp_path, scene, to_photo, f"{scene}.png")
    names = run("Automatically: turn, scale and shift", tmp_path, monkeypatch)
    assert np.abs(moved(moved(CORNERS, to_photo), names["matrix"]) - CORNERS).max() < 1
    run("One matrix for all images of a rig", tmp_path, monkeypatch)
    for scene in (1, 4):
        ir, vi = (read_gray(tmp_path / "registered" / kind / f"{scene}.png") for kind in ("ir", "vi"))
        assert ir.shape == vi.shape and vi.min() > 0
        assert misregistration(ir, vi)[:2] == pytest.approx((0, 0), abs=1)


def test_rates_and_thresholds_on_the_page_are_the_studys() -> None:
    rates = wide(results.load("registration"), "data", "arm", "group")
    shown = 0
    for data in ("MSRS", "RoadScene", "TNO", "LLVIP"):
        for group, words in (("held out", "not looked at before"), ("chosen on", "chosen on")):
            if (data, "moved by 0 px", group) not in rates.index:
                continue
            some = [rates.loc[data, f"moved by {shift} px", group] for shift in (0, 2, 4, 8, 16)]
            cells = [f"{row['warned %']:.1f} %" for row in some]
            assert f"| {data}, {words} | {some[0]['pairs']:.0f} | {' | '.join(cells)} |" in PAGE
            shown += 1
    assert shown == sum(line.endswith(" % |") for line in PAGE.splitlines()), (
        "a row that the study does not have"
    )
    assert f"above {CONFIDENT} meets an offset above {TOLERANCE:.0f} px" in PAGE
