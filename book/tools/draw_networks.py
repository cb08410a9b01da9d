"""Draw F, G, the Restormer block and the adaptive fusion module (Sec. 3.6) into book/images.

::

    python book/tools/draw_networks.py

Widths and parameter counts in the pictures are read from the networks themselves.
"""

from __future__ import annotations

from pathlib import Path

from drawing import WIDTH, Drawing
from torch import nn

from tdfusion.models import HEADS, FusionNet, LossNet

IMAGES = Path(__file__).resolve().parents[2] / "book" / "images"
FUSION, LOSS = FusionNet(), LossNet()
C = FUSION.encoder_a.embed.out_channels  # channels per modality
BLOCKS = len(FUSION.encoder_a.blocks)


def count(net: nn.Module) -> str:
    return f"{sum(p.numel() for p in net.parameters()):,}"


def networks() -> Drawing:
    """F and G side by side, from the pair at the top to what each writes at the bottom."""
    picture = Drawing(640, "The fusion network F and the loss generation network G, layer by layer.")
    column(picture, 4, "F", FUSION, "adaptive fusion\nmodule", ("LeakyReLU", "1", "sigmoid", "$I_f$"))
    column(picture, 224, "G", LOSS, "concatenate", ("PReLU", "2", "softmax", "$w_a$, $w_b$"))
    return picture


def column(
    picture: Drawing, left: float, name: str, net: nn.Module, joint: str, head: tuple[str, str, str, str]
) -> None:
    """One network in a column of its own, 212 wide."""
    activation, channels, last, output = head
    a, middle, b = left + 58, left + 106, left + 154
    picture.panel((left, 4), (212, 632), name)
    picture.text((middle, 30), name, colour=name, size=20, bold=True)
    picture.text((middle, 50), f"{count(net)} parameters", colour=name)
    for x, side in ((a, "a"), (b, "b")):
        picture.box((x, 84), (44, 28), f"$I_{side}$", side, kind="outline", letters=16)
        picture.arrow((x, 99), (x, 125))
        picture.text((x + 8, 116), "1", anchor="start")
        picture.box((x, 142), (84, 32), "3×3 conv", side)
        picture.arrow((x, 159), (x, 189))
        picture.text((x + 8, 178), f"{C}", anchor="start")
        picture.box((x, 208), (84, 36), f"{BLOCKS} × RTB", side)
        picture.arrow((x, 227), (x, 259))
        picture.text((x + 8, 247), f"{C}", anchor="start")
    rows = [
        (282, 44, joint, f"{2 * C}"),
        (356, 36, f"{BLOCKS} × RTB", f"{2 * C}"),
        (428, 44, f"3×3 conv\n{activation}", f"{C}"),
        (504, 32, "3×3 conv", channels),
        (568, 32, last, channels),
    ]
    for (y, height, label, wide), below in zip(rows, [*rows[1:], (618, 26, "", "")]):
        plain = label in (last, "concatenate")
        picture.box((middle, y), (180, height), label, name, kind="outline" if plain else "filled")
        picture.arrow((middle, y + height / 2 + 1), (middle, below[0] - below[1] / 2 - 1))
        picture.text((middle + 8, (y + height / 2 + below[0] - below[1] / 2) / 2 + 4), wide, anchor="start")
    picture.text((middle, 624), output, colour=name, size=18)


def restormer_block() -> Drawing:
    """The block as a whole, and its two halves beneath it."""
    picture = Drawing(560, "The Restormer block: attention between channels, then a gated network per pixel.")
    y = 52
    picture.text((12, y + 5), "$x$", size=17)
    steps = [
        (60, 40, "LN"),
        (128, 66, "MDTA"),
        (196, 0, "+"),
        (262, 40, "LN"),
        (330, 66, "GDFN"),
        (398, 0, "+"),
    ]
    at = 20.0
    for x, width, label in steps:
        colour = {"MDTA": "attention", "GDFN": "gate"}.get(label, "ink")
        if width:
            picture.arrow((at, y), (x - width / 2 - 2, y))
            picture.box((x, y), (width, 34), label, colour, kind="filled" if width > 40 else "outline")
            at = x + width / 2 + 1
        else:
            picture.arrow((at, y), (x - 10, y))
            picture.round((x, y), "+")
            at = x + 10.0
    picture.arrow((at, y), (436, y))
    for start, end in ((30, 196), (226, 398)):
        picture.arrow((start, y), (start, y - 34), (end, y - 34), (end, y - 10))
    attention(picture, left=4, top=104)
    feed_forward(picture, left=224, top=104)
    return picture


def attention(picture: Drawing, left: float, top: float) -> None:
    x = left + 106
    picture.panel((left, top), (212, 452), "attention")
    picture.text((x, top + 28), "MDTA: channels attend", colour="attention", bold=True)
    picture.arrow((x, top + 40), (x, top + 66))
    picture.text((x + 8, top + 57), "C", anchor="start")
    picture.box((x, top + 84), (150, 32), "1×1 conv", "attention")
    picture.arrow((x, top + 101), (x, top + 127))
    picture.text((x + 8, top + 118), "3C", anchor="start")
    picture.box((x, top + 144), (150, 32), "3×3 depthwise", "attention")
    for shift, name in ((-52, "q"), (-14, "k")):
        picture.arrow((x + shift, top + 161), (x + shift, top + 195))
        picture.text((x + shift + 6, top + 182), f"${name}$", size=15, anchor="start")
    picture.box(
        (x - 33, top + 223),
        (130, 54),
        f"softmax($q̂ k̂$ᵀ $τ$)\n{HEADS} heads, c × c",
        "attention",
        kind="outline",
    )
    picture.arrow((x + 60, top + 161), (x + 60, top + 290), (x + 10, top + 290))
    picture.text((x + 66, top + 182), "$v$", size=15, anchor="start")
    picture.arrow((x - 33, top + 251), (x - 33, top + 290), (x - 10, top + 290))
    picture.round((x, top + 290), "·")
    picture.arrow((x, top + 300), (x, top + 334))
    picture.text((x + 8, top + 322), "C", anchor="start")
    picture.box((x, top + 352), (150, 32), "1×1 conv", "attention")
    picture.arrow((x, top + 369), (x, top + 397))
    picture.text((x + 8, top + 388), "C", anchor="start")
    picture.text((x, top + 418), "c = C/8; sums over all pixels", size=12)
    picture.text((x, top + 436), "stand in the c × c matrix", size=12)


def feed_forward(picture: Drawing, left: float, top: float) -> None:
    x = left + 106
    picture.panel((left, top), (212, 452), "gate")
    picture.text((x, top + 28), "GDFN: a gate per pixel", colour="gate", bold=True)
    picture.arrow((x, top + 40), (x, top + 66))
    picture.text((x + 8, top + 57), "C", anchor="start")
    picture.box((x, top + 84), (150, 32), "1×1 conv", "gate")
    picture.arrow((x, top + 101), (x, top + 127))
    picture.text((x + 8, top + 118), "4C", anchor="start")
    picture.box((x, top + 144), (150, 32), "3×3 depthwise", "gate")
    picture.arrow((x - 40, top + 161), (x - 40, top + 205))
    picture.text((x - 34, top + 186), "2C", anchor="start")
    picture.box((x - 40, top + 223), (70, 34), "GELU", "gate", kind="outline")
    picture.arrow((x + 40, top + 161), (x + 40, top + 290), (x + 10, top + 290))
    picture.text((x + 46, top + 186), "2C", anchor="start")
    picture.arrow((x - 40, top + 241), (x - 40, top + 290), (x - 10, top + 290))
    picture.round((x, top + 290), "×")
    picture.arrow((x, top + 300), (x, top + 334))
    picture.text((x + 8, top + 322), "2C", anchor="start")
    picture.box((x, top + 352), (150, 32), "1×1 conv", "gate")
    picture.arrow((x, top + 369), (x, top + 397))
    picture.text((x + 8, top + 388), "C", anchor="start")
    picture.text((x, top + 418), "sees a pixel and", size=12)
    picture.text((x, top + 436), "its eight neighbours", size=12)


def adaptive_fusion() -> Drawing:
    """The adaptive fusion module of F: cross attention, then a gate computed from both modalities."""
    picture = Drawing(700, "The adaptive fusion module: cross attention between the modalities, then a gate.")
    a, middle, b = 84, WIDTH / 2, WIDTH - 84
    picture.panel((4, 4), (WIDTH - 8, 292), "ink")
    picture.text((middle, 26), "cross attention", bold=True)
    for x, side, toward in ((a, "a", 1), (b, "b", -1)):
        picture.text((x, 32), f"${side}$", colour=side, size=18)
        picture.arrow((x, 40), (x, 66), colour=side)
        picture.text((x + 8 * toward, 57), f"{C}", anchor="start" if toward > 0 else "end")
        picture.box((x, 86), (130, 38), "1×1 conv\n3×3 depthwise", side)
        # queries cross over, keys and values stay
        picture.arrow((x - 30 * toward, 106), (x - 30 * toward, 180), colour=side)
        picture.text((x - 38 * toward, 136), "$k$, $v$", colour=side, size=15,
                     anchor="end" if toward > 0 else "start")  # fmt: skip
        end = (b - 30 if toward > 0 else a + 30, 180)
        picture.arrow((x + 30 * toward, 106), (x + 30 * toward, 118), (end[0], 166), end, colour=side)
        picture.text((x + 22 * toward, 122), "$q$", colour=side, size=15,
                     anchor="end" if toward > 0 else "start")  # fmt: skip
        picture.box((x, 200), (130, 38), f"attend, {HEADS} heads\n1×1 conv", side)
        picture.arrow((x, 220), (x, 250), colour=side)
        picture.round((x, 260), "+", side)
        rim = x - 74 * toward
        picture.arrow((x, 52), (rim, 52), (rim, 260), (x - 10 * toward, 260), colour=side)
    gate(picture, a, b)
    return picture


def gate(picture: Drawing, a: float, b: float) -> None:
    middle = WIDTH / 2
    hidden = FUSION.fusion.value_point_a.out_channels
    picture.panel((4, 306), (WIDTH - 8, 390), "F")
    picture.text((middle, 330), "gate", colour="F", bold=True)
    for x, side, toward in ((a, "a", 1), (b, "b", -1)):
        picture.arrow((x, 270), (x, 440), colour=side)
        picture.text((x - 8 * toward, 360), f"{C}", anchor="end" if toward > 0 else "start")
        picture.arrow((x, 348), (middle - 8 * toward, 348), (middle - 8 * toward, 366), colour=side)
        picture.box((x, 460), (110, 38), "1×1 conv\n3×3 depthwise", side)
        picture.arrow((x, 480), (x, 522), colour=side)
        picture.text((x - 8 * toward, 506), f"{hidden}", anchor="end" if toward > 0 else "start")
        picture.round((x, 532), "×", side)
        picture.arrow(
            (middle - 30 * toward, 480), (middle - 30 * toward, 532), (x + 10 * toward, 532), colour="F"
        )
        picture.text(
            (x + 16 * toward, 526), "GELU", colour="F", size=12, anchor="start" if toward > 0 else "end"
        )
        picture.arrow((x, 542), (x, 572), colour=side)
        picture.box((x, 590), (110, 32), "1×1 conv", side)
        picture.arrow((x, 607), (x, 640), (middle - 10 * toward, 640), colour=side)
        picture.text((x - 8 * toward, 628), f"{2 * C}", anchor="end" if toward > 0 else "start")
    picture.box((middle, 384), (76, 32), "concat", "F", kind="outline")
    picture.arrow((middle, 401), (middle, 440), colour="F")
    picture.text((middle - 8, 424), f"{2 * C}", anchor="end")
    picture.box((middle, 460), (110, 38), "1×1 conv\n3×3 depthwise", "F")
    for edge, anchor in ((-25, "start"), (25, "end")):
        picture.text((middle + edge, 506), f"{hidden}", anchor=anchor)
    picture.arrow(
        (middle, 414), (middle + 69, 414), (middle + 69, 604), (middle, 604), (middle, 630), colour="F"
    )
    picture.round((middle, 640), "+", "F")
    picture.arrow((middle, 650), (middle, 686), colour="F")
    picture.text((middle + 8, 674), f"{2 * C}", anchor="start")


if __name__ == "__main__":
    for draw in (networks, restormer_block, adaptive_fusion):
        draw().write(IMAGES / f"{draw.__name__}.svg")
