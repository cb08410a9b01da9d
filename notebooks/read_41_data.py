# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4.1 The data: six published sets, and scenes drawn for this book
#
# **On the published sets nobody knows which source a fused image should have followed at a pixel; on the synthetic
# scenes of this book it is known, and a choice that knows it scores 58.3 % mean IoU where the best plain rule scores
# 45.5 %. So there is something for a learned loss to find. In the released loader a mistake moves about a fifth of the
# boxes of M3FD and LLVIP (18.9 to 22.2 %) out of the image.**
#
# **What this page shows.** The four data sets of the paper, two more that fusion is usually tested on, and SynthRoad,
# the synthetic scenes: what each holds, how it is split, and what its labels look like.
#
# **What it needs.** Nothing but the library. Statistics of the published sets are read from a stored result, which says on
# how many images each number rests; their images may not be passed on and are shown only where the environment variable
# `TDFUSION_DATA` points at them.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
import os
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from IPython.display import Markdown, display
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle

from tdfusion import results
from tdfusion.data import open_dataset
from tdfusion.commands.data import describe, said_size
from tdfusion.data.layouts import LAYOUTS
from tdfusion.data.synthroad.scenes import BOX_CLASSES, CLASSES, CONDITIONS, OPTIMUM, PALETTE, SynthRoad
from tdfusion.data.splits import split_checksum
from tdfusion.errors import InputError
from tdfusion.figures.panels import image_row, visible_rgb
from tdfusion.results.paper import format_table

known = results.facts("data_statistics")
rows = [
    (
        layout.name,
        " + ".join(layout.labels) or "none",
        ", ".join(f"{s.name} {s.count}" for s in layout.splits if not s.name.startswith("published")),
        said_size(layout),
    )
    for layout in LAYOUTS.values()
]
display(Markdown(format_table(("", "labels", "pairs", "size"), rows)))

# %% [markdown]
# The paper trains and tests on MSRS, FMB, M3FD and LLVIP; SynthRoad is this book's. MSRS and FMB come split. LLVIP comes split too, and the paper takes
# every tenth pair of either half, because the set is large. M3FD comes in one piece: the paper made its own lists, and put the 300 pairs that
# others test fusion with into the test list. RoadScene and TNO have no labels; nothing is trained on them.
#
# Where to get each set, under which terms, and what its folders must look like is in the library, so that it can be asked
# without this page: `tdfusion data info`.

# %% tags=["hide-input", "hide-output"]
for layout in LAYOUTS.values():
    print(describe(layout), end="\n\n")

# %% [markdown]
# `tdfusion data verify NAME --root DIR` then reads every file once and says what is missing, unpaired, unreadable or
# out of range, and ends in a verdict. Nothing is ever downloaded.
#
# The paper's lists ship with the library as names alone, each with its count and a checksum (SHA-256 of the names, a line
# each), so that two people can be sure that they mean the same split:

# %% tags=["hide-input", "nbval-check-output"]
for name in ("M3FD", "LLVIP"):
    for split in ("train", "test"):
        print(f"{name:6}{split:6}{LAYOUTS[name].split(split).count:5}  {split_checksum(name, split)[:16]}...")

# %% [markdown]
# ## What the numbers below rest on
#
# The authors' lists of M3FD and LLVIP carry every box, so these two can be described whole. Of the other sets only
# a part was at hand when the statistics were made, and of FMB and of the images of M3FD none.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = [
    (f"{name} {split}", str(numbers["images"]), str(numbers["images"]), "boxes, from the paper's list")
    for name, splits in known["lists"].items()
    for split, numbers in splits.items()
]
for name, splits in known["pairs"].items():
    for split, numbers in splits.items():
        what = "brightness" + (", day or night, boxes" if "classes" in numbers else "")
        rows.append(
            (f"{name} {split}", str(numbers["images"]), str(numbers["published"]), f"{what}, from images")
        )
rows.append(("FMB", "0", str(sum(s.count for s in LAYOUTS["FMB"].splits)), "nothing at hand"))
display(Markdown(format_table(("", "at hand", "in the set", "what is known of them"), rows)))

# %% [markdown]
# So there is no histogram of FMB's classes here, nor of MSRS's segmentation masks. `tdfusion data verify` prints both for
# your copy.
#
# ## What there is to detect

# %% tags=["hide-input"] mystnb={"image": {"alt": "Bars on a logarithmic scale: number of boxes per class in M3FD, LLVIP, MSRS at hand, and SynthRoad; car and people lead in M3FD by more than an order of magnitude over motorcycle and bus"}, "figure": {"caption": "Boxes per class (logarithmic). M3FD and LLVIP: the paper's lists, training and test together. MSRS: only the pairs at hand. SynthRoad: the scenes of this page, counted now.", "name": "fig-data-classes"}}
edges = np.array(known["side_edges"])
SHOWN = 300  # scenes
scenes = SynthRoad(split="train", length=SHOWN, size=(96, 128), seed=0)
pairs = [scenes[i] for i in range(SHOWN)]
conditions = [scenes.condition(i) for i in range(SHOWN)]


def summed(splits: dict) -> dict[str, dict]:
    """Boxes and side histograms per class, over the splits of a set."""
    names = next(iter(splits.values()))["classes"]
    return {
        c: {
            "boxes": sum(s["classes"][c]["boxes"] for s in splits.values()),
            "sides": np.sum([s["classes"][c]["side_histogram"] for s in splits.values()], axis=0),
        }
        for c in names
    }


def of_scenes() -> dict[str, dict]:
    """The same of the synthetic scenes."""
    boxes = torch.cat([p.boxes for p in pairs])  # (n, 5) class x1 y1 x2 y2
    area = (boxes[:, 3] - boxes[:, 1]) * (boxes[:, 4] - boxes[:, 2])
    sides = (area / (scenes.size[0] * scenes.size[1])).sqrt().numpy()
    ids = boxes[:, 0].long().numpy()
    return {
        c: {"boxes": int((ids == i).sum()), "sides": np.histogram(sides[ids == i], edges)[0]}
        for i, c in enumerate(BOX_CLASSES)
    }


detection = {
    f"{name}, {sum(s['images'] for s in splits.values())} images": summed(splits)
    for name, splits in {**known["lists"], "MSRS": known["pairs"]["MSRS"]}.items()
}
detection[f"SynthRoad, {SHOWN} scenes"] = of_scenes()
figure, axes = plt.subplots(2, 2, figsize=(8, 4.6), sharex=True, layout="constrained")
for axis, (title, classes), colour in zip(axes.flat, detection.items(), sns.color_palette("colorblind")):
    counts = [c["boxes"] for c in classes.values()]
    bars = axis.barh(list(classes), counts, color=colour, height=0.6)
    axis.bar_label(bars, padding=3, fontsize=8)
    axis.set(xscale="log", xlim=(1, 1e5), title=title)
    axis.invert_yaxis()
    axis.margins(y=0.15 if len(classes) > 2 else 1.2)
    sns.despine(ax=axis)
for axis in axes[1]:
    axis.set_xlabel("boxes")

# %% [markdown]
# In M3FD the commonest class has more than thirty times the boxes of the rarest. A mean over classes, which mAP is, gives
# both the same say.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Line plots: share of the boxes against their side as a share of the image side, for M3FD, LLVIP, MSRS at hand and SynthRoad"}, "figure": {"caption": "How large the boxes are: square root of box area over image area (logarithmic), as shares of all boxes of the set. Left, all classes; right, people only. Vertical lines: boxes of 8 and 32 pixels in an image of 640x480.", "name": "fig-data-sides"}}
PEOPLE = ("People", "person")
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
middles = np.sqrt(edges[1:] * edges[:-1])
for axis, title in zip(axes, ("all boxes", "people")):
    for (name, classes), colour in zip(detection.items(), sns.color_palette("colorblind")):
        chosen = [c["sides"] for key, c in classes.items() if title == "all boxes" or key in PEOPLE]
        sides = np.sum(chosen, axis=0)
        label = f"{name.split(',')[0]} ({sides.sum()})"
        axis.plot(middles, 100 * sides / sides.sum(), marker="o", markersize=3, color=colour, label=label)
    for pixels in (8, 32):
        axis.axvline(pixels / np.sqrt(640 * 480), color="0.7", linewidth=0.8, linestyle=":")
    axis.set(xscale="log", title=title, xlabel="side, share of the image's")
    axis.set_xticks([0.01, 0.03, 0.1, 0.3], ["1 %", "3 %", "10 %", "30 %"])
    axis.minorticks_off()
    axis.legend(frameon=False, fontsize=8)
    sns.despine(ax=axis)
axes[0].set(ylabel="% of the boxes", ylim=(0, None))
figure.align_labels()

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = []
for name, classes in detection.items():
    sides = np.sum([c["sides"] for c in classes.values()], axis=0)
    below = sides[edges[1:] <= 0.0625].sum() / sides.sum()
    rows.append((name, str(sides.sum()), f"{100 * below:.0f} %"))
display(Markdown(format_table(("", "boxes", "with a side below 1/16 of the image's"), rows)))

# %% [markdown]
# That side matters because the released code hands the task network a smaller image than the camera's: the whole pair,
# resized to 192x256 for M3FD and 256x320 for LLVIP. A box of one sixteenth is then about 14 and 18 pixels a side.
#
# ## Day and night
#
# MSRS says in the file name which is which. The other sets do not, but the images do: here is the mean brightness of
# every pair at hand.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Scatter plots of mean infrared against mean visible brightness, one point per pair, for MSRS, LLVIP, RoadScene, TNO and SynthRoad; night pairs of MSRS and SynthRoad lie to the left"}, "figure": {"caption": "Mean brightness of the two images of a pair, one point each. Published sets: the pairs at hand. SynthRoad: the scenes of this page.", "name": "fig-data-brightness"}}
clouds = {
    name: {
        key: np.concatenate([split[key] for split in splits.values()])
        for key in ("mean_visible", "mean_infrared", "condition")
        if key in next(iter(splits.values()))
    }
    for name, splits in known["pairs"].items()
}
clouds["SynthRoad"] = {
    "mean_visible": np.array([p.vi.mean() for p in pairs]),
    "mean_infrared": np.array([p.ir.mean() for p in pairs]),
    "condition": np.array(conditions),
}
LOOK = {"day": ("C1", "o"), "night": ("C0", "s"), "fog": ("0.55", "^"), "not said": ("C2", "D")}
figure, axes = plt.subplots(1, len(clouds), figsize=(9, 2.5), sharex=True, sharey=True, layout="constrained")
for axis, (name, cloud) in zip(axes, clouds.items()):
    condition = cloud.get("condition", np.full(len(cloud["mean_visible"]), "not said"))
    for kind in np.unique(condition):
        colour, marker = LOOK[kind]
        here = condition == kind
        axis.scatter(
            cloud["mean_visible"][here],
            cloud["mean_infrared"][here],
            s=8, color=colour, marker=marker, alpha=0.6, linewidths=0,
        )  # fmt: skip
    axis.set_title(f"{name} ({len(condition)})", fontsize=9)
    axis.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], aspect="equal")
    sns.despine(ax=axis)
axes[0].set_ylabel("mean infrared")
axes[len(axes) // 2].set_xlabel("mean visible (luma)")
handles = [
    plt.Line2D([], [], linestyle="", color=colour, marker=marker, markersize=5, label=kind)
    for kind, (colour, marker) in LOOK.items()
]
legend = figure.legend(
    handles=handles, loc="outside lower center", ncols=len(LOOK), frameon=False, fontsize=8
)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = []
for name in ("MSRS", "SynthRoad"):
    condition = clouds[name]["condition"]
    for kind in [c for c in CONDITIONS if c in condition]:
        visible, infrared = (
            clouds[name][key][condition == kind] for key in ("mean_visible", "mean_infrared")
        )
        rows.append((f"{name}, {kind}", str(len(visible)), f"{visible.mean():.2f}", f"{infrared.mean():.2f}"))
display(Markdown(format_table(("", "pairs", "mean visible", "mean infrared"), rows)))

# %% [markdown]
# The synthetic nights are lit by lamps and headlights; their visible images are brighter than those of the MSRS nights at hand.

# %% [markdown]
# ## The released loader's box mistake
#
# **Paper versus released code.** The paper says nothing about box coordinates. The released loader divides x by the image's *height* and y by its *width* before it hands a box
# to YOLOv8, and nothing later undoes it. On a square image that changes nothing. On a wide one, x is stretched and y shrunk, and whatever stands far enough to the right leaves the image.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: a wide frame with boxes, drawn as they should be and as the released loader places them, stretched to the right; some lie beyond the border. Right: bars with the share of boxes lost per class, around a fifth"}, "figure": {"caption": "Left: boxes on the frame of a SynthRoad scene (solid) and where the released normalisation puts them (dashed). Right: share of boxes whose centre leaves the image, over the paper's lists, per class.", "name": "fig-data-mistake"}}
mistake = results.load("box_axis_mistake")
H, W = 192, 256  # the shape of M3FD's images
wide = SynthRoad(split="test", length=60, size=(H, W), seed=0)
candidates = [wide[i] for i in range(20) if wide.condition(i) == "day"]
shown = max(candidates, key=lambda p: len(p.boxes))
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1.35, 1), layout="constrained")
left.imshow(visible_rgb(shown).permute(1, 2, 0).clamp(0, 1), extent=(0, W, H, 0), alpha=0.75)
for (_, x1, y1, x2, y2), colour in zip(shown.boxes.tolist(), sns.color_palette("bright", len(shown.boxes))):
    left.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.6))
    wrong = Rectangle(
        (x1 * W / H, y1 * H / W), (x2 - x1) * W / H, (y2 - y1) * H / W,
        fill=False, edgecolor=colour, linewidth=1.4, linestyle=(0, (3, 1.5)),
    )  # fmt: skip
    left.add_patch(wrong)
left.set(xlim=(-2, W * W / H), ylim=(H + 2, -2))
left.add_patch(Rectangle((0, 0), W, H, fill=False, edgecolor="black", linewidth=1.2))
left.axis("off")
shares = mistake.query("metric == 'percent_of_boxes' and group != ''")
names, sets = (
    (shares["data"].str.split().str[0] + ": " + shares["group"]).unique(),
    shares["data"].str.split().str[1],
)
at = np.arange(len(names))
for shift, split, colour in zip((-0.2, 0.2), ("train", "test"), sns.color_palette("colorblind")):
    right.barh(at + shift, shares["value"][sets == split], 0.36, color=colour, label=split)
right.set_yticks(at, names)
right.invert_yaxis()
right.set_xlabel("% of the boxes lost")
right.legend(frameon=False)
sns.despine(ax=right)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = [
    (
        name, f"{m.x_stretched_by:.2f}", f"{m.boxes_with_centre_outside:.0f} of {m.boxes:.0f}",
        f"{m.percent_of_boxes:.1f} %", f"{m.percent_of_images:.1f} %",
    )
    for name, m in results.wide(mistake.query("group == ''"), "data").iterrows()
]  # fmt: skip
header = ("list", "x stretched by", "boxes outside", "share", "images that lose one")
display(Markdown(format_table(header, rows)))

# %% [markdown]
# Counted over the paper's own lists with the usual image size of each set, with a box as lost when its centre is outside.
# The boxes that stay are in the wrong place too. In this library boxes are kept in pixels and divided by
# the side they belong to; the mistake is not offered as a variant.
#
# ## SynthRoad
#
# The published sets cannot be shipped, and on them nobody knows which source *should* have been followed at a pixel. SynthRoad is
# drawn when it is asked for. A scene is first a buffer of materials with reflectance, temperature, emissivity and depth;
# then a visible camera sees reflectance times illumination, and an infrared camera sees temperature and emissivity. So
# either camera misses what it physically would: paint has no temperature of its own, and a walker in the dark reflects
# little. The seed decides everything; the training and the test scenes come from separate random streams.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three rows, day, night and fog, each with visible, infrared with boxes, class mask and known-optimum map of one synthetic scene"}, "figure": {"caption": "One test scene per condition: visible, infrared with the boxes, the class mask, and the known-optimum map.", "name": "fig-data-scenes"}}
large = SynthRoad(split="test", length=60, size=(240, 320), seed=0)


def richest(condition: str):
    """Of the first scenes of a condition, the one with most different classes in its boxes."""
    found = [large[i] for i in range(24) if large.condition(i) == condition]
    return max(found, key=lambda p: (len(p.boxes[:, 0].unique()), len(p.boxes)))


class_map = ListedColormap(np.array(PALETTE) / 255)
OPTIMUM_COLOURS = ["0.88", "#e66101", "#5e3c99", "#4d9221"]  # either, infrared, visible, both
box_colours = {name: np.array(PALETTE[CLASSES.index(name)]) / 255 for name in BOX_CLASSES}
figure, axes = plt.subplots(3, 4, figsize=(9.2, 5.9), layout="constrained")
for row, condition in zip(axes, CONDITIONS):
    scene = richest(condition)
    row[0].imshow(visible_rgb(scene).permute(1, 2, 0).clamp(0, 1))
    row[1].imshow(scene.ir[0], cmap="gray", vmin=0, vmax=1)
    for c, x1, y1, x2, y2 in scene.boxes.tolist():
        colour = box_colours[BOX_CLASSES[int(c)]]
        row[1].add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1))
    row[2].imshow(scene.mask, cmap=class_map, vmin=0, vmax=len(CLASSES) - 1, interpolation="nearest")
    row[3].imshow(
        scene.optimum, cmap=ListedColormap(OPTIMUM_COLOURS), vmin=0, vmax=3, interpolation="nearest"
    )
    row[0].set_ylabel(condition, fontsize=10)
    for axis in row:
        axis.set(xticks=[], yticks=[])
        sns.despine(ax=axis, left=True, bottom=True)
for axis, title in zip(axes[0], ("visible", "infrared, boxes", "classes", "known optimum")):
    axis.set_title(title, fontsize=10)
handles = [Patch(color=np.array(c) / 255, label=n) for c, n in zip(PALETTE, CLASSES)]
handles += [Patch(color=c, label=n) for c, n in zip(OPTIMUM_COLOURS, OPTIMUM)]
legend = figure.legend(handles=handles, loc="outside lower center", ncols=7, frameon=False, fontsize=8)

# %% [markdown]
# The **known-optimum map** says for every pixel which source *carries* its class, that is, lets it be told: infrared
# alone, visible alone, both, or either where nothing is to be told apart. It is no label that a network is shown; it is
# the yardstick for what the learned weights do. What decides it:
#
# - On the **verge** infrared carries: people, animals and parked cars in colours that blend in. Stone figures mislead the
#   visible image.
# - On the **road** and before the **houses** visible carries: markings, signs, cones and bystanders as warm as what is
#   behind them. Patches, cracks and vents mislead infrared.
# - Where glare or fog has taken the visible image, infrared is left.
#
# How often each class and each case occurs:

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: share of the pixels per class on a logarithmic scale; background and road fill most of the image. Right: stacked bars per class showing which source carries its pixels"}, "figure": {"caption": "The scenes of this page. Left: share of pixels per class (logarithmic). Right: which source carries the pixels of each class.", "name": "fig-data-synthroad"}}
mask = torch.stack([p.mask for p in pairs])  # (N, H, W)
optimum = torch.stack([p.optimum for p in pairs])
counts = (
    torch.bincount((mask * 4 + optimum).flatten(), minlength=4 * len(CLASSES)).view(-1, 4).double().numpy()
)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
share = 100 * counts.sum(1) / counts.sum()
bars = left.barh(CLASSES, share, color=np.array(PALETTE) / 255, edgecolor="0.6", linewidth=0.5, height=0.7)
left.bar_label(bars, [f"{s:.2g} %" for s in share], padding=3, fontsize=8)
left.set(xscale="log", xlabel="% of the pixels", xlim=(0.05, 300))
start = np.zeros(len(CLASSES))
for kind, colour, name in zip(range(4), OPTIMUM_COLOURS, OPTIMUM):
    part = 100 * counts[:, kind] / counts.sum(1)
    right.barh(CLASSES, part, 0.7, left=start, color=colour, label=name)
    start += part
right.set_xlabel("% of the class's pixels")
left.invert_yaxis()
legend = right.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=8)
sns.despine(figure)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = []
for condition in CONDITIONS:
    chosen = torch.stack([o for o, c in zip(optimum, conditions) if c == condition])
    parts = torch.bincount(chosen.flatten(), minlength=4) / chosen.numel()
    rows.append((condition, str(len(chosen)), *(f"{100 * part:.1f} %" for part in parts.tolist())))
display(Markdown(format_table(("", "scenes", *OPTIMUM), rows)))

# %% [markdown]
# ## Is there anything to be gained?
#
# A data set on which one camera suffices cannot show that a fusion was good. So the headroom was measured, how much a
# right choice of source can gain: the same small SegFormer, trained from random weights for the same number of steps on
# one gray image per scene, for several ways to make that image. *Oracle* takes each pixel from the source that the
# known-optimum map names. *Oracle map alone* shows the network that choice and no image.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Points with one dot per seed: mean IoU of a task network on infrared, visible, average, maximum, oracle, and the oracle map alone"}, "figure": {"caption": "Headroom of SynthRoad: test mIoU of a fixed task network by the image it is trained and tested on. Dots: seeds. Bars: means.", "name": "fig-data-headroom"}}
headroom = results.load("synthroad_headroom")
seeds = headroom.query("metric == 'mIoU'").groupby("arm", sort=False)["value"].agg(list)
means = results.wide(headroom.query("group == '' and seed.isna()"), "arm")
figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
axis.barh(means.index, 100 * means["mIoU mean"], 0.6, color="0.85")
for arm, values in seeds.items():
    axis.plot(100 * np.array(values), [arm] * len(values), "o", color="C0", markersize=4)
axis.invert_yaxis()
axis.set_xlabel("mIoU on test scenes, %")
sns.despine(figure)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
setting, (made,) = (
    results.about("synthroad_headroom")["settings"],
    results.provenance_of("synthroad_headroom"),
)
per_class = headroom.query("metric == 'IoU mean'").pivot(index="arm", columns="group", values="value")
rows = [
    (
        arm,
        f"{100 * mean['mIoU mean']:.1f}"
        + ("" if np.isnan(mean["mIoU sd"]) else f" ± {100 * mean['mIoU sd']:.1f}"),
        *(f"{100 * per_class.loc[arm, c]:.0f}" for c in CLASSES[1:]),
    )
    for arm, mean in means.iterrows()
]
display(Markdown(format_table(("image", "mIoU", *CLASSES[1:]), rows)))
print(
    f"{setting['network']}, {setting['parameters']} parameters, {setting['train_scenes']} training and"
    f" {setting['test_scenes']} test scenes of {setting['size'][0]}x{setting['size'][1]} px,\n"
    f"{setting['steps']} steps of {setting['batch']}, seeds {made['seeds']}; commit {made['commit']}"
)
rules = means["mIoU mean"].drop(["oracle", "oracle map alone"])
gap = means.loc["oracle", "mIoU mean"] - rules.max()
print(f"oracle minus the best rule ({rules.idxmax()}): {100 * gap:+.1f} points of mIoU")

# %% [markdown]
# The table has IoU in percent as means over seeds, with the sample standard deviation of the mIoU;
# `studies/headroom.py` makes it. The last line before this paragraph is the room that a learned choice has on this
# data, for this network and this many steps; how much of it $\mathcal{G}$ finds is a question for
# {doc}`read_44_mechanism`.
#
# **Which plain rule is the best depends on the training.** Here the maximum is ahead of the visible image for all three
# seeds, by about one point for two of them and by 5.5 for the third, whose training on the visible image came out about
# four points below the other two. In {doc}`read_43_downstream`, on the same scenes and with the same network, the
# visible image is ahead of the maximum for all three seeds, by 1.3 to 1.5 points. The two trainings differ in their
# length (400 and 360 steps), in the course of the learning rate and in how pairs are drawn; which of these decides was
# not tested. The oracle leads every rule by ten points or more in both.
#
# ## Your own copy
#
# Where `TDFUSION_DATA` points at published sets, the next cell shows the first pair of each that it finds there. It
# does so when the notebook is run by you; the page holds no such picture.


# %% tags=["hide-input"]
def first_pairs(root: str) -> dict[str, torch.Tensor]:
    """Infrared and visible of the first pair of every set below ``root``."""
    panels = {}
    for name, layout in LAYOUTS.items():
        folder = next((f for f in sorted(Path(root).iterdir()) if f.name.lower() == name.lower()), None)
        if folder is None:
            continue
        try:
            with warnings.catch_warnings():  # a part of a set is enough to look at
                warnings.simplefilter("ignore")
                found = open_dataset(
                    name, folder, layout.splits[-1].name, "fusion", size=(240, 320), partial=True
                )
        except InputError as error:
            print(error)
            continue
        panels[f"{name}: infrared"] = found[0].ir
        panels[f"{name}: visible"] = visible_rgb(found[0]).expand(3, -1, -1)
    return panels


root = os.environ.get("TDFUSION_DATA")
if root and (panels := first_pairs(root)):
    figure = image_row(panels, columns=4)
else:
    print("TDFUSION_DATA names no folder with a published data set: nothing to show")

# %% [markdown]
# ## Exercises
#
# Solutions open on a click.
#
# ### Exercise 4.1-1: The lost boxes, foretold
#
# The released loader divides x by the height of the image. If the centres of the boxes were spread evenly over the width, which
# share of them would leave the image? Compare with the counts above.
#
# :::{dropdown} Solution
# A centre at $x$ lands at $x / H$ of the image, so it leaves when $x > H$. Of an even spread that is the share $1 - H/W$: a quarter
# for the 4:3 images of M3FD, a fifth for LLVIP (1024 by 1280). The counts lie within a few points of it. M3FD loses
# a little less than an even spread would; people and cars stand somewhat more often near the middle.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
lists = results.wide(mistake.query("group == ''"), "data")
for name, row in lists.iterrows():
    even = 100 * (1 - 1 / row["x_stretched_by"])
    print(f"{name:<12} even spread {even:.0f} %, counted {row['percent_of_boxes']:.0f} %")

# %% [markdown]
# ### Exercise 4.1-2: Neighbours
#
# The paper's lists name images by their number. Of how many test images is a direct neighbour (one number more or less) in the
# training list, in M3FD and in LLVIP? What would you want to know before you trust a test score?
#
# :::{dropdown} Solution
# Of nearly every one in M3FD, where three quarters of one series of numbers were drawn for training, and of none in LLVIP, where only
# every tenth number is used and the two halves are numbered apart. If neighbours in number are neighbours in time, as in frames of
# a video, a test image of M3FD has an almost identical twin in the training set, and the test measures memory as well as skill. The
# names cannot say whether they are; look at the images. Within one table all methods share the split, so their order may survive
# what their values do not.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
from tdfusion.data.splits import paper_split

for name in ("M3FD", "LLVIP"):
    train, test = ({int(stem) for stem in paper_split(name, split)} for split in ("train", "test"))
    beside = sum(number - 1 in train or number + 1 in train for number in test) / len(test)
    print(f"{name}: in both lists {len(train & test)}, test images beside a training image {beside:.1%}")

# %% [markdown]
# ### Exercise 4.1-3: Two rules of thumb
#
# "Take the brighter pixel" and "take the stronger edge" are rules that many fusion losses are built on; the second is Eq. (3).
# On the scenes of this page, how often does each choose infrared where infrared carries the class, and where visible
# does? Use the first sixty scenes.
#
# :::{dropdown} Solution
# The brighter pixel is as often infrared in one place as in the other: the rule knows nothing of the class. The stronger
# edge is worse than useless here. It prefers infrared where visible carries, where cracks and vents have strong edges that mean nothing,
# and visible where infrared carries, where leaves and blossom do. The scenes were built to mislead such rules, so this says
# nothing about real roads. It suggests why, on these scenes, the score is better without the gradient term (Exp. II of
# {doc}`read_45_ablations`).
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
from tdfusion.losses import sobel


def rule(choose_infrared: torch.Tensor) -> str:
    chosen = optimum[:60]
    carriers = (OPTIMUM.index("infrared"), OPTIMUM.index("visible"))
    shares = [choose_infrared[chosen == carrier].double().mean() for carrier in carriers]
    return "  ".join(f"{share:>5.0%}" for share in shares)


I_a, I_b = (torch.stack([getattr(p, name) for p in pairs[:60]]) for name in ("ir", "vi"))  # (60, 1, H, W)
strength_a, strength_b = (sobel(image).abs().sum(1) for image in (I_a, I_b))  # (60, H, W)
print("infrared chosen where it carries, and where visible does")
print("brighter pixel ", rule((I_a > I_b)[:, 0]))
print("stronger edge  ", rule(strength_a > strength_b))

# %% [markdown]
# ### Exercise 4.1-4: What a scene depends on
#
# Is scene 7 the same in a set of ten scenes and in one of three hundred? In the training and in the test split? At another
# size, is it still the same street? Why would you want each of these answers?
#
# :::{dropdown} Solution
# Same in both lengths: a study can be made larger without changing what it has seen. Different in the two splits: otherwise the
# test would know the training scenes. At another size the weather and the street are the same and the pixels are not, so that an effect
# of size can be told from an effect of the scenes.
# :::


# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
def seven(split: str, length: int, size: tuple[int, int] = (96, 128)) -> SynthRoad:
    return SynthRoad(split, length, size, seed=0)[7]


print("another length:", torch.equal(seven("train", 10).ir, seven("train", 300).ir))
print("another split: ", torch.equal(seven("train", 10).ir, seven("test", 10).ir))
print("another size, the same condition:", seven("train", 10).name == seven("train", 10, (192, 256)).name)
