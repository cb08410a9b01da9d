"""Score folders: the fused images of any methods against their sources, with the baselines beside them."""

from __future__ import annotations

import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from tdfusion.data.ranges import Range
from tdfusion.errors import InputError
from tdfusion.evaluate.matching import Item, check_sizes, match_folders, refuse
from tdfusion.evaluate.scores import BASELINES, Evaluation, Row
from tdfusion.metrics import METRICS, Convention, UndefinedMetricWarning, measure, resolve, smallest_side

if TYPE_CHECKING:
    from tdfusion.data.geometry import Match  # torch comes with it


def evaluate_folder(
    ir_dir: str | Path,
    vi_dir: str | Path,
    fused_dir: str | Path,
    convention: str | Convention = "paper",
    groups: str | None = None,
    workers: int | None = None,
    *,
    method: str | None = None,
    match: Match = "none",
    metrics: Sequence[str] | str = METRICS,
    dataset: str = "",
    with_baselines: bool = True,
    ir_range: str = "auto",
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
        match: for one view at two resolutions (RoadScene), as the images were fused: "ir" resizes the
            visible image to the infrared one, "vi" the other way round; "none" asks for equal sizes.
        metrics: names of ``tdfusion.metrics.TABLE``, or "all"; the six of Table 1 if nothing is said.
        dataset: name of the data for `tdfusion.evaluate.compare.compare`, as in the paper's tables (MSRS,
            FMB, M3FD, LLVIP) or your own.
        with_baselines: also score infrared, visible, mean and max of each pair, as every table should show.
        ir_range: how infrared files were scaled for fusion, see `tdfusion.data.ranges.choose_span`; the default is
            that of ``tdfusion fuse``. Fused files are never stretched.

    Returns:
        An `Evaluation`. Where a metric is 0/0 it is left out of the mean and counted, and a warning names the
        image (not for the baselines, where SCD is 0/0 by construction).

    Raises:
        InputError: a folder is missing or empty; an image has no partner, another size than its partners,
            fewer pixels a side than the metrics need (41 for the six, 176 for MS-SSIM), or cannot be read; a
            name matches no group; an unknown choice.
    """
    fused = named_folders([fused_dir], None if method is None else [method])
    return evaluate_folders(
        ir_dir,
        vi_dir,
        fused,
        convention,
        groups,
        workers,
        match=match,
        metrics=metrics,
        dataset=dataset,
        with_baselines=with_baselines,
        ir_range=ir_range,
    )


def evaluate_folders(
    ir_dir: str | Path,
    vi_dir: str | Path,
    fused: Mapping[str, str | Path],
    convention: str | Convention = "paper",
    groups: str | None = None,
    workers: int | None = None,
    *,
    match: Match = "none",
    metrics: Sequence[str] | str = METRICS,
    dataset: str = "",
    with_baselines: bool = True,
    ir_range: str = "auto",
) -> Evaluation:
    """Score several methods on the same pairs, for a table with paired differences.

    Args:
        ir_dir: folder of infrared images.
        vi_dir: folder of visible images with the same file stems.
        fused: name of a method to the folder of its fused images; each holds one of every pair. Without any, the
            baselines are scored alone.
        convention: this and the rest as `evaluate_folder`.

    Raises:
        InputError: as `evaluate_folder`; a method that has a baseline's name; nothing to score.
    """
    folders = named_folders(list(fused.values()), list(fused)) if fused or not with_baselines else {}
    chosen = resolve(convention)
    min_side = smallest_side(metrics, chosen)
    scaled = Range.parse(ir_range)
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; give at least 1")
    items = match_folders(Path(ir_dir), Path(vi_dir), folders, groups)
    check_sizes(items, min_side, match)

    def score(item: Item) -> list[Row] | InputError:
        try:
            return _score(item, BASELINES if with_baselines else (), match, scaled, metrics, chosen)
        except InputError as error:
            return error

    with _one_thread_each(workers or _cores()) as pool:
        bar = tqdm(pool.map(score, items), total=len(items), desc="scoring", unit="pair", file=sys.stderr)
        results = list(bar)
    failed = [str(result) for result in results if isinstance(result, InputError)]
    refuse(failed, len(items) - len(failed), "mend or remove it")
    rows = [row for of_method in zip(*results) for row in of_method]
    for row in rows:
        if row.method not in BASELINES:
            whose = f" of {row.method}" if len(folders) > 1 else ""
            for metric, reason in row.undefined.items():
                warnings.warn(
                    f"{row.image}: {metric}{whose} is 0/0 because {reason}; it is left out of the mean",
                    UndefinedMetricWarning,
                    stacklevel=2,
                )
    return Evaluation(tuple(rows), chosen, dataset)


def named_folders(folders: Sequence[str | Path], methods: Sequence[str] | None = None) -> dict[str, Path]:
    """Method to folder, by the names given or else by those of the folders.

    Raises:
        InputError: no folder; not as many names as folders; two methods of one name; the name of a baseline.
    """
    paths = [Path(folder) for folder in folders]
    if not paths:
        raise InputError("nothing to score; give at least one folder of fused images")
    if methods is not None and len(methods) != len(paths):
        raise InputError(
            f"{len(methods)} names for {len(paths)} folders of fused images; give a name to each"
        )
    names = list(methods) if methods is not None else [path.resolve().name for path in paths]
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        same = " and ".join(str(path) for path, other in zip(paths, names) if other == name)
        raise InputError(f'{same} would both be called "{name}"; name each method: --method NAME NAME')
    for name in names:
        if name in BASELINES:
            raise InputError(f'"{name}" is the name of a baseline; give the method another name')
    return dict(zip(names, paths))


def baselines(
    ir_dir: str | Path,
    vi_dir: str | Path,
    convention: str | Convention = "paper",
    groups: str | None = None,
    workers: int | None = None,
    *,
    match: Match = "none",
    metrics: Sequence[str] | str = METRICS,
    dataset: str = "",
    ir_range: str = "auto",
) -> Evaluation:
    """Score what any method must beat: the infrared image, the visible one, their mean, their maximum.

    The mean is ``(I_a + I_b + 1) // 2`` in whole gray levels. Arguments and errors as `evaluate_folder`.
    """
    return evaluate_folders(
        ir_dir,
        vi_dir,
        {},
        convention,
        groups,
        workers,
        match=match,
        metrics=metrics,
        dataset=dataset,
        ir_range=ir_range,
    )


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


def _score(
    item: Item,
    before: Sequence[str],
    match: Match,
    ir_range: Range,
    metrics: Sequence[str] | str,
    convention: Convention,
) -> list[Row]:
    from tdfusion.data.geometry import matched  # here: torch comes with it
    from tdfusion.data.images import read_gray, to_uint8

    sources = matched(read_gray(item.ir, ir_range), read_gray(item.vi, Range()), match)
    I_a, I_b = (to_uint8(image) for image in sources)
    rows = []
    for method in (*before, *item.fused):
        fused = item.fused.get(method)
        I_f = fuse_baseline(method, I_a, I_b) if fused is None else to_uint8(read_gray(fused, Range("full")))
        measured = measure(I_f, I_a, I_b, convention, metrics=metrics, name=item.name)
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
