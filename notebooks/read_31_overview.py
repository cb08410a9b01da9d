# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3.1 Overview
#
# **The task never trains the fusion network $\mathcal{F}$: it teaches the loss generation network $\mathcal{G}$, and
# $\mathcal{G}$ writes the loss by which $\mathcal{F}$ learns. The two take turns: a meta-step moves $\mathcal{G}$ and
# nothing else, a fusion step moves $\mathcal{F}$ and the task network $\mathcal{T}$ and leaves $\mathcal{G}$ alone.
# Fusing images afterwards needs $\mathcal{F}$ only.**
#
# **What this page shows.** One step of each phase, with the parameters that it changed, and at the end answers to
# questions that users ask.
#
# **What it needs.** Nothing but the library: small synthetic scenes, under a minute of CPU.
#
# Two images of the same view, infrared $I_a$ and visible $I_b$, are to become one. There is no right answer to learn
# from. What is known is what the fused image $I_f$ is *for*: a task, such as finding people, with labels and a loss
# $\mathcal{L}_t$. The plain way would be to train fusion on $\mathcal{L}_t$. TDFusion goes round: fusion is trained on a
# fusion loss $\mathcal{L}_f$ as always, but a network writes that loss, and the network is trained so that fusing by its
# loss helps the task.
#
# | network | reads | writes | learns from |
# |---|---|---|---|
# | $\mathcal{F}$, fusion | $I_a, I_b$ | the fused image $I_f$ | $\mathcal{L}_f$ |
# | $\mathcal{G}$, loss generation | $I_a, I_b$ | the weights $w_a, w_b$ in $\mathcal{L}_f$, one per pixel and source | $\mathcal{L}_t$, through a step of $\mathcal{F}$ |
# | $\mathcal{T}$, task | $I_f$ | classes or boxes | $\mathcal{L}_t$ |
#
# Their parameters are $\theta_{\mathcal{F}}, \theta_{\mathcal{G}}, \theta_{\mathcal{T}}$. $\mathcal{F}'$ and
# $\mathcal{T}'$ are clones of $\mathcal{F}$ and $\mathcal{T}$ that have taken one step; they live for one meta-step.
# Fusing images needs $\mathcal{F}$ alone. The loss itself is the subject of {doc}`read_32_loss`, the networks of
# {doc}`read_36_networks`.
#
# ## Two phases
#
# ```{figure} ../book/images/workflow.svg
# :name: fig-overview-workflow
# :alt: Meta phase: G writes weights for the fusion loss, F and T take a trial step and become clones; the clones are judged by the task loss on another pair, and the gradient runs back through them to G. Fusion phase: with G held, the fusion loss moves F and the task loss moves T
# :class: no-card dark-light
# :width: 520px
#
# The workflow, our drawing of what the paper's Fig. 1 contains. A filled network moves, an outlined one is held, a
# dashed outline is a one-step clone. Solid arrows carry data, dashed ones gradients.
# ```
#
# **The meta phase** asks: if $\mathcal{F}$ took one step on the loss that $\mathcal{G}$ writes now, would the task be
# better off? The *inner update* takes that step, but in a clone: $\mathcal{F}$ becomes $\mathcal{F}'$ by Eq. (4), and
# $\mathcal{T}$ becomes $\mathcal{T}'$ by Eq. (5), on a meta-training pair. The *outer update* judges the clones on
# another pair, from the meta-test set. The gradient of that task loss runs back through $\mathcal{T}'$ and
# $\mathcal{F}'$ and through the trial step itself to the weights, and so to $\mathcal{G}$, which moves by Eq. (6) and
# (7). Then the clones are thrown away.
#
# **The fusion phase** uses what $\mathcal{G}$ has learned: with $\mathcal{G}$ held, $\mathcal{F}$ moves by
# $\mathcal{L}_f$, Eq. (8), and $\mathcal{T}$ by $\mathcal{L}_t$ on what $\mathcal{F}$ fuses, Eq. (9). No gradient of
# $\mathcal{L}_t$ enters $\mathcal{F}$.
#
# | step | pairs | labels for | moves | held |
# |---|---|---|---|---|
# | inner update | meta-training | the step to $\mathcal{T}'$ | $\mathcal{F}', \mathcal{T}'$ | $\mathcal{F}, \mathcal{G}, \mathcal{T}$ |
# | outer update | meta-test | judging $\mathcal{F}'$ | $\mathcal{G}$ | $\mathcal{F}, \mathcal{T}$ |
# | fusion | all | the step of $\mathcal{T}$ | $\mathcal{F}, \mathcal{T}$ | $\mathcal{G}$ |
#
# An epoch is $M$ meta-steps (inner and outer together), then $N$ fusion steps. How the pairs are drawn is the subject
# of {doc}`Sec. 3.3 <read_33_partition>`, the meta-step of {doc}`Sec. 3.4 <read_34_meta>`.
# {doc}`Sec. 3.5 <read_35_fusion_learning>` puts all of it in order as Algorithm 1, and
# {doc}`Sec. 3.7 <read_37_theory>` asks what the gradient of $\mathcal{G}$ is made of.
#
# ## One step of each
#
# {py:class}`tdfusion.train.Trainer` holds the three networks. Its methods `meta_step` and `fusion_step` are the two
# phases' steps, here on SynthRoad scenes of 64 pixels with segmentation as the task. Which of the parameter tensors
# are different afterwards?

# %% tags=["hide-input"]
import copy

import matplotlib.pyplot as plt
import seaborn as sns
import torch
from torch.nn.functional import cosine_similarity

from tdfusion.config import make_config
from tdfusion.data.pair import collate
from tdfusion.meta import meta_gradient
from tdfusion.train import Trainer

config = make_config("smoke", M=4, N=8)  # epochs of 4 meta-steps and 8 fusion steps, 2 pairs each
trainer = Trainer(config)
networks = {"F": trainer.F, "G": trainer.G, "T": trainer.T}
untrained_T = copy.deepcopy(trainer.T)


def snapshot() -> dict[str, list[torch.Tensor]]:
    """The parameters of the three networks, copied."""
    return {name: [p.detach().clone() for p in net.parameters()] for name, net in networks.items()}


# %% tags=["nbval-check-output"]
def count_moved(before, after) -> str:
    return "".join(
        f"{sum(not torch.equal(p, q) for p, q in zip(before[name], after[name])):>6}" for name in networks
    )


start = snapshot()
print("parameter tensors ", "".join(f"{name:>6}" for name in networks))
print("in the network    ", "".join(f"{len(start[name]):>6}" for name in networks))
trainer.meta_step(mtr=[0, 1], mts=[2, 3])
after_meta = snapshot()
print("moved by meta-step", count_moved(start, after_meta))
trainer.fusion_step(ftr=[4, 5])
after_fusion = snapshot()
print("moved by fusion   ", count_moved(after_meta, after_fusion))

# %% [markdown]
# The meta-step moves all of $\mathcal{G}$ and nothing else; the fusion step moves all of $\mathcal{F}$ and
# $\mathcal{T}$ and leaves $\mathcal{G}$ alone. Although the meta-step computes $\mathcal{F}'$ and $\mathcal{T}'$, the
# networks that it was given are bit for bit what they were: the clones are values passed to a function, never written
# into the networks.
#
# Two epochs in the same manner, with the size of every step measured:

# %% tags=["hide-input"] mystnb={"image": {"alt": "Bars per step for the three networks: G has bars in the shaded meta phases only, F and T in the white fusion phases only"}, "figure": {"caption": "How far each network moves in each step of two epochs: root mean square over its parameters. Shaded: meta phase.", "name": "fig-overview-turns"}}
phases, movement = [], {name: [] for name in networks}
before = snapshot()
for _ in range(2):
    for row in trainer.run_epoch():
        after = snapshot()
        phases.append(row["phase"])
        for name in networks:
            change = torch.cat([(q - p).flatten() for p, q in zip(before[name], after[name])])
            movement[name].append(change.square().mean().sqrt().item())
        before = after

figure, axes = plt.subplots(3, 1, figsize=(7, 3.4), sharex=True, sharey=True, layout="constrained")
colours = {"F": "#168c70", "G": "#8e68d2", "T": "#c9518a"}  # as in the drawing
steps = range(1, len(phases) + 1)
for axis, name in zip(axes, networks):
    axis.bar(steps, [1e4 * size for size in movement[name]], color=colours[name])
    axis.set_ylabel(f"$\\mathcal{{{name}}}$", rotation=0, labelpad=12, va="center", fontsize=14)
    for step, phase in zip(steps, phases):
        if phase == "meta":
            axis.axvspan(step - 0.5, step + 0.5, color="0.92", zorder=0, linewidth=0)
figure.supylabel("movement per parameter, in $10^{-4}$", fontsize=10)
axes[2].set(xlabel="step", xlim=(0.4, len(phases) + 0.6))
sns.despine(figure)

# %% [markdown]
# All three are moved by Adam here, with the same step size of $10^{-4}$, which is about the most that Adam moves a
# parameter in one of its first steps.
#
# ## Paper versus released code
#
# The two phases and their order are the same in both. What differs in between has its own place in this book: the
# pairs (Sec. 3.3), the steps of $\mathcal{T}'$ and $\mathcal{G}$ (Sec. 3.4), the losses (Sec. 3.2), the schedule
# (Sec. 3.5). Two things concern the workflow as a whole. The released script shows every pair twice, the second time
# with infrared and visible exchanged. And it shows $\mathcal{T}$ whole pairs, made smaller, while $\mathcal{F}$'s own
# loss sees a crop of 256 pixels; the paper mentions neither.
#
# ## Questions people ask
#
# These are asked of this method, and of others that learn a loss in the same way.
#
# ### G is not in the task loss. How can it learn from it?
#
# It is in the task loss *of the next network*. $\mathcal{L}_t$ is taken at $\mathcal{F}'$, and where $\mathcal{F}'$ lies
# depends on the weights that $\mathcal{G}$ wrote for the step. Had $\mathcal{G}$ written other weights, $\mathcal{F}'$
# would be another network with another $\mathcal{L}_t$. That dependence is smooth, so it has a gradient. It is small,
# because one step is small, and it vanishes altogether if the trial step is treated as a constant.
#
# ### Why update T at all?
#
# A good $\mathcal{L}_t$ means: good for the $\mathcal{T}$ that reads the images. $\mathcal{T}$ begins untrained, like
# $\mathcal{F}$. If it stayed so, $\mathcal{G}$ would learn what pleases a network that recognises nothing, and if it
# were updated rarely, what pleased it some time ago. The authors give this as their reason, and name a $\mathcal{T}$
# that was trained beforehand and is then held as an alternative.
#
# There are two updates of $\mathcal{T}$ to tell apart: the lasting one in the fusion phase, Eq. (9), and the trial step
# to $\mathcal{T}'$, Eq. (5). The training above has taken 17 fusion steps by now. How does the gradient that
# $\mathcal{G}$ receives change if either is left out? The cosine between two gradients is 1 if they agree and -1 if
# they are opposite.


# %% tags=["hide-input"]
def gradient_of_G(T: torch.nn.Module, first: int, eta_T_prime: float) -> torch.Tensor:
    """dL_t / dtheta_G in one row, for the four pairs from ``first`` on, with this T and this trial step."""
    mtr, mts = (collate([trainer.pairs[first + i] for i in two]) for two in ((0, 1), (2, 3)))
    torch.manual_seed(0)  # SegFormer has dropout: the same units are dropped every time
    step = meta_gradient(
        trainer.F, trainer.G, T, mtr, mts,
        loss=trainer.L_f, eta_F_prime=config.eta_F_prime, eta_T_prime=eta_T_prime,
    )  # fmt: skip
    return torch.cat([g.flatten() for g in step.theta_G.values()])


no_step, old_T = [], []
for first in (0, 4, 8, 12):
    whole = gradient_of_G(trainer.T, first, config.eta_T_prime)
    no_step.append(cosine_similarity(whole, gradient_of_G(trainer.T, first, 0.0), dim=0).item())
    old_T.append(
        cosine_similarity(whole, gradient_of_G(untrained_T, first, config.eta_T_prime), dim=0).item()
    )
print("cosines on four batches")
print("no trial step ", *(f"{cosine:+.2f}" for cosine in no_step))
print("untrained T   ", *(f"{cosine:+.2f}" for cosine in old_T))

# %% [markdown]
# In this small run the trial step of $\mathcal{T}$ makes next to no difference at this step size. The untrained
# $\mathcal{T}$, only 17 steps back, gives another gradient, and how far off it is changes from batch to batch.
#
# ### Is there one learning rate for all?
#
# The paper writes five step sizes and gives one number, $10^{-4}$. In the library they are five settings, equal by
# default:

# %% tags=["nbval-check-output"]
for name in ("eta_F_prime", "eta_T_prime", "eta_G", "eta_F", "eta_T"):
    print(f"{name:<12} {getattr(make_config('paper'), name):g}")

# %% [markdown]
# In the released script one number, the present learning rate of $\mathcal{F}$'s optimiser, is handed to the inner
# update and to the outer update. That looks like an oversight, and readers have asked. It changes nothing there,
# because the optimisers of all three networks are made with the same rate and the same schedule. The function for the
# inner update is called only once, for $\mathcal{F}$, because $\mathcal{T}$'s trial step is taken by $\mathcal{T}$'s own
# optimiser. An optimiser for $\mathcal{G}$ is made and never used: $\mathcal{G}$ moves along its gradient divided by the
# largest entry.
#
# ### What does meta=False mean in the released code?
#
# There each layer stores two values of its weights: the present one, $\theta_{\mathcal{F}}$, and a second one for
# $\theta_{\mathcal{F}'}$. A flag chooses which of them a forward pass uses. The inner update fills the second values
# from the first and the gradient of $\mathcal{L}_f$, and leaves the first as they are. So the pass on the
# meta-training pair *has* to run with `meta=False`: Eq. (4) takes the gradient at $\theta_{\mathcal{F}}$. The pass on
# the meta-test pair runs with `meta=True` and is that of $\mathcal{F}'$. The gradient is not lost in between, because
# the second values remember how they were computed, $\mathcal{G}$'s weights included.
#
# In this library a network has no second values and no flag. The parameters are an argument:
#
# ```{libcode} tdfusion.meta.call
# :nodoc:
# ```
#
# ### Does the task loss ever train F directly?
#
# No. In the fusion phase $\mathcal{T}$ receives $I_f$ as a constant. $\mathcal{L}_t$ reaches $\mathcal{F}$ only by way
# of the loss that $\mathcal{G}$ writes. The paper tries the direct way too, as an addition: Exp. III of its Table 3,
# with lower values than the full method on all six fusion metrics. By the task's own measure, on scenes with a known
# answer, it is the other way round so far: in {doc}`read_44_mechanism` an $\mathcal{F}$ that follows both serves the
# task better than one that follows the same fusion loss alone, with an image that is worse by all six of them.

# %% [markdown]
# ## Exercises
#
# Solutions open on a click.
#
# ### Exercise 3.1-1: How many passes
#
# How often does each of the three networks run forward in one meta-step, and how often in one fusion step? Count from the
# text first. Then let forward hooks count.
#
# :::{dropdown} Solution
# Meta-step. $\mathcal{F}$ runs three times: on the meta-training pair, as $\mathcal{F}'$ on the meta-test pair, and
# once more in forward mode for the directional derivative of {doc}`Sec. 3.4 <read_34_meta>`. $\mathcal{G}$ runs once.
# $\mathcal{T}$ runs twice: for its trial step, and to say how good $\mathcal{F}'$ is.
#
# Fusion step. Each network runs once.
#
# An epoch therefore runs $\mathcal{F}$ forward $3M + N$ times. With the paper's $M = 200$ and the 542 fusion steps of MSRS, 600
# of the 1142 passes belong to the meta phase: learning the loss costs about as much as learning the fusion.
# :::


# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
def passes(step) -> dict[str, int]:
    """Forward passes of every network in one step."""
    counts = dict.fromkeys(networks, 0)

    def counter(name: str):
        def hook(*_) -> None:
            counts[name] += 1

        return hook

    hooks = [net.register_forward_pre_hook(counter(name)) for name, net in networks.items()]
    step()
    for hook in hooks:
        hook.remove()
    return counts


print("meta-step  ", passes(lambda: trainer.meta_step(mtr=[0, 1], mts=[2, 3])))
print("fusion step", passes(lambda: trainer.fusion_step(ftr=[4, 5])))

# %% [markdown]
# ### Exercise 3.1-2: The loss moves, the image does not
#
# Take one pair, and one meta-step on other pairs. Does $\mathcal{F}$ fuse the pair differently afterwards? Is its
# $\mathcal{L}_f$ the same? What do you learn from it when $\mathcal{L}_f$ has become smaller?
#
# :::{dropdown} Solution
# The image is the same, bit for bit: a meta-step does not move $\mathcal{F}$. Its loss is another number, because
# $\mathcal{G}$ has moved, and $\mathcal{G}$ writes the weights of the loss.
#
# From a smaller $\mathcal{L}_f$ you learn nothing about the image. Between two states of $\mathcal{G}$ the values of
# $\mathcal{L}_f$ are lengths taken with two rulers.
# :::


# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
def look(pair) -> tuple[torch.Tensor, torch.Tensor]:
    """I_f of a pair, and its L_f."""
    with torch.no_grad():
        I_f = trainer.F(pair.ir, pair.vi)
        return I_f, trainer.L_f(I_f, pair.ir, pair.vi, *trainer.G(pair.ir, pair.vi))


pair = collate([trainer.pairs[6]])
I_f_before, L_f_before = look(pair)
trainer.meta_step(mtr=[0, 1], mts=[2, 3])
I_f_after, L_f_after = look(pair)
print("the same image:", torch.equal(I_f_before, I_f_after))
print("the same loss: ", torch.equal(L_f_before, L_f_after))

# %% [markdown]
# ### Exercise 3.1-3: Pairs without labels
#
# You have a thousand pairs with labels and ten thousand without. Which steps of the training can use the second kind?
#
# :::{dropdown} Solution
# Those in which only $\mathcal{L}_f$ is computed, since $\mathcal{L}_f$ asks for no label: the trial step of $\mathcal{F}$,
# Eq. (4), and its lasting step, Eq. (8). Labels are needed for $\mathcal{T}$'s two steps, Eq. (5) and (9), and for the judgement
# on the meta-test pairs, Eq. (6).
#
# The paper draws one batch for both trial steps, and one for both lasting steps, so it needs labels everywhere. But nothing
# in the equations ties them together: $\mathcal{T}$ can take its steps on other pairs than $\mathcal{F}$.
# :::

# %% tags=["hide-cell", "nbval-check-output"] mystnb={"code_prompt_show": "Solution in code", "code_prompt_hide": "Hide the solution"}
from dataclasses import replace

from tdfusion.errors import InputError

unlabelled = replace(pair, mask=None, boxes=None)
I_f, L_f = look(unlabelled)
print("L_f is finite:", bool(L_f.isfinite()))
try:
    trainer.T(I_f, unlabelled)
except InputError as error:
    print("L_t:", error)
