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
# **What this page shows.** The meta-step and the fusion network beside the same things written plainly, and the six
# metrics beside the libraries that people compute them with: time, memory, and whether both sides return the same values.
# What was aimed at stands beside what was reached.
#
# **What it needs.** Nothing: it reads `results/bench_meta.json`, `results/bench_metrics.json` and
# `results/bench_export.json`. To measure your own machine, run `make bench`, and this notebook again; everything on it,
# verdicts included, is read from these files.

# %% tags=["hide-input"]
import json
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import Markdown, display

import tdfusion
from tdfusion.results.paper import format_table

RESULTS = Path(tdfusion.__file__).parents[1] / "results"
meta = json.loads((RESULTS / "bench_meta.json").read_text())
metrics = json.loads((RESULTS / "bench_metrics.json").read_text())
OURS, PLAIN, BARE = "tdfusion", "plain", "bare passes"
COLOURS = dict(zip((OURS, PLAIN, BARE), sns.color_palette("colorblind")))


def load(values: list[float] | None) -> str:
    """A load average over one minute, if it was noted."""
    return f"{values[0]:.1f}" if values else "not noted"


def number(value: float) -> str:
    """Plain where it reads well, with an exponent where it is small."""
    return f"{value:.0e}" if 0 < abs(value) < 1e-3 else f"{value:.2f}"


for title, report, before in (
    ("the meta-step and F", meta, meta["provenance"].get("load_average_start")),
    ("the metrics", metrics, metrics["provenance"].get("load_average")),
):
    made = report["provenance"]
    print(
        f"{title}\n  {made['hardware']}, torch {made['versions']['torch']}, threads {made['threads']},"
        f" load before {load(before)}\n  commit {made['commit']}, {made['started'][:16].replace('T', ' ')} UTC,"
        f" {made['seconds'] / 60:.0f} minutes, seed {report['seed']}"
    )
if meta["quick"]:
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
rows = [
    (
        row["what"],
        SAID[row["measure"]],
        row["aim"],
        number(row["value"]),
        "met" if row["met"] else "**missed**",
    )
    for row in meta["reach"]
]
(six,) = [row for row in metrics["rows"] if row["what"] == "all six"]
difference = {row["what"]: row["largest_difference"] for row in metrics["rows"]}
others = max(value for name, value in difference.items() if name not in ("VIF", "all six"))
for what, aim, value, met in (
    (
        "times faster than the libraries",
        "at least 12",
        six["processor"]["ratio"],
        six["processor"]["ratio"] >= 12,
    ),
    ("largest difference, VIF", "at most 1e-06", difference["VIF"], difference["VIF"] <= 1e-6),
    ("largest difference, the others", "at most 1e-08", others, others <= 1e-8),
):
    rows.append(
        (
            f"six metrics {metrics['size'][0]}x{metrics['size'][1]}",
            what,
            aim,
            number(value),
            "met" if met else "**missed**",
        )
    )
shown = [(what, f"{value}, {verdict}", measure, aim) for what, measure, aim, value, verdict in rows]
display(Markdown(format_table(("", "reached", "measure", "aim"), shown)))
print(f"{sum(row[-1] == 'met' for row in rows)} of {len(rows)} met")

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
cases = [c | {"size": f"{c['height']}x{c['width']}"} for c in meta["cases"]]


def steps(what: str, task: str | None, threads: int, side: str, kept: bool, value: str) -> dict[int, object]:
    """A measured value by image height, of one contestant."""
    return {
        c["height"]: c[value]
        for c in cases
        if (c["what"], c["task"], c["threads"], c["side"], c["keeps_freed_memory"])
        == (what, task, threads, side, kept)
    }


DEFAULT = {OURS: True, PLAIN: False, BARE: True}  # does a side keep freed memory as it is run by default
TASKS = list(dict.fromkeys(c["task"] for c in cases if c["task"]))
MOST = max(c["threads"] for c in cases)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four dot plots on logarithmic axes: seconds per meta-step and peak memory against the image side, for tdfusion, the plain form and the bare passes, with SegFormer and with YOLOv8 as the task"}, "figure": {"caption": "One meta-step on a batch of two, by image side. Dots: medians over rounds; bars: quartiles. Both axes are logarithmic. Memory: the largest resident memory of the process, less what it held before the first step.", "name": "fig-bench-meta"}}
figure, axes = plt.subplots(2, len(TASKS), figsize=(8, 5.4), sharex=True, sharey="row", layout="constrained")
for column, task in zip(axes.T, TASKS):
    for (side, kept), marker, shift in zip(DEFAULT.items(), "osD", (0.97, 1.0, 1.03)):
        look = {"color": COLOURS[side], "marker": marker, "markersize": 5, "linewidth": 1, "label": side}
        seconds = steps("meta-step", task, MOST, side, kept, "median_s")
        spread = steps("meta-step", task, MOST, side, kept, "quartiles_s")
        at = np.array(list(seconds)) * shift
        middle = np.array(list(seconds.values()))
        low, high = np.array(list(spread.values())).T
        column[0].errorbar(at, middle, [middle - low, high - middle], capsize=2, **look)
        memory = steps("meta-step", task, MOST, side, kept, "peak_over_start_MB")
        column[1].plot(at, np.array(list(memory.values())) / 1000, **look)
    column[0].set_title(f"T = {task}", fontsize=10)
    column[1].set_xlabel("image side, pixels")
for axis, label in zip(axes[:, 0], ("seconds per meta-step", "peak memory over start, GB")):
    axis.set_ylabel(label)
sides = sorted({c["height"] for c in cases if c["what"] == "meta-step"})
for axis in axes.flat:
    axis.set(xscale="log", yscale="log")
    axis.set_xticks(sides, [str(s) for s in sides])
    axis.minorticks_off()
    axis.yaxis.set_major_locator(plt.matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(plt.matplotlib.ticker.FormatStrFormatter("%g"))
    axis.grid(axis="y", color="0.92")
    sns.despine(ax=axis)
axes[0, 0].legend(frameon=False)
figure.align_ylabels()

# %% [markdown]
# The same as ratios. They are taken round by round, with all contestants taking turns within a round, so that whatever
# else the machine did fell on all of them alike; the table shows the median and, in brackets, the quartiles.


# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
def spread(row: dict, key: str) -> str:
    if key not in row:
        return ""
    if f"{key}_quartiles" not in row:
        return f"{row[key]:.2f}"
    low, high = row[f"{key}_quartiles"]
    return f"{row[key]:.2f} ({low:.2f} to {high:.2f})"


def pairing_rows(pairing: str, what: str) -> list[tuple[str, ...]]:
    return [
        (
            " ".join(filter(None, (f"{r['height']}x{r['width']}", r["task"]))),
            str(r["threads"]),
            spread(r, "times_faster"),
            f"{r['memory_part']:.2f}",
            spread(r, "over_bare_passes"),
            f"{max(d['relative_norm'] for d in r['differences'].values()):.0e}",
        )
        for r in meta["comparisons"]
        if r["pairing"] == pairing and r["what"] == what
    ]


PAIRINGS = list(dict.fromkeys(r["pairing"] for r in meta["comparisons"]))
header = (
    "meta-step",
    "threads",
    "times faster",
    "memory, part of plain's",
    "time, in bare passes",
    "difference",
)
display(Markdown(format_table(header, pairing_rows(PAIRINGS[0], "meta-step"))))
print(f"batch {meta['batch']}; {meta['rounds']}")
if "digits" in meta:
    print(textwrap.fill(f"digits: {meta['digits']}", 90))
for note in meta["left_out"]:
    print(textwrap.fill(f"left out: {note}", 90))

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
settings = list(
    dict.fromkeys((r["what"], r["height"], r["width"], r["task"], r["threads"]) for r in meta["comparisons"])
)
labels = [
    f"{what} {h}x{w}" + (f", {task}" if task else "") + f", {n} thread{'s' * (n > 1)}"
    for what, h, w, task, n in settings
]
figure, axis = plt.subplots(figsize=(8, 0.34 * len(settings) + 1.3), layout="constrained")
for pairing, marker, shift, colour in zip(PAIRINGS, "os^", (-0.22, 0, 0.22), sns.color_palette("colorblind")):
    chosen = {
        (r["what"], r["height"], r["width"], r["task"], r["threads"]): r
        for r in meta["comparisons"]
        if r["pairing"] == pairing
    }
    at = [i + shift for i, key in enumerate(settings) if key in chosen]
    middle = np.array([chosen[key]["times_faster"] for key in settings if key in chosen])
    low, high = np.array([chosen[key]["times_faster_quartiles"] for key in settings if key in chosen]).T
    axis.errorbar(
        middle,
        at,
        xerr=[middle - low, high - middle],
        fmt=marker,
        markersize=5,
        capsize=2,
        color=colour,
        label=pairing,
    )
axis.axvline(1, color="0.4", linewidth=0.8)
axis.set_xscale("log")
axis.xaxis.set_major_locator(plt.matplotlib.ticker.LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
axis.xaxis.set_major_formatter(plt.matplotlib.ticker.FormatStrFormatter("%g"))
axis.xaxis.set_minor_locator(plt.matplotlib.ticker.NullLocator())
axis.set_yticks(range(len(labels)), labels)
axis.invert_yaxis()
axis.grid(axis="x", color="0.92")
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
rows = [
    (f"{what} {row[0]}", row[1], row[2], row[3], row[5])
    for what in dict.fromkeys(r["what"] for r in meta["comparisons"] if r["what"] != "meta-step")
    for row in pairing_rows(PAIRINGS[0], what)
]
display(
    Markdown(format_table(("", "threads", "times faster", "memory, part of plain's", "difference"), rows))
)
rows = [
    (f"{c['what']} {c['size']}", c["side"], f"{c['median_s']:.3f} s", f"{c['peak_MB']:.0f} MB")
    for c in cases
    if c["what"] != "meta-step" and c["keeps_freed_memory"] == DEFAULT[c["side"]]
]
display(Markdown(format_table(("", "", "median", "peak memory"), rows)))

# %% [markdown]
# ## The six metrics
#
# Beside VIF from sewar, SSIM from scikit-image, edges by scipy's convolution and the rest in plain numpy
# (`tdfusion/reference/metrics.py`), in one process on one thread, in turn, on the same generated pair.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dot plot with quartile bars on a logarithmic axis: milliseconds per pair of each metric and of all six, for tdfusion and for the reference libraries"}, "figure": {"caption": "Processor time per pair (logarithmic): medians and quartiles.", "name": "fig-bench-metrics"}}
figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
for key, name, marker, shift in ((OURS, OURS, "o", -0.12), ("reference", "libraries", "s", 0.12)):
    times = [row["processor"] for row in metrics["rows"]]
    middle = np.array([t[f"{key}_ms"] for t in times])
    low, high = np.array([t[f"{key}_ms_quartiles"] for t in times]).T
    axis.errorbar(
        middle,
        np.arange(len(times)) + shift,
        xerr=[middle - low, high - middle],
        fmt=marker, markersize=5, capsize=2, label=name, color=COLOURS[OURS if key == OURS else PLAIN],
    )  # fmt: skip
axis.set_xscale("log")
axis.xaxis.set_major_formatter(plt.matplotlib.ticker.FormatStrFormatter("%g"))
axis.set_yticks(range(len(metrics["rows"])), [row["what"] for row in metrics["rows"]])
axis.invert_yaxis()
axis.set_xlabel("milliseconds")
axis.grid(axis="x", color="0.92")
axis.legend(frameon=False)
sns.despine(ax=axis)

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
rows = []
for row in metrics["rows"]:
    time = row["processor"]
    low, high = time["ratio_quartiles"]
    rows.append(
        (
            row["what"],
            f"{time[f'{OURS}_ms']:.1f} ms",
            f"{time['reference_ms']:.1f} ms",
            f"{time['ratio']:.2f} ({low:.2f} to {high:.2f})",
            f"{row['largest_difference']:.0e}",
        )
    )
display(Markdown(format_table(("", OURS, "libraries", "times faster", "largest difference"), rows)))
folder = metrics["folder"]
print(
    f"{metrics['size'][0]}x{metrics['size'][1]}, {metrics['repeats']} repetitions, beside "
    + ", ".join(f"{name} {version}" for name, version in metrics["provenance"]["reference"].items())
    + f"\na folder of {folder['pairs']} pairs: {folder['one_worker_s']:.2f} s with one worker,"
    f" {folder['all_cores_s']:.2f} s with {folder['workers']} ({folder['ratio']:.2f} times faster)"
)

# %% [markdown]
# "All six" shares work between the metrics, so its time need not be the sum of the rows above it.

# %% [markdown]
# ## $\mathcal{F}$ in onnxruntime
#
# The exported network ([Without PyTorch](../book/use/export.md)) beside PyTorch with the memory setting, forward only, on
# the CPU, each in a process of its own, in turn. Above 1, onnxruntime is the faster one.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
export = json.loads((RESULTS / "bench_export.json").read_text())
rows = [
    (side, f"{middle:.3f} s", f"{low:.3f} to {high:.3f} s", f"{export['peak_MB'][side]} MB")
    for side, (low, middle, high) in export["seconds_quartiles"].items()
]
display(Markdown(format_table(("", "median", "quartiles", "peak memory"), rows)))
low, middle, high = export["times_faster_quartiles"]
where = export["provenance"]
print(
    f"{export['size'][0]}x{export['size'][1]}, {export['threads']} threads, {export['rounds']} rounds: onnxruntime "
    f"{where['onnxruntime']} is {middle:.2f} times as fast\n(quartiles {low:.2f} to {high:.2f}), largest difference "
    f"{export['largest_difference']:.0e}; load average of the machine {where['load_average'][0]:.1f}"
)
