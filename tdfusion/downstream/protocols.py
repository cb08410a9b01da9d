"""What a downstream score stands for, by name: which T, on which pairs, and over which classes its mean runs.

Numbers of the same methods on the same data set differ by points where these differ, and papers seldom say them.
Class ids are those of the data set's row (`tdfusion.data.layouts`), in every protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tdfusion.errors import InputError

# Settings of transformers' SegformerConfig that differ from B0's. "b3": SegFormer's own paper, Table 6. "tiny":
# ours, which learns 64-pixel scenes in minutes: finer patches, a quarter of the width, one block a stage.
SEGFORMERS: dict[str, dict[str, Any]] = {
    "b0": {},
    "b3": {"depths": [3, 4, 18, 3], "hidden_sizes": [64, 128, 320, 512], "decoder_hidden_size": 768},
    "tiny": {
        "depths": [1, 1, 1, 1],
        "hidden_sizes": [16, 32, 64, 96],
        "num_attention_heads": [1, 2, 2, 4],
        "patch_sizes": [3, 3, 3, 3],
        "strides": [2, 2, 2, 2],
        "sr_ratios": [4, 2, 1, 1],
        "mlp_ratios": [2, 2, 2, 2],
        "decoder_hidden_size": 64,
        "drop_path_rate": 0.0,
        "classifier_dropout_prob": 0.0,
    },
}


@dataclass(frozen=True)
class Protocol:
    """One way to come from a method's images to one number.

    Attributes:
        name: as given to ``tdfusion downstream --protocol``.
        segformer: segmentation's T, a key of `SEGFORMERS`, from scratch. Detection has YOLOv8n in all of them.
        background: whether the mean over classes counts the one that is no object (segmentation alone).
        absent: what a class does of which the ground truth of the test images has nothing: ``"left out"`` of
            the mean, or in it as ``"zero"``.
        folds: name of the folds (`tdfusion.data.splits.named_folds`) whose other parts are trained on while one
            is scored; None: the data set's own training and test split.
    """

    name: str
    segformer: str = "b0"
    background: bool = True
    absent: Literal["left out", "zero"] = "left out"
    folds: str | None = None

    def said(self, task: str) -> str:
        """The protocol in a sentence."""
        network = f"SegFormer-{self.segformer.upper()}" if task == "segmentation" else "YOLOv8n"
        mean = "classes with the background" if self.background else "classes without the background"
        mean = mean if task == "segmentation" else "classes"
        pairs = (
            f"the other folds and one fold of {self.folds}"
            if self.folds
            else "the training and the test split"
        )
        zero = "left out" if self.absent == "left out" else "0"
        return (
            f"protocol {self.name}: {network} from scratch on {pairs}, mean over {mean}, absent ones {zero}"
        )


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("paper"),  # Sec. 4.3 where it speaks (SegFormer, YOLOv8); the size and the means are ours
        Protocol("paper-b3", segformer="b3"),
        Protocol("foreground", background=False),
        Protocol("all-classes", absent="zero"),
        Protocol("tiny", segformer="tiny"),
        Protocol("MSRS-blocks", folds="MSRS-blocks"),
    )
}


def find_protocol(name: str) -> Protocol:
    """The protocol of this name.

    Raises:
        InputError: there is none.
    """
    if name not in PROTOCOLS:
        raise InputError(f'no protocol "{name}"; choose one of {", ".join(PROTOCOLS)}')
    return PROTOCOLS[name]
