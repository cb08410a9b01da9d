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
# **On the paper's own 361 MSRS pairs, by the paper's evaluator and with the paper's stretch, the plain maximum of the two sources is
# level with TDFusion's row or above it in four of the six metrics (SF, VIF, Q^AB/F, SSIM), and so are weights of the same
# architecture that were trained without any task. TDFusion leads clearly in SCD alone. It does lead its published rivals;
# what a task-driven loss adds, these six numbers cannot say.**
#
# **What this page shows.** The paper's Table 1 as data, the rows that we can set beside it on the same pairs, day and night
# apart, what stretching does to a row, and the layout of Fig. 2 as a function.
#
# **What it needs.** Nothing but the library, a few seconds of CPU. The numbers of real pairs are read from
# `results/real_pairs.csv`, which `python -m studies.real_pairs` writes where the pairs are.
#
# TDFusion's own weights were never published, so its row is the paper's and cannot be made again. The pairs of MSRS are
# the whole test set that the row averages over; of LLVIP we have twelve.

# %% tags=["hide-input"]
import numpy as np
import torch
from IPython.display import Markdown, display

from tdfusion import results
from tdfusion.data.images import to_uint8
from tdfusion.data.synthroad.scenes import BOX_CLASSES, SynthRoad
from tdfusion.evaluate import BASELINES, fuse_baseline
from tdfusion.figures.fusion import fig2_layout
from tdfusion.figures.studies import beside_published
from tdfusion.fusing import fuse
from tdfusion.metrics import METRICS, measure
from tdfusion.models import FusionNet
from tdfusion.results.paper import format_table, paper_table

# %% [markdown]
# ## The paper's table
#
# Seven methods and TDFusion on four test sets; all higher is better. These are **the paper's numbers**, printed from
# the data file that the library ships, and nothing of ours. TDFusion has its own weights for each data set, trained
# with segmentation on MSRS and FMB and with detection on M3FD and LLVIP.

# %% tags=["nbval-check-output"] mystnb={"markdown_format": "myst"}
table = paper_table(1)
for dataset, images in table.images.items():
    rows = [(row["method"], *(f"{row[metric]:.2f}" for metric in METRICS)) for row in table.of(dataset)]
    display(Markdown(format_table((f"paper: {dataset}, {images} images", *METRICS), rows)))

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
# ## Ours, on the same 361 pairs
#
# All fused images below are by one network: the architecture of $\mathcal{F}$ with the weights
# `ReFusion_IVIF.pth`, which the same authors released for reference [5] of the paper. **They are not TDFusion's
# weights**: their loss was learned by reconstruction and not by a task. Every result was saved twice, stretched to the full range
# as the released test code does, and as the network gave it, in 8-bit gray (rows [5]), and scored by the paper's convention. On
# MSRS the four plain rules were stretched, too. Each number is the mean over images; the network is deterministic and there is
# one set of weights. The row is made by `python -m studies.real_pairs`; for a folder of your own method,
#
# ```
# tdfusion evaluate --ir MSRS/test/ir --vi MSRS/test/vi --fused OURS \
#   --dataset MSRS --groups '(D|N)$' --block 20 --json ours.json
# tdfusion compare ours.json
# ```
#
# sets its row beside the paper's.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
stored = results.load("real_pairs").query("task == 'paper'")
scored = results.wide(stored, "data", "group", "arm")
PARTS = results.about("real_pairs")["settings"]["parts"]


def named(arm: str) -> str:
    return arm.replace("ReFusion weights", "[5]")


def show(dataset: str, group: str = "") -> None:
    """The paper's rows if there are any, then ours, then what ours are and what is in no mean."""
    theirs = [
        (f"paper: {row['method']}", *(f"{row[m]:.2f}" for m in METRICS))
        for row in table.of(dataset)
        if not group
    ]
    ours = scored.loc[dataset].loc[group].rename(index=named)
    rows = [
        (arm, *("0/0" if np.isnan(r[m]) else f"{r[m]:.3f}" for m in METRICS)) for arm, r in ours.iterrows()
    ]
    display(Markdown(format_table((f"{dataset} {group}".strip(), *METRICS), [*theirs, *rows])))
    part = f"{ours.images.iloc[0]:.0f} of them" if group else PARTS[dataset]
    out = scored.loc[dataset].loc[group].filter(like=" left out").stack()
    lost = [f"{m.removesuffix(' left out')} of {named(arm)} on {n:.0f}" for (arm, m), n in out.items() if n]
    display(Markdown(f"Ours: {part}. In no mean, because 0/0: {', '.join(lost) or 'none'} images."))


def apart(dataset: str, arm: str, against: str, groups: tuple[str, ...] = ("",)) -> None:
    """How far a row is from another on the same images, with 95 % intervals."""
    rows = []
    for group in groups:
        found = scored.loc[dataset, group, arm]
        cells = []
        for m in METRICS:
            mean, low, high = (found[f"{m} less {against}{end}"] for end in ("", " low", " high"))
            cells.append("0/0" if np.isnan(mean) else f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]")
        rows.append(({"": "all", "D": "day", "N": "night"}[group], *cells))
    display(Markdown(format_table((f"{named(arm)} minus {named(against)}", *METRICS), rows)))


# %% [markdown]
# ### MSRS

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
show("MSRS")

# %% [markdown]
# *The rows [5] are by the weights of reference [5], not TDFusion's.* The pairs, the evaluator and the stretch are those of the paper; what
# differs from TDFusion's row is the weights. So this is what the architecture reaches on these pairs when its loss was learned
# without a task.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six small panels, one a metric: the paper's eight methods as gray dots, TDFusion's marked, and the rows of this page as coloured dots"}, "figure": {"caption": "MSRS, 361 pairs, by the paper's evaluator. Gray: the paper's seven rivals; black: TDFusion, the paper's number; coloured: ours, stretched as the paper's images are.", "name": "fig-table1-msrs"}}
figure = beside_published(
    {row["method"]: {m: row[m] for m in METRICS} for row in table.of("MSRS")},
    {named(arm).removesuffix(", stretched"): scored.loc["MSRS", "", arm][list(METRICS)].to_dict()
     for arm in scored.loc["MSRS"].loc[""].index if arm.endswith(", stretched")},
    marked="TDFusion",
)  # fmt: skip

# %% [markdown]
# So on MSRS the table's distances between methods are smaller than the distance of most of them to a rule of one line. That
# rule has not been among its rows. It says nothing against TDFusion's images, which may well be better to look at or for a task; it
# says that these numbers do not show it. SCD is the exception: no row of ours comes near 1.86.
#
# **How far from the plain rules**, on the same images, with 95 % intervals over blocks of 20 neighbouring frames, which look alike:

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
for against in ("mean", "max"):
    apart("MSRS", "ReFusion weights, stretched", against, ("", "D", "N"))

# %% [markdown]
# **What the stretch does**, to the same network's images:

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
apart("MSRS", "ReFusion weights, stretched", "ReFusion weights, unstretched", ("", "D", "N"))

# %% [markdown]
# By day (D) and by night (N):

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
for group in "DN":
    show("MSRS", group)

# %% [markdown]
# *F of this book*: the weights that the package carries were fitted on 241 of these pairs, so they can be scored on the other 120
# alone (fold 0 of MSRS-blocks; all rows on these, stretched).

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
held = results.load("pretrained").pivot_table(index="arm", columns="metric", values="value")[list(METRICS)]
shown = {
    "real": "F, w = 1/2 (carried)",
    "synthroad": "F of generated scenes",
    "reference [5], by its authors": "[5]",
}
shown |= {name: name for name in BASELINES}
rows = [
    (title, *("0/0" if np.isnan(v) else f"{v:.3f}" for v in held.loc[arm])) for arm, title in shown.items()
]
display(Markdown(format_table(("MSRS, 120 pairs", *METRICS), rows)))

# %% [markdown]
# **Day and night differ more than methods do**, most of all in SF. A subset with another share of nights moves every row, so a
# subset must never be read against a published row of the full set.
#
# ### LLVIP

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
show("LLVIP")

# %% [markdown]
# *Fused rows: weights of reference [5], not TDFusion's.* What differs: other weights, where TDFusion's were
# trained on this data set; 12 test pairs whose names begin with 19 and 20, where the paper has 347, every tenth of the
# test set. SF of the fused rows is a quarter below
# TDFusion's; whether that is the weights or the pairs, these numbers cannot say.
#
# ### Data sets without a row in the paper

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
for dataset in PARTS:
    if dataset not in table.images:
        show(dataset)

# %% [markdown]
# *Fused rows: weights of reference [5], not TDFusion's.* Older work is scored on these sets.
#
# ### What the tables say together

# %% tags=["hide-input"]
METHOD = "ReFusion weights, stretched"
for dataset in PARTS:
    means = scored.loc[dataset].loc[""][list(METRICS)]
    above = means.loc[list(BASELINES)] > means.loc[METHOD]
    beaten = {metric: above.index[above[metric]] for metric in METRICS}
    words = "; ".join(f"{metric} by {', '.join(names)}" for metric, names in beaten.items() if len(names))
    print(f"{dataset:<10} the network is beaten in {words or 'nothing'}")

# %% [markdown]
# In VIF, a source or the maximum leads on every data set here, for the reasons of [4.1](read_41_metrics.ipynb). This
# says little against the network and much about what the number can be used for. A table without such rows hides it.
#
# ## The layout of Fig. 2
#
# Fig. 2 of the paper sets methods side by side on a few scenes and magnifies the same places in every panel. The
# function takes any scenes, columns and boxes; all panels are drawn on the full range, so a dark result looks dark.
#
# ```{libcode} tdfusion.figures.fusion.fig2_layout
# ```
#
# Here it shows two synthetic scenes with the sources, the two simple rules, and an $\mathcal{F}$ trained by Algorithm 1
# in this book: the stored run of preset `tour`, 704 steps in all on a CPU, with synthetic scenes
# of 96x96 pixels (`results/tour`, seed 0). **That is a demonstration, not a reproduction.**

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of five panels, a synthetic day and a night scene as infrared, visible, mean, maximum and our own network, each with two coloured boxes magnified below it"}, "figure": {"caption": "Fig. 2's layout on two synthetic test scenes: infrared, visible, their mean, their maximum, and F of the preset tour, unstretched. Boxes: the largest pedestrian, and the largest vehicle.", "name": "fig-layout-fig2"}}
F = FusionNet.from_file(results.run("tour").folder / "F.safetensors")
COLUMNS = (*BASELINES, "F (tour)")
scenes = SynthRoad(split="test", length=12, size=(192, 256), seed=0)
VEHICLES, PEOPLE = ("car", "cyclist"), ("person",)


def column(name: str, pair) -> np.ndarray:
    """A source, a baseline, or our network's result: uint8 (H, W)."""
    if name in BASELINES:
        return fuse_baseline(name, to_uint8(pair.ir), to_uint8(pair.vi))
    return to_uint8(fuse(F, pair.ir, pair.vi, minmax=name.endswith("stretched")))


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
            rows[condition] = {name: torch.from_numpy(column(name, pair) / 255.0) for name in COLUMNS}
            boxes[condition] = places
            break
figure = fig2_layout(rows, boxes)

# %% [markdown]
# The same network and the baselines on all twelve scenes, none of which it was trained on:

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = []
for name in (*COLUMNS, "F (tour), stretched"):
    values = [
        list(measure(column(name, pair), to_uint8(pair.ir), to_uint8(pair.vi)).values.values())
        for pair in (scenes[i] for i in range(len(scenes)))
    ]
    mean, sd = np.mean(values, axis=0), np.std(values, axis=0, ddof=1)
    rows.append((name, *("0/0" if np.isnan(m) else f"{m:.2f}±{s:.2f}" for m, s in zip(mean, sd))))
display(Markdown(format_table(("12 synthetic scenes", *METRICS), rows)))

# %% [markdown]
# *Means over 12 synthetic scenes of 192x256 pixels, ± standard deviation over scenes; one run, one seed.* The network of
# this short run draws edges, with more SF than either source, and loses most of the brightness: it is far below a plain
# average in SCD, VIF and SSIM, and the pedestrians in the boxes can hardly be seen. These rows and the paper's have
# nothing in common but the formulas. What the run learned, and what it did not, is in the [tour](tour.ipynb).

# %% [markdown]
# ## Exercises
#
# Solutions open on a click.
#
# ### Exercise 4.2-1: Noise as a method
#
# EN and SF look at the fused image alone. Score an image of pure noise, every gray level equally likely, and set it beside the
# best value of EN and SF in the whole Table 1. What about the other four metrics?
#
# :::{dropdown} Solution
# Noise beats every method in both, SF by far. In the other four, which ask how the fused image relates to its sources, it is at the
# bottom. So a lead in EN or SF counts only together with the other four; and a method that adds a little noise moves up in two of
# six columns.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
pair = scenes[0]
noise = np.random.default_rng(0).integers(0, 256, pair.vi.shape[-2:], dtype=np.uint8)
found = measure(noise, to_uint8(pair.ir), to_uint8(pair.vi)).values
for metric in METRICS:
    best = max(row[metric] for row in table.rows)
    print(f"{metric:<5} noise {found[metric]:>6.2f}   best of Table 1 {best:>6.2f}")

# %% [markdown]
# ### Exercise 4.2-2: Another convention, another winner
#
# The six names stand for different numbers in different papers ([4.1](read_41_metrics.ipynb)). Rank the rows that we
# scored on MSRS by SSIM under each of the three named conventions. Does the order survive?
#
# :::{dropdown} Solution
# No. The plain mean of the sources is first by the paper's convention and last by the other two. Taking the
# sum instead of the mean over the two sources only doubles the values. What turns the order round is the data range $L$: the
# constants $(0.01 L)^2$ and $(0.03 L)^2$ are meant to keep flat areas from deciding, and with $L = 1$ or 2 on pixels of 0 to 255 they
# vanish, so that flat areas, where there is little but noise, count in full. An SSIM without its convention is no number.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
real = results.load("real_pairs").query("data == 'MSRS' and group == '' and metric == 'SSIM'")
real = real[~real["arm"].isin([f"{name}, stretched" for name in BASELINES])]
by_convention = real.pivot(index="arm", columns="task", values="value")
for convention, values in by_convention.items():
    place = int(values.rank(ascending=False)["mean"])
    print(f"{convention:<9} the mean of the sources has place {place} of {len(values)}")

# %% [markdown]
# ### Exercise 4.2-3: How large is a lead?
#
# Table 1 has 24 pairs of data set and metric. In how many does TDFusion lead the best other method by more than 0.01, which two
# rounded numbers can differ by almost for nothing? What else would you need in order to say that a lead is real?
#
# :::{dropdown} Solution
# Two numbers printed with two digits that differ by 0.01 may differ by anything between 0 and 0.02. Beyond that
# there are three sources of spread, and the table gives none of them: images (a mean over 361 images has an error, though a
# comparison image by image has a smaller one), training (another seed, another network), and choice (which epoch, which
# settings, of whom). Large differences such as those in SCD are not in doubt; the order within SSIM is.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
leads = {}
for dataset in table.images:
    rows = {row["method"]: row for row in table.of(dataset)}
    ours = rows.pop("TDFusion")
    for metric in METRICS:
        leads[dataset, metric] = round(ours[metric] - max(row[metric] for row in rows.values()), 2)
print(f"leads by more than 0.01: {sum(lead > 0.01 for lead in leads.values())} of {len(leads)}")
print(f"within 0.01:             {sum(abs(lead) <= 0.01 for lead in leads.values())}")
print(f"behind by more:          {sum(lead < -0.01 for lead in leads.values())}")
