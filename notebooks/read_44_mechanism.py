# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4.4 Task-driven learnable loss: does it find what the task needs?
#
# **It can. On scenes whose answer is known, a loss whose weights the task alone has taught finds which image carries what, and an
# $\mathcal{F}$ of the paper's form that follows it serves the task better than with $w = 1/2$, and better than with the scene's own
# weights. By the task it cannot be told from an $\mathcal{F}$ that is trained by the task's loss itself, and it keeps the image,
# which that one ruins; but neither is as good for the task as both images side by side, without any fusion.**
#
# **What this page shows.** The paper's central claim, put to a test that photographs do not allow: on scenes where it is
# known, pixel by pixel, which image carries the class. First what any $w$ can win there, then what learned ones win, what
# that does to the image, and whether fusing pays at all.
#
# **What it needs.** A few seconds: it reads `results/lookahead.csv`. The runs behind it take some minutes each on
# one core (`snakemake -s studies/Snakefile -j 2 lookahead`). Questions, arms and criteria were
# [written down before them](../book/reproduce/lookahead_plan.md). This is the second study of the question; the
# [first](first_study.ipynb) could not answer it.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from tdfusion import results
from tdfusion.data.synthroad.scenes import SynthRoad, oracle_weights
from tdfusion.figures.seeds import gain_bars, one_against_other, task_and_image
from tdfusion.figures.studies import image_grid, seed_dots
from tdfusion.metrics import METRICS
from tdfusion.results.paper import format_table
from tdfusion.results.seeds import CLAIMED, RANK, Arms

arms, about = Arms(results.load("lookahead")), results.about("lookahead")
made, setting = pd.DataFrame(about["provenance"]), about["settings"]
JUDGES = {"SegFormer": "mIoU", "U-Net": "mIoU, U-Net"}
seeds = made.groupby("arm").seed.nunique()
print(f"{len(made)} runs, {made.seconds.sum() / 3600:.1f} h on {made.hardware[0]}, one thread each")
print(
    f"begun {made.started.min()[:16]} to {made.started.max()[:16]} UTC; every run's commit is in the record"
)
print(f"of the plan's runs {len(setting['not_run'])} are not made yet; the record names them")

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
half, oracle, taught = "small: half", "small: oracle", "small: taught"
direct, both = "small: half + L_t", "two channels"
display(
    Markdown(f"""
In numbers: mean IoU, paired differences over {arms.gain(taught, half).n} seeds with 95 % intervals.

- The control: the scene's own weights instead of 1/2 gain {arms.gain(oracle, half):+.3f}.
- Weights taught by the task gain {arms.gain(taught, half):+.3f}: {arms.closed(taught, half, oracle):.0%} of that.
- Algorithm 1 as the paper has it, one step of $\\mathcal{{F}}$, gains {arms.gain("small: one step", half):+.3f}; the rank correlation of its $w$ with
  the scene's own is {arms.mean("small: one step", "rank"):+.2f}, that of the taught $w$ {arms.mean(taught, "rank"):+.2f}.
- Algorithm 1 with its step taken in the image gains {arms.gain("small: image step", half):+.3f}: {arms.closed("small: image step", half, oracle):.0%}.
- Taught weights minus the task's loss in $\\mathcal{{F}}$'s own: {arms.gain(taught, direct):+.3f} mIoU, {arms.gain(taught, direct, "VIF"):+.2f} VIF.
- Taught weights minus both images as two channels: {arms.gain(taught, both):+.3f}.
""")
)

# %% [markdown]
# ## What a learned loss wins
#
# $\mathcal{F}$ has the paper's form at width 8 and follows $\mathcal{L}_f$ with $\alpha = 0$. The ways to come by its $w$
# differ, and nothing else: the oracle's (the scene's own answer), *taught* ($\mathcal{G}$ first alone, by the task, on
# other scenes), Algorithm 1 with the *image step*, with the paper's *one step*, and with *Gauss-Newton*; then rules of
# thumb that nobody had to learn. Judges are networks trained afresh on each arm's images.


# %% tags=["hide-input"] mystnb={"image": {"alt": "For every way to come by w, the gain in mean IoU over w = 1/2 with its 95 percent interval, by two judges"}, "figure": {"caption": "Gain in mean IoU over w = 1/2, paired by seed, with 95 % intervals; filled where the interval lies above 0. Dashed: what the positive control asks of the oracle. Small F, alpha 0.", "name": "fig-mechanism-gains"}}
def gains(names: list[str], base: str) -> dict:
    found = {}
    for judge, metric in JUDGES.items():
        there = [name for name in arms.ran(names, metric) if seeds[name] > 1]
        found[judge] = {name.partition(": ")[2] or name: arms.gain(name, base, metric) for name in there}
    return found


ways = ("oracle", "taught", "image step", "image step, three times", "one step", "gauss-newton", "shuffled", "brighter",
        "contrast", "edges", "blobs", "half + L_t", "image step + L_t", "taught + L_t")  # fmt: skip
figure = gain_bars(
    gains([f"small: {way}" for way in ways], "small: half"), "mIoU minus that of w = 1/2", bar=0.03
)

# %% [markdown]
# ## The criteria, one by one


# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
def verdict(yes: bool, interval) -> str:
    return ("yes" if yes else "no") if interval.n >= CLAIMED else f"open: {interval.n} of {CLAIMED} seeds"


def asked(question: str, arm: str, base: str, yes: bool | None = None) -> None:
    """A row: is one arm better than another, by both judges; the first decides."""
    if arms.ran([arm, base]) == [arm, base]:
        gain, again = arms.gain(arm, base), arms.gain(arm, base, JUDGES["U-Net"])
        answer = verdict(gain.holds if yes is None else yes, gain)
        rows.append((question, f"{arm} minus {base}", f"{gain:+.3f}", answer, f"{again:+.3f}"))


rows: list[tuple] = []
learned = [f"small: {way}" for way in ("taught", "image step", "gauss-newton", "one step")]
asked("C", oracle, half, arms.control(half, oracle))
for arm in arms.ran(learned):
    asked("L1", arm, half)
for arm in arms.ran(learned):
    closed, beyond = arms.closed(arm, half, oracle), arms.reaches(arm, half, oracle)
    rows.append(
        ("L2", f"{arm}: part of the oracle's gain", f"{closed:.0%}", verdict(beyond.holds, beyond), "")
    )
asked("L3", taught, "small: shuffled")
rules = arms.ran([f"small: {rule}" for rule in ("brighter", "contrast", "edges", "blobs")])
if rules:
    asked("L4", taught, max(rules, key=lambda rule: arms.mean(rule).mean))
for arm in arms.ran(learned, "rank"):
    rank = arms.mean(arm, "rank")
    found = verdict(rank.mean >= RANK and rank.holds, rank)
    rows.append(("L5", f"{arm}: rank correlation of its w with the oracle's", f"{rank:+.2f}", found, ""))
for arm in (taught, "small: image step", "small: half + L_t", "oracle mix"):
    asked("F1", arm, "two channels")
rivals = arms.ran([name for name in about["arms"] if name.startswith("small: ")], "VIF")
for arm in arms.ran([taught, "small: image step", "small: half + L_t", "small: image step + L_t"], "VIF"):
    front = [metric for metric in METRICS if arms.inside(arm, rivals, metric) is None]
    found = verdict(len(front) == 6, arms.mean(arm))
    rows.append(
        ("F2", f"{arm}: no arm is better by the task and by", f"{len(front)} of 6 metrics", found, "")
    )
means = pd.DataFrame({metric: arms.of(metric).mean(axis=1) for metric in [*METRICS, *JUDGES.values()]})
rho = means[list(JUDGES.values())].corr("spearman").iloc[0, 1]
rows.append(("J", "Spearman's correlation of the arms' means by the two judges", f"{rho:+.2f}", "", ""))
header = ("", "what", "SegFormer: mean [95 % interval]", "yes?", "U-Net: mean [95 % interval]")
display(Markdown(format_table(header, rows)))

# %% [markdown]
# ## Does fusing pay at all?

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dot plot of mean IoU of the sources, of both images as two channels, of simple mixes and of trained fusion"}, "figure": {"caption": "Mean IoU of the SegFormer judge by what it was trained on. Dots are seeds, bars their mean. Dashed: both images as two channels, no fusion at all.", "name": "fig-mechanism-sources"}}
shown = ["two channels", "infrared", "visible", "mean", "max", "w alone", "teacher", "oracle mix", half, oracle, taught, "small: half + L_t"]  # fmt: skip
figure = seed_dots(arms.of("mIoU").loc[arms.ran(shown)], "mean IoU on test scenes", "two channels")

# %% [markdown]
# ## What it does to the image

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six scatter plots, mean IoU over a fusion metric, a mark per way to come by w"}, "figure": {"caption": "Every arm of the small F by the task's score (up) and by each metric of Table 1 (right is better). Means over seeds.", "name": "fig-mechanism-axes"}}
small = [name for name in means.index if name.startswith("small: ")]
groups = {
    "w given": [n for n in small if n.endswith(("half", "oracle", "brighter", "contrast", "edges", "blobs", "shuffled"))],
    "w learned": [n for n in small if n.endswith(("taught", "step", "newton", "times"))],
    "with L_t": [n for n in small if "L_t" in n],
    "no F": ["visible", "mean", "max", "infrared", "oracle mix", "teacher"],
}  # fmt: skip
titled = means.rename(index=lambda name: name.removeprefix("small: "))
figure = task_and_image(titled, "mIoU", METRICS, {title: [n.removeprefix("small: ") for n in names] for title, names in groups.items()})  # fmt: skip

# %% [markdown]
# ## What the maps and the images look like

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four test scenes: infrared, visible, the oracle's weights, the learned weights of three arms, and the fused images of four arms"}, "figure": {"caption": "Four test scenes of seed 10. Maps are w_a (orange: infrared, purple: visible); the others are what F of each arm makes of the pair.", "name": "fig-mechanism-pictures"}}
maps = results.maps("lookahead")
scenes = SynthRoad("test", setting["scenes"]["test"], (64, 64), 10)
pairs = [scenes[i] for i in setting["scenes"]["shown"]]
weights = {"taught $w_a$": "teacher, w_a", "image step $w_a$": "small: image step, w_a"}
fused = {f"{way}": f"small: {way}, I_f" for way in ("half", "oracle", "taught", "half + L_t")}
figure = image_grid(
    {
        " " * row: {"infrared": pair.ir, "visible": pair.vi, "oracle $w_a$": oracle_weights(pair.optimum)}
        | {title: maps[name][row] / 255 for title, name in (weights | fused).items() if name in maps}
        for row, pair in enumerate(pairs)
    },
    maps=dict.fromkeys(("oracle $w_a$", *weights), "PuOr_r"),
    panel=1.15,
    titles=7,
)

# %% [markdown]
# ## Does the judge decide?

# %% tags=["hide-input"] mystnb={"image": {"alt": "Scatter plot of mean IoU by the U-Net judge over mean IoU by the SegFormer judge, one dot per arm"}, "figure": {"caption": "Mean IoU of every arm by the two judges, means over seeds.", "name": "fig-mechanism-judges"}}
figure, axis = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
one_against_other(axis, means.rename(index=lambda n: n.removeprefix("small: ")), *JUDGES.values(),
                  named=["two channels", "oracle mix", "taught", "half", "oracle", "half + L_t", "visible"])  # fmt: skip

# %% [markdown]
# ## What we read from it
#
# - **The idea works, and it does not need a derivative of $\mathcal{F}$.** $\mathcal{G}$ taught by the task through the mix
#   $w_a I_a + w_b I_b$ (the image step with step size 1/2; the paper's Exp. V) learns a map that is the scene's: its rank correlation
#   with the oracle's is high on scenes that it never saw. [Section 3.7b](read_37_lookahead.ipynb) says why that push (the direction
#   in which the task asks a weight to move) has the places in it.
# - **Taught first is better than learned on the way.** Algorithm 1 with the image step also gains, about half as much: there
#   $\mathcal{G}$ listens to a $\mathcal{T}$ that has only begun to learn, and $\mathcal{F}$ follows weights that are still moving.
# - **The paper's single step collapses here.** Learned through one step of $\mathcal{F}$, $w$ goes to one image everywhere: which
#   one depends on the seed, and its rank correlation with the scene's own answer is none. What little it gains over $w = 1/2$ is what
#   following one image gains. This is what [3.7b](read_37_lookahead.ipynb) finds in that push: a step of $\mathcal{F}$ moves all
#   pixels together, so it hears the whole image and not its places. (Rates as in every arm of this study, 30 times the paper's for $\mathcal{G}$:
#   in so few steps the paper's move nothing.)
# - **An $\mathcal{F}$ that follows the learned loss can be better than one that follows the oracle's.** The oracle is a
#   rule per region with hard edges; the taught weights are soft where nothing is at stake.
# - **What the learned loss buys is the image.** With $\mathcal{L}_t$ in its own loss, $\mathcal{F}$ makes what a judge can read and a
#   person cannot: look at the last column of the pictures, and at VIF, Qabf and SSIM. By the task alone the two cannot be told
#   apart; by both together the learned loss is ahead. That is an answer to why one should want a *fusion loss* at all.
# - **A fusion network can be in the way.** The mix $w_a I_a + w_b I_b$ itself (*teacher*: the paper's Exp. V) is ahead of the
#   $\mathcal{F}$ that follows the same weights, by the task and by VIF, Qabf and SSIM. What $\mathcal{F}$ at this size and length
#   cannot follow is lost on the way.
# - **No fusion is the bar.** Both images as two channels of the task network beat every fused image but the oracle's own
#   mix. Who needs only the task's score should not fuse. Who needs one picture, for a person or for a network with one
#   channel, gains from a loss that asks the task.
#
# **What this does not show yet.** The Gauss-Newton form in this setting, the rules of thumb, $\alpha > 0$, the paper's full width: they
# are in the plan and not run. Real images are in [a plan of their own](../book/reproduce/photographs_plan.md), not run; detection
# and the paper's length are in none.
