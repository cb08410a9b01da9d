# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The first study of Section 4.4
#
# **This study could not answer its question, and is kept as it was.** Its judge was trained for 250 steps and had not
# learned; in the paper's own recipe not even the oracle's $w$ gained anything, so that what is called a *no* below was
# no test; and its best arm was added after the first results had been seen. [Section 4.4](read_44_mechanism.ipynb) has the
# study that followed, with a judge of 1000 steps, a second judge, new scenes for every seed, and intervals.
#
# **What this page shows.** The paper's central claim put to a test that photographs do not allow: on scenes where it is
# known, pixel by pixel, which image carries the class, do the meta-learned weights go there, does the fused image get
# better for the task, and if not, where is the signal lost and what brings it back.
#
# What was wrong with it, found by looking again at its scenes and its code:
#
# - **The judge.** By a judge of 1000 steps in place of 250, all scores rise, and not alike: a judge that is still
#   learning rewards images that give it a head start.
# - **No test in the paper's recipe.** 300 meta-steps and 600 fusion steps at $10^{-4}$ are 3 % and 2 % of the paper's.
#   $\mathcal{T}$ in the loop sees nothing of six classes by then, and the positive control fails: the oracle's $w$ is no better
#   than 1/2. Read "no" in the rows Q2, Q3 and Q4 of the paper's and the released recipe as "no test". *Released* lacks the
#   swapped pairs, the batch of one, the decay and $\mathcal{T}'$ by Adam.
# - **No fusion at all** was not among the baselines: both images as two channels of $\mathcal{T}$.
# - **Three seeds share one set of scenes**, and there are no intervals.
# - "Four steps are one, four times" is empty at that step size; see [Section 3.7b](read_37_lookahead.ipynb) for how long a
#   step would have to be to differ from it.
# - A network that can only choose *can* write hints for a judge, against what the last paragraphs say: where it chooses
#   is itself a picture.
#
# **What it needs.** A few seconds: it reads `results/mechanism.csv` and `results/mechanism_signal.csv`. The runs
# behind them take some hours on one core (`snakemake -s studies/Snakefile mechanism`, a job for every arm and seed, and
# `python -m studies.mechanism_signal`). Their questions, arms and tolerances were
# [written down before them](../book/reproduce/mechanism_plan.md).

# %% tags=["hide-input"]
import textwrap

import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown, display

from tdfusion import results
from tdfusion.data.synthroad.scenes import SynthRoad, oracle_weights
from tdfusion.figures.panels import image_row, visible_rgb
from tdfusion.figures.studies import image_grid, region_curves, seed_dots
from tdfusion.results.criteria import CEILING, Study, better, per_seed, right_way
from tdfusion.results.paper import format_table

study, history, maps = (
    Study(results.load("mechanism")),
    results.history("mechanism"),
    results.maps("mechanism"),
)
setting, made = results.about("mechanism")["settings"], pd.DataFrame(results.provenance_of("mechanism"))
missing = sorted({job.rpartition(", seed")[0] for job in setting["not_run"]})
print(f"{len(made)} runs, {made.seconds.sum() / 3600:.1f} h on {made.hardware[0]}, one thread each")
print(f"begun {made.started.min()[:16]} to {made.started.max()[:16]} UTC; every run's commit is in the file")
print(textwrap.fill(f"of the plan's arms not run, or not in every seed: {'; '.join(missing) or 'none'}", 90))

# %% [markdown]
# ## The test
#
# A SynthRoad scene says of every pixel which image carries its class. The oracle's weights follow from that: 1 where
# infrared carries, 0 where visible does, the nearest of the two elsewhere.

# %% mystnb={"image": {"alt": "A test scene of 64 by 64 pixels: infrared, visible in colour, the map of which image carries the class, and the oracle's weights"}, "figure": {"caption": "A test scene of the study. Third: what the scene knows (orange infrared, purple visible, white either, pale orange both). Fourth: the oracle's w_a.", "name": "fig-first-scene"}}
scenes = SynthRoad("test", setting["scenes"]["test"], (64, 64), 0)
pair = scenes[setting["scenes"]["shown"][0]]
shade = torch.tensor([0.5, 0.85, 0.15, 0.6])  # either, infrared, visible, both
figure = image_row(
    {
        "infrared": pair.ir,
        "visible": visible_rgb(pair),
        "what carries": shade[pair.optimum],
        "oracle $w_a$": oracle_weights(pair.optimum),
    },
    maps={"what carries": "PuOr_r", "oracle $w_a$": "PuOr_r"},
)

# %% [markdown]
# The judge is the same for every arm: a fresh SegFormer trained on the arm's fused images, mean IoU on the test scenes.
# Three seeds each; a dot is a seed.
#
# ## How much can the weights matter?


# %% tags=["hide-input"] mystnb={"image": {"alt": "Dot plot of mean IoU of sources and of fusion trained with fixed weights, three seeds each"}, "figure": {"caption": "Mean IoU of the judge, by what it was trained on. Dots are seeds, bars their mean. First five rows: images that no F has made. Below: F trained with fixed weights, without the gradient term unless an alpha is named. mask: F that can only choose, centred unless the row says not; small: the paper's form of F at width 8.", "name": "fig-first-ceiling"}}
def dots(*arms: str, reference: str | None = None):
    return seed_dots(study.miou.loc[study.ran(arms)], "mean IoU on test scenes", reference)


figure = dots(
    "infrared", "visible", "mean", "max", "oracle mix", "mask half", "mask oracle", "mask oracle, alpha 0.02",
    "mask oracle, alpha 0.1", "mask oracle, alpha 1", "mask half, alpha 1", "mask half, not centred",
    "mask oracle, not centred", "small half", "small oracle", "small oracle, three times as long",
    reference="mask half",
)  # fmt: skip

# %% [markdown]
# The dashed line is $w = 1/2$. *Oracle mix* takes each pixel from its good image, without any network in between. The
# gradient term costs a good part of it: the oracle's score falls as $\alpha$ grows. An $\mathcal{F}$ that is *not
# centred* may lean to one image as a whole; *small* is the paper's form of $\mathcal{F}$ with width 8.
#
# ## What the paper's recipe does here
#
# Full-width networks, a plain inner step, Adam with $10^{-4}$, $\alpha = 1$, batch 2; then the released variant with its
# squared weights and normalised step. 300 meta-steps and 600 fusion steps, where the paper has 10 000 meta-steps: what
# fails here may work there.


# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels of curves over epochs: mean infrared weight per region for the paper's recipe and the released one, three seeds each"}, "figure": {"caption": "Mean w_a on the test scenes by what carries the class, over epochs. Lines are seeds. If the loss learned the scene, orange would rise above purple.", "name": "fig-first-paper"}}
figure = region_curves(history, study.ran(["paper", "released"]))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dot plot of mean IoU of the paper's recipe and the released one beside their fixed-weight counterparts"}, "figure": {"caption": "The judge on the paper's form of F: learned weights, 1/2, and the oracle's.", "name": "fig-first-paper-score"}}
figure = dots("paper", "paper half", "paper oracle", "released", "released half", reference="paper half")

# %% [markdown]
# ## Where the signal is lost
#
# $\mathcal{T}$ knows how it wants the pixels of $I_f$ to change. The meta-gradient hears of it only through one step of
# $\mathcal{F}$. At one state of $\mathcal{F}$ and $\mathcal{T}$ (150 steps at $w = 1/2$), four maps say how $w_a$ should
# move: by $\mathcal{T}$'s pixel gradient itself; by one plain step of $\mathcal{F}$ (the bracket of Eq. (11)); by four
# plain steps; and with $v$ replaced by $(J^\top J + \lambda I)^{-1} v$, the Gauss-Newton form
# ([Section 3.7](read_37_theory.ipynb) has $J$ and $v$).

# %% tags=["hide-input"] mystnb={"image": {"alt": "For three forms of F, what carries the class and four maps over one scene: the pixel gradient, the push through one step, through four steps, and in Gauss-Newton form"}, "figure": {"caption": "How w_a is asked to move (orange: towards infrared, purple: towards visible), on one training scene, each map divided by its root mean square over the batch. A row per form of F. First column: what the scene knows (orange infrared, purple visible, white either, pale orange both). Second: what the task asks for. The others: what is left of it after F.", "name": "fig-first-maps"}}
forms = ("pixel gradient", "one step", "four steps", "gauss-newton")
signal, signal_maps = results.load("mechanism_signal"), results.maps("mechanism_signal")
scene = results.about("mechanism_signal")["settings"]["scene"]
train_scene = SynthRoad("train", setting["scenes"]["train"], (64, 64), 0)[scene]
figure = image_grid(
    {
        f"F: {network}": {"what carries": shade[train_scene.optimum]}
        | {form: signal_maps[f"{network}, {form}"].astype(float) for form in forms}
        for network in ("paper 8", "mask", "mask centred")
    },
    maps=dict.fromkeys(("what carries", *forms), "PuOr_r"),
    ranges=dict.fromkeys(forms, (-2, 2)),
    panel=1.75,
    titles=10,
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dot plot of the difference of the push between infrared-carried and visible-carried pixels for each form of the push and of F"}, "figure": {"caption": "The push where infrared carries minus the push where visible does, over batches of training scenes (mean and standard deviation, a marker per seed). Right of 0 is right; a bar that crosses 0 flips from batch to batch.", "name": "fig-first-signal"}}
pushes = [*(f"{form}, batch 16" for form in forms), "one step, batch 2"]
networks = ["paper 8", "mask", "mask, T raw", "mask centred"]
measured = signal.pivot(index=["group", "arm", "seed"], columns="metric", values="value")
figure, axis = plt.subplots(figsize=(7.5, 5), layout="constrained")
places = {}
for i, push in enumerate(pushes):
    for network in networks:
        at = places[f"{push}: {network}"] = len(places) + i
        rows = measured.loc[push, network]
        look = {"fmt": "o", "markersize": 3, "color": f"C{i}", "linewidth": 1, "linestyle": ""}
        axis.errorbar(rows.difference, [at - 0.2, at, at + 0.2], xerr=rows.sd, **look)
axis.axvline(0, color="black", linewidth=0.8)
axis.set_yticks(list(places.values()), list(places), fontsize=7)
axis.invert_yaxis()
axis.set_xlabel("push where infrared carries minus where visible does (in root mean squares)")
axis.grid(axis="x", alpha=0.3)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
means = measured.groupby(["group", "arm"]).mean()
rows = [
    (*push.split(", batch "), *(f"{network}, standardised".replace("T raw, standardised", "raw").rsplit(", ", 1)),
     f"{means.right_sign[push, network]:.0%}", f"{means.lean[push, network]:+.2f} ± {means.lean_sd[push, network]:.2f}")
    for push in pushes for network in networks
]  # fmt: skip
header = ("push by", "batch", "F", "T's input", "batches with the right sign", "lean over the whole image")
display(Markdown(format_table(header, rows)))

# %% [markdown]
# ## What brings it back
#
# The same arms trained to the end: an $\mathcal{F}$ that can only choose, with and without the freedom to lean
# (*centred*), by the plain meta-gradient and by the Gauss-Newton form. *Direct* is the form of the paper's Exp. V, where
# $I_f = w_a I_a + w_b I_b$ and the task trains $\mathcal{G}$ without any fusion network between.
#
# *Falling* means that the learning rate of $\mathcal{G}$ falls linearly over the epochs. **These arms were not in the
# plan.** They were added when the first seed of the Gauss-Newton arm was seen to separate the regions while its weights
# as a whole still swung from epoch to epoch, to the very last; what they show was looked for after that.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dot plot of mean IoU of learned weights, controls and oracles"}, "figure": {"caption": "The judge on learned weights and on their controls. Replay: a fresh F trained with the weights that the Gauss-Newton arm had learned. Shuffled: the same weights, their pixels in random order. Random: an untrained G.", "name": "fig-first-learned"}}
figure = dots(
    "mask half", "mask random", "mask shuffled", "mask plain", "mask plain, falling", "mask gauss-newton",
    "mask gauss-newton, falling", "mask replay", "direct", "mask oracle", "oracle mix", "mask half, not centred",
    "mask plain, not centred", "mask gauss-newton, not centred", "mask oracle, not centred", "small half",
    "small plain", "small gauss-newton", "small oracle", "visible", reference="mask half",
)  # fmt: skip

# %% tags=["hide-input"] mystnb={"image": {"alt": "Curves of mean infrared weight per region over epochs for the arms whose weights are learned"}, "figure": {"caption": "Mean w_a by what carries the class, over epochs, for the arms of the previous figure whose G is learned on an F that can only choose, and for direct. Lines are seeds.", "name": "fig-first-curves"}}
learned = [
    "mask plain, not centred",
    "mask plain",
    "mask gauss-newton",
    "mask gauss-newton, falling",
    "direct",
]
figure = region_curves(history, study.ran(learned))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Learned weight maps of several arms on four test scenes beside the oracle's"}, "figure": {"caption": "w_a on four test scenes, one per row, seed 0 (orange: infrared, purple: visible). First three columns: the two images and the oracle's weights; then what G of each arm has learned.", "name": "fig-first-learned-maps"}}
titles = {arm: arm.replace("mask ", "").replace(", ", ",\n") for arm in ("paper", "released", *learned)}
mapped = {title: f"{arm}, seed 0" for arm, title in titles.items() if f"{arm}, seed 0" in maps}
figure = image_grid(
    {
        " " * row: {
            "infrared": scenes[i].ir,
            "visible": scenes[i].vi,
            "oracle": oracle_weights(scenes[i].optimum),
        }
        | {title: maps[name][row] / 255 for title, name in mapped.items()}
        for row, i in enumerate(setting["scenes"]["shown"])
    },
    maps=dict.fromkeys(("oracle", *mapped), "PuOr_r"),
    panel=1.15,
    titles=7,
)

# %% [markdown]
# ## And if the task trains F itself?
#
# The paper keeps $\mathcal{L}_t$ away from $\mathcal{F}$; letting it in is its Exp. III, rated there by fusion metrics. Here
# $\mathcal{F}$ follows $\mathcal{L}_f + \mathcal{L}_t$ with $w = 1/2$, no $\mathcal{G}$ and no meta-step. **These arms were
# not in the plan either**; they answer a question that every reader asks.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dot plot of mean IoU for three forms of F at w = 1/2, with the task loss in F's own loss, and with the oracle's weights"}, "figure": {"caption": "The judge for three forms of F: w = 1/2; the same with the task's loss added to the fusion loss; and the oracle's w.", "name": "fig-first-joint"}}
figure = dots(
    "mask half", "mask half, with L_t", "mask oracle", "small half", "small half, with L_t", "small oracle",
    "paper half", "paper half, with L_t", "paper oracle",
)  # fmt: skip

# %% [markdown]
# ## The answers
#
# Computed from the runs by the criteria of the plan.


# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = []


def answer(question: str, what: str, measured: str, yes: bool) -> None:
    rows.append((question, what, measured, "yes" if yes else "no"))


def scored(question: str, what: str, arm: str, base: str | None = None) -> None:
    gains = study.gains(arm, base)
    answer(question, f"{what}: scores beyond 1/2", per_seed(gains), better(gains))


def went(question: str, arm: str) -> None:
    answer(question, f"{arm}: w moves the right way", per_seed(study.moved(arm)), right_way(study.moved(arm)))


for arm in (
    "mask oracle",
    "mask oracle, not centred",
    "mask oracle, alpha 1",
    "small oracle",
    "paper oracle",
):
    if study.complete(arm):
        ceiling = study.gains(arm)
        answer("Q1", f"{arm} beats 1/2", per_seed(ceiling), bool((ceiling >= CEILING).all()))
for moves, scores, arm in (("Q2", "Q3", "paper"), ("Q4", "Q4", "released")):
    went(moves, arm)
    scored(scores, arm, arm)
for arm in (
    "mask plain, not centred", "mask plain", "mask plain, falling", "mask gauss-newton, not centred",
    "mask gauss-newton", "mask gauss-newton, falling", "small plain", "small gauss-newton", "direct",
):  # fmt: skip
    if study.complete(arm):
        went("Q6", arm)
        scored("Q6", arm, arm)
for form in ("mask", "small", "paper"):
    if study.complete(f"{form} half, with L_t"):
        scored("-", f"{form}, w = 1/2 and L_t in F's loss", f"{form} half, with L_t")
for arm in filter(study.complete, ("mask plain", "mask gauss-newton", "mask gauss-newton, falling")):
    for ceiling in filter(study.complete, ("mask oracle", "oracle mix")):
        part = study.closed(arm, ceiling)
        answer("Q7", f"{arm}: part of the gap to {ceiling}", f"{part:.0%}", part >= 0.5)
if study.complete("mask shuffled", "mask replay"):
    lost = 1 - study.closed("mask shuffled", "mask replay")
    answer("Q8", "shuffled: part of the replayed gain lost", f"{lost:.0%}", lost >= 0.5)
display(Markdown(format_table(("question", "arm", "measured (per seed)", "yes?"), rows)))

# %% [markdown]
# Q5 is answered by the figure and the table above it. Each gain is over $w = 1/2$ with the same $\mathcal{F}$ and
# $\alpha$. Rows marked *falling* or - were not in the plan, nor were the fixed weights of the $\mathcal{F}$ that is not centred,
# which its learned ones have to be compared with.
#
# ## What we read from it
#
# - **How much the weights can matter depends on the recipe, and in the paper's it is nothing here.** With $\alpha = 0$ and
#   an $\mathcal{F}$ that can only choose, the oracle's $w$ is worth 0.07 mIoU; with $\alpha = 1$ 0.03, and both ends lie
#   lower; in the small form of the paper's network 0.03. In the paper's own recipe, at 600 fusion steps, even the
#   oracle's $w$ gains nothing over $w = 1/2$. So its *no* under Q3 does not blame $\mathcal{G}$: there was nothing to win.
# - **The paper's recipe does not find the map.** It drives $w_a$ towards one value in the whole image: infrared
#   everywhere in its plain form, hardly a move in the released one. This is 300 meta-steps at 64 pixels, not 10 000 at
#   256, so it is no verdict on the paper's tables; it is a warning that a falling loss and a moving $w$ are not yet a
#   loss that has learned the scene.
# - **The task is not to blame.** Its pixel gradient asks for the right image in the right places. One step of
#   $\mathcal{F}$ turns that into a push on the image as a whole, because its parameters move all pixels together. More
#   plain steps of the same size do not help: four are one, four times.
# - **An $\mathcal{F}$ that may lean will lean.** Without centring, learned weights end at the visible image everywhere,
#   by the plain form and by the Gauss-Newton form alike (no difference between regions is left). That gains over
#   $w = 1/2$, because on these scenes the visible image alone does; it is a choice of sensor, not a map. A single right
#   push is therefore not enough: the Gauss-Newton push had the right sign in every batch here too.
# - **Taking the lean away, and undoing the smear, brings the map back, where $\mathcal{F}$ can only choose.** Centred, the
#   plain form finds it in some seeds and never a better score; the Gauss-Newton form finds both in every seed, and when
#   $\mathcal{G}$'s step also falls, more than half of the way to the oracle is made. For the paper's form of
#   $\mathcal{F}$ (*small*) the plain form moves nothing, and ten iterations of the Gauss-Newton form at this damping
#   do not restore the push.
# - **Keep the sources in sight.** Of all learned losses only the Gauss-Newton form with the falling step is above the
#   visible image alone.
# - **The shortest way is the best one.** Training the mix $w_a I_a + w_b I_b$ directly by the task (the paper's Exp. V)
#   comes close to the oracle. Adding $\mathcal{L}_t$ to $\mathcal{F}$'s own loss, with $w = 1/2$ and no $\mathcal{G}$ at
#   all (its Exp. III), does more than the oracle's weights do, for both smaller forms of $\mathcal{F}$; for an
#   $\mathcal{F}$ that can only choose it reaches the oracle's mix. The paper rates both below the full method, by fusion
#   metrics, which do not ask the task. One caution: a network free to paint could write hints for the judge into the
#   image; the one that can only choose cannot.
#
# **What this does not show.** Real images; the paper's networks with the Gauss-Newton form to the end; detection; the
# paper's number of steps. The library has the form as a setting (`TrainConfig(method="gauss_newton")`), so each can be
# tried.
