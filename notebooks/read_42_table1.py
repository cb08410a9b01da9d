# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4.2 Fusion scored: Table 1
#
# **What this page shows.** The paper's Table 1 as data, what can be set beside it with the pairs and weights at hand,
# and the layout of Fig. 2 as a function.
#
# **What it needs.** Nothing but the library, a few seconds of CPU. The numbers of real pairs are read from
# `results/real_pairs.json`, which `benchmarks/score_real_pairs.py` writes where the pairs are.
#
# This page reproduces no row of Table 1. TDFusion's trained weights are not among the files at hand, and of its four
# test sets we have parts of two. What is here are the authors' weights for the same architecture from an earlier
# paper, four baselines that need no weights, and an evaluator that can be trusted
# ([4.1](read_41_metrics.ipynb) says how far).

# %% tags=["hide-input"]
import json
import math
from pathlib import Path

import torch

import tdfusion
from tdfusion.data.images import to_uint8
from tdfusion.data.scenes import BOX_CLASSES, SynthRoad
from tdfusion.evaluate import Summary, fuse_baseline
from tdfusion.evaluate.scores import summary_cells
from tdfusion.figures_fusion import fig2_layout
from tdfusion.metrics import METRICS
from tdfusion.tables import format_table, paper_table

ROOT = Path(tdfusion.__file__).parents[1]

# %% [markdown]
# ## The paper's table
#
# Seven methods and TDFusion on four test sets; all higher is better. These are **the paper's numbers**, printed from
# the data file that the library ships, and nothing of ours. TDFusion has its own weights for each data set, trained
# with segmentation on MSRS and FMB and with detection on M3FD and LLVIP.

# %% tags=["nbval-check-output"]
table = paper_table(1)
for dataset, images in table.images.items():
    rows = [(row["method"], *(f"{row[metric]:.2f}" for metric in METRICS)) for row in table.of(dataset)]
    print(format_table((f"paper: {dataset}, {images} images", *METRICS), rows), end="\n\n")

# %% tags=["hide-input", "nbval-check-output"]
for dataset in table.images:
    rows = table.of(dataset)
    (ours,) = [row for row in rows if row["method"] == "TDFusion"]
    above = {metric: [row["method"] for row in rows if row[metric] > ours[metric]] for metric in METRICS}
    beaten = "; ".join(f"{metric} by {', '.join(names)}" for metric, names in above.items() if names)
    first = sum(not names for names in above.values())
    print(f"{dataset:<6} TDFusion is first or level in {first} of 6{'; ' + beaten if beaten else ''}")

# %% [markdown]
# The lines above are computed from the table. The two metrics in which others lead are the two that look at the
# fused image alone, and that noise and contrast raise as well.
#
# **Paper versus released code.** The table was made by the released evaluator on images that the released test code
# had stretched to the full range one by one; the paper mentions neither the stretch nor that VIF and SSIM are means
# over the two sources. Both are stored with the table, and `tdfusion compare` repeats them in its caption.
#
# ## Ours, as far as the data go
#
# All fused images below are by one network: the architecture of $\mathcal{F}$ with the weights
# `ReFusion_IVIF.pth`, which the same authors released for reference [5] of the paper. **They are not TDFusion's
# weights**: the loss was learned by reconstruction and not by a task. Every result was saved twice, stretched and
# as the network gave it, as 8-bit gray, and scored by the paper's convention. Each number is the mean over images,
# ± the standard deviation over images, not an uncertainty of the mean; the network is deterministic and there is one
# set of weights.

# %% tags=["hide-input"]
stored = json.loads((ROOT / "results" / "real_pairs.json").read_text())


def summary(entry: dict) -> Summary:
    """A stored summary; what is 0/0 is null in the file."""
    numbers = {
        key: {m: math.nan if entry[key][m] is None else entry[key][m] for m in METRICS}
        for key in ("mean", "sd")
    }
    return Summary(**entry | numbers)


def show(key: str, *, groups: bool = False) -> None:
    """The paper's rows if there are any, then ours, then what was left out of a mean."""
    found = stored["datasets"][key]
    theirs = [
        (f"paper: {row['method']}", *(f"{row[m]:.2f}" for m in METRICS), str(table.images[row["dataset"]]))
        for row in table.of(found["dataset"])
        if row["method"] in ("EMMA", "TDFusion") and not groups
    ]
    ours = [summary(entry) for entry in found["conventions"]["paper"] if bool(entry["group"]) == groups]
    ours.sort(key=lambda s: s.group)  # stable: methods keep their order
    print(format_table((found["dataset"], *METRICS, "images"), [*theirs, *map(summary_cells, ours)]))
    print(f"ours: {found['part']}")
    for metric in METRICS:
        names = [s.method for s in ours if s.left_out[metric]]
        if names:
            print(f"0/0 and in no mean: {metric} of {', '.join(dict.fromkeys(names))}, all images")


# %% [markdown]
# ### MSRS

# %% tags=["hide-input"]
show("msrs")

# %% [markdown]
# *Fused rows: weights of reference [5], not TDFusion's.* What differs from the paper's rows: other weights, and 22 of
# the 361 test pairs, 9 by day and 13 by night. EMMA is the closest competitor in the paper. That the stretched row
# comes close to TDFusion's in VIF, Q^AB/F and SSIM is therefore no reproduction; it says that on this data set the
# same architecture, trained by another loss, gives values of the same size. The maximum of the sources does, too.

# %% tags=["hide-input"]
show("msrs", groups=True)

# %% [markdown]
# The same pairs by day (D) and by night (N). **Day and night differ more than methods do**, most of all in SF. A
# subset with another share of nights moves every row, so a subset must never be read against a published row of the
# full set.
#
# ### LLVIP

# %% tags=["hide-input"]
show("llvip")

# %% [markdown]
# *Fused rows: weights of reference [5], not TDFusion's.* What differs: other weights, not trained on this data set as
# TDFusion's were; 12 test pairs whose names begin with 19 and 20, where the paper has 347, every tenth of the test set.
# Neighbouring names show one place, so these are few places seen often. SF of the fused rows is a quarter below
# TDFusion's; whether that is the weights or the pairs, these numbers cannot say.
#
# ### Data sets without a row in the paper

# %% tags=["hide-input"]
for key, found in stored["datasets"].items():
    if found["dataset"] not in table.images:
        show(key)
        print()

# %% [markdown]
# *Fused rows: weights of reference [5], not TDFusion's.* Older work is scored on these sets, whose pairs are few and
# whose visible images are partly gray.
#
# ### What the tables say together

# %% tags=["hide-input"]
METHOD = "ReFusion weights, stretched"
PLAIN = ("infrared", "visible", "mean", "max")
for found in stored["datasets"].values():
    means = {entry["method"]: entry["mean"] for entry in found["conventions"]["paper"] if not entry["group"]}
    beaten = {
        metric: [name for name in PLAIN if (means[name][metric] or -9) > means[METHOD][metric]]
        for metric in METRICS
    }
    words = "; ".join(f"{metric} by {', '.join(names)}" for metric, names in beaten.items() if names)
    print(f"{found['dataset']:<10} the network is beaten in {words or 'nothing'}")

# %% [markdown]
# In VIF, a source or the maximum leads on every data set here, for the reasons of [4.1](read_41_metrics.ipynb). This
# says little against the network and much about what the number can be used for. A table without such rows hides it.
#
# ## The layout of Fig. 2
#
# Fig. 2 of the paper sets methods side by side on a few scenes and magnifies the same places in every panel. The
# function takes any scenes, columns and boxes; all panels are drawn on the full range, so a dark result looks dark.
#
# ```{libcode} tdfusion.figures_fusion.fig2_layout
# ```
#
# Here it shows two synthetic scenes with the sources and the two simple rules.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of four panels, a synthetic day and a night scene as infrared, visible, mean and maximum, each with two coloured boxes magnified below it"}, "figure": {"caption": "Fig. 2's layout on two synthetic scenes: infrared, visible, their mean, their maximum. Boxes: the largest pedestrian, and the largest vehicle.", "name": "fig-layout-fig2"}}
scenes = SynthRoad(split="test", length=12, size=(192, 256), seed=0)
VEHICLES, PEOPLE = ("car", "cyclist"), ("person",)


def around_largest(pair, names: tuple[str, ...], side: int = 48) -> tuple[int, int, int, int] | None:
    """A square box around the largest object of these classes, inside the image; None if there is none."""
    height, width = pair.vi.shape[-2:]
    objects = [box for box in pair.boxes.tolist() if BOX_CLASSES[int(box[0])] in names]
    if not objects:
        return None
    _, x1, y1, x2, y2 = max(objects, key=lambda box: (box[3] - box[1]) * (box[4] - box[2]))
    x = int(min(max((x1 + x2 - side) / 2, 0), width - side))
    y = int(min(max((y1 + y2 - side) / 2, 0), height - side))
    return x, y, x + side, y + side


rows, boxes = {}, {}
for condition in ("day", "night"):
    for i in range(len(scenes)):
        pair = scenes[i]
        places = [around_largest(pair, names) for names in (PEOPLE, VEHICLES)]
        if scenes.condition(i) == condition and all(places):
            I_a, I_b = to_uint8(pair.ir), to_uint8(pair.vi)
            rows[condition] = {
                name: torch.from_numpy(fuse_baseline(name, I_a, I_b) / 255.0)
                for name in ("infrared", "visible", "mean", "max")
            }
            boxes[condition] = places
            break
figure = fig2_layout(rows, boxes)

# %% [markdown]
# The mean dims a pedestrian who is warm and dark at once; the maximum keeps whatever shines, lamps included.
#
# A column for an $\mathcal{F}$ of our own is missing: no network has been trained here yet on more than the minute of
# the [tour](tour.ipynb), and a network at that stage would show nothing about the method.
