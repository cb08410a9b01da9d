"""Draw the workflow of TDFusion (the content of the paper's Fig. 1) into book/images/workflow.svg.

::

    python book/tools/draw_workflow.py
"""

from __future__ import annotations

from pathlib import Path

from drawing import WIDTH, Drawing

IMAGES = Path(__file__).resolve().parents[2] / "book" / "images"
PAIR, NET, IMAGE, LOSS, CLONE = 44, 132, 218, 306, 394  # centres of the five columns
BOX = (56, 38)


def workflow() -> Drawing:
    picture = Drawing(
        798, "Meta phase: G learns, by an inner and an outer update. Fusion phase: F and T learn."
    )
    meta_phase(picture)
    fusion_phase(picture)
    legend(picture, top=728)
    return picture


def branches(picture: Drawing, rows: tuple[float, float, float], moving: str) -> None:
    """What both phases have in common: G writes w, F fuses, the losses L_f and L_t are formed."""
    task, fuse, write = rows
    picture.frames((PAIR, fuse))
    for net, row in (("F", fuse), ("G", write)):
        picture.box((NET, row), BOX, net, net, kind="filled" if net in moving else "outline", letters=17)
    picture.box((IMAGE, task), BOX, "T", "T", kind="filled" if "T" in moving else "outline", letters=17)
    picture.text((IMAGE, fuse + 5), "$I_f$", size=18)
    picture.text((IMAGE, write + 5), "$w_a$, $w_b$", size=17)
    picture.text((LOSS, fuse + 5), "$L_f$", size=18)
    picture.text((LOSS, task + 5), "$L_t$", size=18)
    picture.text((LOSS, task - 33), "labels")
    picture.arrow((LOSS, task - 28), (LOSS, task - 13))
    picture.arrow((PAIR + 28, fuse), (NET - 30, fuse))
    picture.arrow((PAIR, fuse + 22), (PAIR, write), (NET - 30, write))
    picture.arrow((NET + 30, fuse), (IMAGE - 14, fuse))
    picture.arrow((NET + 30, write), (IMAGE - 32, write))
    picture.arrow((IMAGE + 14, fuse), (LOSS - 15, fuse))
    picture.arrow((IMAGE, fuse - 14), (IMAGE, task + 21))
    picture.arrow((IMAGE + 30, task), (LOSS - 15, task))
    picture.arrow((IMAGE + 32, write), (LOSS + 6, write), (LOSS + 6, fuse + 14))


def meta_phase(picture: Drawing) -> None:
    task, fuse, write, judge = rows = (122, 186, 250, 346)
    picture.panel((4, 4), (WIDTH - 8, 424), "G")
    picture.text((18, 30), "Meta phase: G learns", colour="G", size=16, anchor="start", bold=True)
    picture.text((18, 52), "inner update, on a meta-training pair", anchor="start")
    branches(picture, rows[:3], moving="G")
    for net, row, equation in (("F", fuse, "(4)"), ("T", task, "(5)")):
        picture.box((CLONE, row), BOX, f"{net}′", net, kind="clone", letters=17)
        picture.arrow((LOSS + 16, row), (CLONE - 30, row), colour=net, dashed=True)
        picture.text(((LOSS + CLONE) / 2 - 6, row - 8), equation, colour=net)
    # outer update: forward through the clones, and the gradient back to G
    picture.text((NET + 16, 302), "outer update, on a meta-test pair", anchor="start")
    picture.frames((PAIR, judge))
    picture.box((NET, judge), BOX, "F′", "F", kind="clone", letters=17)
    picture.box((LOSS, judge), BOX, "T′", "T", kind="clone", letters=17)
    picture.text((IMAGE, judge + 5), "$I_f$", size=18)
    picture.text((CLONE, judge + 5), "$L_t$", size=18)
    picture.text((CLONE, judge - 33), "labels")
    picture.arrow((CLONE, judge - 28), (CLONE, judge - 13))
    picture.arrow((PAIR + 28, judge), (NET - 30, judge))
    picture.arrow((NET + 30, judge), (IMAGE - 14, judge))
    picture.arrow((IMAGE + 14, judge), (LOSS - 30, judge))
    picture.arrow((LOSS + 30, judge), (CLONE - 14, judge))
    below = judge + 38
    picture.arrow(
        (CLONE, judge + 14), (CLONE, below), (NET, below), (NET, judge + 21), colour="G", dashed=True
    )
    picture.text(((NET + CLONE) / 2, below + 20), "back through T′, F′ and the step (4)", colour="G")
    picture.arrow((NET, judge - 21), (NET, write + 21), colour="G", dashed=True)
    picture.text((NET - 10, 302), "(6), (7)", colour="G", anchor="end")


def fusion_phase(picture: Drawing) -> None:
    task, fuse, _ = rows = (554, 618, 682)
    picture.panel((4, 440), (WIDTH - 8, 280), "F")
    picture.text((18, 466), "Fusion phase: F and T learn", colour="F", size=16, anchor="start", bold=True)
    picture.text((18, 488), "on every training pair, G held", anchor="start")
    branches(picture, rows, moving="FT")
    picture.arrow((LOSS, task + 13), (LOSS, task + 30), (IMAGE + 18, task + 30), (IMAGE + 18, task + 21),
                  colour="T", dashed=True)  # fmt: skip
    picture.arrow((LOSS - 8, fuse + 13), (LOSS - 8, fuse + 29), (NET, fuse + 29), (NET, fuse + 21),
                  colour="F", dashed=True)  # fmt: skip
    picture.text((LOSS + 24, task + 5), "moves T, (9)", colour="T", anchor="start")
    picture.text((LOSS + 24, fuse + 5), "moves F, (8)", colour="F", anchor="start")


def legend(picture: Drawing, top: float) -> None:
    y = top + 22
    picture.arrow((18, y), (58, y))
    picture.text((68, y + 4.5), "data", anchor="start")
    picture.arrow((18, y + 30), (58, y + 30), dashed=True)
    picture.text((68, y + 34.5), "gradient", anchor="start")
    for x, kind, words in (
        (170, "filled", "moves"),
        (170, "outline", "is held"),
        (296, "clone", "one-step clone"),
    ):
        row = y + (30 if kind == "outline" else 0)
        picture.box((x, row), (30, 20), "", "ink", kind=kind)
        picture.text((x + 24, row + 4.5), words, anchor="start")
    picture.text((296, y + 34.5), "(n)")
    picture.text((320, y + 34.5), "equation", anchor="start")


if __name__ == "__main__":
    workflow().write(IMAGES / "workflow.svg")
