# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4.4 What the learned loss looks at: Figure 5
#
# **What this page shows.** The layout of Fig. 5: the weights that $\mathcal{G}$ writes when it was trained for
# segmentation and when it was trained for detection, on the same scenes, which neither has seen. Then numbers behind
# the pictures: the weights per class, by brightness, by day and at night, and each sentence that the paper reads off
# its figure beside a number of ours.
#
# **What it needs.** Two run folders, which a training run leaves, and under a minute of CPU to apply the networks.
# The cell below takes your own: `papermill notebooks/read_44_weights.ipynb runs/fig5.ipynb -p segmentation runs/seg
# -p detection runs/det`.
#
# The paper trains for segmentation on FMB and for detection on LLVIP, and looks at MSRS. Neither those weights nor
# those data are at hand, so nothing here reproduces its figure. Ours are two runs on the synthetic scenes of this book,
# equal in everything but the task, looked at on test scenes. What differs between the two maps can therefore only come
# from the task, which the paper's pair, trained on two data sets, cannot say.

# %% tags=["parameters"]
segmentation = None  # run folder; the stored one of the book by default
detection = None  # run folder
scenes = 40  # test scenes that are looked at

# %% tags=["hide-input"]
from tdfusion.runs.parameters import check_parameters

check_parameters(globals(), "segmentation", "detection", "scenes")

from pathlib import Path

import torch
from IPython.display import Markdown, display

from tdfusion import results
from tdfusion.data.synthroad.scenes import CLASSES, SynthRoad
from tdfusion.figures.weights import (
    fig5_layout,
    weight_contrast,
    weight_profiles,
    weight_statistics,
    written_weights,
)
from tdfusion.losses import target_gradient
from tdfusion.models import LossNet
from tdfusion.runs.folder import stored_config
from tdfusion.results.paper import format_table

folders = {
    "SS": Path(segmentation or results.run("synthroad_seg").folder),
    "OD": Path(detection or results.run("synthroad_det").folder),
}
configs = {model: stored_config(folder) for model, folder in folders.items()}
for model, folder in folders.items():
    config, made = configs[model], results.run(folder.name, folder.parent).provenance
    print(
        f"{model}: {config.task}, {config.scenes} scenes of {config.scene_size[1]}x{config.scene_size[0]} px, "
        f"{config.L} epochs, M = {config.M}, seed {config.seed}, {made['seconds'] / 60:.0f} min on {made['hardware']}"
    )

# %% tags=["hide-input"]
size = configs["SS"].scene_size
every = SynthRoad(split="test", length=scenes, size=size, seed=configs["SS"].seed)
pairs = [every[i] for i in range(scenes)]
w = {
    model: written_weights(LossNet.from_file(folder / "G.safetensors"), pairs)
    for model, folder in folders.items()
}
chosen = [
    next(i for i, p in enumerate(pairs) if p.name.endswith(c) and len(p.boxes) >= 2)
    for c in ("day", "night", "fog")
]
three = [pairs[i] for i in chosen]

# %% [markdown]
# ## The figure
#
# First on the scale that says what a weight means: 0 is "visible only", 1 is "infrared only", white is one half.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three rows, a synthetic day, night and fog scene; seven columns: infrared, visible, the two weight maps of the segmentation model, the two of the detection model, and the absolute difference of the two infrared weights, all on the scale 0 to 1"}, "figure": {"caption": "Fig. 5's layout on test scenes of SynthRoad. Orange: infrared, purple: visible; every map on the scale 0 to 1.", "name": "fig-5-layout"}}
figure = fig5_layout(three, *([w[model][i] for i in chosen] for model in ("SS", "OD")))

# %% [markdown]
# Then each model on the range that its own weights have over these scenes, as figures of weights are usually drawn.
# **A stretched map shows where a model differs from itself, not how much**; the numbers under the colour bars do.

# %% tags=["hide-input"] mystnb={"image": {"alt": "The same three scenes and seven columns, with the weights of each model on the range that they have over the scenes"}, "figure": {"caption": "The same maps, each model's weights on their own range and the difference up to its largest value.", "name": "fig-5-stretched"}}
figure = fig5_layout(three, *([w[model][i] for i in chosen] for model in ("SS", "OD")), stretch=True)

# %% [markdown]
# ## The weights in numbers
#
# Means of $w_a$ over all pixels of a group, ± the standard deviation of a scene's mean over scenes. $|w_{SS} - w_{OD}|$
# is the mean over the pixels.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
GROUPINGS = (
    "everywhere",
    "condition",
    "class",
    "optimum",
    "infrared brightness",
    "visible brightness",
    "edges",
)
statistics = {by: weight_statistics(pairs, w, by) for by in GROUPINGS}
for by, rows in statistics.items():
    cells = [
        (
            row.group,
            str(row.scenes),
            *(f"{row.mean[m]:.3f}" + (f"±{row.sd[m]:.3f}" if row.scenes > 1 else "") for m in w),
            f"{row.difference:.3f}",
        )
        for row in rows
    ]
    display(Markdown(format_table((f"by {by}", "scenes", "SS", "OD", "difference"), cells)))

# %% [markdown]
# *Optimum* is which source carries the class of a pixel, known here because the scenes are made. *Edges* are the gradient
# that Eq. (3) asks for, the larger of the two sources' at each pixel.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dots with bars: mean infrared weight of the segmentation and the detection model by optimum, infrared brightness and edge strength"}, "figure": {"caption": "Mean infrared weight by group, with the standard deviation over scenes. Dotted: one half.", "name": "fig-5-profiles"}}
figure = weight_profiles({by: statistics[by] for by in ("optimum", "infrared brightness", "edges")})

# %% [markdown]
# ## What the paper says, and what these maps do
#
# Section 4.4 reads five things off Fig. 5. Each becomes a difference of two means, taken within every scene and then
# averaged over scenes; day against night, which no scene has both of, is the difference of the two groups' means.
# A sign that agrees is no proof: these are one run and one seed for each task, and scenes of our own making.


# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
def quarter(values: list, top: bool) -> list:
    """Pixels in the highest or the lowest quarter of their scene."""
    return [v >= v.quantile(0.75) if top else v <= v.quantile(0.25) for v in values]


def classes(*names: str) -> list:
    return [torch.isin(p.mask, torch.tensor([CLASSES.index(name) for name in names])) for p in pairs]


ir = [p.ir[0] for p in pairs]
edges = [target_gradient(p.ir[None], p.vi[None])[0, 0] for p in pairs]
gap = [(ss - od).abs() for ss, od in zip(w["SS"], w["OD"])]


def said(claim: str, what: str, maps: list, inside: list, outside: list) -> tuple[str, ...]:
    found = weight_contrast(maps, inside, outside)
    return claim, what, f"{found.mean:+.3f}±{found.sd:.3f}", str(found.scenes)


by_condition = {row.group: row for row in statistics["condition"]}
night = by_condition["night"].mean["SS"] - by_condition["day"].mean["SS"]
few = by_condition["night"].scenes + by_condition["day"].scenes
rows = [
    said(
        "SS prioritises boundaries",
        "$w_a^{SS}$, strongest quarter of edges minus weakest",
        w["SS"],
        quarter(edges, True),
        quarter(edges, False),
    ),
    ("SS uses infrared in low light", "$w_a^{SS}$, night minus day", f"{night:+.3f}", str(few)),
    said(
        "OD focuses on pedestrians and vehicles",
        "$w_a^{OD}$, person, car and cyclist minus the rest",
        w["OD"],
        classes("person", "car", "cyclist"),
        [~m for m in classes("person", "car", "cyclist")],
    ),
    said(
        "OD gives more weight to bright infrared",
        "$w_a^{OD}$, brightest quarter of infrared minus darkest",
        w["OD"],
        quarter(ir, True),
        quarter(ir, False),
    ),
    said(
        "tasks differ most in highlighted regions",
        "abs. difference, brightest quarter of infrared minus the rest",
        gap,
        quarter(ir, True),
        [~m for m in quarter(ir, True)],
    ),
    said(
        "(ours) SS follows the optimum",
        "$w_a^{SS}$, where infrared carries the class minus where visible does",
        w["SS"],
        [p.optimum == 1 for p in pairs],
        [p.optimum == 2 for p in pairs],
    ),
    said(
        "(ours) OD follows the optimum",
        "$w_a^{OD}$, where infrared carries the class minus where visible does",
        w["OD"],
        [p.optimum == 1 for p in pairs],
        [p.optimum == 2 for p in pairs],
    ),
]
display(Markdown(format_table(("the paper says", "measured", "mean ± sd over scenes", "scenes"), rows)))

# %% [markdown]
# ## What we read from it
#
# The two models do differ, and plainly: one leans to infrared as a whole, the other a little to the visible image. Within
# a scene their weights follow brightness by a few hundredths and the known answer not at all. So a difference map like
# the last column of Fig. 5 may be mostly two constants, and stretched to full contrast it still looks like a scene. These
# are 64 meta-steps of one seed; [the study](read_44_mechanism.ipynb) has more seeds, longer runs, and the reasons.
