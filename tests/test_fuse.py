"""Fusing files: values, colour, matching, and input that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tdfusion.commands.main import main
from tdfusion.data.images import read_gray, read_image, read_visible, rgb_to_ycbcr, write_png, ycbcr_to_rgb
from tdfusion.errors import InputError
from tdfusion.fusing import fuse, fuse_files, match_pairs, stretch
from tdfusion.models import FusionNet
from tdfusion.weights import write_safetensors


@pytest.fixture(scope="module")
def F() -> FusionNet:
    torch.manual_seed(3)
    return FusionNet().eval()


def save(path, array) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folders(tmp_path):
    """Three pairs of several kinds: gray, colour, 16-bit infrared; odd sizes; a name with a space."""
    rng = np.random.default_rng(0)
    gray = lambda h, w: rng.integers(0, 256, (h, w), dtype=np.uint8)  # noqa: E731
    save(tmp_path / "ir" / "one.png", gray(21, 30))
    save(tmp_path / "vi" / "one.png", gray(21, 30))
    save(tmp_path / "ir" / "two b.png", gray(16, 17))
    save(tmp_path / "vi" / "two b.jpg", np.stack([gray(16, 17)] * 3, -1) // np.array([1, 2, 3], np.uint8))
    save(tmp_path / "ir" / "three.tif", (gray(18, 18).astype(np.uint16) * 257))
    save(tmp_path / "vi" / "three.PNG", np.stack([gray(18, 18) for _ in range(3)], -1))
    return tmp_path


def test_folders_are_fused_and_colour_is_kept(F, folders) -> None:
    written = fuse_files(F, match_pairs(folders / "ir", folders / "vi", folders / "out"), progress=False)
    assert sorted(p.name for p in written) == ["one.png", "three.png", "two b.png"]
    assert read_image(folders / "out" / "one.png").shape == (1, 21, 30)
    ir, (vi, chroma) = read_gray(folders / "ir" / "three.tif"), read_visible(folders / "vi" / "three.PNG")
    assert ir.max() > 0.9, "16-bit infrared was not scaled by 65535"
    expected = ycbcr_to_rgb(fuse(F, ir, vi), chroma)
    found = read_image(folders / "out" / "three.png")
    assert (expected - found).abs().max() <= 0.5 / 255 + 1e-6
    assert not list((folders / "out").glob(".*")), "scratch files left behind"


def test_fused_values_are_the_networks_with_and_without_the_stretch(F) -> None:
    ir, vi = torch.rand(2, 1, 20, 24)
    with torch.no_grad():
        plain = F(ir[None], vi[None])[0]
    assert torch.equal(fuse(F, ir, vi, minmax=False), plain)
    stretched = fuse(F, ir, vi)
    low, high = plain.min(), plain.max()
    torch.testing.assert_close(stretched, (plain - low) / (high - low))
    assert stretched.min() == 0 and stretched.max() == 1


def test_stretching_a_constant_image_leaves_it() -> None:
    assert torch.equal(stretch(torch.full((1, 1, 4, 4), 0.3)), torch.full((1, 1, 4, 4), 0.3))


def test_ycbcr_equals_pils_and_inverts() -> None:
    rgb = torch.rand(3, 9, 7)
    theirs = Image.fromarray((rgb * 255).round().byte().permute(1, 2, 0).numpy()).convert("YCbCr")
    ours = rgb_to_ycbcr((rgb * 255).round() / 255)
    assert (ours * 255 - torch.from_numpy(np.array(theirs)).permute(2, 0, 1)).abs().max() < 1.1
    torch.testing.assert_close(ycbcr_to_rgb(ours[:1], ours[1:]), (rgb * 255).round() / 255, atol=1e-5, rtol=0)


def test_a_gray_image_stored_in_three_channels_is_gray(tmp_path) -> None:
    save(tmp_path / "vi.png", np.full((8, 9, 3), 120, np.uint8))
    luma, chroma = read_visible(tmp_path / "vi.png")
    assert chroma is None and luma.shape == (1, 8, 9)


def test_a_second_call_resumes_and_overwrite_redoes(F, folders) -> None:
    pairs = match_pairs(folders / "ir", folders / "vi", folders / "out")
    fuse_files(F, pairs[:1], progress=False)
    assert len(fuse_files(F, pairs, progress=False)) == 2
    assert fuse_files(F, pairs, progress=False) == []
    assert len(fuse_files(F, pairs, overwrite=True, progress=False)) == 3


def test_two_resolutions_are_matched_on_request_only(F, tmp_path) -> None:
    save(tmp_path / "ir.png", np.full((20, 30), 90, np.uint8))
    save(tmp_path / "vi.png", np.full((60, 90, 3), (120, 90, 60), np.uint8))
    pairs = match_pairs(tmp_path / "ir.png", tmp_path / "vi.png", tmp_path / "out")
    with pytest.raises(InputError, match=r"ir\.png is 30x20 but .*vi\.png is 90x60"):
        fuse_files(F, pairs, progress=False)
    assert not (tmp_path / "out").exists()
    fuse_files(F, pairs, match="ir", progress=False)
    assert read_image(tmp_path / "out" / "ir.png").shape == (3, 20, 30)
    fuse_files(F, pairs, match="vi", overwrite=True, progress=False)
    assert read_image(tmp_path / "out" / "ir.png").shape == (3, 60, 90)


def test_a_crash_while_writing_leaves_no_file(tmp_path, monkeypatch) -> None:
    def fails(self, *args, **kwargs):
        args[0].write_bytes(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fails)
    with pytest.raises(OSError, match="disk full"):
        write_png(tmp_path / "x.png", torch.rand(1, 4, 4))
    assert list(tmp_path.iterdir()) == []


def test_a_rule_without_parameters_is_an_F() -> None:
    class Largest(torch.nn.Module):
        def forward(self, I_a, I_b):
            return torch.maximum(I_a, I_b)

    ir, vi = torch.rand(2, 1, 6, 7)
    assert torch.equal(fuse(Largest(), ir, vi, minmax=False), torch.maximum(ir, vi))


def command(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture
def weights(F, tmp_path):
    write_safetensors(tmp_path / "w" / "F.safetensors", F)
    return tmp_path / "w" / "F.safetensors"


def break_images(folders, kind: str) -> None:
    if kind == "missing":
        (folders / "vi" / "one.png").unlink()
    elif kind == "empty":
        (folders / "vi" / "one.png").write_bytes(b"")
    elif kind == "truncated":
        data = (folders / "vi" / "one.png").read_bytes()
        (folders / "vi" / "one.png").write_bytes(data[: len(data) // 2])
    elif kind == "text":
        (folders / "ir" / "one.png").write_text("not an image")
    elif kind == "other size":
        save(folders / "ir" / "one.png", np.zeros((21, 31), np.uint8))
    elif kind == "no images":
        for file in (folders / "ir").iterdir():
            file.unlink()


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("missing", 2, "one has no image of that name"),
        ("empty", 1, "one.png: cannot be read as an image"),
        ("truncated", 1, "one.png: cannot be read as an image"),
        ("text", 1, "one.png: cannot be read as an image"),
        ("other size", 1, "one.png is 31x21 but"),
        ("no images", 2, "no image in it"),
    ],
)
def test_unusable_images_are_named_in_one_sentence(
    folders, weights, capsys, kind: str, status: int, words: str
) -> None:
    """Folders that do not match end the command; a bad pair is named and the others are done."""
    break_images(folders, kind)
    out = folders / "out"
    options = ["--ir", folders / "ir", "--vi", folders / "vi", "--out", out, "--weights", weights]
    assert command("fuse", *options) == status
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert err.startswith("tdfusion: error: " if status == 2 else "tdfusion: not fused: ") and words in err
    done = sorted(path.name for path in out.iterdir()) if out.exists() else []
    assert done == ([] if status == 2 else ["three.png", "two b.png"])


def test_the_command_fuses_and_says_so(folders, weights, capsys) -> None:
    options = ["--ir", folders / "ir", "--vi", folders / "vi", "--out", folders / "out", "--weights", weights]
    assert command("fuse", *options) == 0
    assert "3 fused into" in capsys.readouterr().out
    assert command("fuse", *options) == 0
    assert "3 existed already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--weights": "absent.pth"}, "absent.pth: no such weight file"),
        ({"--ir": "nowhere"}, "nowhere: no such file or folder"),
        ({"--device": "tpu9"}, 'device "tpu9" cannot be used'),
    ],
)
def test_unusable_options_end_the_command_with_one_sentence(folders, weights, capsys, change, words) -> None:
    options = {"--ir": folders / "ir", "--vi": folders / "vi", "--out": folders / "out", "--weights": weights}
    assert command("fuse", *(word for pair in (options | change).items() for word in pair)) == 2
    assert words in capsys.readouterr().err
    assert not (folders / "out").exists()


def test_train_refuses_unknown_settings_and_odd_values(tmp_path, capsys) -> None:
    for setting, words in (
        ("alhpa=1", 'did you mean "alpha"'),
        ("M=two", "M = 'two': expected a whole number"),
        ("M", "expected NAME=VALUE"),
        ("seed=3", "has an option of its own"),
    ):
        assert command("train", "--out", tmp_path / "run", "--set", setting) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_train_leaves_a_run_whose_weights_fuse(tmp_path, folders, capsys) -> None:
    small = ["L=1", "M=1", "N=1", "scenes=4", "scene_size=32,32", "crop=32", "w=half"]
    sets = [word for setting in small for word in ("--set", setting)]
    assert command("train", "--out", tmp_path / "run", *sets) == 0
    F_file = tmp_path / "run" / "F.safetensors"
    one = [folders / "ir" / "one.png", folders / "vi" / "one.png"]
    assert command("fuse", "--ir", one[0], "--vi", one[1], "--out", tmp_path / "o", "--weights", F_file) == 0
    assert (tmp_path / "o" / "one.png").is_file()


@pytest.mark.real_data
def test_real_pairs_of_every_kind_are_fused(real_data, tmp_path) -> None:
    F = FusionNet.from_released(real_data / "weights" / "ReFusion_IVIF.pth")
    for ir, vi, match, channels in (
        ("msrs/test/ir/00004N.png", "msrs/test/vi/00004N.png", "none", 3),
        ("roadscene/cropinfrared/FLIR_04602.jpg", "roadscene/crop_HR_visible/FLIR_04602.jpg", "ir", 3),
        ("tno/ir/01.png", "tno/vi/01.png", "none", 1),
    ):
        pairs = match_pairs(real_data / ir, real_data / vi, tmp_path / ir.split("/")[0])
        (written,) = fuse_files(F, pairs, match=match, progress=False)
        image = read_image(written)
        assert image.shape == (channels, *read_image(real_data / ir).shape[-2:])
        assert image.std() > 0.05
