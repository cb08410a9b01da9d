# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # At full scale
#
# **`snakemake -s studies/Snakefile -j 16 full` makes runs of the paper's length on SynthRoad, in pieces, on a machine
# that may be taken away at any minute. None of them has been made yet, since no run of this book has seen a GPU; the
# same jobs were run at a reduced size, from the first scene to the last score, and those scores may be compared with
# nothing.**
#
# **What this page shows.** What the command makes, what a step asks of a machine and so what to expect, and which runs
# have been made.
#
# **What it needs.** Nothing to read it. The runs themselves want a GPU: see *What to expect*.

# %% tags=["hide-input", "hide-output"]
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import Markdown, display

from tdfusion import results
from tdfusion.config import make_config
from tdfusion.results.paper import format_table

# %% [markdown]
# ## The command
#
# ```
# snakemake -s studies/Snakefile -j 16 results/bench_forms_cuda.csv
# snakemake -s studies/Snakefile -j 16 full
# ```
#
# The first line measures a training step in each form (below) and takes minutes. The second one makes everything else,
# the matrix of runs that `studies/matrix.yaml` calls `full`:
#
# | rule | through | what |
# |---|---|---|
# | train | {doc}`train` | SynthRoad, 1083 pairs of 480x640 pixels, preset `paper`; variants `paper` and `released`; segmentation and detection; the six metrics of 50 fused test pairs |
# | judge | {doc}`downstream` | SegFormer-B0 or YOLOv8n from scratch, 300 epochs, on infrared, visible, mean, max and what every trained $\mathcal{F}$ fuses |
# | table | | all scores in one table; networks, settings, provenance and a row per epoch beside it in `results/full/`, which this page shows |
#
# `-n` says what would be run, `-j` how many processor cores may be used at once; of the jobs on a GPU one runs at a time
# (`--resources gpu=2`: two). The `workers` of the matrix draw the scenes before the first step, since a GPU takes a step
# faster than one process draws a scene.
#
# **A machine that is taken away.** The same command goes on, each run from the last checkpoint in its folder; what is
# done is not made again. Where a machine is lent by the piece, the runs end in time by themselves: this call stops with
# a checkpoint after about nine minutes, and says so; `--retries 20` begins as many further pieces at once.
#
# ```
# snakemake -s studies/Snakefile -j 16 full --config 'full={minutes: 9}'
# ```
#
# **A cluster.** Every run becomes a job with the executor plugins of Snakemake. For Slurm,
# `pip install snakemake-executor-plugin-slurm`, put your account and partition into `studies/profiles/slurm/config.yaml`,
# and from a file system that all nodes share:
#
# ```
# snakemake -s studies/Snakefile --workflow-profile studies/profiles/slurm full --config 'full={minutes: 110}'
# ```
#
# **Another matrix.** Data sets, tasks, variants, rows of Table 3, further settings and seeds multiply. A file of your own
# beside the book's, here the ablations on MSRS, three seeds each:
#
# ```
# table3:
#   data: {MSRS: /data/MSRS}
#   seeds: [0, 1, 2]
#   train: {experiments: [full, I, II, III, V]}
#   judge: {sources: [infrared, visible]}
#   table: runs/table3/scores
#   device: cuda
# ```
#
# `snakemake -s studies/Snakefile -j 8 table3 --configfile table3.yaml` makes it. A name that there is not is refused
# before anything runs, and so is a folder whose run had other settings.
#
# A machine without a network gets its packages as wheels: `pip download -r requirements.lock -d wheels` where there is
# one, then `pip install --no-index --find-links wheels -r requirements.lock` and `pip install --no-index --no-deps
# --no-build-isolation -e .` over there.

# %% [markdown]
# ## What to expect
#
# No run of this book has seen a GPU yet. What can be said before: the arithmetic of a step is the same on every device,
# and so is the number of operations that the host has to hand over, one after the other. Both were counted at 256-pixel
# crops and batch 2.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
forms = results.wide(results.load("bench_forms"), "task", "group", "arm")
config = make_config("paper")
steps = {"meta": config.M, "fusion": -(-config.scenes // config.batch)}
PEAK = 67e12  # operations per second of an H200 in float32 outside its tensor cores, by its data sheet
SHARE = 0.25  # of it, as a guess at what convolutions of this size reach
header = ("task", "step", "per epoch", "GFLOP", "operations", "arithmetic, s per epoch", "host, s per epoch")
rows, epoch = [], {}
for task in forms.index.unique("task"):
    # a step on 32-pixel crops here: hardly any arithmetic, as many operations
    counted, small = (forms.loc[task, size, "eager, forward"] for size in ("256 px", "32 px"))
    for phase, count in steps.items():
        flop, operations = counted[f"{phase} GFLOP"], counted[f"{phase} operations"]
        arithmetic = count * flop * 1e9 / (PEAK * SHARE)
        host = count * small[f"{phase}_step_s"]
        epoch[task] = epoch.get(task, 0) + max(arithmetic, host)
        rows.append(
            (task, phase, str(count), f"{flop:.0f}", f"{operations:,.0f}", f"{arithmetic:.0f}", f"{host:.0f}")
        )
display(Markdown(format_table(header, rows)))
print("counted and measured on", results.made_at("bench_forms"))
for task, seconds in epoch.items():
    print(
        f"{task}: about {seconds:.0f} s per epoch by the larger column, {config.L * seconds / 60:.0f} min for {config.L} epochs"
    )

# %% [markdown]
# *Arithmetic* is the time at a quarter of an H200's 67 TFLOP/s (float32, data sheet): a guess, since nothing was
# measured. *Host* is the time of the same number of steps on 32-pixel crops on this book's processor, where arithmetic
# hardly counts: about what it takes to hand the operations over one by one. The larger of the two bounds an eager epoch
# from below. Where it is the host's, compiling or CUDA graphs are what helps, and `bench_forms.py` measures them first.
# The released variant sees every pair twice and 1083 fusion steps an epoch, so expect about twice the time.

# %% [markdown]
# ## The forms of a step
#
# Equal in value, unequal in time: the meta-gradient by forward mode, as everywhere in this book; by double backward, as
# the paper describes it; and with the three networks compiled by `torch.compile`. The distance is that of the
# meta-gradient of $\theta_{\mathcal{G}}$ from the first form's, relative, in float32.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
header = (
    "task",
    "crop, px",
    "form",
    "meta-gradient",
    "meta-step, ms",
    "fusion step, ms",
    "first, s",
    "peak, GB",
    "distance",
)
for name in ("bench_forms", "bench_forms_cuda"):
    if not results.is_there(name):
        display(Markdown(f"`{name}`: not measured, no GPU was at hand."))
        continue
    setting = results.about(name)["settings"]
    rows = [
        (
            task, size.removesuffix(" px"), *form.split(", "),
            f"{1000 * r.meta_step_s:.0f}", f"{1000 * r.fusion_step_s:.0f}",
            f"{r.first_s:.0f}", f"{r.peak_MB / 1000:.1f}", f"{r.distance_of_gradient:.0e}",
        )
        for (task, size, form), r in results.wide(results.load(name), "task", "group", "arm").iterrows()
        if np.isfinite(r.first_s)
    ]  # fmt: skip
    rows += [(*what.split(", "), fault, "", "", "", "") for what, fault in setting.get("faults", {}).items()]
    display(Markdown(format_table(header, rows)))
    print(f"{results.made_at(name)}; {setting['threads']} threads")

# %% tags=["hide-input"]
print("F's weights changed by one part in a million move the gradient (three draws) by")
for (task, size), draws in results.load("gradient_sensitivity").groupby(["task", "group"], sort=False):
    print(f"{task}, {size}: {', '.join(f'{d:.0e}' for d in draws['value'])}")
print(results.made_at("gradient_sensitivity"))

# %% [markdown]
# On this processor compiling gains nothing that is worth its minutes, so the library has no such setting; a GPU, which
# waits for the host, may say otherwise. Whether a form is *equal* has to be read against the lines above. Segmentation's
# compiled form is as near as rounding allows. On small crops detection's gradient jumps by rounding alone (its loss
# assigns boxes to cells by rank, and an untrained network ranks near-equals): no two programs agree there. At 128 pixels
# its compiled form is a few times further away than rounding takes it: not shown equal. Mixed precision was not
# measured; its gradients are not equal by construction.

# %% [markdown]
# ## The runs
#
# *full* is the scale above. *reduced* is the same way on a processor, `snakemake -s studies/Snakefile -j 1 reduced`, which
# proves the way and not the result. What is stored was made by the command before this one, at the same settings.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
SCALES = ("full", "reduced")
header = ("scale", "task", "variant", "seed", "epochs", "crop", "pieces", "took", "on")
rows, curves = [], {}
for scale in SCALES:
    if not results.runs(scale):
        rows.append((scale, "not run", *[""] * 7))
    for name in results.runs(scale):
        run = results.run(name)
        task, variant, seed = run.folder.name.split("-")
        made, minutes = run.provenance, f"{run.provenance['seconds'] / 60:.0f} min"
        rows.append((
            scale, task, variant, seed.removeprefix("seed"), str(run.config["L"]), f"{run.config['crop']} px",
            str(len(made["pieces"])), minutes, made["hardware"],
        ))  # fmt: skip
        curves[scale, task, variant] = run.history
display(Markdown(format_table(header, rows)))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Per epoch, for each run: fusion loss, task loss, and mean infrared weight with its spread"}, "figure": {"caption": "Means per epoch of the runs above: the two losses over the fusion steps, and the mean weight of infrared over the meta-steps. The losses of the two variants are different functions; compare each with itself.", "name": "fig-full-curves"}}
figure, axes = plt.subplots(1, 3, figsize=(9.4, 3.1), layout="constrained")
for (scale, task, variant), means in curves.items():
    style = {"segmentation": "-", "detection": "--"}[task]
    colour = {"paper": "C0", "released": "C1"}[variant]
    for axis, phase, name in zip(axes, ("fusion", "fusion", "meta"), ("L_f", "L_t", "w_a")):
        values = [(m["epoch"], m[name]) for m in means if m["phase"] == phase]
        axis.plot(
            *np.transpose(values), style, color=colour, marker="o", ms=3, label=f"{task}, {variant}, {scale}"
        )
for axis, title in zip(axes, ("fusion loss $L_f$", "task loss $L_t$", "mean of $w_a$")):
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("epoch")
    axis.xaxis.get_major_locator().set_params(integer=True)
axes[0].set_yscale("log")
axes[1].set_yscale("log")
figure.legend(
    *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=8
)
sns.despine(figure)

# %% [markdown]
# Detection's task loss rises at first. YOLOv8's loss weights each box's error by how well boxes fit already, and divides
# by the sum of these weights only where it exceeds one: while hardly anything fits, hardly anything is counted.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
HEADLINE = {"segmentation": ["mAcc", "mIoU"], "detection": ["mAP50", "mAP75"]}
for scale in SCALES:
    if not results.is_there(f"{scale}/downstream"):
        display(Markdown(f"**{scale}, downstream**: not run."))
        continue
    judged = results.load(f"{scale}/downstream").query("group == '' and image == ''")
    for task, names in HEADLINE.items():
        scores = results.wide(judged[judged.task == task], "arm", "seed")[names]
        rows = [
            (*map(str, key), *(f"{100 * v:.1f}" for v in values))
            for key, values in zip(scores.index, scores.to_numpy())
        ]
        display(Markdown(f"**{scale}, {task}**, percent"))
        display(Markdown(format_table(("source", "seed", *names), rows)))

# %% [markdown]
# The reduced rows say that every source is trained on, fused with and judged by the same commands. Their scores come
# from networks trained for three short epochs and one seed: no row may be compared with another, nor with the paper.
# {doc}`read_43_downstream` has the comparison that this book stands for.
