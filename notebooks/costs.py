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
# **What this page shows.** Time and memory of a step of each phase, by preset, variant and task, and what a whole run
# comes to; and the runs that the book itself rests on, with what they took.
#
# **What it needs.** Nothing: it reads `results/`. To measure your own machine: `python -m benchmarks.costs`, with
# `--device cuda` on a GPU.

# %% tags=["hide-input"]
import json
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import Markdown, display

import tdfusion
from tdfusion.results.paper import format_table

results = Path(tdfusion.__file__).parents[1] / "results"
costs = json.loads((results / "costs.json").read_text())
made = costs["provenance"]
print(
    f"{made['hardware']}, torch {made['versions']['torch']}, commit {made['commit']}, {made['started'][:10]}"
)

# %% [markdown]
# ## A step
#
# Medians, each case in a process of its own, pairs already in memory. *Batch* counts what the networks see: the released
# variant feeds every pair twice, the second time with its modalities swapped, and resizes whole pairs for the task
# where the preset is `paper`.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
header = ("preset, variant", "task", "crop", "batch", "meta-step", "fusion step", "peak memory")
rows = [
    (
        f"{r['preset']}, {r['variant']}", r["task"], f"{r['crop_px']} px", str(r["batch"]),
        f"{r['meta_step_s']:.2f} s", f"{r['fusion_step_s']:.2f} s", f"{r['peak_MB'] / 1000:.1f} GB",
    )
    for r in costs["rows"]
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
for at, r in enumerate(costs["rows"]):
    axis.barh(at, r["run_s"] / 3600, color="C0" if r["task"] == "segmentation" else "C1")
    axis.text(r["run_s"] / 3600 * 1.15, at, duration(r["run_s"]), va="center", fontsize=8)
axis.set_xscale("log")
axis.set_xlim(right=axis.get_xlim()[1] * 6)
axis.set_yticks(
    range(len(costs["rows"])),
    [f"{r['preset']}, {r['variant']}, {r['task']}" for r in costs["rows"]],
    fontsize=8,
)
axis.invert_yaxis()
axis.set_xlabel("hours")
axis.grid(axis="x", alpha=0.3)

# %% [markdown]
# ## The runs behind this book
#
# Every run folder in `results/` says what it took.

# %% tags=["hide-input"] mystnb={"markdown_format": "myst"}
header = ("run", "data", "task", "preset-like size", "steps", "took", "on")
rows = []
for folder in sorted(p.parent for p in results.glob("*/provenance.json")):
    config, where = (json.loads((folder / name).read_text()) for name in ("config.json", "provenance.json"))
    if "L" not in config:
        continue
    steps = len((folder / "history.jsonl").read_text().splitlines())
    size = f"L {config['L']}, M {config['M']}, {config['crop']} px"
    rows.append(
        (
            folder.name,
            config["dataset"],
            config["task"],
            size,
            str(steps),
            duration(where["seconds"]),
            where["hardware"],
        )
    )
display(Markdown(format_table(header, rows)))

# %% [markdown]
# No run on a GPU has been made yet. {doc}`full_runs` has the command that makes them in pieces, and what to expect.
