# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The claims, one by one
#
# **What this page shows.** What the paper claims, its number, ours, on what data and at what scale ours was made, and what
# follows. A claim that was not put to a test at all says so.
#
# **What it needs.** Nothing: it reads `results/` and the paper's tables, which are data files of the library.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
from IPython.display import Markdown, display

from tdfusion import results
from tdfusion.results.criteria import Study, better, per_seed, right_way
from tdfusion.results.paper import format_table, paper_table

study = Study(results.load("mechanism"))


def gain(arm: str, base: str) -> str:
    gains = study.gains(arm, base)
    return f"{gains.mean():+.3f} mIoU ({per_seed(gains)})"


def moved(arm: str) -> str:
    found = study.moved(arm)
    return f"{found.mean():+.2f} ({per_seed(found, 2)})"


def verdict(holds: bool) -> str:
    return "seen at this scale" if holds else "not seen at this scale"


def published_miou(method: str) -> float:
    """Of Table 2, retrained on MSRS."""
    (row,) = (r for r in paper_table(2).of("MSRS") if (r["method"], r["score"]) == (method, "mIoU"))
    return row["value"]


small = "SynthRoad 64 px, 300 meta-steps, 3 seeds"
rows = [
    ("Table 1: best or second best in most of six fusion metrics on four data sets", "see the table", "not run: needs the four data sets and a GPU", "untested"),
    ("Table 2: task networks retrained on TDFusion's images score higher", f"MSRS mIoU {published_miou('TDFusion'):.2f}, visible alone {published_miou('Visible'):.2f}", "not run on the paper's data", "untested"),
    ("Sec. 4.4: w prefers the image that serves the task", "Fig. 5, by eye", f"the paper's recipe moves the difference of region means of w_a by {moved('paper')}; {small}", verdict(right_way(study.moved("paper")))),
    ("Table 3, Exp. I: a learned w beats w = 1/2", "FMB: all six metrics", f"paper {gain('paper', 'paper half')}, released {gain('released', 'released half')}; even the oracle's w gains nothing in this recipe, {gain('paper oracle', 'paper half')}; {small}", verdict(better(study.gains("paper", "paper half")) or better(study.gains("released", "released half")))),
    ("Table 3, Exp. III: the task's loss is better kept out of F's", "FMB: fusion metrics of Table 3", f"by the task's own measure, w = 1/2 and L_t in F's loss: F that can only choose {gain('mask half, with L_t', 'mask half')}, small F {gain('small half, with L_t', 'small half')}; SynthRoad 64 px, 3 seeds", verdict(better(study.gains("mask half", "mask half, with L_t")))),
    ("the idea itself: a loss can learn which image serves the task", "Sec. 1", f"not by the paper's form: Gauss-Newton, an F that can only choose, {gain('mask gauss-newton, falling', 'mask half')}; SynthRoad 64 px, 120 meta-steps, 3 seeds", verdict(better(study.gains("mask gauss-newton, falling", "mask half")))),
    ("Sec. 3.7, Eq. (11): the update of G follows the task's gradient", "formula", "as printed not a valid expression; the corrected form equals the meta-gradient, computed four ways (errors in Section 3.7)", "holds when corrected"),
    ("Alg. 1: G can be learned through one step of F", "text", "the gradient is exact and not zero; a first-order version is exactly zero", "holds"),
]  # fmt: skip
display(Markdown(format_table(("claim", "the paper", "here", "verdict"), rows, numbers=False)))
