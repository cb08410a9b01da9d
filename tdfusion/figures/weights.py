"""Fig. 5: the weights written by a model trained for segmentation and one trained for detection, and what they follow.

Everywhere ``SS`` is semantic segmentation and ``OD`` object detection, as in the paper; weights are w_a, that of
infrared, and w_b is ``1 - w_a``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from tdfusion.data.pair import Pair
from tdfusion.data.synthroad.labels import CLASSES, OPTIMUM
from tdfusion.errors import InputError
from tdfusion.figures.panels import as_array
from tdfusion.losses import target_gradient

WEIGHT_MAP, DIFFERENCE_MAP = "PuOr_r", "magma"  # orange: infrared, purple: visible
PANEL = 1.7  # inches, width of one panel
_QUARTERS = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
Grouping = Callable[[Pair], np.ndarray]  # ids (H, W) of groups, -1 for pixels in none


@torch.no_grad()
def written_weights(G: nn.Module, pairs: Sequence[Pair]) -> list[Tensor]:
    """What G writes for every pair: w_a, (1, H, W) in [0, 1]; w_b is ``1 - w_a``."""
    device = next(G.parameters()).device
    return [G(pair.ir[None].to(device), pair.vi[None].to(device))[0][0].cpu() for pair in pairs]


def fig5_layout(
    pairs: Sequence[Pair],
    w_SS: Sequence[Tensor],
    w_OD: Sequence[Tensor],
    *,
    stretch: bool = False,
) -> Figure:
    """Fig. 5's layout: a row per scene; infrared, visible, the weights of both models, and their difference.

    Args:
        pairs: the scenes, seen by neither model in training.
        w_SS, w_OD: w_a of the model trained for segmentation and for detection, (1, H, W) per scene.
        stretch: every model's weights on the range that they have over all scenes, and not on 0 to 1; the
            colour bars say which.

    Raises:
        InputError: no scene, or maps that do not fit them.
    """
    _check(pairs, {"SS": w_SS, "OD": w_OD})
    differences = [(ss - od).abs() for ss, od in zip(w_SS, w_OD)]
    spans = {"SS": _span(w_SS, stretch), "OD": _span(w_OD, stretch)}
    largest = max(float(d.max()) for d in differences) if stretch else 1.0
    titles = ("infrared", "visible", "$w_a^{SS}$", "$w_b^{SS}$", "$w_a^{OD}$", "$w_b^{OD}$", "|difference|")
    aspect = max(pair.size[0] / pair.size[1] for pair in pairs)
    rows = len(pairs)
    figure, axes = plt.subplots(
        rows + 1, len(titles), squeeze=False, layout="constrained",
        figsize=(PANEL * len(titles), (PANEL * aspect + 0.06) * rows + 0.75),
        height_ratios=[*[1] * rows, 0.05],
    )  # fmt: skip
    axes, bars = axes[:rows], axes[rows]  # a row of its own, so that all panels keep one size
    for row, pair, ss, od, difference in zip(axes, pairs, w_SS, w_OD, differences):
        for axis, image in zip(row, (pair.ir, pair.vi)):
            axis.imshow(as_array(image), cmap="gray", vmin=0, vmax=1)
        for at, (model, w) in zip((2, 4), (("SS", ss), ("OD", od))):
            low, high = spans[model]
            row[at].imshow(as_array(w), cmap=WEIGHT_MAP, vmin=low, vmax=high)
            row[at + 1].imshow(as_array(1 - w), cmap=WEIGHT_MAP, vmin=1 - high, vmax=1 - low)
        row[6].imshow(as_array(difference), cmap=DIFFERENCE_MAP, vmin=0, vmax=largest)
        row[0].set_ylabel(pair.name, fontsize=8)
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=10)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for column, axis in enumerate(bars):
        if column < 2:
            axis.axis("off")
            continue
        figure.colorbar(axes[0][column].images[0], cax=axis, orientation="horizontal")
        axis.tick_params(labelsize=7)
        axis.locator_params(nbins=3)
    return figure


@dataclass(frozen=True)
class WeightRow:
    """The weights in one group of pixels.

    Attributes:
        group: its name.
        pixels: how many, in all scenes.
        scenes: in how many scenes.
        mean: model -> mean of w_a over the pixels.
        sd: model -> standard deviation, over scenes, of the scene's mean; NaN in a single scene.
        difference: mean of abs(w_SS - w_OD) over the pixels; NaN without these two models.
    """

    group: str
    pixels: int
    scenes: int
    mean: dict[str, float]
    sd: dict[str, float]
    difference: float


def weight_statistics(
    pairs: Sequence[Pair], w: Mapping[str, Sequence[Tensor]], by: str = "class"
) -> list[WeightRow]:
    """w_a by groups of pixels, a row per group that occurs.

    Args:
        pairs: the scenes.
        w: model -> w_a, (1, H, W) per scene.
        by: "everywhere"; "class" (SynthRoad's); "optimum", which source carries the class; "condition", the last
            part of the scene's name (day, night, fog); "infrared brightness", "visible brightness" or "edges" (the
            gradient that Eq. (3) asks for), each in quarters of all pixels.

    Raises:
        InputError: an unknown ``by``, scenes without the labels it needs, maps that do not fit.
    """
    _check(pairs, w)
    names, group = _grouping(pairs, by)
    ids = [group(pair) for pair in pairs]
    rows = []
    for i, name in enumerate(names):
        inside = [found == i for found in ids]
        seen = [k for k, mask in enumerate(inside) if mask.any()]
        if not seen:
            continue
        values = {
            model: [as_array(maps[k])[inside[k]].astype(np.float64) for k in seen]
            for model, maps in w.items()
        }
        every = {model: np.concatenate(parts) for model, parts in values.items()}
        per_scene = {model: [float(part.mean()) for part in parts] for model, parts in values.items()}
        both = {"SS", "OD"} <= set(w)
        rows.append(
            WeightRow(
                group=name,
                pixels=sum(int(inside[k].sum()) for k in seen),
                scenes=len(seen),
                mean={model: float(v.mean()) for model, v in every.items()},
                sd={
                    model: float(np.std(v, ddof=1)) if len(v) > 1 else float("nan")
                    for model, v in per_scene.items()
                },
                difference=float(np.abs(every["SS"] - every["OD"]).mean()) if both else float("nan"),
            )
        )
    return rows


@dataclass(frozen=True)
class Contrast:
    """How much higher a map is in some pixels than in others, scene by scene.

    Attributes:
        mean: over scenes, of the difference of the two means in a scene.
        sd: its standard deviation over scenes; NaN for a single one.
        scenes: those that have pixels of both kinds.
    """

    mean: float
    sd: float
    scenes: int


def weight_contrast(maps: Sequence[Tensor], inside: Sequence[Tensor], outside: Sequence[Tensor]) -> Contrast:
    """Mean of a map inside minus its mean outside, paired within scenes.

    Args:
        maps: (1, H, W) per scene, w_a or abs(w_SS - w_OD) for instance.
        inside, outside: bool (H, W) per scene.

    Raises:
        InputError: no scene has pixels of both kinds.
    """
    gaps = [
        float(m[0][one].double().mean() - m[0][other].double().mean())
        for m, one, other in zip(maps, inside, outside)
        if one.any() and other.any()
    ]
    if not gaps:
        raise InputError("no scene has pixels both inside and outside; there is nothing to compare")
    sd = float(np.std(gaps, ddof=1)) if len(gaps) > 1 else float("nan")
    return Contrast(float(np.mean(gaps)), sd, len(gaps))


def weight_profiles(statistics: Mapping[str, Sequence[WeightRow]]) -> Figure:
    """Mean w_a per group, a panel per way of grouping, with the standard deviation over scenes as a bar.

    Args:
        statistics: what the pixels are grouped by -> its rows, see `weight_statistics`.

    Raises:
        InputError: nothing to draw.
    """
    if not statistics or not all(statistics.values()):
        raise InputError("no statistics to draw; give at least one grouping with at least one row")
    tallest = max(len(rows) for rows in statistics.values())
    figure, axes = plt.subplots(
        1, len(statistics), figsize=(3.2 * len(statistics), 0.3 * tallest + 1.1), squeeze=False, sharex=True,
        layout="constrained",
    )  # fmt: skip
    for axis, (title, rows) in zip(axes.flat, statistics.items()):
        _profile(axis, title, rows)
    figure.supxlabel("mean of $w_a$", fontsize=10)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), fontsize=9, frameon=False)
    return figure


def _profile(axis: Axes, title: str, rows: Sequence[WeightRow]) -> None:
    places = np.arange(len(rows))
    colours = sns.color_palette("colorblind")
    models = list(rows[0].mean)
    for k, (model, colour) in enumerate(zip(models, colours)):
        off = 0.2 * (k - (len(models) - 1) / 2)
        axis.errorbar(
            [row.mean[model] for row in rows], places + off, xerr=[row.sd[model] for row in rows],
            fmt="os^D"[k % 4], color=colour, markersize=5, linewidth=1.2, label=model,
        )  # fmt: skip
    axis.axvline(0.5, color="0.6", linewidth=0.8, linestyle=":")
    axis.set_yticks(places, [row.group for row in rows], fontsize=9)
    axis.invert_yaxis()
    axis.set_title(f"by {title}", fontsize=10)
    sns.despine(ax=axis)


def _grouping(pairs: Sequence[Pair], by: str) -> tuple[Sequence[str], Grouping]:
    """Names of the groups, and the group of every pixel of a pair."""
    if by == "everywhere":
        return (by,), lambda pair: np.zeros(pair.size, dtype=int)
    if by == "condition":
        found = sorted({pair.name.rsplit("-", 1)[-1] for pair in pairs})
        return found, lambda pair: np.full(pair.size, found.index(pair.name.rsplit("-", 1)[-1]))
    labelled = {"class": (CLASSES, "mask"), "optimum": (OPTIMUM, "optimum")}
    if by in labelled:
        names, field = labelled[by]
        without = [pair.name for pair in pairs if getattr(pair, field) is None]
        if without:
            raise InputError(f'"{without[0]}" has no {field}; the weights cannot be told apart by {by}')
        return names, lambda pair: getattr(pair, field).numpy()
    measured = {
        "infrared brightness": lambda pair: as_array(pair.ir),
        "visible brightness": lambda pair: as_array(pair.vi),
        "edges": lambda pair: as_array(target_gradient(pair.ir[None], pair.vi[None])[0]),
    }
    if by not in measured:
        known = ("everywhere", "condition", *labelled, *measured)
        raise InputError(f'by = "{by}": choose one of {", ".join(known)}')
    every = np.concatenate([measured[by](pair).ravel() for pair in pairs])
    edges = np.quantile(every, (0.25, 0.5, 0.75))
    return _QUARTERS, lambda pair: np.searchsorted(edges, measured[by](pair), side="right")


def _span(maps: Sequence[Tensor], stretch: bool) -> tuple[float, float]:
    return (min(float(w.min()) for w in maps), max(float(w.max()) for w in maps)) if stretch else (0.0, 1.0)


def _check(pairs: Sequence[Pair], w: Mapping[str, Sequence[Tensor]]) -> None:
    if not pairs:
        raise InputError("no scene to look at; give at least one pair")
    for model, maps in w.items():
        if len(maps) != len(pairs):
            raise InputError(f"{model} has {len(maps)} maps for {len(pairs)} scenes; give one for each")
        for pair, found in zip(pairs, maps):
            expected = (1, *pair.size)
            if tuple(found.shape) != expected:
                raise InputError(
                    f'w_a of {model} for "{pair.name}" is {tuple(found.shape)}, expected {expected}'
                )
