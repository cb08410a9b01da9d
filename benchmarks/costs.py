"""What a step of each phase costs, by preset, variant and task; writes results/costs.csv.

Every case runs in a process of its own: seconds per meta-step and per fusion step (medians; the first round
is left out), peak memory. Whole runs are computed from them, not run, and the file says so.

    python -m benchmarks.costs            # this machine; --device cuda on another
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.measure import in_a_process, peak_memory
from tdfusion.config import PRESETS, TASKS, VARIANTS, make_config
from tdfusion.results import save
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean
from tdfusion.train import Trainer

OUT = Path(__file__).resolve().parents[1] / "results" / "costs.csv"


def measure_case(preset: str, variant: str, task: str, device: str, rounds: int) -> dict[str, object]:
    """One case, in its own process."""
    keep_freed_memory()
    config = make_config(preset, variant, task=task, device=device)
    trainer = Trainer(config)
    medians, memory = timed_steps(trainer, rounds)
    epoch = trainer.batches.meta_steps * medians["meta"] + trainer.batches.fusion_steps * medians["fusion"]
    return {
        "preset": preset,
        "variant": variant,
        "task": task,
        "crop_px": config.crop,
        "batch": config.batch * (2 if config.swap else 1),
        "meta_step_s": round(medians["meta"], 4),
        "fusion_step_s": round(medians["fusion"], 4),
        "peak_MB": round(memory),
        "L": config.L,
        "M": trainer.batches.meta_steps,
        "N": trainer.batches.fusion_steps,
        "epoch_s": round(epoch, 1),
        "run_s": round(config.L * epoch, 1),
    }


def both_steps(trainer: Trainer) -> dict[str, Callable[[], object]]:
    """A meta-step and a fusion step on the first pairs of the first epoch, reading of the pairs included."""
    trainer.T.train()
    mtr, mts = (sets[: trainer.config.batch] for sets in trainer.batches.meta_sets(1))
    ftr = trainer.batches.fusion_sets(1)[0]
    return {"meta": lambda: trainer.meta_step(mtr, mts), "fusion": lambda: trainer.fusion_step(ftr)}


def timed_steps(trainer: Trainer, rounds: int, skipped: int = 1) -> tuple[dict[str, float], float]:
    """Median seconds of a meta-step and of a fusion step, and peak memory in MB; the first rounds do not count."""
    seconds: dict[str, list[float]] = {"meta": [], "fusion": []}
    for _ in range(skipped + rounds):
        for phase, step in both_steps(trainer).items():
            start = time.perf_counter()
            step()
            if trainer.device.startswith("cuda"):
                torch.cuda.synchronize()
            seconds[phase].append(time.perf_counter() - start)
    on_gpu = trainer.device.startswith("cuda")
    memory = torch.cuda.max_memory_allocated() / 1e6 if on_gpu else peak_memory()
    return {phase: statistics.median(s[skipped:]) for phase, s in seconds.items()}, memory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    add_result_options(parser, OUT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    made, found = Provenance.begin(device=options.device), []
    cases = [(p, v, t) for p in PRESETS for v in VARIANTS for t in TASKS]
    for case in tqdm(cases, unit="case"):
        found.append(in_a_process(measure_case, *case, options.device, options.rounds))
        print(
            "{preset} {variant} {task}: meta {meta_step_s} s, fusion {fusion_step_s} s, {peak_MB} MB".format(
                **found[-1]
            )
        )
    save(
        options.out.stem,
        rows(found),
        what="medians per step with pairs in memory; epochs and runs are computed from them, not run",
        command=command_line(),
        provenance=[made.finish()],
        settings={"rounds": options.rounds},
        folder=options.out.parent,
    )


def rows(found: list[dict]) -> Iterator[dict]:
    """For the results table."""
    for case in found:
        values = {name: v for name, v in case.items() if name not in ("preset", "variant", "task")}
        yield {"arm": f"{case['preset']}, {case['variant']}", "task": case["task"], "values": values}


if __name__ == "__main__":
    main()
