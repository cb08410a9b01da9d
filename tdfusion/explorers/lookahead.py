"""How far ahead the loss looks: what the task asks of w_a, through one step of F up to the image itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from tdfusion.data.pair import Pair
from tdfusion.data.synthroad.scenes import right_signs
from tdfusion.errors import InputError
from tdfusion.explorers.controls import Choice
from tdfusion.explorers.planes import check_pairs, colours, plane
from tdfusion.explorers.widget import Explorer
from tdfusion.figures.panels import WEIGHT_MAP, as_array

SHADE = torch.tensor([0.5, 0.85, 0.15, 0.6])  # of `OPTIMUM` on the colours of w_a
REACH = 2.0  # root mean squares of a push that have full colour

Stops = Mapping[str, Any]  # a stop of the slider -> what belongs to it


class LookAhead(Explorer):
    """The push on w_a over a scene, one form after another, beside what carries the scene's classes.

    Args:
        pairs: the scenes, with their ``optimum``.
        pushes: F's name -> stop -> how w_a is asked to move in every scene, (H, W) each, in root mean squares.
            All F have the same stops, and the slider has them in this order.
        seeds: F's name -> stop -> the share of right signs in each seed of a study, see
            `tdfusion.data.synthroad.scenes.right_signs`; drawn below the pictures.
        controls: the traits below.

    Attributes:
        scene: number of the scene.
        network: which F.
        stop: number of the stop.

    Raises:
        InputError: no scene, one without its optimum, no push, or pushes and stops that do not fit.
    """

    scene = Choice(0)
    network = Choice("")
    stop = Choice(0)

    def __init__(
        self,
        pairs: Sequence[Pair],
        pushes: Mapping[str, Mapping[str, Sequence[Tensor]]],
        seeds: Mapping[str, Mapping[str, Sequence[float]]],
        **controls: Any,
    ) -> None:
        self.pairs, self.pushes, self.seeds = list(pairs), dict(pushes), dict(seeds)
        check_pairs(self.pairs)
        self.stops = list(next(iter(self.pushes.values()), ()))
        self._check()
        data = {
            "scenes": [
                {"name": p.name, "ir": plane(p.ir), "vi": plane(p.vi), "carries": plane(SHADE[p.optimum])}
                for p in self.pairs
            ],
            "stops": self.stops,
            "pushes": {
                network: [[plane(push, -REACH, REACH) for push in by_stop[s]] for s in self.stops]
                for network, by_stop in self.pushes.items()
            },
            "right": {
                network: [[self._rounded(network, s, i) for i in range(len(self.pairs))] for s in self.stops]
                for network in self.pushes
            },
            "seeds": {
                network: [[round(share, 4) for share in by_stop[s]] for s in self.stops]
                for network, by_stop in self.seeds.items()
            },
            "map": colours(WEIGHT_MAP),
        }  # fmt: skip
        super().__init__("lookahead", data, **{"network": next(iter(self.pushes))} | controls)

    def _check(self) -> None:
        if not self.stops:
            raise InputError("no push to show; give at least one F with one stop")
        for pair in self.pairs:
            if pair.optimum is None:
                raise InputError(f'"{pair.name}" does not say which image carries what; only SynthRoad does')
        for network, by_stop in self.pushes.items():
            if list(by_stop) != self.stops or list(self.seeds.get(network, ())) != self.stops:
                raise InputError(
                    f"{network}: its pushes and its seeds need the stops {', '.join(self.stops)}"
                )
            for stop, maps in by_stop.items():
                sizes = [tuple(push.shape) for push in maps]
                if sizes != [pair.size for pair in self.pairs]:
                    raise InputError(
                        f"{network}, {stop}: maps of {sizes}; expected one of its size per scene"
                    )

    def right(self, network: str, stop: str, scene: int) -> float:
        """The share of right signs of a push in one scene."""
        return right_signs(self.pushes[network][stop][scene], self.pairs[scene].optimum)

    def _rounded(self, network: str, stop: str, scene: int) -> float | None:
        share = self.right(network, stop, scene)
        return None if np.isnan(share) else round(share, 4)

    def reading(self) -> dict[str, Any]:
        """What the line below the pictures says: shares of right signs, of the scene and of the seeds."""
        stop = self.stops[self.stop]
        return {
            "stop": stop,
            "scene": self.right(self.network, stop, self.scene),
            "seeds": list(self.seeds[self.network][stop]),
        }

    def static(self) -> Figure:
        pair, stop = self.pairs[self.scene], self.stops[self.stop]
        figure = plt.figure(figsize=(8.4, 4.9), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[1.15, 1])
        panels = {
            "infrared": (pair.ir, "gray", 0, 1),
            "visible": (pair.vi, "gray", 0, 1),
            "what carries": (SHADE[pair.optimum], WEIGHT_MAP, 0, 1),
            f"push: {stop}": (self.pushes[self.network][stop][self.scene], WEIGHT_MAP, -REACH, REACH),
        }
        for axis, (title, (image, name, low, high)) in zip(above.subplots(1, 4), panels.items()):
            axis.imshow(as_array(image), cmap=name, vmin=low, vmax=high)
            axis.set_title(title, fontsize=10)
            axis.axis("off")
        self.draw_shares(below.subplots())
        return figure

    def draw_shares(self, axis: plt.Axes) -> None:
        """The shares of right signs over the stops: a line per F through the mean, a dot per seed."""
        for i, (network, by_stop) in enumerate(self.seeds.items()):
            shares = [by_stop[s] for s in self.stops]
            axis.plot([np.mean(one) for one in shares], "-" if i == 0 else "--", color=f"C{i}", label=network)
            for at, one in enumerate(shares):
                axis.plot([at] * len(one), one, "o", color=f"C{i}", markersize=3, alpha=0.6)
        axis.axhline(0.5, color="0.5", linewidth=0.8, linestyle=":")
        axis.axvline(self.stop, color="tab:orange", linewidth=1, linestyle="--")
        axis.set_xticks(range(len(self.stops)), self.stops, rotation=30, ha="right", fontsize=8)
        axis.set_ylabel("right signs")
        axis.legend(frameon=False, fontsize=8)

    def choices(self) -> dict[str, Any]:
        return {
            "scene": range(len(self.pairs)),
            "network": list(self.pushes),
            "stop": range(len(self.stops)),
        }
