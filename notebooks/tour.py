# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A tour in one minute
#
# **The whole method trains in under a minute on two CPU cores, with no data and no GPU. In a stored run of eight epochs
# both losses fall while the weights go to infrared everywhere (mean 0.999), so neither a falling loss nor a mean weight
# is evidence that the loss has learned anything about the scene.**
#
# **What this page shows.** Algorithm 1 once, small: it trains the three networks on synthetic road scenes, draws the
# losses, fuses a pair that training never saw, and shows the weights that the loss generation network wrote.
#
# **What it needs.** Two CPU cores and under a minute for the `smoke` preset. No data, no GPU. At this scale the
# networks have only begun to learn: the page shows that the machine turns, not what it can reach.
#
# The cell below is for [papermill](https://papermill.readthedocs.io): run the same notebook at another scale, on
# another data set, with
#
# ```
# papermill notebooks/tour.ipynb runs/tour-released.ipynb -p preset tour -p variant released
# ```

# %% tags=["parameters"]
dataset = "SynthRoad"  # SynthRoad, MSRS, FMB, M3FD, LLVIP
root = None  # folder of the data set; SynthRoad needs none
preset = "smoke"  # smoke (< 1 min), tour (< 10 min), paper (GPU)
variant = "paper"  # paper, or released: the authors' code where it differs
seed = 0
device = "cpu"
out = None  # run folder to leave behind, e.g. "runs/tour"

# %% tags=["hide-input", "hide-output"]
import json

import torch

from tdfusion.config import make_config
from tdfusion.data.readers import open_dataset
from tdfusion.figures.panels import history_curves, image_row, visible_rgb
from tdfusion.fusing import fuse
from tdfusion.runs.parameters import check_parameters
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.train import Trainer

check_parameters(globals(), "dataset", "root", "preset", "variant", "seed", "device", "out")
config = make_config(preset, variant, dataset=dataset, root=root, seed=seed, device=device)
keep_freed_memory()
print(json.dumps(config.to_dict(), indent=2))

# %% [markdown]
# ## Train
#
# `Trainer.run` is Algorithm 1: every epoch first lets $\mathcal{G}$ learn from $M$ meta-steps, then
# $\mathcal{F}$ and $\mathcal{T}$ from one pass over the training pairs.

# %%
trainer = Trainer(config)
trainer.run(out, progress=False)
print(f"{len(trainer.history)} steps")

# %% mystnb={"image": {"alt": "Three curves over all training steps: fusion loss, task loss, and the mean infrared weight; meta phases are shaded"}, "figure": {"caption": "One run of Algorithm 1. Shaded: meta-steps, in which only G moves. White: fusion steps, in which F and T move.", "name": "fig-tour-history"}}
figure = history_curves(trainer.history, smooth=3)
# %% [markdown]
# In the shaded phases $L_t$ is that of $\mathcal{F}'$ and $\mathcal{T}'$ on meta-test pairs: what the outer update
# lowers. In the white ones it is that of $\mathcal{F}$ and $\mathcal{T}$ on the pairs that they are trained on.

# %%
first, last = trainer.history[0], trainer.history[-1]
print(f"L_t: {first['L_t']:.2f} at the first step, {last['L_t']:.2f} at the last")

# %% [markdown]
# ## Fuse a pair that training never saw

# %% mystnb={"image": {"alt": "Infrared, visible, fused image in colour, and the weight map of one test scene"}, "figure": {"caption": "A test scene, its fusion (stretched to the full range, as the released code does; colour from the visible image), and the weight w_a that G gives to infrared, from 0 (purple) to 1 (orange).", "name": "fig-tour-fused"}}
options = {"length": 8, "size": config.scene_size} if dataset == "SynthRoad" else {}
pair = open_dataset(dataset, root, "test", seed=seed, **options)[1]
I_f = fuse(trainer.F, pair.ir, pair.vi)  # (1, H, W)
with torch.no_grad():
    w_a, _ = trainer.G(pair.ir[None].to(device), pair.vi[None].to(device))
figure = image_row(
    {"infrared": pair.ir, "visible": visible_rgb(pair), "fused": visible_rgb(pair, I_f), "$w_a$": w_a[0]},
    maps={"$w_a$": "PuOr_r"},
    ranges={"$w_a$": (0, 1)},
)

# %% [markdown]
# After so few steps $w_a$ is close to where an untrained $\mathcal{G}$ starts: 1/2 everywhere, with a trace of the
# image in it.
#
# ## The same for eight epochs
#
# The `tour` preset runs longer, on larger scenes. One run of it is stored with the book, made by papermill from this
# very notebook (`-p preset tour -p out runs/tour`); the next cell only reads what it left.

# %% tags=["hide-input"]
from tdfusion import results

stored = results.run("tour")
history, made = stored.history, stored.provenance
print(
    f"{len(history)} steps in {made['seconds'] / 60:.0f} min on {made['hardware']}, {made['threads']} thread, seed {made['seed']}"
)
print(f"mean of w_a: {history[0]['w_a']:.3f} at the first step, {history[-1]['w_a']:.3f} at the last")

# %% mystnb={"image": {"alt": "Fusion loss, task loss and mean infrared weight over 704 steps of the stored run; the weight climbs from one half to almost one"}, "figure": {"caption": "The stored run of the tour preset (SynthRoad, 96 px, variant paper, seed 0). Running mean over 9 steps.", "name": "fig-tour-stored"}}
figure = history_curves(history, smooth=9)

# %% [markdown]
# Both losses fall, and $\mathcal{G}$ does move. But look where it moves: the mean of $w_a$ goes to almost 1, which is
# infrared **everywhere**, not infrared where it helps. One run with one seed at a small scale proves nothing about the
# paper's setting; it does show why a mean of $w_a$ and a falling loss are not evidence that the loss has learned
# anything about the scene. Whether it goes the right way per region, and what would make it, takes several seeds and
# scenes whose answer is known: {doc}`read_44_mechanism` is that study.
#
# The stored run is older than the scenes above. It was trained on an earlier rendering of SynthRoad, and before some
# settings existed (`method` and `w` among them; a run without them is read as one with their defaults), so today's
# command gives other numbers than these.
#
# ## Where to go from here
#
# - {doc}`read_32_loss` takes the fusion loss apart, {doc}`read_34_meta` the step that teaches it.
# - {doc}`../book/use/fuse` fuses your own pairs with the authors' weights or your own.
# - `tdfusion train --help` starts longer runs; every setting of {py:class}`tdfusion.config.TrainConfig` can be given
#   to this notebook's `make_config` call as well.
