# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4.5 Ablation studies
#
# **What this page shows.** The paper's five ablations, what each takes away and which setting does it here; the paper's
# Table 3; and those of the five that were put to a test on scenes with a known answer.
#
# **What it needs.** Nothing: it reads the paper's table and `results/mechanism.csv`, both in the repository.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from tdfusion import results
from tdfusion.results.criteria import Study, per_seed
from tdfusion.results.paper import format_table, paper_table

study = Study(results.load("mechanism"))

# %% [markdown]
# ## What is taken away
#
# | Exp. | without | here |
# |---|---|---|
# | I | the learnable loss: $w_a = w_b = 1/2$ | `w="half"` |
# | II | the gradient term of $L_f$ | `alpha=0` |
# | III | the wall between task and fusion: $\theta_\mathcal{F}$ also follows $L_t$ | `task_weight=1`; *with L_t* in the [first study](first_study.ipynb), there with $w = 1/2$ |
# | IV | the phase in which $\mathcal{F}$ learns on its own (Alg. 1, lines 12 to 16) | `fusion_phase="outer"`. The paper leaves open by which loss $\mathcal{F}$ then moves, so there are two: `IV-L_f` by $L_f$, `IV-L_t` by $L_t$ |
# | V | the fusion network: $I_f = w_a I_a + w_b I_b$ | `form="mix"`; *direct* in the [first study](first_study.ipynb) |
#
# Each is trained by its name: `tdfusion train --experiment III`, or `-p experiment III` for
# [the training notebook](train.ipynb). The settings are those of one Algorithm 1:
#
# ```{libcode} tdfusion.config.EXPERIMENTS
# ```
#
# ## The paper's Table 3

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
table = paper_table(3)
header = ("Exp.", "configuration (paper, FMB)", *table.metrics)
display(Markdown(format_table(header, [
    (str(row["experiment"]), str(row["configuration"]), *(f"{row[metric]:.2f}" for metric in table.metrics)) for row in table.rows
])))  # fmt: skip

# %% [markdown]
# {cite}`bai2025tdfusion`, Table 3: FMB, full scale. Two things to hold against it. All six metrics compare the fused
# image with its sources, and none asks the task for which the loss was learned. And the table comes from one training
# run per row, as far as the paper says, so the spread between seeds is not known.

# %% mystnb={"image": {"alt": "Six small panels: the paper's Table 3 as bars, one per configuration, the full method marked"}, "figure": {"caption": "The paper's Table 3 drawn (FMB, numbers of the paper). Orange: the full method.", "name": "fig-ablations-paper"}} tags=["hide-input"]
figure, axes = plt.subplots(1, len(table.metrics), figsize=(9, 2.2), layout="constrained")
names = [str(row["experiment"]) for row in table.rows]
for axis, metric in zip(axes, table.metrics):
    values = [row[metric] for row in table.rows]
    axis.bar(range(len(values)), values, color=["C0"] * (len(values) - 1) + ["C1"])
    low, high = min(values), max(values)
    axis.set_ylim(low - 0.6 * (high - low), high + 0.1 * (high - low))
    axis.set_title(metric, fontsize=9)
    axis.set_xticks(range(len(names)), [name if len(name) < 4 else "all" for name in names], fontsize=8)
    axis.tick_params(axis="y", labelsize=7)

# %% [markdown]
# Axes do not begin at zero, so that differences can be seen at all: most are a few hundredths.
#
# ## On scenes with a known answer
#
# The judge is the task itself: mean IoU of a fresh segmentation network on fused test scenes
# ([the first study](first_study.ipynb) has the setting and what was wrong with it). SynthRoad at 64 px, three seeds, 300 meta-steps for the paper's
# form of $\mathcal{F}$: far below the paper's scale, and another question than Table 3 asks.


# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = []
for experiment, what, arm, base in (
    ("I", "paper's recipe: learned w instead of 1/2", "paper", "paper half"),
    ("I", "released recipe: learned w instead of 1/2", "released", "released half"),
    (
        "I",
        "F that can only choose, Gauss-Newton form: learned instead of 1/2",
        "mask gauss-newton",
        "mask half",
    ),
    ("I", "the same, G's step falling (not in the study's plan)", "mask gauss-newton, falling", "mask half"),
    (
        "II",
        "F that can only choose, oracle's w: alpha = 0 instead of 1",
        "mask oracle",
        "mask oracle, alpha 1",
    ),
    (
        "III",
        "F that can only choose, w = 1/2: L_t in F's loss too (not in the plan)",
        "mask half, with L_t",
        "mask half",
    ),
    ("III", "the paper's form of F, small, w = 1/2: the same", "small half, with L_t", "small half"),
    ("III", "the paper's recipe, w = 1/2: the same", "paper half, with L_t", "paper half"),
    ("V", "mix trained directly by the task, instead of F at w = 1/2", "direct", "mask half"),
):
    if study.complete(arm, base):
        means, gains = study.miou.mean(axis=1), study.gains(arm, base)
        rows.append((experiment, what, f"{means[base]:.3f}", f"{means[arm]:.3f}", per_seed(gains)))
    else:
        rows.append((experiment, what, "not run", "not run", ""))
display(Markdown(format_table(("Exp.", "what is compared", "base", "changed", "difference per seed"), rows)))

# %% [markdown]
# Experiment IV was not run: the paper leaves open by which loss $\mathcal{F}$ then moves. Nor was Table 3 itself repeated,
# fusion metrics on FMB: it needs the data set and a GPU. Experiment III asks another question here than there: the paper
# adds $\mathcal{L}_t$ to the learned loss and looks at fusion metrics; the study adds it to the plain loss and looks at the
# task.

# %% [markdown]
# ## Exercises
#
# Solutions open on a click.
#
# ### Exercise 4.5-1: What Exp. V can and cannot do
#
# In Exp. V there is no $\mathcal{F}$: $I_f = w_a I_a + w_b I_b$. Which values can a pixel of $I_f$ have? Can the image be sharper than
# its sources? Compare with the $\mathcal{F}$ of the stored run of preset `tour`: at which share of the pixels does it
# leave the range that the sources span?
#
# :::{dropdown} Solution
# A pixel lies between the two source pixels, always. So Exp. V cannot brighten, sharpen or add contrast where both
# sources are flat. It can make edges that neither source has, where the weights change from pixel to pixel: its
# gradient is $w_a \nabla I_a + w_b \nabla I_b + (I_a - I_b) \nabla w_a$, and the last term is a seam. A network $\mathcal{F}$
# knows no such bound, and the one below leaves the range at many pixels.
#
# So Table 3's row V changes two things at once: there is no network between the weights and the image, and, since nothing is left that
# $\mathcal{L}_f$ could train, the task trains the weights directly.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
import torch

from tdfusion.data.pair import collate
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.models import FusionNet, LossNet, MixNet

scenes = SynthRoad("test", length=8, size=(96, 128), seed=0)
pairs = collate([scenes[i] for i in range(8)])
low, high = torch.minimum(pairs.ir, pairs.vi), torch.maximum(pairs.ir, pairs.vi)
torch.manual_seed(0)
for name, net in {
    "Exp. V, untrained": MixNet(LossNet()),
    "F (tour)": FusionNet.from_file(results.run("tour").folder / "F.safetensors"),
}.items():
    with torch.no_grad():
        I_f = net(pairs.ir, pairs.vi)
    outside = (I_f < low - 1e-4) | (I_f > high + 1e-4)
    print(f"{name}: outside the range of the sources at {outside.double().mean():.0%} of the pixels")

# %% [markdown]
# ### Exercise 4.5-2: Three of one sign
#
# A comparison with three seeds comes out with the same sign three times. How often does that happen by chance, if nothing has an effect?
# Of the comparisons in the last table, which have three equal signs, and for which does Student's 95 % interval
# exclude zero?
#
# :::{dropdown} Solution
# By chance in one of four comparisons: the second and the third seed must agree with the first. Three equal signs are weak evidence,
# and in a table of nine lines about two would show them although nothing works. The interval asks for more: with three seeds its
# half-width is 2.5 sample deviations. The comparison of the released recipe is the instructive one here: three small gains, and
# an interval that holds zero.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
from tdfusion.intervals import student

COMPARED = {
    "paper": "paper half", "released": "released half", "mask gauss-newton": "mask half",
    "mask oracle": "mask oracle, alpha 1", "mask half, with L_t": "mask half", "direct": "mask half",
}  # fmt: skip
for arm, base in COMPARED.items():
    gains = study.gains(arm, base)
    interval = student(gains)
    one_sign = (gains > 0).all() or (gains < 0).all()
    excludes = interval.low > 0 or interval.high < 0
    answers = ["yes" if answer else "no" for answer in (one_sign, excludes)]
    print(f"{arm:<20} one sign: {answers[0]:<4} interval excludes 0: {answers[1]}")

# %% [markdown]
# ### Exercise 4.5-3: Where would a learned constant stand?
#
# Exp. I replaces the learned weights by 1/2 and gets lower values. Does it follow that the weights learned *where* to look? Name two
# controls that would tell, and find them among the library's settings.
#
# :::{dropdown} Solution
# It does not follow. A learned constant other than 1/2, say 0.7 everywhere, would beat 1/2 as well if infrared is the better source
# on the whole. Controls:
#
# - **the same values at other pixels**: `w="shuffled"` with the file of the trained $\mathcal{G}$ keeps every value of the map and destroys the
#   places. If the score stays, the places did not matter.
# - **a network that has learned nothing**: `w="frozen"` lets an untrained $\mathcal{G}$ write, so what remains of a gain is not
#   due to learning.
#
# The [study of Section 4.4](read_44_mechanism.ipynb) ran such controls; Table 3 has none of them.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
from typing import get_args

from tdfusion.config import Weights

print("origins of w:", *get_args(Weights))

# %% [markdown]
# ### Exercise 4.5-4: The smallest step in Table 3
#
# In which metric, and against which experiment, is the full method's lead smallest? Which experiment comes closest over all
# six metrics? What would you conclude about the phase that it leaves out?
#
# :::{dropdown} Solution
# The smallest lead is over Exp. IV, which leaves out the fusion phase; in five of six metrics it is the closest rival or level with
# one. Within the rounding of the table and one training per row, the fusion phase has hardly been shown to matter for these
# metrics. For the cost it matters much: it is about half of the passes through $\mathcal{F}$ (exercise 3.1-1 of {doc}`read_31_overview`).
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
full = table.rows[-1]
leads = {
    row["experiment"]: {metric: round(full[metric] - row[metric], 2) for metric in table.metrics}
    for row in table.rows[:-1]
}
for experiment, by_metric in leads.items():
    print(f"{experiment:<4}", "  ".join(f"{metric} {lead:.2f}" for metric, lead in by_metric.items()))
