# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.3 Two disjoint subsets
#
# **In every epoch the pairs for the fusion network's trial step and the pairs that judge this step are drawn anew and
# have none in common. In all six comparisons of this page a step helps its own pair more than others, so it must not be
# judged there; that the sets of a whole epoch are disjoint is more than this needs, since two independent draws would
# clash in fewer than one of 200 steps.**
#
# **What this page shows.** How the meta-training set *mtr* and the meta-test set *mts* are drawn, what the paper's $M$
# counts, how often a pair plays each role in a whole training, and what a step on one pair does to another.
#
# **What it needs.** Nothing but the library. No image is needed until the last section, which takes a quarter of a
# minute of CPU.
#
# $\mathcal{G}$ is to write a loss whose step makes $\mathcal{F}$ better *for the task*. Whether a step did that is a
# question about pairs that the step has not seen. So every meta-step uses two batches: $\mathcal{F}'$ and
# $\mathcal{T}'$ take their step on one from *mtr*, and are judged on one from *mts* (Eq. (4) to (7),
# {doc}`read_34_meta`). All pairs together, *ftr*, then train $\mathcal{F}$ and $\mathcal{T}$
# ({doc}`read_35_fusion_learning`).

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from IPython.display import Markdown, display
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from scipy.stats import binom

from tdfusion.data.pair import collate
from tdfusion.batches import disjoint_subsets
from tdfusion.data.synthroad.scenes import CLASSES, SynthRoad
from tdfusion.losses import fusion_loss
from tdfusion.meta import call, inner_update_F, inner_update_T, values
from tdfusion.models import FusionNet
from tdfusion.results.paper import format_table
from tdfusion.tasks.segmentation import SegmentationTask

blue, orange = sns.color_palette("colorblind")[:2]
ROLES = ListedColormap(["0.92", blue, orange])  # 0: not drawn, 1: mtr, 2: mts

# %% [markdown]
# ## The draw
#
# ```{libcode} tdfusion.batches.disjoint_subsets
# :nodoc:
# ```
#
# One permutation of the training pairs per epoch, from the run's seed and the epoch's number alone. No pair can come
# twice, so the two sets are disjoint by construction. A small case: 36 pairs, $M = 6$ meta-steps, batches of two.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two grids of coloured cells, one for the paper's partition and one for the released one. Each column is a training pair, each row an epoch; cells are blue for meta-training, orange for meta-test, gray for unused. Every row has twelve blue and twelve orange cells in other places"}, "figure": {"caption": "Which pair plays which role: 36 training pairs (columns), eight epochs (rows), M = 6, batches of two. Gray pairs are not drawn for the meta phase of that epoch; the fusion phase uses all pairs in every epoch.", "name": "fig-partition-roles"}}
n, M, size, epochs = 36, 6, 2, 8


def roles(variant: str) -> np.ndarray:
    """(epochs, n): 0 not drawn, 1 mtr, 2 mts."""
    table = np.zeros((epochs, n), int)
    for epoch in range(epochs):
        mtr, mts = disjoint_subsets(n, M, epoch + 1, seed=0, variant=variant, batch_size=size)
        table[epoch, mtr], table[epoch, mts] = 1, 2
    return table


figure, axes = plt.subplots(2, 1, figsize=(8, 4.6), sharex=True, layout="constrained")
for axis, variant in zip(axes, ("paper", "released")):
    axis.pcolormesh(roles(variant), cmap=ROLES, vmin=0, vmax=2, edgecolors="white", linewidth=1.5)
    axis.set(ylabel="epoch", yticks=np.arange(epochs) + 0.5, yticklabels=range(1, epochs + 1))
    axis.set_title(f"partition: {variant}", fontsize=10, loc="left")
    axis.invert_yaxis()
    axis.tick_params(length=0)
axes[1].set(xlabel="training pair", xticks=np.arange(0, n, 5) + 0.5, xticklabels=range(0, n, 5))
sns.despine(figure, left=True, bottom=True)
names = {
    "mtr: the inner update steps on it": blue,
    "mts: the outer update judges on it": orange,
    "not drawn": "0.92",
}
legend = figure.legend(
    handles=[Patch(color=colour, label=name) for name, colour in names.items()],
    loc="outside lower center", ncols=3, frameon=False, fontsize=9,
)  # fmt: skip

# %% [markdown]
# **Paper versus released code.** The paper draws two subsets. The released script makes one shuffled pass over the
# training pairs and takes batches from it in turn: one for the inner update, the next for the outer one. From the same
# shuffled order that gives other sets, as the rows show, but the same kind of sets: disjoint, uniformly
# random, new in every epoch. The difference is one of order, not of statistics:

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of 36 cells, the shuffled order of one epoch. Paper: twelve blue, then twelve orange, then gray. Released: blue and orange alternate in pairs, then gray"}, "figure": {"caption": "The same shuffled order of one epoch, read in the two ways. Numbers: the meta-step in which the pair is used.", "name": "fig-partition-order"}}
figure, axes = plt.subplots(2, 1, figsize=(8, 1.9), layout="constrained")
for axis, variant in zip(axes, ("paper", "released")):
    mtr, mts = disjoint_subsets(n, M, 1, seed=0, variant=variant, batch_size=size)
    order = np.random.default_rng([0, 1]).permutation(n).tolist()
    row = np.zeros((1, n), int)
    for role, subset in ((1, mtr), (2, mts)):
        for at, index in enumerate(subset):
            row[0, order.index(index)] = role
            axis.text(
                order.index(index) + 0.5,
                0.5,
                at // size + 1,
                ha="center",
                va="center",
                color="white",
                fontsize=8,
            )
    axis.pcolormesh(row, cmap=ROLES, vmin=0, vmax=2, edgecolors="white", linewidth=1.5)
    axis.set_title(f"partition: {variant}", fontsize=10, loc="left")
    axis.axis("off")

# %% [markdown]
# The sets are disjoint in every one of the paper's 50 epochs, at the paper's numbers, in both forms:

# %% tags=["nbval-check-output"]
for variant in ("paper", "released"):
    drawn = [
        disjoint_subsets(1083, 200, epoch, seed=0, variant=variant, batch_size=2)
        for epoch in range(1, 51)
    ]  # fmt: skip
    common = max(len(set(mtr) & set(mts)) for mtr, mts in drawn)
    different = len({frozenset(mtr) for mtr, _ in drawn})
    print(f"{variant}: {common} pairs in both sets, {different} different mtr sets in 50 epochs")

# %% [markdown]
# `tests/test_batches.py` asserts the same for other sizes, and that a data set with too few pairs is refused with the
# number that it would need.
#
# ## What $M$ counts
#
# Sec. 3.3 speaks of "subsets of size $M$", Algorithm 1 of $M$ meta-steps, Sec. 4.1 of $M = 200$ iterations and a batch
# size of 2. With a batch of one the three agree. With two, they do not:
#
# - **$M$ counts steps**: 200 meta-steps take 400 pairs for each set.
# - **$M$ counts pairs**: sets of 200 pairs last for 100 meta-steps; for 200 steps every pair comes twice.
#
# The library counts steps: Sec. 4.1 and Algorithm 1 say so in as many words, and the released code makes 200 meta-steps
# per epoch (with a batch of one pair, so that it does not decide the matter). The share of the training pairs that the
# meta phase of one epoch sees:

# %% tags=["hide-input", "nbval-check-output"] mystnb={"markdown_format": "myst"}
train_pairs = {"MSRS": 1083, "FMB": 1220, "M3FD": 3150, "LLVIP": 1203}  # Sec. 4.1
rows = [
    (name, f"{total:,}", f"{800 / total:.0%}", f"{400 / total:.0%}") for name, total in train_pairs.items()
]
display(Markdown(format_table(("", "training pairs", "M counts steps", "M counts pairs"), rows)))

# %% [markdown]
# ## Fifty epochs
#
# Draws of different epochs are independent, so the number of epochs in which a pair is in *mtr* is binomial, with
# probability $400 / 1083$ on MSRS (200 / 1083 in the other reading).

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two histograms of how often a pair is used in 50 epochs, in each role, with the binomial curve through them. Left, M counts steps: centred near 18. Right, M counts pairs: centred near 9"}, "figure": {"caption": "In how many of 50 epochs a pair of MSRS (1083 pairs, M = 200, batches of two) is in either set; lines: the binomial distribution.", "name": "fig-partition-usage"}}


def usage(M: int, batch_size: int, total: int = 1083, L: int = 50) -> np.ndarray:
    """(2, total): epochs in which each pair is in mtr, and in mts."""
    counts = np.zeros((2, total), int)
    for epoch in range(1, L + 1):
        for role, subset in enumerate(disjoint_subsets(total, M, epoch, seed=0, batch_size=batch_size)):
            counts[role, subset] += 1
    return counts


readings = {"M counts steps: sets of 400": usage(200, 2), "M counts pairs: sets of 200": usage(100, 2)}
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True, layout="constrained")
for axis, (name, counts), chance in zip(axes, readings.items(), (400 / 1083, 200 / 1083)):
    ks = np.arange(counts.max() + 2)
    for role, colour, label in ((0, blue, "mtr"), (1, orange, "mts")):
        axis.bar(
            ks + (role - 0.5) * 0.4,
            np.bincount(counts[role], minlength=len(ks)),
            0.4,
            color=colour,
            label=label,
        )
    axis.plot(ks, 1083 * binom.pmf(ks, 50, chance), color="0.2", linewidth=1)
    axis.set(title=name, xlabel="epochs of 50")
axes[0].set_ylabel("pairs")
axes[0].legend(frameon=False)
sns.despine(figure)

# %% tags=["nbval-check-output"]
for name, counts in readings.items():
    print(f"{name}: {counts.mean():.1f} epochs per role, {counts.min()} to {counts.max()}")

# %% [markdown]
# Every pair teaches $\mathcal{G}$ in both roles, in about 18 of the 50 epochs each (9 in the other reading). In the fusion phase
# every pair comes once in every epoch, 50 times in all. All of this is the draw alone; it holds for any images.
#
# ## Why disjoint
#
# What would go wrong if $\mathcal{F}'$ and $\mathcal{T}'$ were judged on the pair that they just stepped on? They would
# look better than they are, by what the step learned about that pair alone. How much is that? Take a small
# $\mathcal{F}$ and $\mathcal{T}$ with 40 fusion steps behind them and eight pairs that they have not seen. Let
# $\mathcal{F}$ take its inner step, Eq. (4), on one of them, and measure $\mathcal{L}_f$ on all eight; then the same for
# $\mathcal{T}$, Eq. (5) and $\mathcal{L}_t$. The weights are 1/2 everywhere and the step size is 0.01.

# %% tags=["hide-input"]
scenes = SynthRoad("train", length=64, size=(64, 64), seed=0)
half = torch.full((1, 1, 64, 64), 0.5)
fresh = [collate([scenes[i]]) for i in range(40, 48)]


def L_f(I_f, batch):
    return fusion_loss(I_f, batch.ir, batch.vi, half, half)


def networks(seed: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """F and T after 40 fusion steps on other scenes."""
    torch.manual_seed(seed)
    F = FusionNet(width=8, blocks=1)
    T = SegmentationTask(len(CLASSES), hidden_sizes=[8, 16, 24, 32], decoder_hidden_size=32)
    optimisers = [torch.optim.Adam(net.parameters(), lr=3e-3) for net in (F, T)]
    for i in range(40):
        batch = collate([scenes[i]])
        I_f = F(batch.ir, batch.vi)
        for loss, optimiser in zip((L_f(I_f, batch), T(I_f.detach(), batch)), optimisers):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return F, T.eval()


def relative_changes(F, T, eta: float = 0.01) -> tuple[torch.Tensor, torch.Tensor]:
    """(8, 8) each: change of L_f on pair j by F's step on pair i, and of L_t by T's step, as shares."""
    with torch.no_grad():
        fused = [F(batch.ir, batch.vi) for batch in fresh]

    def all_L_f(theta):
        with torch.no_grad():
            return torch.stack([L_f(call(F, theta, batch.ir, batch.vi), batch) for batch in fresh])

    def all_L_t(theta):
        with torch.no_grad():
            return torch.stack([call(T, theta, I_f, batch) for I_f, batch in zip(fused, fresh)])

    by_F, by_T = [], []
    for batch, I_f in zip(fresh, fused):
        theta = {name: value.clone().requires_grad_() for name, value in values(F).items()}
        slope = torch.autograd.grad(L_f(call(F, theta, batch.ir, batch.vi), batch), list(theta.values()))
        by_F.append(all_L_f(inner_update_F(values(F), dict(zip(theta, slope)), eta)))
        by_T.append(all_L_t(inner_update_T(T, I_f, batch, eta)[0]))
    return torch.stack(by_F) / all_L_f(values(F)) - 1, torch.stack(by_T) / all_L_t(values(T)) - 1


found = [relative_changes(*networks(seed)) for seed in range(3)]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two 8 by 8 matrices in percent. Left: the change of the fusion loss by a step of F. Right: the change of the task loss by a step of T. Most cells are negative; the diagonal, where both are the same pair, on average more than the rest"}, "figure": {"caption": "One step on the pair of the row, its effect on the pair of the column (first of three starts), in percent of the loss before. Purple: better; orange: worse.", "name": "fig-partition-transfer"}}
figure, axes = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
titles = (r"$L_f$ after one step of $\mathcal{F}$", r"$L_t$ after one step of $\mathcal{T}$")
for axis, changes, title in zip(axes, found[0], titles):
    top = 100 * changes.abs().max().item()
    drawn = axis.imshow(100 * changes, cmap="PuOr_r", vmin=-top, vmax=top)
    axis.set(title=title, xlabel="judged on pair", ylabel="stepped on pair", xticks=range(8), yticks=range(8))
    figure.colorbar(drawn, ax=axis, label="change in %", fraction=0.046, pad=0.03)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
other = ~torch.eye(8, dtype=torch.bool)
rows = [
    (str(seed), *(f"{100 * by[where].mean():.1f} %" for by in changes for where in (~other, other)))
    for seed, changes in enumerate(found)
]
header = ("start", "F, same pair", "F, other pairs", "T, same pair", "T, other pairs")
display(Markdown(format_table(header, rows)))

# %% tags=["nbval-check-output"]
better = [(by[~other].mean() < by[other].mean()).item() for changes in found for by in changes]
print(f"the step gains more on its own pair than on the others: {sum(better)} of {len(better)} times")

# %% [markdown]
# The table has the mean change of the loss, on the pair stepped on and on the seven others. Most of what a step gains
# it often gains on the other pairs too, presumably because networks so young still learn what all pairs have in common.
# The rest is for the pair itself, and how large it is differs from start to start. That rest is what a judgement on the
# same pair would count in favour of $\mathcal{G}$ although it says nothing about the loss that $\mathcal{G}$ wrote.
# Disjoint sets leave it out. The run shows that the bias exists; it does not show what overlapping sets would do to a
# whole training.

# %% [markdown]
# ## Exercises
#
# Solutions open on a click.
#
# ### Exercise 3.3-1: Never drawn
#
# How many training pairs of MSRS, and how many of M3FD, are in *mtr* in none of the 50 epochs? Give the expected number first,
# with $M = 200$ and batches of two.
#
# :::{dropdown} Solution
# A pair is left out of *mtr* in one epoch with probability $1 - 400/n$, and the epochs are independent, so
# $n\, (1 - 400/n)^{50}$ pairs are expected to be left out always. That is $10^{-7}$ of a pair on MSRS and three or four
# pairs on M3FD, which is nearly three times as large. On M3FD a few labels never take part in the step that is judged,
# though they do train $\mathcal{F}$ and $\mathcal{T}$.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
for name in ("MSRS", "M3FD"):
    total = train_pairs[name]
    drawn = (disjoint_subsets(total, 200, epoch, seed=0, batch_size=2)[0] for epoch in range(1, 51))
    never = total - len(set().union(*drawn))
    print(f"{name}: expected {total * (1 - 400 / total) ** 50:.1f}, found {never}")

# %% [markdown]
# ### Exercise 3.3-2: The largest M
#
# How many meta-steps can an epoch have at most, with batches of two, on each of the paper's data sets? What does the library do
# when one more is asked for?
#
# :::{dropdown} Solution
# A meta-step uses four pairs, two in each role, and no pair comes twice: $\lfloor n / 4 \rfloor$ steps. The paper's 200 are
# three quarters of what MSRS allows. One step more is refused, with the number of pairs that it would need; to use a pair twice
# in silence would give up what the page is about.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
from tdfusion.errors import InputError

for name, total in train_pairs.items():
    disjoint_subsets(total, total // 4, 1, seed=0, batch_size=2)
    try:
        disjoint_subsets(total, total // 4 + 1, 1, seed=0, batch_size=2)
    except InputError:
        print(f"{name}: {total // 4} meta-steps, one more is refused")

# %% [markdown]
# ### Exercise 3.3-3: Which disjointness matters
#
# Suppose *mtr* and *mts* were drawn independently of each other, 400 pairs each of the 1083 of MSRS. How many pairs would the two
# sets share? In how many of the 200 meta-steps would a pair be judged on itself? Which of the two numbers matters for
# the bias that this page measured?
#
# :::{dropdown} Solution
# The sets would share about $400 \cdot 400 / 1083 \approx 148$ pairs. But a pair is judged on itself only if it is in both
# batches of *the same* step. Two batches of two share a pair with probability of about $4 / 1083$, so that happens in fewer than one
# of 200 steps.
#
# The bias arises in a single step, so the second number counts: independent draws would leave it in less than half a
# percent of the steps. What must not happen is to judge on the very batch of the step. That the sets of a whole epoch
# are disjoint is sufficient, and cheap, but more than is needed. (The clones are thrown away after the step, so nothing of them is
# left when the pair comes again. $\mathcal{G}$ is not thrown away; what it remembers of a pair is another question.)
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
shared, judged_on_itself = [], []
for epoch in range(1, 51):
    mtr, _ = disjoint_subsets(1083, 200, epoch, seed=0, batch_size=2)
    mts, _ = disjoint_subsets(1083, 200, epoch, seed=1, batch_size=2)  # another draw
    shared.append(len(set(mtr) & set(mts)))
    steps = range(0, 400, 2)
    judged_on_itself.append(sum(bool(set(mtr[k : k + 2]) & set(mts[k : k + 2])) for k in steps))
print(f"pairs in both sets: expected {400 * 400 / 1083:.0f}, found {np.mean(shared):.0f} per epoch")
expected, found_here = 200 * 4 / 1083, np.mean(judged_on_itself)
print(f"steps judged on a pair of their own: expected {expected:.1f}, found {found_here:.1f}")
