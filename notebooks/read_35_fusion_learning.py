# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.5 Learning to fuse, and Algorithm 1
#
# **In the fusion phase the loss generation network $\mathcal{G}$ is held: the fusion network $\mathcal{F}$ learns from
# the loss that $\mathcal{G}$ wrote, the task network $\mathcal{T}$ from the images that $\mathcal{F}$ fused, and no
# gradient of the task reaches $\mathcal{F}$. In the 32 steps of this page it makes no difference to the task whether
# $\mathcal{F}$ follows learned weights, 1/2 everywhere or weights that know the scene: its loss ends at 0.60 for all
# three.**
#
# **What this page shows.** Eq. (8) and (9), Algorithm 1 line by line with the function that is each line, and three
# copies of one small training that differ in the weights alone.
#
# **What it needs.** Nothing but the library: 32 synthetic scenes of 64 by 64 pixels, about half a minute of CPU.

# %% tags=["hide-input"]
import copy
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch

from tdfusion.config import make_config
from tdfusion.data.readers import open_dataset
from tdfusion.data.synthroad.scenes import oracle_weights
from tdfusion.figures.panels import image_row, visible_rgb
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.train import Trainer

keep_freed_memory()
L, M, N = 2, 4, 16
config = make_config(
    "smoke", L=L, M=M, N=N, scenes=32, scene_size=(64, 64), crop=64, eta_F=2e-3, eta_T=1e-3, seed=0
)

# %% [markdown]
# ## The fusion step, Eq. (8) and (9)
#
# $$
# \theta_\mathcal{F} = \theta_\mathcal{F} - \eta_\mathcal{F}
# \frac{\partial \mathcal{L}_f(I_a^{ftr}, I_b^{ftr}, I_f^{ftr}; \theta_\mathcal{G})}{\partial \theta_\mathcal{F}}
# $$ (eq-8)
#
# $$
# \theta_\mathcal{T} = \theta_\mathcal{T} - \eta_\mathcal{T}
# \frac{\partial \mathcal{L}_t(I_f^{ftr})}{\partial \theta_\mathcal{T}}
# $$ (eq-9)
#
# Both are Adam steps (Sec. 4.1), not plain ones as printed. In the library:
#
# ```{libcode} tdfusion.algorithm.fusion_step
# :nodoc:
# ```
#
# - $\mathcal{G}$ is held: its weights are computed without a graph and enter $\mathcal{L}_f$ as numbers.
# - $\mathcal{T}$ sees the fused images *detached*. **No gradient of $\mathcal{L}_t$ ever reaches $\mathcal{F}$
#   directly**; the task acts on $\mathcal{F}$ only through the weights. Training $\mathcal{F}$ on both losses is an
#   ablation of the paper (Exp. III of its Table 3).
# - $\mathcal{T}$ trains on images that keep changing, and starts untrained. It serves to teach $\mathcal{G}$; the
#   detectors and segmenters of the paper's Table 2 are trained afterwards, on the finished images.
#
# Who moves in which step, found by comparing every number before and after:

# %% tags=["nbval-check-output"]
trainer = Trainer(config)
trainer.T.train()
for name, take in (
    ("meta-step", lambda: trainer.meta_step([0, 1], [2, 3])),
    ("fusion step", lambda: trainer.fusion_step([4, 5])),
):
    nets = {"F": trainer.F, "G": trainer.G, "T": trainer.T}
    before = {key: copy.deepcopy(net.state_dict()) for key, net in nets.items()}
    row = take()
    for key, net in nets.items():
        same = all(torch.equal(old, new) for old, new in zip(before[key].values(), net.state_dict().values()))
        print(f"{name:<12} {key} {'stays' if same else 'moves'}")

# %% [markdown]
# ## Algorithm 1
#
# The lines have the paper's numbers; the words are ours. Indentation is the loop a line stands in.
#
# | line | what happens | in the library |
# |---:|---|---|
# | 1 | start $\mathcal{F}, \mathcal{T}, \mathcal{G}$ untrained | {py:func}`~tdfusion.algorithm.start` |
# | 2 | **for** each of $L$ epochs | {py:meth}`~tdfusion.train.Trainer.run` |
# | 3 | &emsp;draw *mtr* and *mts*, disjoint | {py:func}`~tdfusion.batches.disjoint_subsets` |
# | 4 | &emsp;**for** each of $M$ meta-steps | {py:func}`~tdfusion.algorithm.epoch` |
# | 5 | &emsp;&emsp;*inner update: what would this loss do?* | {py:func}`~tdfusion.algorithm.meta_step` |
# | 6 | &emsp;&emsp;fuse a batch of *mtr* | {py:func}`~tdfusion.meta.meta_gradient` |
# | 7 | &emsp;&emsp;$\theta_{\mathcal{F}'}$ by Eq. (4), $\theta_{\mathcal{T}'}$ by Eq. (5) | {py:func}`~tdfusion.meta.inner_update_F`, {py:func}`~tdfusion.meta.inner_update_T` |
# | 8 | &emsp;&emsp;*outer update: was it good for the task?* | |
# | 9 | &emsp;&emsp;fuse a batch of *mts* with $\mathcal{F}'$ | {py:func}`~tdfusion.meta.task_gradient` |
# | 10 | &emsp;&emsp;move $\theta_\mathcal{G}$ by Eq. (6) | {py:func}`~tdfusion.meta.outer_update` |
# | 11 | &emsp;*end of the meta phase* | |
# | 12 | &emsp;**for** each of $N$ fusion steps | {py:func}`~tdfusion.algorithm.epoch` |
# | 13 | &emsp;&emsp;*fusion update* | {py:func}`~tdfusion.algorithm.fusion_step` |
# | 14 | &emsp;&emsp;fuse a batch of *ftr* | |
# | 15 | &emsp;&emsp;move $\theta_\mathcal{F}$ by Eq. (8), $\theta_\mathcal{T}$ by Eq. (9) | |
# | 16 | &emsp;*end of the fusion phase* | |
# | 17 | *end of the epoch* | |
#
# As code, the two loops of an epoch:
#
# ```{libcode} tdfusion.algorithm.epoch
# :nodoc:
# ```
#
# And the body of the first one (the second one's stands above):
#
# ```{libcode} tdfusion.algorithm.meta_step
# :nodoc:
# ```
#
# The paper uses $N$ for the size of the training set and for the number of fusion steps. With batches of two the
# library reads it as one pass: 542 steps for the 1083 pairs of MSRS, the last with one pair.

# %% [markdown]
# ## Three copies
#
# The copies have the same start and the same pairs in the same order; only the weights differ, which is one setting:
# `w`. Where they are not learned there is no meta phase.


# %%
def train(w: str) -> Trainer:
    """Algorithm 1 with another origin of w; its history without the meta-steps."""
    trainer = Trainer(replace(config, w=w))
    trainer.run(progress=False)
    trainer.history = [row for row in trainer.history if row["phase"] == "fusion"]
    return trainer


copies = {"w = 1/2": train("half"), "learned": train("learned"), "oracle": train("oracle")}

# %% [markdown]
# The oracle knows from the scene's construction which source carries each object (as in
# {doc}`read_32_loss`). There are only 32 fusion steps, so $\mathcal{F}$ has 20 times and $\mathcal{T}$ 10 times the paper's
# learning rate; $\mathcal{G}$ has the paper's $10^{-4}$ and eight meta-steps.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three plots over 32 fusion steps for the three copies: the fusion loss falls in all, close together; the task loss falls on nearly the same curve in all three; the mean weight is 1/2, or near it where learned, and varies around 0.4 for the oracle"}, "figure": {"caption": "The fusion steps of the three copies. Each L_f is measured with the weights of its own copy.", "name": "fig-fusion-copies"}}
figure, axes = plt.subplots(1, 3, figsize=(9.6, 2.8), layout="constrained")
titles = {"L_f": "fusion loss $L_f$", "L_t": "task loss $L_t$", "w_a": "mean of $w_a$ in the batch"}
for axis, (key, title) in zip(axes, titles.items()):
    for (name, trainer), colour, style in zip(
        copies.items(), sns.color_palette("colorblind"), ("-", "--", ":")
    ):
        axis.plot(range(1, L * N + 1), [row[key] for row in trainer.history], style, color=colour, label=name)
    axis.axvline(N + 0.5, color="0.8", linewidth=0.8, zorder=0)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("fusion step")
axes[2].set_ylim(0, 1)
axes[0].legend(frameon=False, fontsize=9)
sns.despine(figure)

# %% tags=["hide-input"]
test = open_dataset("SynthRoad", None, "test", length=8, size=(64, 64), seed=0)
scenes = [test[i] for i in range(8)]
I_a, I_b = (
    torch.stack([pair.ir for pair in scenes]),
    torch.stack([pair.vi for pair in scenes]),
)  # (8, 1, H, W)
w_oracle = torch.stack([oracle_weights(pair.optimum) for pair in scenes])
with torch.no_grad():
    fused = {name: trainer.F(I_a, I_b) for name, trainer in copies.items()}
    w_learned, _ = copies["learned"].G(I_a, I_b)
apart = (I_a - I_b).abs().mean()
print("eight test scenes, fused image against that of the copy with w = 1/2:")
for name in ("learned", "oracle"):
    change = fused[name] - fused["w = 1/2"]
    shift = change.mean((1, 2, 3)).square().mean() / change.square().mean()  # a shift per scene
    print(
        f"{name:<8} {change.abs().mean() / apart:.0%} of the sources' distance, {shift:.0%} of its square a common shift"
    )
print(f"learned w_a there: mean {w_learned.mean():.2f}, sd over pixels {w_learned.std():.2f}")
last = {name: np.mean([row["L_t"] for row in trainer.history[-8:]]) for name, trainer in copies.items()}
print("L_t, mean of the last eight steps:", ", ".join(f"{name} {value:.2f}" for name, value in last.items()))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Eight panels of one test scene: infrared, visible, learned weights, oracle weights; the fused images of the three copies, which look alike, and the difference between oracle and w = 1/2"}, "figure": {"caption": "A test scene and its fusion by the three copies of F after 32 steps. Weights: orange for infrared, purple for visible.", "name": "fig-fusion-images"}}
at = 1
pair = scenes[at]
difference = "fused: oracle minus 1/2"
panels = {
    "infrared": pair.ir,
    "visible": visible_rgb(pair),
    "$w_a$: learned": w_learned[at],
    "$w_a$: oracle": w_oracle[at],
    "fused: w = 1/2": fused["w = 1/2"][at],
    "fused: learned": fused["learned"][at],
    "fused: oracle": fused["oracle"][at],
    difference: (fused["oracle"] - fused["w = 1/2"])[at],
}
figure = image_row(
    panels,
    maps={"$w_a$: learned": "PuOr_r", "$w_a$: oracle": "PuOr_r", difference: "RdBu_r"},
    ranges={difference: (-0.1, 0.1)},
    columns=4,
)

# %% [markdown]
# What so few steps can show, and what they cannot:
#
# - All three copies learn the same thing first, brightness and edges, so $\mathcal{T}$ sees nearly the same images and the
#   three task losses lie on one curve. **Nothing here says which weights are better for the task.**
# - The three curves of $\mathcal{L}_f$ are measured with three different rulers: the weights are part of the loss. A lower
#   one is not a better fusion. This holds for every curve of a loss that is itself learned.
# - Even the oracle's weights, 0 or 1 at almost every pixel, leave the fused images close to those of $w = 1/2$, and
#   part of the difference is a common shift of brightness. Two
#   likely reasons: with $\alpha = 1$ the gradient term leaves the weights little room ({doc}`read_32_loss`), and
#   $\mathcal{F}$ has only begun to learn.
# - The learned $w_a$ is still near 1/2 everywhere: an untrained $\mathcal{G}$ and eight steps. Whether it finds its way in a longer
#   training is the question of {doc}`read_44_mechanism`.
#
# ## Paper versus released code
#
# | | `paper` | `released` |
# |---|---|---|
# | epochs $L$ | 50 | 40 |
# | learning rate of $\mathcal{F}$ and $\mathcal{T}$ | $10^{-4}$ throughout | $10^{-4}$, divided by 10 after every 10 epochs |
# | of $\mathcal{G}$'s step | $10^{-4}$ | that of $\mathcal{F}$, so it decays too |
# | batch | 2 pairs | 1 pair, and the same pair again with infrared and visible exchanged, labels repeated |
# | fusion steps per epoch on MSRS | 542 (one pass) | 1083 (one pass) |
#
# The exchange is one method:
#
# ```{libcode} tdfusion.data.pair.Batch.with_swapped
# :nodoc:
# ```
#
# With it nothing in the training tells $\mathcal{F}$ or $\mathcal{G}$ that the first input is infrared: each pair comes
# both ways.
#
# The decay says how far $\mathcal{G}$ can go. Its released step moves the largest entry by the learning rate and
# every other by less ({doc}`read_34_meta`), so the sum of the learning rates over all meta-steps bounds the way of any
# entry:

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: learning rate over the epochs, constant for the paper, four falling steps for the released code. Right: sum of the learning rates of G over all meta-steps; the paper's rises to 1, the released one levels off near 0.22 after ten epochs"}, "figure": {"caption": "Learning rate (left) and the sum of the learning rates of G over the meta-steps so far (right), 200 meta-steps per epoch.", "name": "fig-fusion-decay"}}
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.7), layout="constrained")
reach = {}
for variant, colour in zip(("paper", "released"), sns.color_palette("colorblind")):
    full = make_config("paper", variant)
    epochs = np.arange(1, full.L + 1)
    every = full.decay_every or full.L
    rate = full.eta_G * full.decay_factor ** ((epochs - 1) // every)
    reach[variant] = full.M * rate.cumsum()
    left.step(epochs, rate, where="mid", color=colour, label=variant)
    right.plot(epochs, reach[variant], color=colour)
left.set(yscale="log", xlabel="epoch", ylabel="learning rate")
right.set(xlabel="epoch", ylabel=r"sum of $\eta_\mathcal{G}$")
left.legend(frameon=False)
sns.despine(figure)

# %% tags=["nbval-check-output"]
total, early = reach["released"][-1], reach["released"][9]
print(f"paper: {reach['paper'][-1]:.3f}")
print(f"released: {total:.3f}, of which {early / total:.0%} in the first ten epochs")

# %% [markdown]
# In the released schedule nine tenths of the way that $\mathcal{G}$ can go lie in the first ten epochs, while
# $\mathcal{F}$ and $\mathcal{T}$ are themselves young. The paper mentions no decay; without one $\mathcal{G}$ follows them
# to the end. (Adam's steps may exceed the learning rate a little, so for the paper the sum is a scale, not a bound.)

# %% [markdown]
# ## Exercises
#
# Solutions open on a click.
#
# ### Exercise 3.5-1: Count the steps
#
# How many meta-steps and how many fusion steps does a whole training on MSRS take, in the paper's form and in the released one?
# How many pairs does $\mathcal{F}$ see in its fusion steps, a pair with exchanged modalities counted as one more?
#
# :::{dropdown} Solution
# $L \cdot M$ meta-steps, and $L$ times the training set divided by the batch, rounded up, of fusion steps. The released form takes fewer
# meta-steps, because it has fewer epochs, and more fusion steps, because its batch is one pair. With the exchange it shows
# $\mathcal{F}$ 60 % more pairs, though no more different scenes.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
for variant in ("paper", "released"):
    full = make_config("paper", variant)  # SynthRoad at the size of MSRS
    steps = -(-full.scenes // full.batch)
    seen = full.L * full.scenes * (2 if full.swap else 1)
    print(f"{variant:<9} {full.L * full.M:>6,} meta-steps {full.L * steps:>6,} fusion steps {seen:>6,} pairs")

# %% [markdown]
# ### Exercise 3.5-2: Nine losses
#
# Three copies of $\mathcal{F}$, three choices of the weights: measure $\mathcal{L}_f$ of every copy under every choice, on the
# eight test scenes. Compare along a row, and then along a column. Which comparison means something?
#
# :::{dropdown} Solution
# Along a column: one loss, three images. Along a row the image is the same and only the ruler changes; the differences there are
# several times those between the copies. The curves on this page are the diagonal of this table, each copy under its own
# weights, and from a diagonal neither comparison can be made: by it the oracle's copy would be the worst.
#
# In its column the oracle's copy is the best, and under the other weights the worst, by about a thousandth each time: it has
# followed its own loss, and after 32 steps the three networks are still nearly the same.
# :::

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
half = torch.full_like(I_a, 0.5)
rulers = {"w = 1/2": half, "learned": w_learned, "oracle": w_oracle}
print("copy      " + "".join(f"{f'by {name}':>12}" for name in rulers))
for name, image in fused.items():
    losses = [copies[name].L_f(image, I_a, I_b, w_a, 1 - w_a).item() for w_a in rulers.values()]
    print(f"{name:<10}" + "".join(f"{loss:>12.4f}" for loss in losses))

# %% [markdown]
# ### Exercise 3.5-3: The step size as printed
#
# Suppose $\mathcal{F}$ were no network but a free image: every pixel a parameter. Take $\alpha = 0$ and a plain gradient step of size
# $\eta$, as Eq. (8) is printed. By which factor does the distance to $w_a I_a + w_b I_b$ shrink in one step? How many steps
# halve it on a crop of 256 by 256 pixels with $\eta = 10^{-4}$?
#
# :::{dropdown} Solution
# The gradient at a pixel is $\frac{2}{HW} (I_f - w_a I_a - w_b I_b)$, so the distance shrinks by $1 - 2 \eta / HW$. For
# $HW = 256^2$ and $\eta = 10^{-4}$ that takes $\ln 2 \cdot HW / (2 \eta) \approx 2 \cdot 10^8$ steps to halve it. Two things
# rescue the training: a network's parameters each move all pixels, so the mean over pixels does not dilute their gradient; and Adam
# (Sec. 4.1) does not care for the size of the gradient. A free image wants $\eta = HW / 2$, and then one step suffices.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
from tdfusion.losses import intensity_loss

a, b, w_a = torch.rand(3, 1, 1, 16, 16, dtype=torch.float64)
goal = w_a * a + (1 - w_a) * b
image = torch.zeros_like(goal).requires_grad_()
(slope,) = torch.autograd.grad(intensity_loss(image, a, b, w_a, 1 - w_a), image)
for eta in (10.0, 16 * 16 / 2):
    left = image - eta * slope - goal
    expected = (1 - 2 * eta / (16 * 16)) * (image - goal)
    farthest = left.abs().max().item()
    print(f"eta = {eta:g}: as expected: {torch.allclose(left, expected)}, farthest {farthest:.2f}")
steps = np.log(0.5) / np.log1p(-2e-4 / 256**2)
print(f"steps that halve the distance: {steps:.1e}")
