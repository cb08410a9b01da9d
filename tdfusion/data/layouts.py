"""The data sets, one row each: folders, classes, splits, counts, sizes, and where to get them.

A folder pattern is a path below the data set's root; ``{split}`` stands for the folder of a split. The
first pattern of each is the published one, the others are names that copies go by; case is ignored.
What trains, verifies, retrains or describes a data set asks its row, and knows it by nothing else. A row of
your own is a `Layout` given to `register`, or a TOML file (`read_layout`) whose path stands
wherever a data set is named.
"""

from __future__ import annotations

from pathlib import Path

from tdfusion.data.row import SEE_PROJECT, Labels, Layout, Split, read_layout
from tdfusion.data.synthroad import labels as synthroad
from tdfusion.errors import InputError

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
            background=0,
        ),
        "detection": Labels(
            classes=("person", "bicycle", "car"),
            folders=("detection_labels/{split}", "{split}/detection_labels"),
            suffixes=(".txt",),
        ),
    },
    splits=(Split("train", "train", 1083), Split("test", "test", 361)),
    size=(480, 640),
    task_size=(240, 320),
    source="github.com/Linfeng-Tang/MSRS (a git clone, no form)",
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
            background=0,
        )
    },
    splits=(Split("train", "train", 1220), Split("test", "test", 280)),
    size=(600, 800),
    task_size=(300, 400),
    source="github.com/JinyuanLiu-CV/SegMiF",
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
    size=(768, 1024),
    task_size=(192, 256),
    source="github.com/JinyuanLiu-CV/TarDAL",
    note="Some images have another size. It has no published split: 'train' and 'test' are the paper's lists."
    " The 300 pairs for fusion (a folder of their own, without annotations) open with split 'all' and task"
    " 'fusion'.",
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
    size=(1024, 1280),
    task_size=(256, 320),
    source="bupt-ai-cz.github.io/LLVIP",
    licence="free for non-commercial use such as research and teaching; terms on the project page",
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
    source="github.com/hanna-xu/RoadScene (a git clone, no form)",
    note="Odd sizes. The visible images show the same view at a higher resolution and another aspect ratio;"
    " they are resized to the infrared grid.",
    visible_resized=True,
)

TNO = Layout(
    name="TNO",
    folders=("TNO", "TNO_dataset"),
    ir=("ir",),
    vi=("vi",),
    labels={},
    splits=(Split("all", "", 25),),
    source=SEE_PROJECT + " of the TNO Image Fusion Dataset",
    note="The visible images are gray too.",
)

SYNTHROAD = Layout(
    name="SynthRoad",
    folders=(),
    ir=(),
    vi=(),
    labels={
        "segmentation": Labels(synthroad.CLASSES, background=synthroad.BACKGROUND),
        "detection": Labels(synthroad.BOX_CLASSES),
    },
    splits=(Split("train", "train", 1083), Split("test", "test", 361)),  # as many as MSRS, and its size
    size=(480, 640),
    task_size=(240, 320),
    source="built in: its scenes are drawn as they are needed, and no file is read",
    licence="as this library",
    note="Any number of scenes at any size (32 to 640 pixels a side) can be drawn; these are the defaults.",
    drawn=True,
)

LAYOUTS = {layout.name: layout for layout in (SYNTHROAD, MSRS, FMB, M3FD, LLVIP, ROADSCENE, TNO)}


def register(layout: Layout) -> Layout:
    """Add a row to the table, for this process: from now on its name is known everywhere.

    Raises:
        InputError: a name of it is another data set's, or it has no splits or no folders of images.
    """
    for what in ("splits", "ir", "vi"):
        if not getattr(layout, what):
            raise InputError(f"data set {layout.name}: {what} is empty")
    LAYOUTS[layout.name] = _unlike_others(layout)
    return layout


def find_layout(name: str) -> Layout:
    """The row of a data set: by its name or a folder name of it, in any case, or by its TOML file's path.

    Raises:
        InputError: no such data set, or the file is none.
    """
    if str(name).endswith(".toml"):
        return _unlike_others(read_layout(Path(name)))
    for layout in LAYOUTS.values():
        if _plain(str(name)) in _names(layout):
            return layout
    raise InputError(
        f"no data set {name!r}; choose one of {', '.join(LAYOUTS)}, or give the TOML file that describes yours"
    )


def labelled(task: str | None = None) -> tuple[str, ...]:
    """Names of the data sets that can be trained on: those with labels (of a task)."""
    return tuple(
        name for name, row in LAYOUTS.items() if (row.labels if task is None else task in row.labels)
    )


def check_trainable(name: str, task: str) -> Layout:
    """The row of a data set to train on.

    Raises:
        InputError: no such data set, or it has no labels of the task.
    """
    layout = find_layout(name)
    if task not in layout.labels:
        raise InputError(
            f"{layout.name} has no labels for {task}; choose one of {', '.join(labelled(task))}, or another task"
        )
    return layout


def _unlike_others(layout: Layout) -> Layout:
    for name in (layout.name, *layout.folders):
        for other in LAYOUTS.values():
            if _plain(name) in _names(other) and other != layout:
                raise InputError(
                    f"data set {layout.name}: the name {name} is that of {other.name} already; choose another"
                )
    return layout


def _names(layout: Layout) -> set[str]:
    return {_plain(name) for name in (layout.name, *layout.folders)}


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
