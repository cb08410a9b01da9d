"""Score folders: any method's fused images against their sources, with the baselines beside them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tdfusion.errors import InputError
from tdfusion.evaluate.matching import Item, check_sizes, match_folders, refuse
from tdfusion.evaluate.scores import Evaluation, Row
from tdfusion.metrics import VIF_MIN_SIDE, Convention, UndefinedMetricWarning, measure, resolve

BASELINES = ("infrared", "visible", "mean", "max")


def evaluate_folder(
    ir_dir: str | Path,
    vi_dir: str | Path,
    fused_dir: str | Path,
    convention: str | Convention = "paper",
    groups: str | None = None,
    workers: int | None = None,
    *,
    method: str | None = None,
    dataset: str = "",
    with_baselines: bool = True,
) -> Evaluation:
    """Score a folder of fused images against its sources, matched by file stem.

    Colour images are scored by their luma (BT.601), rounded to 8 bits; images are scored as they were
    saved, so whether a method stretched them to the full range shows in its numbers.

    Args:
        ir_dir: folder of infrared images.
        vi_dir: folder of visible images with the same file stems.
        fused_dir: folder of fused images with the same file stems.
        convention: "paper", "cddfuse", "ivif_zoo" or a `Convention`.
        groups: regular expression searched in every stem; its matched named group, else its first group,
            else the whole match, is the label of the image's group. Every name must match.
        workers: pairs scored at once; None takes one per core.
        method: what the rows are called; None takes the folder's name.
        dataset: name of the data for `tdfusion.evaluate.compare.compare`,
            as in the paper's tables (MSRS, FMB, M3FD, LLVIP) or your own.
        with_baselines: also score infrared, visible, mean and max of each pair, as every table should show.

    Returns:
        An `Evaluation`. Where a metric is 0/0 it is left out of the mean and counted, and a warning names the
        image (not for the baselines, where SCD is 0/0 by construction).

    Raises:
        InputError: a folder is missing or empty; an image has no partner, another size than its partners,
            fewer than 41 pixels a side, or cannot be read; a name matches no group.
    """
    fused_dir = Path(fused_dir)
    method = method or fused_dir.resolve().name
    if with_baselines and method in BASELINES:
        raise InputError(f'"{method}" is the name of a baseline; give the method another name')
    folders = {"infrared": Path(ir_dir), "visible": Path(vi_dir), "fused": fused_dir}
    names = (*BASELINES, method) if with_baselines else (method,)
    return _evaluate(folders, names, convention, groups, workers, dataset)


def baselines(
    ir_dir: str | Path,
    vi_dir: str | Path,
    convention: str | Convention = "paper",
    groups: str | None = None,
    workers: int | None = None,
    *,
    dataset: str = "",
) -> Evaluation:
    """Score what any method must beat: the infrared image, the visible one, their mean, their maximum.

    The mean is ``(I_a + I_b + 1) // 2`` in whole gray levels. Arguments and errors as `evaluate_folder`.
    """
    folders = {"infrared": Path(ir_dir), "visible": Path(vi_dir)}
    return _evaluate(folders, BASELINES, convention, groups, workers, dataset)


def fuse_baseline(name: str, I_a: np.ndarray, I_b: np.ndarray) -> np.ndarray:
    """One of the `BASELINES` for uint8 images (H, W): infrared, visible, mean or max.

    Raises:
        InputError: no baseline of that name.
    """
    if name == "infrared":
        return I_a
    if name == "visible":
        return I_b
    if name == "mean":
        return ((I_a.astype(np.uint16) + I_b + 1) // 2).astype(np.uint8)
    if name == "max":
        return np.maximum(I_a, I_b)
    raise InputError(f'no baseline "{name}"; choose {", ".join(BASELINES)}')


def _evaluate(
    folders: Mapping[str, Path],
    methods: Sequence[str],
    convention: str | Convention,
    groups: str | None,
    workers: int | None,
    dataset: str,
) -> Evaluation:
    chosen = resolve(convention)
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; give at least 1")
    items = match_folders(folders, groups)
    check_sizes(items, VIF_MIN_SIDE)

    def score(item: Item) -> list[Row] | InputError:
        try:
            return _score(item, methods, chosen)
        except InputError as error:
            return error

    with _one_thread_each(workers or _cores()) as pool:
        bar = tqdm(pool.map(score, items), total=len(items), desc="scoring", unit="pair", file=sys.stderr)
        results = list(bar)
    failed = [str(result) for result in results if isinstance(result, InputError)]
    refuse(failed, len(items) - len(failed), "mend or remove it")
    rows = [row for per_image in results for row in per_image]
    rows.sort(key=lambda row: methods.index(row.method))  # stable: images keep their order
    for row in rows:
        if row.method not in BASELINES:
            for metric, reason in row.undefined.items():
                warnings.warn(
                    f"{row.image}: {metric} is 0/0 because {reason}; it is left out of the mean",
                    UndefinedMetricWarning,
                    stacklevel=3,
                )
    return Evaluation(tuple(rows), chosen, dataset)


def _score(item: Item, methods: Sequence[str], convention: Convention) -> list[Row]:
    from tdfusion.data.images import read_gray, to_uint8  # here: torch comes with it

    planes = {role: to_uint8(read_gray(path)) for role, path in item.files.items()}
    I_a, I_b = planes["infrared"], planes["visible"]
    rows = []
    for method in methods:
        I_f = fuse_baseline(method, I_a, I_b) if method in BASELINES else planes["fused"]
        measured = measure(I_f, I_a, I_b, convention, name=item.name)
        rows.append(Row(method, item.name, item.group, measured.values, measured.undefined))
    return rows


@contextmanager
def _one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads use one core each, and that drops what is waiting when something fails.

    Threads, not processes: numpy computes outside the interpreter lock, nothing has to be imported or copied
    again, and it works in notebooks and in scripts without a main guard.
    """
    import torch

    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
