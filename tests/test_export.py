"""F and G as ONNX: the command, the check that guards it, and the page's example without PyTorch."""

from __future__ import annotations

import re

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import ROOT
from PIL import Image
from test_public import BLOCKED, run_without
from torch import nn

from tdfusion.commands.main import main
from tdfusion.data.images import to_uint8
from tdfusion.errors import InputError
from tdfusion.export import export_onnx, largest_difference
from tdfusion.fusing import fuse, fuse_files, match_pairs
from tdfusion.models import FusionNet, LossNet
from tdfusion.weights import write_safetensors

pytestmark = pytest.mark.slow  # torch takes its time to translate the network


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What the command leaves of the weights that tdfusion carries."""
    file = tmp_path_factory.mktemp("onnx") / "F.onnx"
    assert main(["export", "--onnx", str(file)]) == 0
    return file


def test_the_command_leaves_one_file_for_any_size_that_says_where_it_is_from(exported) -> None:
    assert [path.name for path in exported.parent.iterdir()] == ["F.onnx"]
    session = onnxruntime.InferenceSession(exported)
    assert [(i.name, i.shape) for i in session.get_inputs()] == [
        ("I_a", ["B", 1, "H", "W"]),
        ("I_b", ["B", 1, "H", "W"]),
    ]
    about = session.get_modelmeta().custom_metadata_map
    assert about["network"] == "FusionNet" and about["source"] == "F.safetensors"
    assert len(about["source_sha256"]) == 64 and about["commit"] and about["torch"] == torch.__version__
    assert str(ROOT).encode() not in exported.read_bytes(), "traces of this machine"


def test_sizes_that_the_command_did_not_try(exported) -> None:
    F = FusionNet.from_pretrained()
    assert largest_difference(F, exported, [(2, 37, 111), (1, 16, 16), (1, 129, 300)]) < 1e-5


def test_other_weights_would_be_noticed(exported) -> None:
    F = FusionNet.from_pretrained()
    with torch.no_grad():
        F.head[2].weight.mul_(1.01)
    assert largest_difference(F, exported, [(1, 32, 32)]) > 1e-5


def test_the_example_of_the_page_needs_no_torch_and_gives_the_command_s_image(exported, tmp_path) -> None:
    page = (ROOT / "book" / "use" / "export.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.S)
    assert sum(bool(line) for line in example.splitlines()) <= 12
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:51, :70]
    Image.fromarray(np.uint8(90 + 60 * np.sin(x / 9) + rng.integers(0, 20, x.shape))).save(
        tmp_path / "thermal.png"
    )
    colours = np.stack([(3 * x) % 256, 128 + 0 * x, 255 - (2 * y) % 256], -1)
    Image.fromarray(np.uint8(colours)).save(tmp_path / "photo.jpg", quality=95)
    (tmp_path / "F.onnx").write_bytes(exported.read_bytes())
    run = run_without(("torch", "tdfusion", *set(BLOCKED) - {"onnxruntime"}), example, tmp_path)
    assert run.returncode == 0, run.stderr
    # The same steps with PyTorch: equal but for a level that falls on the other side of a half.
    y, cb, cr = Image.open(tmp_path / "photo.jpg").convert("YCbCr").split()
    ir, vi = (
        torch.from_numpy(np.asarray(image, np.float32))[None] / 255
        for image in (Image.open(tmp_path / "thermal.png"), y)
    )
    F = FusionNet.from_pretrained()
    luma = Image.fromarray(to_uint8(fuse(F, ir, vi)))
    expected = np.asarray(Image.merge("YCbCr", (luma, cb, cr)).convert("RGB"), int)
    found = np.asarray(Image.open(tmp_path / "fused.png"), int)
    assert abs(found - expected).max() <= 2 and (found == expected).mean() > 0.99
    # The command's image: pillow cuts luma and chroma of the photo down to whole levels, the library does not.
    (ours,) = fuse_files(F, match_pairs(tmp_path / "thermal.png", tmp_path / "photo.jpg", tmp_path / "out"))
    away = abs(found - np.asarray(Image.open(ours), int))
    assert away.max() <= 5 and away.mean() < 1.5


def test_G_is_exported_too_and_a_difference_leaves_no_file(tmp_path, monkeypatch) -> None:
    G = LossNet(8, 1).eval()
    assert export_onnx(G, tmp_path / "G.onnx", sizes=[(2, 25, 31)]) < 1e-5
    names = [output.name for output in onnxruntime.InferenceSession(tmp_path / "G.onnx").get_outputs()]
    assert names == ["w_a", "w_b"]

    class Counting(nn.Module):
        """Another result at every call: what was exported is not what is compared."""

        calls = 0.0

        def forward(self, I_a, I_b):
            Counting.calls += 1.0
            return I_a + I_b * Counting.calls

    with pytest.raises(InputError, match=r"C\.onnx: not written, onnxruntime differs from PyTorch by"):
        export_onnx(Counting().eval(), tmp_path / "C.onnx", outputs=["x"], sizes=[(1, 8, 8)])
    assert [path.name for path in tmp_path.iterdir()] == ["G.onnx"]


def test_unusable_requests_are_one_sentence(tmp_path, capsys) -> None:
    write_safetensors(tmp_path / "G.safetensors", LossNet())
    for words, error in (
        (["--onnx", tmp_path / "F.pt"], "must end in .onnx"),
        ([tmp_path / "absent.pth", "--onnx", tmp_path / "F.onnx"], "no such weight file"),
        ([tmp_path / "G.safetensors", "--onnx", tmp_path / "F.onnx"], "not the weights of this network"),
        (["--net", "G", "--onnx", tmp_path / "G.onnx"], "no weights of LossNet"),
    ):
        assert main(["export", *map(str, words)]) == 2
        assert error in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["G.safetensors"]
