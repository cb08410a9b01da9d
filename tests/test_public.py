"""The names that `import tdfusion` offers, what importing costs, and what works without the extras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tdfusion
from tdfusion.errors import InputError
from tdfusion.extras import extra

# Around a script: these libraries are not installed.
BLOCKED = (
    "accelerate", "anywidget", "matplotlib", "onnx", "onnxruntime", "onnxscript", "pandas", "scipy", "seaborn",
    "torchmetrics", "torchvision", "transformers", "ultralytics",
)  # fmt: skip
BLOCK = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Absent())
"""


def run_without(blocked: tuple[str, ...], script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    code = BLOCK.format(blocked=blocked) + script
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def test_every_public_name_is_there_and_is_what_its_module_defines() -> None:
    assert set(tdfusion.__all__) == {*tdfusion._HOME, "__version__"}
    assert dir(tdfusion) == sorted(tdfusion.__all__)
    for name in tdfusion._HOME:
        assert getattr(tdfusion, name).__name__ == name, "no name is an alias"
    with pytest.raises(AttributeError, match="no attribute 'FusionNets'"):
        tdfusion.FusionNets  # noqa: B018


def test_importing_tdfusion_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, tdfusion; tdfusion.InputError; print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_modules_and_names_live_side_by_side() -> None:
    """No name of the face is a module's: else it would mean one or the other, by what was imported first."""
    modules = {path.stem for path in Path(tdfusion.__file__).parent.iterdir()}
    assert not modules & set(tdfusion._HOME)


def test_an_absent_library_is_named_with_the_command_that_installs_it() -> None:
    with (
        pytest.raises(InputError, match=r'nowhere is not .* for dreams: pip install "tdfusion\[train\]"'),
        extra("train", "dreams"),
    ):
        import nowhere.at_all  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match=r"tdfusion\.nowhere"), extra("train", "dreams"):
        import tdfusion.nowhere  # noqa: F401


def test_metrics_need_numpy_alone(tmp_path) -> None:
    script = """
import numpy as np
from tdfusion import all_metrics
print(sorted(all_metrics(*np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(np.uint8))))
"""
    run = run_without((*BLOCKED, "torch", "PIL", "tqdm", "huggingface_hub", "safetensors"), script, tmp_path)
    assert run.stdout == "['EN', 'Qabf', 'SCD', 'SF', 'SSIM', 'VIF']\n", run.stderr


@pytest.mark.slow
def test_without_the_extras_pairs_are_fused_and_scored_and_the_rest_says_what_it_needs(tmp_path) -> None:
    rng = np.random.default_rng(0)
    for side in ("ir", "vi"):
        (tmp_path / side).mkdir()
        Image.fromarray(rng.integers(0, 256, (48, 56), dtype=np.uint8)).save(tmp_path / side / "one.png")
    script = """
from tdfusion.commands.main import main
def run(command, status):
    assert main(command.split()) == status, command
run("fuse --ir ir/one.png --vi vi/one.png --out fused", 0)  # with the weights that the package carries
run("evaluate --ir ir --vi vi --fused fused", 0)
run("data info MSRS", 0)
run("train --out seg", 2)
run("train --task detection --out det", 2)
run("export --onnx F.onnx", 2)
from tdfusion import InputError, SynthRoad
print(SynthRoad("train", 1, size=(64, 64))[0].ir.shape)
for module in ("figures.weights", "explorers", "metrics.modules"):
    try:
        __import__("tdfusion." + module)
    except InputError as error:
        print(error)
"""
    run = run_without(BLOCKED, script, tmp_path)
    assert run.returncode == 0, run.stderr
    words = run.stdout + run.stderr
    for library, name in (
        ("transformers", "train"),
        ("ultralytics", "detection"),
        ("onnx", "export"),
        ("matplotlib", "plots"),
        ("matplotlib", "explorers"),
        ("torchmetrics", "torchmetrics"),
    ):
        assert any(
            line.startswith((f"{library} is not", f"tdfusion: error: {library} is not"))
            and line.endswith(f'pip install "tdfusion[{name}]"')
            for line in words.splitlines()
        ), f"{library}, {name}: {words}"
    assert "torch.Size([1, 64, 64])" in run.stdout
    assert not (tmp_path / "F.onnx").exists()
