# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train on any data set
#
# **`tdfusion train --dataset MSRS --root /data/MSRS --preset paper --out runs/msrs` trains the three networks by
# Algorithm 1, and with `--resume` it goes on from its last checkpoint. This notebook is the same run with its curves, a
# fused pair and scores, on any of the paper's data sets or on synthetic scenes, for segmentation or detection.**
#
# **What this page shows.** The run itself at the smallest scale; the runs of {doc}`full_runs` are made by this
# notebook.
#
# **What it needs.** As it stands, two CPU cores and half a minute. At the paper's scale a GPU, and the data set
# ({py:func}`tdfusion.data.readers.open_dataset` and `tdfusion data info` say where it comes from and how it must lie).
#
# It is made for [papermill](https://papermill.readthedocs.io): every setting of the cell below can be given on the
# command line, and `notebooks/params/` holds a file for each data set.
#
# ```
# papermill notebooks/train.ipynb runs/msrs.ipynb -f notebooks/params/msrs.yaml -p root /data/MSRS -p out runs/msrs
# ```
#
# The same without a notebook: `tdfusion train --dataset MSRS --root /data/MSRS --preset paper --out runs/msrs`. A run
# that was stopped goes on with `-p resume True`, or `--resume`, from its last checkpoint.
#
# **Which loss.** Unless another variant is named, $\mathcal{G}$ learns by a step in the image itself (`image`), because that
# is what served the task where the answer is known ([4.4](read_44_mechanism.ipynb)). The paper's recipe is one word away:
# `--variant paper`, or `-p variant paper`, as the files of `notebooks/params/` have it. Better still in that study were weights
# that were taught first, and an $\mathcal{F}$ that then follows them:
#
# ```
# tdfusion train --experiment V --dataset MSRS --root /data/MSRS --preset paper --out runs/teacher
# tdfusion train --set w=given --set w_from=runs/teacher/G.safetensors --dataset MSRS --root /data/MSRS --preset paper --out runs/msrs
# ```
#
# (There the teacher learned on scenes of its own.) All of it was measured small, on generated scenes.

# %% tags=["parameters"]
dataset = "SynthRoad"  # SynthRoad, MSRS, FMB, M3FD, LLVIP, or the TOML file of your own (see extend)
root = None  # folder of the data set; SynthRoad needs none
task = "segmentation"  # segmentation (SynthRoad, MSRS, FMB) or detection (SynthRoad, MSRS, M3FD, LLVIP)
preset = "smoke"  # smoke (< 1 min), tour (< 10 min), paper (GPU)
variant = None  # image, paper, or released (the authors' code); None: image, and paper for a row of Table 3
experiment = "full"  # row of Table 3: I, II, III, IV-L_f, IV-L_t, V
seed = 0
device = "cpu"  # or cuda
settings = {}  # any other setting of TrainConfig, e.g. {"alpha": 0.1, "M": 50}
out = None  # run folder to leave behind, e.g. "runs/msrs"; new or empty
resume = False  # go on with the run in out; its settings must be these, L may be larger
minutes = None  # stop with a checkpoint after so long; resume goes on
scored = 10  # test pairs that are fused and scored at the end; None: all

# %% tags=["hide-input", "hide-output"]
import json
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from IPython.display import display

from tdfusion.config import make_config
from tdfusion.evaluate.networks import evaluate_network
from tdfusion.figures.panels import history_curves, image_row, visible_rgb
from tdfusion.fusing import fuse
from tdfusion.runs.parameters import check_parameters
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.train import Trainer

check_parameters(
    globals(), "dataset", "root", "task", "preset", "variant", "experiment", "seed", "device", "settings", "out",
    "resume", "minutes", "scored",
)  # fmt: skip
named = {"dataset": dataset, "root": root, "task": task, "seed": seed, "device": device}
config = make_config(preset, variant, experiment, **named | settings)
keep_freed_memory()
print(json.dumps(config.to_dict(), indent=2))

# %% [markdown]
# ## Train
#
# The curves below are drawn again after every epoch. Shaded: meta-steps, in which only $\mathcal{G}$ moves; white: fusion
# steps, in which $\mathcal{F}$ and $\mathcal{T}$ move.

# %% mystnb={"image": {"alt": "Fusion loss, task loss and mean infrared weight over all training steps; meta phases are shaded"}, "figure": {"caption": "The run of this page.", "name": "fig-train-history"}}
shown = display(display_id=True)


def draw(trainer):
    """The curves so far, in the place of those before."""
    figure = history_curves(trainer.history, smooth=max(1, len(trainer.history) // 100))
    shown.update(figure)
    plt.close(figure)


trainer = Trainer(config)
done = trainer.run(out, resume=resume, minutes=minutes, progress=False, after_epoch=draw)

# %%
if not done:
    print(
        f"stopped in epoch {trainer.epoch} of {config.L} after {minutes} minutes; go on with -p resume True"
    )
where = trainer.provenance()
first, last = trainer.history[0], trainer.history[-1]
print(
    f"{len(trainer.history)} steps in {trainer.epoch} epochs, {where['seconds'] / 60:.1f} min on {where['hardware']}"
)
print(
    f"L_f {first['L_f']:.4f} -> {last['L_f']:.4f}, L_t {first['L_t']:.3f} -> {last['L_t']:.3f}, mean w_a {last['w_a']:.3f}"
)

# %% [markdown]
# ## Look at a test pair

# %% mystnb={"image": {"alt": "Infrared, visible and fused image of a test pair, and its weight map"}, "figure": {"caption": "A test pair, its fusion (stretched to the full range; colour from the visible image), and the weight w_a that G gives to infrared, from 0 (purple) to 1 (orange).", "name": "fig-train-fused"}}
tests = trainer.batches.test_pairs()
pair = tests[1 % len(tests)]
I_f = fuse(trainer.F, pair.ir, pair.vi)  # (1, H, W)
with torch.no_grad():
    w_a, _ = trainer.G(pair.ir[None].to(trainer.device), pair.vi[None].to(trainer.device))
figure = image_row(
    {
        "infrared": pair.ir,
        "visible": visible_rgb(pair),
        "fused": visible_rgb(pair, I_f),
        "$w_a$": w_a[0].cpu(),
    },
    maps={"$w_a$": "PuOr_r"},
    ranges={"$w_a$": (0, 1)},
)

# %% [markdown]
# ## Score
#
# The six metrics of Table 1 on test pairs, in the paper's convention. With `out`, a row per image goes to
# `metrics.csv` in the run folder, beside `config.json`, `history.jsonl`, `provenance.json`, `F.safetensors` and
# `G.safetensors`.

# %%
if done:
    scores = evaluate_network(trainer.F, tests, method=f"F, {preset}", limit=scored, progress=False)
    if out is not None:
        scores.to_csv(Path(out) / "metrics.csv")
    print(scores.table())
else:
    print("when the run is done")
