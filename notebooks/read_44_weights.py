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
# **In these two short runs the weights differ by task, but mostly by one constant: trained for segmentation the loss
# generation network $\mathcal{G}$ prefers infrared everywhere (mean weight 0.75), trained for detection the visible
# image a little (0.44), and that constant is 96 % of the mean square of their difference. Within a scene the weights
# follow brightness by a few hundredths and the known answer hardly at all, and stretched to full contrast they still
# look like the scene.**
#
# **What this page shows.** The layout of Fig. 5 with weights of ours, the weights per class, by brightness, by day and
# at night, and each sentence that the paper reads off its figure beside a number.
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
# The tables have means of $w_a$ over all pixels of a group, ± the standard deviation of a scene's mean over scenes.
# $|w_{SS} - w_{OD}|$ is the mean over the pixels.

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
# *Optimum* is which source *carries* the class of a pixel, that is, lets it be told; it is known here because the
# scenes are made. *Edges* are the gradient that Eq. (3) asks for, the larger of the two sources' at each pixel.

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
# The two models do differ, and plainly: one favours infrared as a whole, the other the visible image a little. Within a
# scene their weights follow brightness by a few hundredths and the known answer by two hundredths at most, the
# segmentation model in the wrong direction. So a difference map like the last column of Fig. 5 may be mostly two
# constants, and stretched to full contrast it still looks like a scene. These are 64 meta-steps of one seed; [the
# study](read_44_mechanism.ipynb) has more seeds and more meta-steps, [3.7b](read_37_lookahead.ipynb) the reasons.

# %% [markdown]
# ## Exercises
#
# Solutions open on a click.
#
# ### Exercise 4.4-1: Two constants
#
# How much of the difference between the two models' weights is one number, the same at all pixels of all scenes? Give it
# as a share of the mean square of $w_a^{SS} - w_a^{OD}$.
#
# :::{dropdown} Solution
# Nearly all of it. A difference map like the last column of Fig. 5 would be almost as large if both models wrote
# constants, and only the small rest can say anything about *where* the tasks differ. Before you interpret a map,
# subtract its mean.
# :::

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
difference = torch.stack(w["SS"]) - torch.stack(w["OD"])  # (scenes, 1, H, W)
share = difference.mean() ** 2 / difference.square().mean()
print(f"mean difference {difference.mean():+.3f}; share of the mean square: {share:.0%}")

# %% [markdown]
# ### Exercise 4.4-2: An untrained network looks at the image too
#
# Correlate the weights of both models with infrared brightness. Then do the same with six untrained $\mathcal{G}$. What can the
# sentence "the weights follow the hot objects" be based on?
#
# :::{dropdown} Solution
# Untrained networks correlate with brightness as well, some of them more strongly than the trained ones: a network that reads the image
# writes something that looks like the image. Their weights vary less, though, so the size of the variation is the better evidence:
# compare with the spread of untrained maps, and with other seeds of the same training.
# :::

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
ir_of = torch.stack([p.ir for p in pairs[:8]])


def follows(maps: list[torch.Tensor]) -> str:
    maps = torch.stack(maps[:8])
    r = torch.corrcoef(torch.stack([maps.flatten(), ir_of.flatten()]))[0, 1]
    return f"{r:+.2f} (sd of w_a {maps.std():.3f})"


for model, maps in w.items():
    print(f"{model}, trained  {follows(maps)}")
for seed in range(6):
    torch.manual_seed(seed)
    print(f"untrained, {seed}  {follows(written_weights(LossNet(), pairs[:8]))}")

# %% [markdown]
# ### Exercise 4.4-3: The strongest quarter, or the strongest tenth?
#
# The table above calls a pixel an edge if it is in the strongest *quarter* of its scene. Repeat its first line with the strongest half,
# tenth and fiftieth, each against as many of the weakest. What do you conclude?
#
# :::{dropdown} Solution
# The sign depends on the threshold, and nothing told us which to take. Had we tried several and shown one, we could have
# confirmed the paper's sentence or denied it. A threshold has to be chosen before one looks, or all of them shown, as a curve.
# (The table's quarter was fixed for all its lines alike; that does not make it the right one.)
# :::

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
for share in (0.5, 0.25, 0.1, 0.02):
    strong = [e >= e.quantile(1 - share) for e in edges]
    weak = [e <= e.quantile(share) for e in edges]
    found = weight_contrast(w["SS"], strong, weak)
    print(f"strongest {share:>4.0%} minus weakest: {found.mean:+.3f} (sd over scenes {found.sd:.3f})")

# %% [markdown]
# ### Exercise 4.4-4: Which panels are new?
#
# Fig. 5 shows $w_a$ and $w_b$ of both models, and the difference. How many of these five maps can be computed from the others? Which
# would you put in their place?
#
# :::{dropdown} Solution
# Three: $w_b = 1 - w_a$ for either model, and the difference. Two maps hold everything. In place of the rest one could show the weights of
# an untrained $\mathcal{G}$, of the same training with another seed, and the map minus its mean: the three controls without which the two
# maps cannot be read.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
G = LossNet.from_file(folders["SS"] / "G.safetensors")
with torch.no_grad():
    w_a, w_b = G(three[0].ir[None], three[0].vi[None])
print("w_b is 1 - w_a:", torch.allclose(w_b, 1 - w_a, atol=1e-6))
