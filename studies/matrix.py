"""The matrices of runs in ``studies/matrix.yaml``: which runs each of them has, and what their notebooks are told.

A matrix is a product: data set x task x variant x row of Table 3 x further settings x seed is trained, what every
F of it fuses and some plain sources are judged by a retrained T, and all scores end in one table. Nothing is run
here and no torch imported: the Snakefile asks.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pydantic
import pydantic.dataclasses

from tdfusion.commands.settings import read_setting
from tdfusion.config import TaskName, Variant, make_config
from tdfusion.downstream.config import make_downstream_config
from tdfusion.errors import InputError
from tdfusion.evaluate.scores import BASELINES
from tdfusion.settings import STRICT, Count, Positive, Rate, in_words, without_none

PLAIN = (*BASELINES, "oracle")
UNNAMED = ("SynthRoad", "full", "plain")  # what a folder's name leaves out
MOVABLE = ("device", "workers", "root", "snapshots")  # settings that change no number of a run
LEAVES_LAST = {"train": "metrics.csv", "downstream": "scores.json"}

settings = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=STRICT)


@in_words
@settings
class Training:
    """What is trained, for every data set, task and seed."""

    preset: str = "paper"  # scale, `tdfusion.config.PRESETS`
    variants: tuple[Variant, ...] = ("paper",)
    experiments: tuple[str, ...] = ("full",)  # rows of Table 3, `tdfusion.config.EXPERIMENTS`
    settings: dict[str, dict[str, Any]] = pydantic.Field(default_factory=lambda: {"plain": {}})  # by a name
    scored: Positive | None = None  # test pairs that get the six metrics; null: all


@in_words
@settings
class Judging:
    """By which retrained T, and what it is trained on beside the fused images of the matrix."""

    preset: str = "paper"  # scale, `tdfusion.downstream.config.PRESETS`
    protocol: str | None = None  # null: the preset's
    sources: tuple[str, ...] = ()  # of `PLAIN`
    weights: dict[str, str | dict[str, str]] = pydantic.Field(default_factory=dict)  # name -> F, or F by task
    settings: dict[str, Any] = pydantic.Field(default_factory=dict)

    def __post_init__(self) -> None:
        for source in self.sources:
            if source not in PLAIN:
                raise InputError(
                    f'source "{source}": choose {", ".join(PLAIN)}; files of F have a name under weights'
                )


@in_words
@settings
class Matrix:
    """One matrix; every number that is not here is of a preset, a variant or a row of Table 3."""

    table: str  # without a suffix, beside what the book keeps of each run; default: results/NAME/downstream
    out: str  # folder of the runs; default: runs/NAME
    data: dict[str, str | None] = pydantic.Field(
        default_factory=lambda: {"SynthRoad": None}
    )  # and its folder
    tasks: tuple[TaskName, ...] = ("segmentation",)
    seeds: tuple[Count, ...] = (0,)
    train: Training | None = None
    judge: Judging | None = None
    device: str = "cpu"
    workers: Count = 0  # processes that read or draw the pairs of a training run ahead
    minutes: Rate | None = None  # length of a piece; null: a run is one piece
    allow_dirty: bool = False  # write into results/ from code that is not committed, marked with "+"

    @property
    def runs(self) -> dict[str, Run]:
        """Every run by its folder, training runs first."""
        return {run.folder: run for run in (*training_runs(self), *judging_runs(self))}


@dataclass(frozen=True)
class Run:
    """One call of a notebook, repeated until the file that it leaves last is there."""

    notebook: str  # "train" or "downstream"
    folder: str
    arm: str  # in the table
    config: dict[str, Any]  # as its config.json will be
    told: dict[str, Any]  # parameters of the notebook
    needs: tuple[str, ...] = ()  # files
    threads: int = 1

    @property
    def last(self) -> str:
        return f"{self.folder}/{LEAVES_LAST[self.notebook]}"

    @property
    def where(self) -> dict[str, Any]:
        """Data set, arm, task and seed, for the rows of the table."""
        told = self.told
        return {"data": told["dataset"], "arm": self.arm, "task": told["task"], "seed": told["seed"]}

    @property
    def gpu(self) -> int:
        return int(self.told["device"] != "cpu")

    def runtime(self, spare: int = 30, whole: int = 1440) -> int:
        """Minutes for which a cluster is asked: a piece and its scores, or ``whole`` where there are no pieces."""
        minutes = self.told.get("minutes")
        return whole if minutes is None else math.ceil(minutes) + spare


def read_matrices(content: Mapping[str, Any]) -> dict[str, Matrix]:
    """The matrices of ``matrix.yaml``, every setting of every run checked.

    Raises:
        InputError: a key or a value that there is not, with the way to it; or one folder for two runs.
    """
    matrices: dict[str, Matrix] = {}
    taken: list[str] = []
    for name, given in content.items():
        at = name
        try:
            parts = _mapping(given)
            for part, kind in (("train", Training), ("judge", Judging)):
                at = f"{name}.{part}"
                if parts.get(part) is not None:
                    parts[part] = _settings(kind, parts[part])
            at = name
            usual = {"table": f"results/{name}/downstream", "out": f"runs/{name}"}
            matrix = _settings(Matrix, usual | parts)
            runs = [*training_runs(matrix), *judging_runs(matrix)]
        except InputError as error:
            raise InputError(f"matrix {at}: {error}") from None
        if not runs:
            raise InputError(f"matrix {name}: no run in it; give train or judge")
        for place in (matrix.table, *(run.folder for run in runs)):
            if place in taken:
                raise InputError(f"matrix {name}: two runs or tables would share {place}")
            taken.append(place)
        matrices[name] = matrix
    return matrices


def training_runs(matrix: Matrix) -> list[Run]:
    """Algorithm 1 for every seed, setting, experiment, variant, task and data set."""
    train, runs = matrix.train, []
    if train is None:
        return runs
    axes = (matrix.seeds, train.settings.items(), train.experiments, train.variants, matrix.tasks)
    for seed, (name, more), experiment, variant, task in product(*axes):
        for data, root in matrix.data.items():
            told = {
                "dataset": data, "root": root, "task": task, "seed": seed, "device": matrix.device,
                "preset": train.preset, "variant": variant, "experiment": experiment,
                "settings": {"workers": matrix.workers} | more,
            }  # fmt: skip
            named = {key: told[key] for key in ("dataset", "root", "task", "seed", "device")}
            config = make_config(train.preset, variant, experiment, **named | told["settings"])
            told |= {"minutes": matrix.minutes, "scored": train.scored}
            folder = f"{matrix.out}/{_slug(Path(data).stem, task, variant, experiment, name, f'seed{seed}')}"
            arm = ", ".join(["F", variant, *(part for part in (experiment, name) if part not in UNNAMED)])
            runs.append(
                Run("train", folder, arm, _as_json(config.to_dict()), told, threads=max(1, matrix.workers))
            )
    return runs


def judging_runs(matrix: Matrix) -> list[Run]:
    """T retrained on plain sources, on named files of F, and on what every F of the matrix fuses."""
    judge, runs = matrix.judge, []
    if judge is None:
        return runs
    trained = [(run.where, f"{run.folder}/F.safetensors") for run in training_runs(matrix)]
    for seed, task, (data, root) in product(matrix.seeds, matrix.tasks, matrix.data.items()):
        sources = {plain: plain for plain in judge.sources}
        for name, file in judge.weights.items():
            by_task = file if isinstance(file, dict) else {task: file}
            sources |= {name: by_task[task]} if task in by_task else {}
        here = {"data": data, "task": task, "seed": seed}
        sources |= {where["arm"]: F for where, F in trained if here.items() <= where.items()}
        for arm, source in sources.items():
            told = {
                "dataset": data, "root": root, "task": task, "seed": seed, "device": matrix.device, "source": source,
                "preset": judge.preset, "protocol": judge.protocol, "settings": judge.settings,
            }  # fmt: skip
            named = {key: told[key] for key in told if key not in ("preset", "settings")}
            config = make_downstream_config(
                judge.preset, **named | {"predictions": True} | dict(judge.settings)
            )
            folder = f"{matrix.out}/downstream/{_slug(Path(data).stem, task, arm, f'seed{seed}')}"
            needs = () if source in PLAIN else (source,)
            told |= {"minutes": matrix.minutes}
            threads = max(1, matrix.workers)
            runs.append(Run("downstream", folder, arm, _as_json(config.to_dict()), told, needs, threads))
    return runs


def check_settings(runs: Sequence[Run]) -> None:
    """Whether the folders that are there already are of these runs: a finished run is never made again.

    Raises:
        InputError: a folder whose settings are not those of the matrix.
    """
    for run in runs:
        file = Path(run.folder) / "config.json"
        if not file.is_file():
            continue
        there = json.loads(file.read_text("utf-8"))
        for name, ours in run.config.items():
            if name not in MOVABLE and there.get(name) != ours:
                raise InputError(
                    f"{run.folder}: its {name} was {there.get(name)!r}, the matrix says {ours!r}; a run keeps its "
                    "settings: give the matrix another out, or move the folder away"
                )


def _settings(kind: type, given: Any) -> Any:
    """Of that class, from what YAML has: mappings, lists and plain values."""
    given = without_none({name: _value(value) for name, value in _mapping(given).items()})
    for field in dataclasses.fields(kind):
        value = given.get(field.name, ())
        if field.type.startswith("tuple") and not isinstance(value, tuple):
            raise InputError(f"{field.name} = {value!r}: expected a list")
    return kind(**given)


def _value(given: Any) -> Any:
    """A number is a number: inside of braces, Snakemake's --config has only texts."""
    if isinstance(given, Mapping):
        return {name: _value(value) for name, value in given.items()}
    if isinstance(given, list):
        return [_value(value) for value in given]
    return read_setting(f"value={given}")[1] if isinstance(given, str) else given


def _mapping(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise InputError(f"{given!r}: expected names and values, such as those of studies/matrix.yaml")
    return dict(given)


def _slug(*parts: str) -> str:
    """A folder's name: "F, paper" -> F-paper; what is usual is left out."""
    return "-".join(re.sub(r"[^\w.]+", "-", part).strip("-") for part in parts if part not in UNNAMED)


def _as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(config))
