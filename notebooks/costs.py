# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What it costs
#
# **On two CPU cores a meta-step takes about three times as long as a fusion step: 4.4 s and 1.5 s for segmentation at
# the paper's 256-pixel crops and batches of two, with 5.8 GB of memory. A whole run of the paper's length, computed
# from the steps, comes to 22 to 35 hours there, one of the `smoke` preset to 8 to 16 seconds.**
#
# **What this page shows.** Time and memory of a step of each phase, by preset, variant and task; what a whole run comes
# to; and the runs that the book itself rests on, with what they took.
#
# **What it needs.** Nothing: it reads `results/`. To measure your own machine: `python -m benchmarks.costs`, with
# `--device cuda` on a GPU.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from tdfusion import results
from tdfusion.results.paper import format_table

costs = results.wide(results.load("costs"), "arm", "task").reset_index()
print(results.made_at("costs"))

# %% [markdown]
# ## A step
#
# The times are medians, each case in a process of its own, with the pairs already in memory. *Batch* counts what the
# networks see: the released variant feeds every pair twice, the second time with its modalities swapped, and resizes
# whole pairs for the task where the preset is `paper`.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
header = ("preset, variant", "task", "crop", "batch", "meta-step", "fusion step", "peak memory")
rows = [
    (
        r.arm, r.task, f"{r.crop_px:.0f} px", f"{r.batch:.0f}",
        f"{r.meta_step_s:.2f} s", f"{r.fusion_step_s:.2f} s", f"{r.peak_MB / 1000:.1f} GB",
    )
    for r in costs.itertuples()
]  # fmt: skip
display(Markdown(format_table(header, rows)))

# %% [markdown]
# ## A run
#
# Computed from the steps: $L\,(M \cdot \text{meta-step} + N \cdot \text{fusion step})$. Nobody waited for the last rows:
# on a processor the `paper` preset is there to be looked at, not to be run.


# %% tags=["hide-input"] mystnb={"image": {"alt": "Bars on a logarithmic scale: hours of a whole run by preset, variant and task, split into meta-steps and fusion steps"}, "figure": {"caption": "Computed duration of a whole run on this machine, by preset, variant and task (logarithmic).", "name": "fig-costs-runs"}}
def duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


figure, axis = plt.subplots(figsize=(7.5, 4), layout="constrained")
colours = costs["task"].map({"segmentation": "C0", "detection": "C1"})
bars = axis.barh(costs["arm"] + ", " + costs["task"], costs["run_s"] / 3600, color=colours)
axis.bar_label(bars, costs["run_s"].map(duration), padding=5, fontsize=8)
axis.set_xscale("log")
axis.set_xlim(right=axis.get_xlim()[1] * 6)
axis.tick_params(axis="y", labelsize=8)
axis.invert_yaxis()
axis.set_xlabel("hours")
axis.grid(axis="x", alpha=0.3)

# %% [markdown]
# ## The runs behind this book
#
# Every result says what it took, from the start of its runs to their end.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
spent = results.spent()
rows = [(name, str(runs), f"{hours:.2f}") for name, (runs, hours) in spent.items() if hours >= 0.05]
less = [hours for _, hours in spent.values() if hours < 0.05]
rows.append((f"{len(less)} more, below three minutes each", "", f"{sum(less):.2f}"))
rows.append(("together", str(sum(r for r, _ in spent.values())), f"{sum(h for _, h in spent.values()):.1f}"))
display(Markdown(format_table(("result", "runs", "hours"), rows)))

# %% [markdown]
# Most of them ran on one thread, two at a time. Not in the sum: runs that failed or were replaced, which were not kept.
# The run folders in detail:

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
header = ("run", "data", "task", "preset-like size", "steps", "took", "on")
rows = []
for name in results.runs():
    run = results.run(name)
    size = "L {L}, M {M}, {crop} px".format(**run.config)
    took, on = duration(run.provenance["seconds"]), run.provenance["hardware"]
    rows.append((name, run.config["dataset"], run.config["task"], size, str(len(run.history)), took, on))
display(Markdown(format_table(header, rows)))

# %% [markdown]
# No run on a GPU has been made yet. {doc}`full_runs` has the command that makes them in pieces, and what to expect.
