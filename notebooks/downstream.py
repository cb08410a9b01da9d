# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Retrain a task network
#
# **`tdfusion downstream --dataset MSRS --root /data/MSRS --source vi --preset paper --device cuda --seed 0
# --out runs/downstream-visible-0` trains a fresh task network on one source's training images and scores it on its test
# images. A score stands for nothing without its protocol: which network, which pairs, and over which classes its mean
# runs.**
#
# **What this page shows.** How a method is judged by what a task network can do with its images, as in Sec. 4.3 of the
# paper, with SegFormer-B0 or YOLOv8n.
#
# **What it needs.** As it stands, some seconds on one CPU core: the `smoke` preset shows that everything runs, and its
# scores mean nothing. `small` takes under a minute a run. `paper` is 300 epochs and wants a GPU.
#
# One run is one data set, one source and one seed. The cell below is for
# [papermill](https://papermill.readthedocs.io), which makes a table of runs out of a loop:
#
# ```
# for seed in 0 1 2; do
#   for source in infrared visible mean max runs/msrs/F.safetensors; do
#     name=$(basename $(dirname $source))-$(basename $source)-$seed
#     papermill notebooks/downstream.ipynb runs/$name.ipynb -p dataset MSRS -p root /data/MSRS \
#       -p preset paper -p device cuda -p source $source -p seed $seed -p out runs/downstream-$name
#   done
# done
# ```
#
# The same without a notebook: `tdfusion downstream --dataset MSRS --root /data/MSRS --source vi --preset paper
# --device cuda --seed 0 --out runs/downstream-visible-0`. A run that was stopped goes on with `-p resume True`, or
# `--resume`; a run that has finished is never overwritten.
#
# What a score stands for differs between papers: which SegFormer, which pairs, whether the background is averaged, what
# becomes of classes that the test images do not have. A *protocol* names one choice of these:
#
# ```{libcode} tdfusion.downstream.protocols.PROTOCOLS
# ```
#
# `-p protocol foreground`, or `--protocol foreground`, chooses; the table below the run prints every average anyway.

# %% tags=["parameters"]
dataset = "SynthRoad"  # SynthRoad, MSRS, FMB, M3FD, LLVIP, or the TOML file of your own (see extend)
root = None  # folder of the data set; SynthRoad needs none
task = "segmentation"  # segmentation (SynthRoad, MSRS, FMB) or detection (SynthRoad, MSRS, M3FD, LLVIP)
source = "max"  # infrared, visible, mean, max, oracle (SynthRoad), a folder of fused images, or a file of F's weights
preset = "smoke"  # smoke (seconds), small (a minute), paper (GPU)
protocol = None  # which T, which pairs, which mean (see above); None: the preset's, tiny or paper
fold = None  # the fold that is scored, where the protocol has some
seed = 0
device = "cpu"  # or cuda
settings = {}  # any other setting of DownstreamConfig, e.g. {"epochs": 50, "size": [240, 320]}
out = None  # run folder to leave behind, e.g. "runs/downstream-max-0"; new or empty
resume = False  # go on with the interrupted run in out
shown = 2  # test images drawn at the end

# %% tags=["hide-input", "hide-output"]
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from IPython.display import Markdown, display
from PIL import Image

from tdfusion.downstream import make_downstream_config, open_source, retrain
from tdfusion.downstream.prepare import as_T_sees, open_split
from tdfusion.figures.downstream import fig3_layout, fig4_layout
from tdfusion.runs.parameters import check_parameters
from tdfusion.runs.memory import keep_freed_memory

check_parameters(
    globals(), "dataset", "root", "task", "source", "preset", "protocol", "fold", "seed", "device", "settings",
    "out", "resume", "shown",
)  # fmt: skip
config = make_downstream_config(
    preset,
    dataset=dataset,
    root=root,
    task=task,
    source=source,
    protocol=protocol,
    fold=fold,
    seed=seed,
    device=device,
    **({"predictions": True} | settings),
)
keep_freed_memory()
print(json.dumps(config.to_dict(), indent=1))

# %% [markdown]
# ## Train and score
#
# First every image of the source is written as a file beside its labels, and every label is read: a missing image, a
# class out of range or weights for other classes stop the run here, before any training. Then the engine trains:
# transformers' `Trainer` for segmentation, ultralytics' own trainer for detection. T after the last epoch is scored; no
# epoch is picked by its test score.

# %% mystnb={"markdown_format": "myst"}
scratch = tempfile.TemporaryDirectory()  # gone with the kernel
folder = Path(out or scratch.name)
scores = retrain(config, folder, resume=resume, progress=False)
display(Markdown(scores.table()))
print(scores.said())

# %% [markdown]
# The run folder holds the settings, the provenance, a row of history per epoch, these scores as `scores.json` and
# `scores.csv`, the weights of T, and what T said of the test images.

# %%
print(*sorted(path.name for path in folder.iterdir()))

# %% [markdown]
# ## What T says

# %% tags=["hide-input"]
from tdfusion.data.synthroad.scenes import PALETTE

view = open_source(config.source, stretch=config.stretch, device=config.device)
opened = open_split(config, "test")
pairs = [as_T_sees(opened[i], "test", view, config.size) for i in range(min(shown, scores.images))]
classes = [c.name for c in scores.classes]
palette = PALETTE if dataset == "SynthRoad" else None

# %% tags=["hide-input"] mystnb={"image": {"alt": "Rows of test images: the source's image, what the task network says of it, and the truth"}, "figure": {"caption": "Test images of this run: what T sees, what it says, the truth. With the smoke preset T has hardly begun to learn."}}
if task == "segmentation":
    rows = {
        pair.name: {
            f"source: {scores.source}": pair.ir,
            "T": torch.from_numpy(np.array(Image.open(folder / "predictions" / f"{pair.name}.png"))),
            "truth": pair.mask,
        }
        for pair in pairs
    }
    middle = {
        p.name: [(p.size[1] // 4, p.size[0] // 4, 3 * p.size[1] // 4, 3 * p.size[0] // 4)] for p in pairs
    }
    figure = fig3_layout(rows, middle, classes, palette=palette)
else:
    found = json.loads((folder / "predictions.json").read_text())
    rows = {}
    for pair in pairs:
        sure = [row for row in found[pair.name] if row[1] >= 0.25]
        rows[pair.name] = {
            f"T on {scores.source}": (pair.ir, torch.tensor(sure).reshape(-1, 6)),
            "truth": (pair.ir, pair.boxes),
        }
    figure = fig4_layout(rows, classes)

# %% [markdown]
# {doc}`read_43_downstream` sets such runs side by side, with three seeds each and the paper's Table 2 above them.
