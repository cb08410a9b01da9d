"""One function for every data set: `open_dataset` gives a torch Dataset of `Pair`.

Files are read when a pair is asked for, not before. What a pair looks like depends on (seed, epoch,
index) alone, so any number of DataLoader workers gives the same pairs.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from tdfusion.data import geometry
from tdfusion.data.annotations import BoxLabels, read_boxes, read_mask
from tdfusion.data.images import read_gray, read_visible
from tdfusion.data.index import Index, PairFiles, index_split
from tdfusion.data.kept import KeptSource
from tdfusion.data.layouts import Layout, Split, find_layout
from tdfusion.data.pair import Pair, Source
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.errors import InputError

ROOT_VARIABLE = "TDFUSION_DATA"
AUGMENTATIONS = ("crop", "flip")

_END_MARKS = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}


def read_pair(files: PairFiles, layout: Layout, task: str) -> tuple[Pair, BoxLabels | None]:
    """Read one pair of a published data set, and what its box file said beyond the boxes.

    Raises:
        InputError: a file is unreadable or malformed, or the two images differ in size.
    """
    ir = read_gray(files.ir)  # (1, H, W)
    vi, chroma = read_visible(files.vi)  # (1, H, W), (2, H, W)
    size = (ir.shape[1], ir.shape[2])
    if vi.shape != ir.shape:
        if not layout.visible_resized:
            raise InputError(
                f"{files.vi}: {vi.shape[1]}x{vi.shape[2]} pixels (height x width), but its infrared image"
                f" {files.ir} has {size[0]}x{size[1]}; the two images of a pair must have one size"
            )
        vi = geometry.resize_image(vi, size)
        chroma = None if chroma is None else geometry.resize_image(chroma, size)
    mask = boxes = labels = None
    if task == "segmentation":
        mask = read_mask(files.label, layout.classes(task), size)
    elif task == "detection":
        labels = read_boxes(files.label, layout.classes(task), size)
        boxes = labels.boxes
    return Pair(ir=ir, vi=vi, name=files.name, chroma=chroma, mask=mask, boxes=boxes), labels


class FolderSource:
    """The pairs of one split of a published data set, as they lie on disk.

    Attributes:
        index: the files, and what is not a pair.
        dropped: boxes without area found so far, per label file: they are left out of ``Pair.boxes``
            with a warning. Each DataLoader worker counts its own.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self.task = index.task
        self.classes = index.layout.classes(index.task)
        self.names = tuple(files.name for files in index.pairs)
        self.dropped: dict[Path, int] = {}
        self._whole: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.index.pairs)

    def __getitem__(self, index: int) -> Pair:
        files = self.index.pairs[index]
        try:
            pair, labels = read_pair(files, self.index.layout, self.task)
        except InputError as error:
            raise InputError(f"{error}; {self._others(index)}") from error
        if labels and labels.degenerate and files.label not in self.dropped:
            self.dropped[files.label] = labels.degenerate
            warnings.warn(
                f"{files.label}: {labels.degenerate} of {labels.degenerate + len(labels.boxes)} boxes are"
                " less than a pixel wide or high inside the image and are left out",
                stacklevel=2,
            )
        return pair

    def _others(self, index: int) -> str:
        """How many of the other pairs look whole, in words."""
        if self._whole is None:
            self._whole = np.array([looks_whole(files) for files in self.index.pairs])
        others = np.delete(self._whole, index)
        part = f"{self.index.layout.name} {self.index.split.name}"
        return f"{others.sum()} of the other {others.size} pairs of {part} look whole"


def looks_whole(files: PairFiles) -> bool:
    """True where each file of a pair is there, has an image header, and ends as its format must.

    A quick look that decodes no pixel: `tdfusion.data.verify.verify` reads everything.
    """
    for path in filter(None, (files.ir, files.vi, files.label)):
        try:
            with path.open("rb") as stream:
                if path.suffix.lower() in (".txt", ".xml"):
                    continue
                with Image.open(stream):
                    pass
                stream.seek(-32, os.SEEK_END)
                if _END_MARKS.get(path.suffix.lower(), b"") not in stream.read():
                    return False
        except (OSError, SyntaxError, ValueError):
            return False
    return True


class SceneSource:
    """Synthetic scenes (`SynthRoad`) as a source; a scene carries all its labels whatever the task."""

    def __init__(
        self,
        layout: Layout,
        split: Split,
        task: str,
        length: int | None,
        size: tuple[int, int] | None,
        seed: int,
    ) -> None:
        self.scenes = SynthRoad(split.name, length, size or layout.size, seed)
        self.task = task
        self.classes = layout.classes(task)
        self.names = tuple(
            f"{split.name}-{i:05d}-{self.scenes.condition(i)}" for i in range(len(self.scenes))
        )

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Pair:
        return self.scenes[index]


class NamedSource:
    """The pairs of another source that have these names, in this order.

    Raises:
        InputError: a name is none of the source's, or comes twice.
    """

    def __init__(self, source: Source, names: Sequence[str]) -> None:
        places = {name: index for index, name in enumerate(source.names)}
        unknown = [name for name in names if name not in places]
        if unknown or not names:
            more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            raise InputError(f"names: {unknown[0]}{more} of {len(names)} are no pairs here" if unknown
                             else "names: none is given, so there is no pair to open")  # fmt: skip
        if len(set(names)) < len(names):
            raise InputError(f"names: {next(n for n in names if list(names).count(n) > 1)} is given twice")
        self.source, self.task, self.classes, self.names = source, source.task, source.classes, tuple(names)
        self._places = [places[name] for name in names]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pair:
        return self.source[self._places[index]]


class PairDataset(Dataset[Pair]):
    """Pairs of one split after resize, crop and augmentation; made by `open_dataset`.

    Attributes:
        source: the pairs before any geometry.
        classes: class names in the order of their ids; empty without labels.
        names: the name of every pair, in order.
        task: ``"segmentation"``, ``"detection"`` or ``"fusion"`` (pairs without labels).
    """

    def __init__(
        self,
        source: Source,
        *,
        size: tuple[int, int] | None,
        crop: tuple[int, int] | None,
        augment: frozenset[str],
        seed: int,
    ) -> None:
        self.source = source
        self.classes = source.classes
        self.names = source.names
        self.task = source.task
        self._size, self._crop, self._augment, self._seed = size, crop, augment, seed
        # In shared memory, so that DataLoader workers that outlive an epoch see the next one.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose random crops and flips are drawn from now on."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Pair:
        if not -len(self) <= index < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        index %= len(self)
        pair = self.source[index]
        if self._size:
            pair = geometry.resize(pair, self._size)
        rng = np.random.default_rng([self._seed, int(self._epoch), index])
        if self._crop:
            room = np.maximum(np.subtract(pair.size, self._crop), 0)
            top, left = rng.integers(0, room, endpoint=True) if "crop" in self._augment else room // 2
            pair = geometry.crop(pair, int(top), int(left), self._crop)
        if "flip" in self._augment and rng.random() < 0.5:
            pair = geometry.flip(pair)
        return pair


def open_dataset(
    name: str,
    root: str | Path | None = None,
    split: str | None = None,
    task: str | None = None,
    size: int | tuple[int, int] | None = None,
    crop: int | tuple[int, int] | None = None,
    augment: bool | Iterable[str] = False,
    seed: int = 0,
    *,
    names: Sequence[str] | None = None,
    length: int | None = None,
    partial: bool = False,
    keep: bool = False,
) -> PairDataset:
    """Open a data set of the paper, a fusion-only set, the synthetic scenes, or one of your own.

    Args:
        name: SynthRoad, MSRS, FMB, M3FD, LLVIP, RoadScene, TNO or a name that was registered, in any case; or
            the path of a TOML file (see `tdfusion.data.layouts`).
        root: the unpacked data set, or the folder that holds it; the environment variable
            TDFUSION_DATA where it is None. Not used for SynthRoad.
        split: ``"train"`` or ``"test"``; for M3FD and LLVIP these are the paper's lists, and M3FD also
            has ``"all"``, LLVIP ``"published-train"`` and ``"published-test"``. RoadScene and TNO have
            ``"all"`` alone. None: ``"train"`` where there is one.
        task: ``"segmentation"``, ``"detection"``, or ``"fusion"`` for pairs without labels. None: the
            data set's first (MSRS: segmentation).
        size: resize every pair to (H, W), or to a square. Scenes are drawn at this size.
        crop: then cut a window of (h, w), or a square, out of it: the middle one, or a random one where
            ``augment`` asks for it.
        augment: True for random crops and left-right flips, or the names of some of them
            (``"crop"``, ``"flip"``).
        seed: of the augmentation, and of the synthetic scenes.
        names: only the pairs of these names, in this order (a fold of `tdfusion.data.splits`, for example).
        length: scenes to draw; None: as many as the data set's row says. Where files are read there is no
            such choice.
        partial: open what is complete where files or names of the list are missing, with a warning
            that says what is left out. Without it, that is an error.
        keep: keep pairs in memory once they are read, without chroma (see `KeptSource`): for training.

    Returns:
        A Dataset of `Pair`; use `collate` as ``collate_fn`` of a DataLoader.

    Raises:
        InputError: something is unknown, missing, or incomplete. Reading a pair raises it too where a
            file is unreadable or a label does not fit.

    Example:
        >>> scenes = open_dataset("SynthRoad", split="test", size=(64, 96), length=4)
        >>> len(scenes), scenes[0].vi.shape
        (4, torch.Size([1, 64, 96]))
    """
    if seed < 0:
        raise InputError(f"seed = {seed}: expected 0 or a positive whole number")
    geometry_options = {
        "crop": None if crop is None else geometry.as_size(crop, "crop"),
        "augment": _augmentations(augment),
        "seed": seed,
    }
    target = None if size is None else geometry.as_size(size)
    layout = find_layout(name)
    source: Source
    if layout.drawn:
        source = SceneSource(layout, layout.split(split), layout.task(task), length, target, seed)
        target = None
    elif length is not None:
        raise InputError(
            f"{layout.name}: length = {length} is for scenes that are drawn; its files are all read"
        )
    else:
        source = FolderSource(_complete(_index(layout, root, split, task), partial))
    if names is not None:
        source = NamedSource(source, names)
    return PairDataset(KeptSource(source) if keep else source, size=target, **geometry_options)


def _index(layout: Layout, root: str | Path | None, split: str | None, task: str | None) -> Index:
    root = root or os.environ.get(ROOT_VARIABLE)
    if not root:
        raise InputError(f"{layout.name}: pass root=, the folder of the data set, or set {ROOT_VARIABLE}")
    return index_split(layout, Path(root), layout.split(split), layout.task(task))


def _complete(index: Index, partial: bool) -> Index:
    """The index itself where it can be used; InputError or, with ``partial``, a warning about the rest."""
    part = f"{index.layout.name} {index.split.name}"
    if not index.pairs:
        why = f" ({index.faults[0]})" if index.faults else ""
        raise InputError(f"{index.root}: not one complete pair of {part}{why}")
    if index.faults:
        more = f" and {len(index.faults) - 1} more such faults" if len(index.faults) > 1 else ""
        state = f"{index.faults[0]}{more}; {len(index.pairs)} other pairs of {part} are complete"
        if not partial:
            raise InputError(f"{state} (partial=True opens those)")
        warnings.warn(f"{state} and are opened", stacklevel=3)
    return index


def _augmentations(augment: bool | Iterable[str]) -> frozenset[str]:
    if isinstance(augment, bool):
        return frozenset(AUGMENTATIONS if augment else ())
    chosen = frozenset([augment] if isinstance(augment, str) else augment)
    if unknown := chosen - set(AUGMENTATIONS):
        raise InputError(
            f"augment: {', '.join(sorted(unknown))} unknown, there are {', '.join(AUGMENTATIONS)}"
        )
    return chosen
