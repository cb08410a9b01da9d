# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How fast, beside what
#
# **As each is run by default, a meta-step at 256 pixels is 4.75 times (SegFormer-B0) and 4.33 times (YOLOv8n) as fast
# here as written plainly, in 40 % of the memory; where both keep freed memory, which a plain script could do in one
# line, 1.99 and 1.75 times. The six metrics are 27 times as fast as the libraries that people use, with the same
# values. Five of the eleven aims were missed, all of them for the meta-step at 128 pixels.**
#
# **What this page shows.** Time, memory and differences in value of the meta-step and the fusion network beside the
# same things written plainly, and of the six metrics beside those libraries, with what was aimed at.
#
# **What it needs.** Nothing: it reads `results/bench_meta.csv`, `results/bench_metrics.csv` and
# `results/bench_export.csv`. To measure your own machine, run `make bench`, and this notebook again; everything on it,
# verdicts included, is read from these files.

# %% tags=["hide-input"]
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import Markdown, display

from tdfusion import results
from tdfusion.figures.studies import log_ticks, quartile_dots
from tdfusion.results.paper import format_table

about = {name: results.about(name) for name in ("bench_meta", "bench_metrics")}
meta = results.wide(results.load("bench_meta"), "task", "group", "arm").reset_index()
parts = r"(?P<what>.+) (?P<height>\d+)x(?P<width>\d+), (?P<threads>\d+) threads"
meta = meta.join(meta["group"].str.extract(parts).astype({"height": int, "width": int, "threads": int}))
metrics = results.wide(results.load("bench_metrics"), "group", "arm")
OURS, PLAIN, BARE = "tdfusion", "plain", "bare passes"
COLOURS = dict(zip((OURS, PLAIN, BARE), sns.color_palette("colorblind")))
for title, record in zip(("the meta-step and F", "the metrics"), about.values()):
    (made,) = record["provenance"]
    load = made.get("load_average_start", made.get("load_average"))
    print(
        f"{title}\n  {made['hardware']}, torch {made['versions']['torch']}, threads {made['threads']},"
        f" load before {f'{load[0]:.1f}' if load else 'not noted'}\n  commit {made['commit']},"
        f" {made['started'][:16].replace('T', ' ')} UTC, {made['seconds'] / 60:.0f} minutes, seed {record['settings']['seed']}"
    )
if about["bench_meta"]["settings"]["quick"]:
    print("This is a rehearsal on small images, not the measurement.")

# %% [markdown]
# A "+" behind a commit means that the working tree had changes when the run was made.
#
# ## What was aimed at, and what was reached
#
# The aims come from the plan of this library. Each is judged as either side is run by default: the library keeps
# freed memory (more on that below), a plain script does not.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
SAID = {
    "times_faster": "times faster than plain",
    "memory_part": "peak memory, part of plain's",
    "over_bare_passes": "time, in bare passes",
    "largest difference of I_f": "largest difference of I_f",
}
six = "six metrics {}x{}".format(*about["bench_metrics"]["settings"]["size"])
faster = metrics.loc[("all six", ""), "processor_ratio"]
away = metrics.xs("", level="arm")["largest_difference"]
others = away.drop(["VIF", "all six"]).max()
rows = [
    (r["what"], r["value"], r["met"], SAID[r["measure"]], r["aim"])
    for r in about["bench_meta"]["settings"]["reach"]
]
rows += [
    (six, faster, faster >= 12, "times faster than the libraries", "at least 12"),
    (six, away["VIF"], away["VIF"] <= 1e-6, "largest difference, VIF", "at most 1e-06"),
    (six, others, others <= 1e-8, "largest difference, the others", "at most 1e-08"),
]
shown = [
    (what, f"{value:{'.0e' if 0 < abs(value) < 1e-3 else '.2f'}}, {'met' if met else '**missed**'}", *rest)
    for what, value, met, *rest in rows
]
display(Markdown(format_table(("", "reached", "measure", "aim"), shown)))
print(f"{sum(bool(row[2]) for row in rows)} of {len(rows)} met")

# %% [markdown]
# *Bare passes* are what no meta-step can do without: forward and backward, twice through $\mathcal{F}$ and
# $\mathcal{T}$ and once through $\mathcal{G}$, with no second derivative at all.
#
# ## The meta-step
#
# The plain form is the one a reader of Sec. 3.4 would write first. The inner update keeps its graph, and one backward
# pass runs through that update into $\mathcal{G}$:
#
# ```python
# gradient = torch.autograd.grad(L_f, theta_F, create_graph=True)
# theta_F_prime = theta_F - eta_F_prime * gradient
# L_t = task_loss(F(I_a_mts, I_b_mts; theta_F_prime), y)
# torch.autograd.grad(L_t, theta_G)
# ```
#
# (`tdfusion/reference/double_backward.py` and `tdfusion/reference/networks.py`, complete.) The library differentiates in forward
# mode instead, which [Sec. 3.4](read_34_meta.ipynb) derives. The last column of the table says how far the two gradients
# are apart in single precision; [Sec. 3.7](read_37_theory.ipynb) compares them in double.

# %% tags=["hide-input"]
cases, pairs = meta[meta.median_s.notna()], meta[meta.times_faster.notna()]
DEFAULT = {
    f"{OURS}, memory kept": OURS,
    PLAIN: PLAIN,
    f"{BARE}, memory kept": BARE,
}  # as each is run by default
PAIRINGS = list(pairs["arm"].unique())

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four dot plots on logarithmic axes: seconds per meta-step and peak memory against the image side, for tdfusion, the plain form and the bare passes, with SegFormer and with YOLOv8 as the task"}, "figure": {"caption": "One meta-step on a batch of two, by image side. Dots: medians over rounds; bars: quartiles. Both axes are logarithmic. Memory: the largest resident memory of the process, less what it held before the first step.", "name": "fig-bench-meta"}}
steps = cases[(cases.what == "meta-step") & (cases.threads == cases.threads.max())]
figure, axes = plt.subplots(
    2, steps.task.nunique(), figsize=(8, 5.4), sharex=True, sharey="row", layout="constrained"
)
for column, (task, of_task) in zip(axes.T, steps.groupby("task", sort=False)):
    for (arm, side), marker, shift in zip(DEFAULT.items(), "osD", (0.97, 1.0, 1.03)):
        rows = of_task[of_task.arm == arm]
        look = {"color": COLOURS[side], "marker": marker, "linewidth": 1, "label": side}
        quartile_dots(column[0], rows, "median_s", rows.height * shift, upright=True, **look)
        column[1].plot(rows.height * shift, rows.peak_over_start_MB / 1000, markersize=5, **look)
    column[0].set_title(f"T = {task}", fontsize=10)
    column[1].set_xlabel("image side, pixels")
for axis, label in zip(axes[:, 0], ("seconds per meta-step", "peak memory over start, GB")):
    axis.set_ylabel(label)
sides = sorted(steps.height.unique())
for axis in axes.flat:
    log_ticks(axis, "y")
    axis.set(xscale="log")
    axis.set_xticks(sides, [str(s) for s in sides])
    axis.minorticks_off()
    sns.despine(ax=axis)
axes[0, 0].legend(frameon=False)
figure.align_ylabels()

# %% [markdown]
# The table has the same as ratios. They are taken round by round, with all contestants taking turns within a round, so
# that whatever else the machine did fell on all of them alike; the table shows the median and, in brackets, the
# quartiles.


# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
def spread(row, key: str, digits: str = ".2f") -> str:
    """A median, with its quartiles where they were kept."""
    if np.isnan(row[key]):
        return ""
    low, high = (row.get(f"{key}, {side} quartile", np.nan) for side in ("lower", "upper"))
    return f"{row[key]:{digits}}" + ("" if np.isnan(low) else f" ({low:.2f} to {high:.2f})")


def compared(what: str) -> list[tuple[str, ...]]:
    """As each side is run by default."""
    rows = pairs[(pairs.arm == PAIRINGS[0]) & (pairs.what == what)]
    norms = rows.filter(like="relative_norm").max(axis=1)
    return [
        (f"{r.height}x{r.width} {r.task}".strip(), str(r.threads), spread(r, "times_faster"), f"{r.memory_part:.2f}",
         spread(r, "over_bare_passes"), f"{norm:.0e}")
        for (_, r), norm in zip(rows.iterrows(), norms)
    ]  # fmt: skip


header = (
    "meta-step",
    "threads",
    "times faster",
    "memory, part of plain's",
    "time, in bare passes",
    "difference",
)
display(Markdown(format_table(header, compared("meta-step"))))
setting = about["bench_meta"]["settings"]
print(f"batch {setting['batch']}; {setting['rounds']}")
for name, text in [("digits", setting.get("digits")), *(("left out", note) for note in setting["left_out"])]:
    if text:
        print(textwrap.fill(f"{name}: {text}", 90))

# %% [markdown]
# *Memory* is the peak of the whole process, libraries included; *difference* is the norm of the difference of the two
# gradients over the norm of the plain one, in single precision.
#
# ## Which part is the memory setting?
#
# A process that hands freed memory back to the system after every step must ask for it again, and the system clears it
# each time. The library keeps it. A plain script could do the same in one line, so part of the ratio is owed to that
# line and not to forward mode. To tell the two apart every contestant was run both ways.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dot plot with quartile bars: how many times faster tdfusion is than the plain form, for every setting, in three pairings of the memory setting; a line marks one"}, "figure": {"caption": "Times faster than the plain form (logarithmic; right of the line is faster). Dots: medians of the ratio round by round; bars: quartiles.", "name": "fig-bench-pairings"}}
labels = {
    (
        r.task,
        r.group,
    ): f"{r.what} {r.height}x{r.width}{', ' * bool(r.task)}{r.task}, {r.threads} thread{'s' * (r.threads > 1)}"
    for r in pairs.itertuples()
}
places = {setting: i for i, setting in enumerate(labels)}
figure, axis = plt.subplots(figsize=(8, 0.34 * len(labels) + 1.3), layout="constrained")
for pairing, marker, shift, colour in zip(PAIRINGS, "os^", (-0.22, 0, 0.22), sns.color_palette("colorblind")):
    rows = pairs[pairs.arm == pairing]
    at = [places[r.task, r.group] + shift for r in rows.itertuples()]
    quartile_dots(axis, rows, "times_faster", at, fmt=marker, color=colour, label=pairing)
axis.axvline(1, color="0.4", linewidth=0.8)
log_ticks(axis, "x", (1, 1.5, 2, 3, 5, 7))
axis.set_yticks(range(len(labels)), list(labels.values()))
axis.invert_yaxis()
axis.set_xlabel("times faster")
sns.despine(ax=axis)
legend = figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)

# %% [markdown]
# ## The fusion network alone
#
# $\mathcal{F}$ forward and backward with its loss, and forward only at the size of MSRS's images. The plain form is the
# same network with the same parameters in the default memory layout: layer norm by mean and variance, normalised copies
# of queries and keys, attention applied head by head.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
alone = [what for what in pairs["what"].unique() if what != "meta-step"]
rows = [(f"{what} {row[0]}", row[1], row[2], row[3], row[5]) for what in alone for row in compared(what)]
display(
    Markdown(format_table(("", "threads", "times faster", "memory, part of plain's", "difference"), rows))
)
rows = [
    (f"{r.what} {r.height}x{r.width}", DEFAULT[r.arm], f"{r.median_s:.3f} s", f"{r.peak_MB:.0f} MB")
    for r in cases.itertuples()
    if r.what in alone and r.arm in DEFAULT
]
display(Markdown(format_table(("", "", "median", "peak memory"), rows)))

# %% [markdown]
# ## The six metrics
#
# The library's six run beside VIF from sewar, SSIM from scikit-image, edges by scipy's convolution and the rest in
# plain numpy (`tdfusion/reference/metrics.py`), in one process on one thread, in turn, on the same generated pair.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dot plot with quartile bars on a logarithmic axis: milliseconds per pair of each metric and of all six, for tdfusion and for the reference libraries"}, "figure": {"caption": "Processor time per pair (logarithmic): medians and quartiles.", "name": "fig-bench-metrics"}}
figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
names = [name for name in metrics.index.unique("group") if name != "folder"]
for side, label, colour, marker, shift in (
    (OURS, OURS, OURS, "o", -0.12),
    ("reference", "libraries", PLAIN, "s", 0.12),
):
    rows = metrics.xs(side, level="arm").loc[names]
    at = np.arange(len(names)) + shift
    quartile_dots(axis, rows, "processor_ms", at, fmt=marker, label=label, color=COLOURS[colour])
log_ticks(axis, "x", (1,))
axis.set_yticks(range(len(names)), names)
axis.invert_yaxis()
axis.set_xlabel("milliseconds")
axis.legend(frameon=False)
sns.despine(ax=axis)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = [
    (
        name,
        *(f"{metrics.loc[(name, side), 'processor_ms']:.1f} ms" for side in (OURS, "reference")),
        spread(metrics.loc[name, ""], "processor_ratio"),
        f"{away[name]:.0e}",
    )
    for name in names
]
display(Markdown(format_table(("", OURS, "libraries", "times faster", "largest difference"), rows)))
folder, setting = metrics.loc["folder", OURS], about["bench_metrics"]["settings"]
(made,) = about["bench_metrics"]["provenance"]
print(
    f"{setting['size'][0]}x{setting['size'][1]}, {setting['repeats']} repetitions, beside "
    + ", ".join(f"{name} {version}" for name, version in made["reference"].items())
    + f"\na folder of {folder.pairs:.0f} pairs: {folder.one_worker_s:.2f} s with one worker,"
    f" {folder.all_cores_s:.2f} s with {folder.workers:.0f} ({folder.ratio:.2f} times faster)"
)

# %% [markdown]
# "All six" shares work between the metrics, so its time need not be the sum of the rows above it.

# %% [markdown]
# ## $\mathcal{F}$ in onnxruntime
#
# The exported network ([Without PyTorch](../book/use/export.md)) beside PyTorch with the memory setting, forward only, on
# the CPU, each in a process of its own, in turn. Above 1, onnxruntime is the faster one.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
export = results.wide(results.load("bench_export"), "arm")
where, setting = results.provenance_of("bench_export")[0], results.about("bench_export")["settings"]
rows = [
    (side, f"{row['seconds']:.3f} s", f"{row['seconds, lower quartile']:.3f} to {row['seconds, upper quartile']:.3f} s", f"{row['peak_MB']:.0f} MB")
    for side, row in export.loc[["PyTorch", "onnxruntime"]].iterrows()
]  # fmt: skip
display(Markdown(format_table(("", "median", "quartiles", "peak memory"), rows)))
both = export.loc[""]
print(
    f"480x640, {setting['threads']} threads, {setting['rounds']} rounds: onnxruntime {where['onnxruntime']} is "
    f"{both['times_faster']:.2f} times as fast\n(quartiles {both['times_faster, lower quartile']:.2f} to "
    f"{both['times_faster, upper quartile']:.2f}), largest difference {both['largest_difference']:.0e}; load average of "
    f"the machine {where['load_average']:.1f}"
)
