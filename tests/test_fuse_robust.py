"""Odd and broken files: every one is named, the others are fused, nothing is half written, a second call goes on."""

from __future__ import annotations

import errno
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from torch import Tensor, nn

from tdfusion.commands import fuse as fuse_command
from tdfusion.commands.main import build_parser, main
from tdfusion.data.filepairs import FilePair, read_pair_files
from tdfusion.data.images import read_gray, read_image
from tdfusion.errors import InputError
from tdfusion.fusing import PairsFailed, fuse, fuse_files, match_pairs
from tdfusion.models import FusionNet
from tdfusion.sequences import fuse_sequence
from tdfusion.weights import write_safetensors


class Mean(nn.Module):
    """(I_a + I_b) / 2 in place of F, where files are the subject."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        return self.factor * (I_a + I_b)


@pytest.fixture
def pairs(tmp_path: Path) -> list[FilePair]:
    """Five good pairs in ir/ and vi/."""
    rng = np.random.default_rng(0)
    for role in ("ir", "vi"):
        (tmp_path / role).mkdir()
        for name in "abcde":
            Image.fromarray(rng.integers(0, 256, (12, 14), dtype=np.uint8)).save(
                tmp_path / role / f"{name}.png"
            )
    return match_pairs(tmp_path / "ir", tmp_path / "vi", tmp_path / "out")


def png(path: Path, array: np.ndarray, **options: object) -> None:
    Image.fromarray(array).save(path, **options)


BROKEN = {
    "zero-byte": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:120]),
    "text with an image's suffix": lambda path: path.write_text("not an image"),
    "other size": lambda path: png(path, np.zeros((3, 3), np.uint8)),
    "a folder named like an image": lambda path: (path.unlink(), path.mkdir()),
    "mostly NaN": lambda path: (
        Image.fromarray(np.full((12, 14), np.nan, np.float32)).save(path.with_suffix(".tif")),
        path.unlink(),
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("sequence", [False, True])
def test_a_bad_file_is_named_and_the_others_are_done(pairs, tmp_path, kind: str, sequence: bool) -> None:
    BROKEN[kind](tmp_path / "ir" / "c.png")
    pairs = match_pairs(tmp_path / "ir", tmp_path / "vi", tmp_path / "out")
    run = fuse_sequence if sequence else fuse_files
    with pytest.raises(PairsFailed, match=r"c\.(png|tif).*; 4 of 5 pairs are fused") as failure:
        run(Mean(), pairs, progress=False)
    assert len(failure.value.failed) == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "d.png", "e.png"]
    with pytest.raises(InputError, match=r"2 of 5 pairs are fused") as stopped:
        run(Mean(), pairs, overwrite=True, strict=True, progress=False)
    assert not isinstance(stopped.value, PairsFailed)


def test_all_bad_files_are_named_and_nothing_is_made(pairs, tmp_path, capsys) -> None:
    for pair in pairs:
        pair.ir.write_bytes(b"")
    with pytest.raises(PairsFailed, match="0 of 5") as failure:
        fuse_files(Mean(), pairs, range_over="folder", progress=False)
    assert [f"{name}.png" in text for name, text in zip("abcde", failure.value.failed)] == [True] * 5
    assert not (tmp_path / "out").exists()


def test_exif_orientation_is_applied_and_said(tmp_path) -> None:
    rng = np.random.default_rng(0)
    upright = np.kron(rng.integers(0, 256, (3, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    png(tmp_path / "ir.png", upright[..., 0])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise to stand upright
    turned = Image.fromarray(np.rot90(upright))
    turned.save(tmp_path / "vi.jpg", exif=exif, quality=100, subsampling=0)
    said: list[str] = []
    pair = FilePair(tmp_path / "ir.png", tmp_path / "vi.jpg", tmp_path / "out.png")
    fuse_files(Mean(), [pair], say=said.append)
    assert "visible: turned upright by its EXIF orientation" in said
    found = read_image(tmp_path / "vi.jpg").permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, upright / 255, atol=0.03)


def odd_file(kind: str, path: Path, rgb: np.ndarray) -> Path:
    image = Image.fromarray(rgb)
    alpha = Image.fromarray(np.linspace(0, 255, rgb[..., 0].size).reshape(rgb.shape[:2]).astype(np.uint8))
    if kind == "CMYK":
        image.convert("CMYK").save(path := path.with_suffix(".jpg"), quality=100)
    elif kind == "RGBA":
        image.putalpha(alpha)
        image.save(path)
    elif kind == "LA":
        Image.merge("LA", (image.convert("L"), alpha)).save(path)
    elif kind == "palette":
        image.quantize(256).save(path)
    elif kind == "1-bit":
        image.convert("L").point(lambda v: 255 * (v > 127), mode="1").save(path)
    return path


@pytest.mark.parametrize("kind", ["CMYK", "RGBA", "LA", "palette", "1-bit"])
def test_odd_kinds_of_visible_files_are_read_as_they_look(tmp_path, kind: str) -> None:
    across, down = np.meshgrid(np.linspace(20, 230, 24), np.linspace(40, 200, 16))
    rgb = np.stack([across, down, (across + down) / 2], -1).astype(np.uint8)
    path = odd_file(kind, tmp_path / "vi.png", rgb)
    found = read_image(path)
    expected = np.asarray(Image.fromarray(rgb).convert("L"), float) / 255
    if kind == "1-bit":
        expected = (expected > 127 / 255).astype(float)
    np.testing.assert_allclose(read_gray(path)[0], expected, atol=0.05)
    assert found.shape[0] == (1 if kind in ("LA", "1-bit") else 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (3, 5)])
def test_tiny_images_are_fused(tmp_path, size: tuple[int, int]) -> None:
    for name in ("ir", "vi"):
        png(tmp_path / f"{name}.png", np.full(size, 90, np.uint8))
    F = FusionNet().eval()
    pairs = match_pairs(tmp_path / "ir.png", tmp_path / "vi.png", tmp_path / "out")
    (written,) = fuse_files(F, pairs, progress=False)
    assert read_image(written).shape == (1, *size)


def test_unicode_names_and_spaces(tmp_path) -> None:
    rng = np.random.default_rng(0)
    for role in ("wärme bild", "видимое"):
        (tmp_path / role).mkdir()
        png(tmp_path / role / "夜 01.png", rng.integers(0, 256, (8, 9), dtype=np.uint8))
    pairs = match_pairs(tmp_path / "wärme bild", tmp_path / "видимое", tmp_path / "out put")
    assert [p.name for p in fuse_files(Mean(), pairs, progress=False)] == ["夜 01.png"]


def test_too_many_pixels_are_refused_in_a_sentence(tmp_path, monkeypatch) -> None:
    png(tmp_path / "ir.png", np.zeros((40, 40), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(InputError, match=r"ir\.png: too many pixels .*make it smaller"):
        read_gray(tmp_path / "ir.png")


def test_more_memory_than_there_is_is_refused_before_the_system_ends_the_process() -> None:
    huge = torch.zeros(1).expand(1, 100_000, 100_000)  # one number in memory
    with pytest.raises(InputError, match=r"100000x100000 pixels need about 35000 GB"):
        fuse(FusionNet().eval(), huge, huge)


def test_a_disk_that_is_full_is_said_and_nothing_is_half_written(pairs, tmp_path, monkeypatch) -> None:
    save, calls = Image.Image.save, []

    def fills_up(self, path, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            path.write_bytes(b"half a file")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, path, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "save", fills_up)
    with pytest.raises(InputError, match=r"c\.png: cannot be written \(No space left on device\); 2 results"):
        fuse_files(Mean(), pairs, progress=False)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]
    assert len(fuse_files(Mean(), pairs, progress=False)) == 3


def test_a_folder_that_cannot_be_written_is_said_before_the_work(pairs, tmp_path, monkeypatch) -> None:
    def refuses(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuses)
    with pytest.raises(
        InputError, match=r"out.a\.png: cannot be written \(Permission denied\); nothing was fused"
    ):
        fuse_files(Mean(), pairs, progress=False)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        fuse_files(Mean(), match_pairs(tmp_path / "ir", tmp_path / "vi", tmp_path / "file" / "out"))


def test_a_result_never_takes_the_place_of_its_source(pairs, tmp_path) -> None:
    with pytest.raises(InputError, match=r"would take the place of its source; choose another --out"):
        match_pairs(tmp_path / "ir", tmp_path / "vi", tmp_path / "ir")


def test_the_command_names_what_failed_and_ends_with_status_1(pairs, tmp_path, capsys) -> None:
    torch.manual_seed(0)
    write_safetensors(tmp_path / "F.safetensors", FusionNet())
    pairs[1].vi.write_bytes(b"")
    words = ["--ir", tmp_path / "ir", "--vi", tmp_path / "vi", "--out", tmp_path / "o"]
    words += ["--weights", tmp_path / "F.safetensors"]
    assert main([str(w) for w in ("fuse", *words)]) == 1
    said = capsys.readouterr()
    assert f"tdfusion: not fused: {pairs[1].vi}: cannot be read as an image" in said.err
    assert "4 fused into" in said.out and "1 could not be fused" in said.out
    assert "infrared: 4 images, 8-bit, " in said.out
    assert main([str(w) for w in ("fuse", *words, "--ir-range", "wide")]) == 2
    assert 'range "wide": expected auto, full' in capsys.readouterr().err


def test_ctrl_c_leaves_whole_files_and_a_second_call_goes_on(pairs, tmp_path) -> None:
    torch.manual_seed(0)
    write_safetensors(tmp_path / "F.safetensors", FusionNet())
    for pair in pairs:  # large enough that the signal comes in the middle
        for path in (pair.ir, pair.vi):
            png(path, np.random.default_rng(1).integers(0, 256, (160, 200), dtype=np.uint8))
    command = [sys.executable, "-m", "tdfusion", "fuse", "--ir", tmp_path / "ir", "--vi", tmp_path / "vi"]
    command += ["--out", tmp_path / "out", "--weights", tmp_path / "F.safetensors"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        # a shell that puts this test in the background has it ignore Ctrl-C, and its children too
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not (tmp_path / "out" / "a.png").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "interrupted after" in err and "goes on with the rest" in err
    done = sorted((tmp_path / "out").iterdir())
    assert 1 <= len(done) < 5 and not any(p.name.startswith(".") for p in done)
    for path in done:
        read_image(path)
    times = {path: path.stat().st_mtime_ns for path in done}
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert len(list((tmp_path / "out").iterdir())) == 5
    assert {path: path.stat().st_mtime_ns for path in done} == times


def test_pairs_read_by_themselves_are_what_f_sees(pairs) -> None:
    read = read_pair_files(pairs[0])
    assert torch.equal(read.ir, read_gray(pairs[0].ir)) and torch.equal(read.vi, read_gray(pairs[0].vi))
    assert read.chroma is None


PAGE = (ROOT / "book" / "use" / "fuse.md").read_text()


def test_the_commands_of_the_page_are_commands() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("tdfusion fuse")]
    assert len(lines) == 4
    for line in lines:
        build_parser().parse_args(shlex.split(line)[1:])
    for option in re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE):
        assert option in Path(fuse_command.__file__).read_text()


def test_the_python_of_the_page_runs(tmp_path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    png(tmp_path / "thermal.png", rng.integers(0, 256, (12, 14), dtype=np.uint8))
    png(tmp_path / "photo.jpg", rng.integers(0, 256, (12, 14, 3), dtype=np.uint8))
    monkeypatch.chdir(tmp_path)
    for opens in ("from_file", "from_pretrained"):
        monkeypatch.setattr(FusionNet, opens, lambda *_: Mean())
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(
        "\n".join(block for block in blocks if "push_to_hub" not in block), {}
    )  # tested with the hub replaced
    assert read_image(tmp_path / "fused" / "thermal.png").shape == (3, 12, 14)
    assert (
        read_image(tmp_path / "fused.png") - read_image(tmp_path / "fused" / "thermal.png")
    ).abs().max() < 0.3
