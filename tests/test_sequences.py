"""Sequences and videos: one range and one stretch for all frames, so that a still scene stays still."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from test_fuse_robust import Mean

from tdfusion.commands.main import main
from tdfusion.data.images import read_gray, to_uint8, ycbcr_to_rgb
from tdfusion.data.ranges import Range
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.data.video import VideoWriter, read_frames
from tdfusion.errors import InputError
from tdfusion.fusing import fuse_files, match_pairs
from tdfusion.models import FusionNet
from tdfusion.sequences import fuse_sequence, fuse_video, sampled
from tdfusion.weights import write_safetensors

FRAMES = 20


@pytest.fixture(scope="module")
def still(tmp_path_factory) -> Path:
    """A still scene with the noise of two cameras, and a pixel in each that flashes: 20 frames of 16 and 8 bits."""
    folder = tmp_path_factory.mktemp("still")
    pair = SynthRoad("test", 8, (60, 80), seed=2)[1]
    rng = np.random.default_rng(0)
    for role in ("ir", "vi"):
        (folder / role).mkdir()
    for n in range(FRAMES):
        ir = 29786 + 800 * pair.ir[0].numpy() + rng.normal(0, 6, (60, 80))
        vi = 20 + 200 * pair.vi[0].numpy() + rng.normal(0, 1.5, (60, 80))
        if n % 3 == 0:
            ir[5, 5] = 31500
        if n % 3 == 1:
            vi[9, 9] = 255
        tifffile.imwrite(folder / "ir" / f"{n:03d}.tif", np.rint(ir).astype(np.uint16))
        Image.fromarray(np.rint(vi).clip(0, 255).astype(np.uint8)).save(folder / "vi" / f"{n:03d}.png")
    return folder


def flicker(frames: np.ndarray) -> tuple[float, float]:
    """Temporal standard deviation of the mean level, and the median over pixels of theirs; frames (n, H, W)."""
    return float(frames.mean((1, 2)).std()), float(np.median(frames.std(0)))


def images(folder: Path, scaling: str | Range = "auto") -> np.ndarray:
    return np.stack([read_gray(path, scaling)[0].numpy() for path in sorted(folder.iterdir())])


def measure(F: torch.nn.Module, still: Path, out: Path) -> dict[str, tuple[float, float]]:
    """Flicker of the sources as F sees them in a sequence, of the sequence, and of frames stretched one by one."""
    pairs = match_pairs(still / "ir", still / "vi", out / "alike")
    said: list[str] = []
    fuse_sequence(F, pairs, progress=False, say=said.append)
    ends = next(s for s in said if "percentiles" in s).split(": ")[-1].replace(" to ", ",")
    fuse_files(F, match_pairs(still / "ir", still / "vi", out / "alone"), progress=False, say=said.append)
    return {
        "infrared": flicker(images(still / "ir", ends)),
        "visible": flicker(images(still / "vi")),
        "alike": flicker(images(out / "alike")),
        "alone": flicker(images(out / "alone")),
    }


def test_a_still_scene_flickers_no_more_than_its_sources(still, tmp_path) -> None:
    found = measure(Mean(), still, tmp_path)
    for k in (0, 1):
        assert found["alike"][k] <= max(found["infrared"][k], found["visible"][k])
    assert found["alone"][0] > 10 * max(found["infrared"][0], found["visible"][0])


@pytest.mark.real_data
def test_with_published_weights_the_stretch_adds_no_flicker_but_its_contrast(
    still, tmp_path, real_data
) -> None:
    """F's attention looks at the whole image, so its mean level moves with noise; a stretch may only scale that."""
    F = FusionNet.from_released(real_data / "weights" / "ReFusion_IVIF.pth")
    found = measure(F, still, tmp_path)
    fuse_sequence(
        F, match_pairs(still / "ir", still / "vi", tmp_path / "plain"), minmax=False, progress=False
    )
    plain = flicker(images(tmp_path / "plain"))
    gain = images(tmp_path / "alike").mean(0).std() / images(tmp_path / "plain").mean(0).std()
    for k in (0, 1):
        assert found["alike"][k] <= 1.02 * gain * plain[k]
    assert plain[1] <= max(found["infrared"][1], found["visible"][1])
    assert found["alike"][0] < 0.25 / 255 and found["alone"][0] > 4 * found["alike"][0]


def test_a_sequence_resumes_with_the_same_range_and_stretch(still, tmp_path) -> None:
    pairs = match_pairs(still / "ir", still / "vi", tmp_path / "out")
    fuse_sequence(Mean(), pairs, progress=False)
    before = {pair.out: pair.out.read_bytes() for pair in pairs}
    for pair in pairs[7:]:
        pair.out.unlink()
    assert len(fuse_sequence(Mean(), pairs, progress=False)) == 13
    assert {pair.out: pair.out.read_bytes() for pair in pairs} == before
    said: list[str] = []
    assert fuse_sequence(Mean(), pairs, progress=False, say=said.append) == [] and said == []


def test_frames_to_measure_on_are_evenly_spaced() -> None:
    assert sampled(1) == [0] and sampled(5) == [0, 1, 2, 3, 4]
    many = sampled(812)
    assert len(many) == 16 and (many[0], many[-1]) == (0, 811) and np.ptp(np.diff(many)) <= 1


def test_frames_of_several_kinds_need_their_own_ranges(still, tmp_path) -> None:
    (tmp_path / "ir").symlink_to(still / "vi")  # 8-bit
    pairs = match_pairs(still / "ir", still / "vi", tmp_path / "out")
    mixed = [*pairs[:2], *match_pairs(tmp_path / "ir", still / "vi", tmp_path / "out")[2:4]]
    with pytest.raises(InputError, match=r"000\.tif is 16-bit but .*002\.png is 8-bit; .*--range-over image"):
        fuse_sequence(Mean(), mixed, progress=False)
    assert len(fuse_sequence(Mean(), mixed, progress=False, range_over="image")) == 4


# Videos


av = pytest.importorskip("av")


def write_video(path: Path, frames: list[np.ndarray], rate: int = 25, layout: str = "gray16le") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = layout
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=layout)))
        container.mux(stream.encode())
    return path


@pytest.fixture
def videos(tmp_path: Path) -> tuple[Path, Path, np.ndarray]:
    """A hot ball that rolls, 12 frames: infrared of 16 bits in centikelvin, visible in colour; and the balls."""
    y, x = np.mgrid[:48, :64]
    balls = np.stack([(y - 24) ** 2 + (x - 8 - 4 * n) ** 2 < 49 for n in range(12)])
    write_video(
        tmp_path / "ir.mkv", [np.where(ball, 30600, 29800 + x).astype(np.uint16) for ball in balls], 30
    )
    with VideoWriter(tmp_path / "vi.mkv", Fraction(30)) as writer:
        for _ in balls:
            writer.add(np.stack([60 + 2 * x, 90 + y, 200 - 2 * x], -1).astype(np.uint8))
    return tmp_path / "ir.mkv", tmp_path / "vi.mkv", balls


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_video_keeps_frames_rate_colour_and_contrast(videos, tmp_path, suffix: str) -> None:
    ir, vi, balls = videos
    said: list[str] = []
    out = fuse_video(Mean(), ir, vi, tmp_path / "out" / f"fused{suffix}", progress=False, say=said.append)
    frames = [stored.values for stored in read_frames(out)]
    assert len(frames) == 12 and frames[0].shape == (48, 64, 3)
    with av.open(str(out)) as container:
        assert container.streams.video[0].average_rate == 30
    for frame, ball in zip(frames, balls):
        luma = frame.astype(float) @ [0.299, 0.587, 0.114]
        assert luma[ball].mean() - luma[~ball].mean() > 80
    blue_left, blue_right = frames[0][:, 20:24, 2].mean(), frames[0][:, -4:, 2].mean()
    assert blue_left > blue_right + 30, "the visible image's colour is gone"
    assert any("16-bit, 29800 to 30600 of 0 to 65535 used; stretched by percentiles" in s for s in said)
    assert any(s.startswith("visible: ") for s in said) is False
    assert fuse_video(Mean(), ir, vi, out, progress=False) is None, "a result that exists is kept"


def test_a_lossless_video_holds_what_the_images_would(videos, tmp_path) -> None:
    from tdfusion.data.images import as_gray, as_luma_and_chroma
    from tdfusion.data.ranges import Span

    ir, vi, _ = videos
    out = fuse_video(
        Mean(),
        ir,
        vi,
        tmp_path / "f.mkv",
        minmax=False,
        ir_range="29700,30700",
        progress=False,
        say=lambda s: None,
    )
    for a, b, f in zip(read_frames(ir), read_frames(vi), read_frames(out), strict=True):
        luma, chroma = as_luma_and_chroma(b, Span(0, 255, "full"))
        I_f = (as_gray(a, Span(29700, 30700, "given")) + luma) / 2
        np.testing.assert_array_equal(f.values, to_uint8(ycbcr_to_rgb(I_f, chroma)))


def test_odd_sizes_and_gray_visible_videos(tmp_path) -> None:
    gray = [np.full((21, 33), 40 + n, np.uint8) for n in range(3)]
    for name in ("ir", "vi"):
        write_video(tmp_path / f"{name}.mkv", gray, layout="gray")
    for suffix in (".mp4", ".mkv"):
        out = fuse_video(
            Mean(), tmp_path / "ir.mkv", tmp_path / "vi.mkv", tmp_path / f"f{suffix}", progress=False
        )
        assert [s.values.shape for s in read_frames(out)] == [(21, 33, 3)] * 3


def test_bits_of_a_video_are_those_that_it_announces(tmp_path) -> None:
    frame = np.random.default_rng(0).integers(0, 1024, (16, 16)).astype(np.uint16)
    write_video(tmp_path / "x.mkv", [frame], layout="gray10le")
    (stored,) = read_frames(tmp_path / "x.mkv")
    assert (stored.kind, stored.top) == ("10-bit", 1023) and np.array_equal(stored.values, frame)


def test_videos_that_do_not_fit_are_named(videos, tmp_path) -> None:
    ir, vi, _ = videos
    frames = [np.full((48, 64), 30000, np.uint16)] * 9
    short, slow = (
        write_video(tmp_path / "short.mkv", frames, 30),
        write_video(tmp_path / "slow.mkv", frames, 9),
    )
    cut = tmp_path / "cut.mp4"
    fuse_video(Mean(), ir, vi, tmp_path / "whole.mp4", progress=False)
    cut.write_bytes((tmp_path / "whole.mp4").read_bytes()[:600])
    (tmp_path / "text.mp4").write_text("no video")
    for a, b, out, words in (
        (short, vi, "o.mp4", r"short\.mkv has 9 frames but .*vi\.mkv has 12"),
        (slow, vi, "o.mp4", r"slow\.mkv has 9 frames a second but .*vi\.mkv 30"),
        (cut, vi, "o.mp4", r"cut\.mp4: cannot be read as a video"),
        (tmp_path / "text.mp4", vi, "o.mp4", r"text\.mp4: cannot be read as a video"),
        (ir, tmp_path / "absent.mp4", "o.mp4", r"absent\.mp4: "),
        (ir, vi, "o.avi", r"o\.avi: write \.mp4 .* or \.mkv"),
        (ir, vi, "vi.mkv", r"would take the place of its source"),
    ):
        with pytest.raises(InputError, match=words):
            fuse_video(Mean(), a, b, tmp_path / out, overwrite=True, progress=False)
        assert not (tmp_path / "o.mp4").exists()


def test_without_pyav_the_extra_is_named(videos, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"pip install 'tdfusion\[video\]'"):
        fuse_video(Mean(), *videos[:2], tmp_path / "o.mp4", progress=False)


def test_ctrl_c_leaves_no_half_video(tmp_path) -> None:
    frames = [np.full((96, 128), 30000, np.uint16) + np.arange(128, dtype=np.uint16)] * 100
    ir = vi = write_video(tmp_path / "long.mkv", frames)
    torch.manual_seed(0)
    write_safetensors(tmp_path / "F.safetensors", FusionNet())
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "tdfusion", "fuse", "--ir", ir, "--vi", vi, "--stretch", "none"]
    command += ["--out", tmp_path / "out" / "f.mkv", "--weights", tmp_path / "F.safetensors"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        # a shell that puts this test in the background has it ignore Ctrl-C, and its children too
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not list((tmp_path / "out").iterdir()) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "interrupted" in err and list((tmp_path / "out").iterdir()) == []


def test_the_command_takes_sequences_and_videos(still, videos, tmp_path, capsys, monkeypatch) -> None:
    ir, vi, _ = videos
    monkeypatch.setattr("tdfusion.models.FusionNet.from_file", lambda path: Mean())
    run = lambda *words: main([str(w) for w in ("fuse", *words, "--weights", "F.safetensors")])  # noqa: E731
    assert run("--ir", still / "ir", "--vi", still / "vi", "--out", tmp_path / "seq", "--sequence") == 0
    said = capsys.readouterr().out
    assert "infrared: 20 images, 16-bit" in said and "result: all frames stretched from" in said
    assert run("--ir", ir, "--vi", vi, "--out", tmp_path / "f.mp4") == 0
    assert "fused into" in capsys.readouterr().out
    assert run("--ir", ir, "--vi", vi, "--out", tmp_path / "f.mp4") == 0
    assert "exists already" in capsys.readouterr().out
    assert run("--ir", ir, "--vi", still / "vi", "--out", tmp_path / "g.mp4") == 2
    assert "one is a video" in capsys.readouterr().err
