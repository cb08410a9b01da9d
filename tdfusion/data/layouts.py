"""The published data sets: folders, classes, splits, sizes, and where to get them.

A folder pattern is a path below the data set's root; ``{split}`` stands for the folder of a split. The
first pattern of each is the published one, the others are names that copies go by; case is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass

from tdfusion.errors import InputError

_SEE_PROJECT = "see the project page"


@dataclass(frozen=True)
class Split:
    """A named part of a data set.

    Attributes:
        name: as given to `open_dataset`.
        folder: what ``{split}`` stands for in the folder patterns.
        count: pairs in the complete split.
        listed: True where the paper's own list of names chooses the pairs from the folder.
    """

    name: str
    folder: str
    count: int
    listed: bool = False


@dataclass(frozen=True)
class Labels:
    """What the labels of one task are and where they lie."""

    classes: tuple[str, ...]
    folders: tuple[str, ...]
    suffixes: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """One published data set.

    Attributes:
        name: its usual name.
        folders: names of its root folder, as unpacked or cloned.
        ir, vi: folder patterns of the infrared and the visible images.
        labels: labels per task; the first task is the default. Empty for fusion-only sets.
        splits: the first is the default.
        size: image size in words.
        visible_resized: the visible image covers the same view at another resolution and is resized to
            the infrared grid; everywhere else a pair of two sizes is an error.
        source, licence: where to get it, and under which terms.
        tree: the layout after unpacking, drawn.
        note: one more thing to know.
    """

    name: str
    folders: tuple[str, ...]
    ir: tuple[str, ...]
    vi: tuple[str, ...]
    splits: tuple[Split, ...]
    size: str
    source: str
    tree: str
    labels: dict[str, Labels]
    licence: str = _SEE_PROJECT
    note: str = ""
    visible_resized: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that this data set can be opened for; ``"fusion"`` means pairs without labels."""
        return (*self.labels, "fusion")

    def task(self, name: str | None) -> str:
        """``name``, or the data set's first task where it is None; unknown tasks raise InputError."""
        if name is None:
            return self.tasks[0]
        if name not in self.tasks:
            raise InputError(f"{self.name} has no task {name!r}; it has {', '.join(self.tasks)}")
        return name

    def split(self, name: str | None) -> Split:
        """The split of this name, or the first where it is None; unknown names raise InputError.

        Where there is only one split, ``"test"`` names it too.
        """
        if name is None or (name == "test" and len(self.splits) == 1):
            return self.splits[0]
        for split in self.splits:
            if split.name == name:
                return split
        raise InputError(
            f"{self.name} has no split {name!r}; it has {', '.join(s.name for s in self.splits)}"
        )

    def classes(self, task: str) -> tuple[str, ...]:
        """Class names of a task, in the order of their ids; empty for ``"fusion"``."""
        return self.labels[task].classes if task in self.labels else ()


def _split_tree(root: str, folders: str, suffix: str) -> str:
    return f"{root}/\n  train/{folders}/*{suffix}\n  test/{folders}/*{suffix}"


MSRS = Layout(
    name="MSRS",
    folders=("MSRS", "MSRS-main", "MSRS-master"),
    ir=("{split}/ir",),
    vi=("{split}/vi",),
    labels={
        "segmentation": Labels(
            classes=(
                "unlabelled",
                "car",
                "person",
                "bike",
                "curve",
                "car stop",
                "guardrail",
                "color cone",
                "bump",
            ),
            folders=("{split}/Segmentation_labels", "{split}/label"),
            suffixes=(".png",),
        ),
        "detection": Labels(
            classes=("person", "bicycle", "car"),
            folders=("detection_labels/{split}", "{split}/detection_labels"),
            suffixes=(".txt",),
        ),
    },
    splits=(Split("train", "train", 1083), Split("test", "test", 361)),
    size="640x480",
    source="github.com/Linfeng-Tang/MSRS (a git clone, no form)",
    tree=_split_tree("MSRS", "{ir,vi,Segmentation_labels}", ".png")
    + "\n  detection_labels/{train,test}/*.txt   (YOLO: class cx cy w h)",
    note="Day pairs end in D, night pairs in N. Some copies name the label folder 'label'.",
)

FMB = Layout(
    name="FMB",
    folders=("FMB", "FMB-main", "FMB_dataset"),
    ir=("{split}/Infrared",),
    vi=("{split}/Visible",),
    labels={
        "segmentation": Labels(
            classes=(
                "background",
                "road",
                "sidewalk",
                "building",
                "lamp",
                "sign",
                "vegetation",
                "sky",
                "person",
                "car",
                "truck",
                "bus",
                "motorcycle",
                "bicycle",
                "pole",
            ),
            folders=("{split}/Label",),
            suffixes=(".png",),
        )
    },
    splits=(Split("train", "train", 1220), Split("test", "test", 280)),
    size="800x600",
    source="github.com/JinyuanLiu-CV/SegMiF",
    tree=_split_tree("FMB", "{Infrared,Visible,Label}", ".png"),
    note="Users report that no pixel of the test split is a bicycle: say over how many classes a mean runs.",
)

M3FD = Layout(
    name="M3FD",
    folders=("M3FD", "M3FD_Detection", "M3FD_Fusion"),
    ir=("Ir",),
    vi=("Vis", "vi"),
    labels={
        "detection": Labels(
            classes=("People", "Car", "Bus", "Motorcycle", "Lamp", "Truck"),
            folders=("Annotation", "Annotations"),
            suffixes=(".xml",),
        )
    },
    splits=(
        Split("train", "", 3150, listed=True),
        Split("test", "", 1050, listed=True),
        Split("all", "", 4200),
    ),
    size="1024x768 (mostly)",
    source="github.com/JinyuanLiu-CV/TarDAL",
    tree="M3FD/\n  Ir/*.png\n  Vis/*.png\n  Annotation/*.xml   (Pascal VOC)",
    note="It has no published split: 'train' and 'test' are the paper's lists. The 300 pairs for fusion"
    " (a folder of their own, without annotations) open with split 'all' and task 'fusion'.",
)

LLVIP = Layout(
    name="LLVIP",
    folders=("LLVIP",),
    ir=("infrared/{split}",),
    vi=("visible/{split}",),
    labels={
        "detection": Labels(classes=("person",), folders=("Annotations", "Annotation"), suffixes=(".xml",))
    },
    splits=(
        Split("train", "train", 1203, listed=True),
        Split("test", "test", 347, listed=True),
        Split("published-train", "train", 12025),
        Split("published-test", "test", 3463),
    ),
    size="1280x1024",
    source="bupt-ai-cz.github.io/LLVIP",
    licence="free for non-commercial use such as research and teaching; terms on the project page",
    tree="LLVIP/\n  infrared/{train,test}/*.jpg\n  visible/{train,test}/*.jpg\n  Annotations/*.xml"
    "   (Pascal VOC)",
    note="'train' and 'test' are the paper's lists, every 10th image; 'published-train' and 'published-test'"
    " are the whole folders. Two editions exist; the paper's names fit the later one (12025 / 3463).",
)

ROADSCENE = Layout(
    name="RoadScene",
    folders=("RoadScene", "RoadScene-master", "RoadScene-main"),
    ir=("cropinfrared",),
    vi=("crop_HR_visible", "crop_LR_visible"),
    labels={},
    splits=(Split("all", "", 221),),
    size="various, odd sizes",
    source="github.com/hanna-xu/RoadScene (a git clone, no form)",
    tree="RoadScene/\n  cropinfrared/*.jpg\n  crop_HR_visible/*.jpg",
    note="The visible images show the same view at a higher resolution and another aspect ratio; they are"
    " resized to the infrared grid.",
    visible_resized=True,
)

TNO = Layout(
    name="TNO",
    folders=("TNO", "TNO_dataset"),
    ir=("ir",),
    vi=("vi",),
    labels={},
    splits=(Split("all", "", 25),),
    size="various",
    source=_SEE_PROJECT + " of the TNO Image Fusion Dataset",
    tree="TNO/\n  ir/*.png\n  vi/*.png",
    note="The visible images are gray too.",
)

LAYOUTS = {layout.name: layout for layout in (MSRS, FMB, M3FD, LLVIP, ROADSCENE, TNO)}


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def find_layout(name: str) -> Layout:
    """The layout of a data set, by its name or a folder name of it, in any case.

    Raises:
        InputError: no such data set.
    """
    for layout in LAYOUTS.values():
        if _plain(name) in {_plain(n) for n in (layout.name, *layout.folders)}:
            return layout
    raise InputError(
        f"no published data set {name!r}; there are {', '.join(LAYOUTS)}, and SynthRoad, which needs no files"
    )
