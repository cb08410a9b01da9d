"""The weights explorer: what G wrote, pixel by pixel (Fig. 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm.auto import tqdm

from tdfusion.data.pair import Pair
from tdfusion.data.synthroad.labels import BOX_CLASSES, CLASSES, INFRARED, OPTIMUM, PALETTE, VISIBLE
from tdfusion.errors import InputError
from tdfusion.explorers.controls import Choice, Pixel, Switch
from tdfusion.explorers.planes import check_image, check_pairs, colours, labels, own_range, plane
from tdfusion.explorers.runs import SavedRun, read_run
from tdfusion.explorers.widget import Explorer, refuse_large
from tdfusion.figures.panels import image_row

WEIGHT_MAP, DIFFERENCE_MAP = "PuOr_r", "magma"  # w_a: orange towards infrared, purple towards visible


@dataclass(frozen=True)
class Written:
    """What the networks of one run, after one epoch, gave for every scene.

    Attributes:
        task: "segmentation" or "detection".
        variant: of the loss; any name that tells runs of one task apart.
        epoch: after which.
        w_a: weight of infrared, (1, H, W) in [0, 1], per scene.
        I_f: the fused image, (1, H, W) in [0, 1], per scene.
    """

    task: str
    variant: str
    epoch: int
    w_a: Sequence[Tensor]
    I_f: Sequence[Tensor]


class WeightsExplorer(Explorer):
    """Scenes as infrared, visible and fused, the weights that G wrote, and their difference between tasks.

    The pixel under the pointer, or the one that the arrow keys lead to, is read out in all maps. Weights are drawn
    on the scale 0 to 1, or with ``stretch`` each on its own range, which the bar beside it names.

    Args:
        pairs: the scenes; masks of SynthRoad's classes, boxes and optimum are shown where they are there.
        written: what every run gave for them, see `Written`.
        controls: the traits below.

    Attributes:
        scene: number of the scene.
        task, variant, epoch: whose weights; another task moves the variant and the epoch to what it has.
        classes, boxes, optimum: what is laid over the images.
        stretch: weights on their own range.
        pixel: ``[x, y]`` that is read out.

    Raises:
        InputError: no scene or run; images, maps or names that do not fit; a control that is not there; more than
            fits on a page.
    """

    scene = Choice(0)
    task = Choice("")
    variant = Choice("")
    epoch = Choice(0)
    classes, boxes, optimum, stretch = Switch(), Switch(), Switch(), Switch()
    pixel = Pixel()

    def __init__(self, pairs: Iterable[Pair], written: Iterable[Written], **controls: Any) -> None:
        self.pairs, self.written = list(pairs), list(written)
        self._runs: list[SavedRun] = []
        first = self._checked()
        task = controls.get("task", first.task)
        variant = controls.get("variant") or next((w.variant for w in self.written if w.task == task), "")
        epochs = [w.epoch for w in self.written if (w.task, w.variant) == (task, variant)]
        if not epochs:
            raise InputError(f"no weights of task {task}, variant {variant}")
        whose = {"task": task, "variant": variant, "epoch": max(epochs), "pixel": [-1, -1]}
        super().__init__("weights", self._data(), **whose | controls)
        self._follow(None)
        self.observe(self._follow, ["task", "variant", "epoch"])
        self.observe(self._stay_inside, ["scene"])

    @classmethod
    def from_runs(
        cls, folders: Iterable[str | Path], pairs: Iterable[Pair], *, progress: bool = True, **controls: Any
    ) -> WeightsExplorer:
        """From saved runs: F and G of every snapshot, and the last ones, are applied to the scenes.

        For your own pair, give ``Pair(read_gray(infrared), read_visible(visible)[0], "mine")``.

        Raises:
            InputError: a folder holds no run that can be looked into.
        """
        pairs = list(pairs)
        runs = _told_apart([read_run(folder) for folder in folders])
        if not runs:
            raise InputError("no run to look into; give at least one run folder")
        explorer = cls(pairs, _apply(runs, pairs, progress), **controls)
        explorer._runs = runs
        return explorer

    def add(self, pair: Pair, *, progress: bool = True) -> None:
        """One more scene, which is then shown. Only where the explorer was made from runs.

        Raises:
            InputError: it was made from arrays, or the pair does not fit.
        """
        if not self._runs:
            raise InputError("this explorer was made from arrays, it has no network to apply to another pair")
        new = _apply(self._runs, [pair], progress)
        before = self.pairs, self.written
        self.pairs = [*self.pairs, pair]
        self.written = [
            replace(old, w_a=[*old.w_a, *one.w_a], I_f=[*old.I_f, *one.I_f])
            for old, one in zip(self.written, new)
        ]
        try:
            self._checked()
            data = self._data()
            refuse_large(data)
        except InputError:
            self.pairs, self.written = before
            raise
        self.data = data
        self.scene = len(self.pairs) - 1

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the scene on show."""
        return self.pairs[self.scene].size

    @property
    def shown(self) -> Written:
        """What is on show."""
        return self._of(self.task, self.variant, self.epoch)

    def reading(self) -> dict[str, float]:
        """The values at ``pixel``, as the networks gave them: I_a, I_b, I_f, w_a, w_b."""
        x, y = self.pixel
        pair = self.pairs[self.scene]
        maps = {"I_a": pair.ir, "I_b": pair.vi, "I_f": self.shown.I_f[self.scene]}
        maps |= {"w_a": self.shown.w_a[self.scene], "w_b": 1 - self.shown.w_a[self.scene]}
        return {name: float(image[0, y, x]) for name, image in maps.items()}

    def difference(self) -> Tensor | None:
        """abs(w_SS - w_OD) of the scene on show, (1, H, W): at this epoch, or the last before it that both tasks have.

        None if the variant has not both tasks.
        """
        maps = []
        for task in ("segmentation", "detection"):
            has = [w for w in self.written if (w.task, w.variant) == (task, self.variant)]
            if not has:
                return None
            maps.append(min(has, key=lambda w: (w.epoch > self.epoch, abs(w.epoch - self.epoch))))
        seg, det = (w.w_a[self.scene] for w in maps)
        return (seg - det).abs()

    def static(self) -> Figure:
        pair, w_a, I_f = self.pairs[self.scene], self.shown.w_a[self.scene], self.shown.I_f[self.scene]
        panels = {"infrared": pair.ir, "visible": pair.vi, "fused": I_f, "$w_a$": w_a, "$w_b$": 1 - w_a}
        ranges, maps = {}, {"$w_a$": WEIGHT_MAP, "$w_b$": WEIGHT_MAP}
        for name in maps:
            ranges[name] = (float(panels[name].min()), float(panels[name].max())) if self.stretch else (0, 1)
        difference = self.difference()
        if difference is not None:
            name = "$|w^{SS} - w^{OD}|$"
            panels[name], maps[name] = difference, DIFFERENCE_MAP
            ranges[name] = (0, float(difference.max()) if self.stretch else 1)
        figure = image_row(panels, ranges=ranges, maps=maps, columns=3)
        figure.suptitle(f"{pair.name}: {self.task}, {self.variant}, epoch {self.epoch}", fontsize=10)
        return figure

    def choices(self) -> dict[str, Any]:
        return {
            "scene": range(len(self.pairs)),
            "task": list(dict.fromkeys(w.task for w in self.written)),
            "variant": list(dict.fromkeys(w.variant for w in self.written)),
            "epoch": sorted({w.epoch for w in self.written}),
        }

    def _of(self, task: str, variant: str, epoch: int) -> Written:
        return next(w for w in self.written if (w.task, w.variant, w.epoch) == (task, variant, epoch))

    def _epochs(self) -> list[int]:
        return sorted(w.epoch for w in self.written if (w.task, w.variant) == (self.task, self.variant))

    def _follow(self, _: Any) -> None:
        """Move the variant and the epoch to what the task has."""
        has = [w.variant for w in self.written if w.task == self.task]
        if self.variant not in has:
            self.variant = has[0]
        elif self.epoch not in self._epochs():
            self.epoch = min(self._epochs(), key=lambda epoch: abs(epoch - self.epoch))

    def _stay_inside(self, _: Any) -> None:
        height, width = self.size
        x, y = self.pixel
        self.pixel = [min(x, width - 1), min(y, height - 1)]

    def _checked(self) -> Written:
        check_pairs(self.pairs)
        if not self.written:
            raise InputError("no weights to show; give at least one Written")
        for key, times in Counter((w.task, w.variant, w.epoch) for w in self.written).items():
            if times > 1:
                raise InputError(f"task {key[0]}, variant {key[1]}, epoch {key[2]} is given {times} times")
        for w in self.written:
            for what, maps in (("w_a", w.w_a), ("I_f", w.I_f)):
                if len(maps) != len(self.pairs):
                    raise InputError(
                        f"{what} of {w.task}, epoch {w.epoch} has {len(maps)} maps for {len(self.pairs)} scenes"
                    )
                for pair, image in zip(self.pairs, maps):
                    check_image(image, f"{what} of {w.task}, epoch {w.epoch},", pair.name, pair.size)
        return self.written[0]

    def _data(self) -> dict[str, Any]:
        return {
            "scenes": [_scene(pair) for pair in self.pairs],
            "written": [
                {"task": w.task, "variant": w.variant, "epoch": w.epoch,
                 "w_a": [own_range(m) for m in w.w_a], "fused": [plane(m) for m in w.I_f],
                 "means": [_means(m, pair.optimum) for m, pair in zip(w.w_a, self.pairs)]}
                for w in self.written
            ],
            "classNames": list(CLASSES), "boxNames": list(BOX_CLASSES), "optimumNames": list(OPTIMUM),
            "palette": [list(rgb) for rgb in PALETTE],
            "boxColours": [list(PALETTE[CLASSES.index(name)]) for name in BOX_CLASSES],
            "weightMap": colours(WEIGHT_MAP), "differenceMap": colours(DIFFERENCE_MAP),
        }  # fmt: skip


def _scene(pair: Pair) -> dict[str, Any]:
    return {
        "name": pair.name,
        "ir": plane(pair.ir),
        "vi": plane(pair.vi),
        "classes": None if pair.mask is None else labels(pair.mask),
        "boxes": None if pair.boxes is None else [[round(v, 1) for v in box] for box in pair.boxes.tolist()],
        "optimum": None if pair.optimum is None else labels(pair.optimum),
    }


def _means(w_a: Tensor, optimum: Tensor | None) -> dict[str, float]:
    """Mean of w_a over the scene, and over the pixels whose class one source carries."""
    found = {"everywhere": float(w_a.mean())}
    for name, which in (("where infrared carries the class", INFRARED), ("where visible does", VISIBLE)):
        if optimum is not None and bool((optimum == which).any()):
            found[name] = float(w_a[0][optimum == which].mean())
    return found


@torch.no_grad()
def _apply(runs: Sequence[SavedRun], pairs: Sequence[Pair], progress: bool) -> list[Written]:
    found = []
    total = sum(len(run.checkpoints) for run in runs) * len(pairs)
    with tqdm(total=total, unit="scene", disable=not progress or total < 20, dynamic_ncols=True) as bar:
        for run in runs:
            for epoch, F, G in run.networks():
                w_a, I_f = [], []
                for pair in pairs:
                    ir, vi = pair.ir[None], pair.vi[None]  # (1, 1, H, W)
                    w_a.append(G(ir, vi)[0][0])
                    I_f.append(F(ir, vi)[0])
                    bar.update()
                found.append(Written(run.task, run.variant, epoch, w_a, I_f))
    return found


def _told_apart(runs: list[SavedRun]) -> list[SavedRun]:
    """Runs of one task and variant get the name of their folder added."""
    times = Counter((run.task, run.variant) for run in runs)
    return [
        replace(run, variant=f"{run.variant} ({run.path.name})") if times[run.task, run.variant] > 1 else run
        for run in runs
    ]
