"""The meta-step and F, side by side with the same things written plainly; writes results/bench_meta.csv.

Time per step and peak memory, each contestant in a process of its own, all of a group taking turns round by
round (`measure.py`). The plain form is `tdfusion.reference.double_backward` on the networks of
`tdfusion.reference.networks`. It, the library and the bare passes run twice: with memory that is freed kept by the
process (`tdfusion.runs.memory.keep_freed_memory`, which the library's commands and notebooks switch on), and without (a
script's default). What people use elsewhere (`tdfusion.reference.alternatives`) and the step in the image run on the
library's networks, with memory kept.

About twenty minutes, 23 GB of memory for the largest size (sizes that do not fit are left out, and named).
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.measure import Call, Case, Measured, available_memory, side_by_side
from tdfusion.config import TrainConfig
from tdfusion.data.pair import Batch
from tdfusion.jacobian import directional_derivative
from tdfusion.losses import fusion_loss
from tdfusion.meta import meta_gradient
from tdfusion.models import FusionNet, LossNet
from tdfusion.reference.alternatives import finite_difference_meta_gradient, mixed_mode_meta_gradient
from tdfusion.reference.double_backward import directional_derivative_by_vjp, plain_meta_gradient
from tdfusion.reference.networks import PlainFusionNet, PlainLossNet
from tdfusion.results import save
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean
from tdfusion.tasks import build_task

ROOT = Path(__file__).resolve().parents[1]
SEED, CLASSES = 0, 6
TASKS = {"segmentation": "SegFormer-B0", "detection": "YOLOv8n"}
OURS, PLAIN, BARE = "tdfusion", "plain", "bare passes"
FINITE, MIXED, IMAGE = "finite difference", "mixed mode", "step in the image"
OTHERS = (FINITE, MIXED, IMAGE)  # beside ours on the same networks
META, TRAIN, INFER = "meta-step", "F forward + backward", "F inference"
TANGENT = "J v of F"  # in forward mode, by two reverse passes ("plain"), and a forward pass ("bare passes")
ROUNDS = {64: 5, 96: 5, 128: 5, 256: 2, 512: 1}  # timed rounds by height, px; see --rounds
BATCHES = (1, 4, 8)  # beside pairs of two, at 64 px
# MB that a process needs: before the first round, and per pixel of a batch of two (rough, on the safe side;
# only to decide which contestants fit into memory together).
BEFORE = 900
PER_PIXEL = {
    (META, PLAIN): 0.23, (META, OURS): 0.085, (META, BARE): 0.06, (META, FINITE): 0.085, (META, MIXED): 0.23,
    (META, IMAGE): 0.06, TRAIN: 0.06, TANGENT: 0.1, INFER: 0.01,
}  # fmt: skip
DEFAULT, EQUAL = "as each is run by default", "both keep freed memory"
PAIRINGS = {  # name: does tdfusion's process keep freed memory, does the other
    DEFAULT: (True, False),
    EQUAL: (True, True),
    "neither keeps it": (False, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="64 px and small images only, 2 rounds: a rehearsal"
    )
    parser.add_argument(
        "--rounds", type=int, help="timed rounds of every group (default: 1 at 512 px, 2 at 256 px, else 5)"
    )
    add_result_options(parser, ROOT / "results" / "bench_meta.csv")
    arguments = parser.parse_args()
    require_clean(arguments.out, arguments.allow_dirty)
    load = os.getloadavg()
    made = Provenance.begin(load_average_start=load, OMP_WAIT_POLICY=os.environ.get("OMP_WAIT_POLICY"))
    if load[0] > 0.3 * os.cpu_count():
        print(f"load average {load[0]:.1f}: this machine is not quiet, times will be too long and uneven")
    rounds = arguments.rounds or (2 if arguments.quick else None)
    found, notes = measure_all(plan(arguments.quick), rounds)
    report = {
        "left_out": notes,
        "cases": [case_row(case, measured) for case, measured in found.items()],
        "comparisons": list(comparisons(found)),
    }
    report["reach"] = reach(report["comparisons"])
    threads = sorted({case.threads for case in found})
    save(
        arguments.out.stem,
        rows(report),
        what="medians over rounds in which all contestants take turns, each in a process of its own",
        command=command_line(),
        provenance=[made.finish(threads=threads, load_average_end=os.getloadavg())],
        settings={
            "rounds": "ratios are taken round by round; quartiles in brackets; the first round is left out",
            "seed": SEED,
            "batch": Case.batch,
            "quick": arguments.quick,
            "left_out": notes,
            "reach": report["reach"],
        },
        folder=arguments.out.parent,
    )
    print_tables(report)


def rows(report: dict) -> Iterator[dict]:
    """For the results table: an arm per contestant, and one per pairing for the ratios."""

    def common(row: dict) -> dict:
        size = f"{row['height']}x{row['width']}"
        batch = "" if row["batch"] == Case.batch else f", batch {row['batch']}"
        return {"task": row["task"], "group": f"{row['what']} {size}, {row['threads']} threads{batch}"}

    for row in report["cases"]:
        kept = ", memory kept" if row["keeps_freed_memory"] else ""
        values = flat_values(
            row, ("median_s", "min_s", "peak_MB", "peak_over_start_MB"), {"median_s": "quartiles_s"}
        )
        seconds = {f"seconds of round {i}": s for i, s in enumerate(row.get("seconds", ()))}
        yield common(row) | {"arm": row["side"] + kept, "values": values | seconds}
    for row in report["comparisons"]:
        names = ("times_faster", "memory_part", "memory_part_over_start", "over_bare_passes", "times_of_ours")
        values = flat_values(row, names, {name: f"{name}_quartiles" for name in names})
        for value, numbers in row["differences"].items():
            values |= {f"{name} difference, {value}": number for name, number in numbers.items()}
        yield common(row) | {"arm": row["pairing"], "values": values}


def flat_values(row: dict, names: Iterable[str], quartiles: dict[str, str]) -> dict[str, float]:
    """The named values as far as the row has them, each with its quartiles if it has any."""
    values = {}
    for name in names:
        if name in row:
            values[name] = row[name]
        if quartiles.get(name) in row:
            values[f"{name}, lower quartile"], values[f"{name}, upper quartile"] = row[quartiles[name]]
    return values


def plan(quick: bool) -> list[list[Case]]:
    """The groups: what is compared with each other. Most wanted first, where memory splits a group."""

    def group(
        what: str, height: int, width: int, threads: int, task: str | None = None, batch: int = Case.batch
    ) -> list[Case]:
        sides = [(OURS, True), (PLAIN, False), (OURS, False), (PLAIN, True)]
        if what == META:
            sides[2:2] = [(BARE, True), (IMAGE, True), (FINITE, True), (MIXED, True), (BARE, False)]
        if what == TANGENT:
            sides += [(BARE, True), (BARE, False)]
        if batch != Case.batch:
            sides = [(OURS, True), (IMAGE, True), (BARE, True)]
        return [Case(what, side, height, width, threads, kept, task, batch) for side, kept in sides]

    groups = []
    for threads, sizes in ((2, (64,) if quick else ROUNDS), (1, () if quick else (128,))):
        groups += [group(META, size, size, threads, task) for size in sizes for task in TASKS]
    groups += [group(META, 64, 64, 2, "segmentation", batch) for batch in (() if quick else BATCHES)]
    groups += [
        group(what, size, size, 2) for size in ((64,) if quick else (128, 256)) for what in (TRAIN, TANGENT)
    ]
    return [*groups, group(INFER, *((120, 160) if quick else (480, 640)), 2)]


def measure_all(
    groups: Iterable[Sequence[Case]], rounds: int | None
) -> tuple[dict[Case, Measured], list[str]]:
    """Every case measured, and in words which were left out and why."""
    found: dict[Case, Measured] = {}
    notes = []
    packed: list[list[Case]] = []
    for group in groups:
        together, too_large = pack(group, available_memory())
        notes += [
            f"{in_words(setting(case))}, {case.side}: about {need([case]) / 1000:.0f} GB of memory needed"
            for case in too_large
        ]
        packed += together
    timed_rounds = [rounds or ROUNDS.get(group[0].height, 5) for group in packed]
    with tqdm(total=sum(len(g) * (r + 1) for g, r in zip(packed, timed_rounds)), unit="call") as bar:
        for group, timed in zip(packed, timed_rounds):
            bar.set_description(f"{group[0].what} {group[0].height}x{group[0].width} {group[0].task or ''}")
            for measured in side_by_side(group, build, timed):
                if measured is None:
                    bar.update()
                else:
                    found |= measured
    return found, notes


def need(cases: Sequence[Case]) -> float:
    """MB that these cases want at once: those that keep freed memory hold it while another works."""
    wants = [
        case.height
        * case.width
        * case.batch
        / Case.batch
        * PER_PIXEL[(META, case.side) if case.what == META else case.what]
        for case in cases
    ]
    held = sum(want for case, want in zip(cases, wants) if case.kept)
    passing = max((want for case, want in zip(cases, wants) if not case.kept), default=0.0)
    return BEFORE * len(cases) + held + passing


def pack(group: Sequence[Case], available: float) -> tuple[list[list[Case]], list[Case]]:
    """Split a group as memory demands; what does not even fit alone comes second."""
    together: list[list[Case]] = []
    too_large = []
    for case in group:
        if need([case]) > available:
            too_large.append(case)
            continue
        for cases in together:
            if need([*cases, case]) <= available:
                cases.append(case)
                break
        else:
            together.append([case])
    return together, too_large


def build(case: Case) -> Call:
    """The call that is timed, and what it returns to be compared."""
    torch.manual_seed(SEED)
    warnings.simplefilter("ignore")
    plain = case.side == PLAIN
    F = (PlainFusionNet if plain else FusionNet)()
    if case.what == INFER:
        I_a, I_b = torch.rand(2, 1, 1, case.height, case.width)

        def infer() -> dict[str, np.ndarray]:
            with torch.inference_mode():
                return {"I_f": F(I_a, I_b).numpy()}

        return infer
    mtr, mts = (random_batch(case.height, case.width, case.batch) for _ in range(2))
    if case.what == TRAIN:
        w = torch.rand_like(mtr.ir)

        def train() -> dict[str, np.ndarray]:
            I_f = F(mtr.ir, mtr.vi)
            gradient = torch.autograd.grad(fusion_loss(I_f, mtr.ir, mtr.vi, w, 1 - w), list(F.parameters()))
            return {"I_f": I_f.detach().numpy(), "dL_f/dtheta_F": flat(gradient)}

        return train
    if case.what == TANGENT:
        v = {name: torch.randn_like(p) for name, p in F.named_parameters()}
        along = directional_derivative_by_vjp if plain else directional_derivative
        if case.side == BARE:
            return torch.no_grad()(lambda: {"J v": F(mtr.ir, mtr.vi).numpy()})
        return lambda: {"J v": along(F, v, mtr.ir, mtr.vi).detach().numpy()}
    G = (PlainLossNet if plain else LossNet)()
    T = build_task(case.task, CLASSES).train()
    if case.side == BARE:
        return lambda: bare_passes(F, G, T, mtr, mts)
    settings = {
        "loss": fusion_loss,
        "eta_F_prime": TrainConfig.eta_F_prime,
        "eta_T_prime": TrainConfig.eta_T_prime,
    }
    if case.side in (OURS, IMAGE):
        method = "image" if case.side == IMAGE else "forward"
        return lambda: {
            "dL_t/dtheta_G": flat(
                meta_gradient(F, G, T, mtr, mts, **settings, method=method).theta_G.values()
            )
        }
    form = {
        PLAIN: plain_meta_gradient, FINITE: finite_difference_meta_gradient, MIXED: mixed_mode_meta_gradient,
    }[case.side]  # fmt: skip
    return lambda: {"dL_t/dtheta_G": flat(form(F, G, T, mtr, mts, **settings).values())}


def bare_passes(F, G, T, mtr: Batch, mts: Batch) -> dict[str, np.ndarray]:
    """What no meta-step can do without: forward and backward, twice through F and T, once through G."""
    I_f = F(mtr.ir, mtr.vi)  # (B, 1, H, W)
    w_a, w_b = G(mtr.ir, mtr.vi)  # (B, 1, H, W) each
    L_f = fusion_loss(I_f, mtr.ir, mtr.vi, w_a.detach(), w_b.detach())
    torch.autograd.grad(L_f, list(F.parameters()))
    theta_T = [parameter for parameter in T.parameters() if parameter.requires_grad]
    torch.autograd.grad(T(I_f.detach(), mtr), theta_T, allow_unused=True)
    torch.autograd.grad(T(F(mts.ir, mts.vi), mts), list(F.parameters()))
    torch.autograd.grad((w_a * mtr.ir).sum(), list(G.parameters()))
    return {}


def random_batch(height: int, width: int, batch: int = Case.batch) -> Batch:
    """Images of noise, a random class per pixel, and five boxes each."""
    images = torch.rand(2, batch, 1, height, width)
    corners = torch.rand(batch, 5, 2, 2).sort(dim=2).values * torch.tensor([width, height])  # (B, 5, 2, xy)
    classes = torch.randint(CLASSES, (batch, 5, 1)).float()
    return Batch(
        *images,
        names=tuple(map(str, range(batch))),
        mask=torch.randint(CLASSES, (batch, height, width)),
        boxes=tuple(torch.cat([classes, corners.flatten(2)], 2)),
    )


def flat(gradient: Iterable[torch.Tensor]) -> np.ndarray:
    return torch.cat([g.flatten() for g in gradient]).numpy()


def case_row(case: Case, measured: Measured) -> dict:
    first, median, third = np.percentile(measured.seconds, (25, 50, 75))
    return setting(case) | {
        "side": case.side,
        "keeps_freed_memory": case.kept,
        "median_s": round(median, 4),
        "quartiles_s": [round(first, 4), round(third, 4)],
        "min_s": round(min(measured.seconds), 4),
        "seconds": [round(s, 4) for s in measured.seconds],
        "peak_MB": round(measured.peak, 1),
        "peak_over_start_MB": round(measured.peak - measured.before, 1),
    }


def setting(case: Case) -> dict:
    task = TASKS[case.task] if case.task else None
    size = {"height": case.height, "width": case.width}
    return {"what": case.what, "task": task} | size | {"threads": case.threads, "batch": case.batch}


def comparisons(found: dict[Case, Measured]) -> Iterable[dict]:
    """Ours against plain, in each pairing of the memory setting, and the others against ours, as far as measured."""
    for case, ours in found.items():
        if case.side != OURS:
            continue
        for side in OTHERS if case.kept else ():
            if (other := found.get(replace(case, side=side))) is not None:
                row = setting(case) | {"pairing": f"{side}, {EQUAL}"}
                row["times_of_ours"], row["times_of_ours_quartiles"] = ratio(other.seconds, ours.seconds)
                row["memory_part"] = round(other.peak / ours.peak, 3)
                row["memory_part_over_start"] = round(
                    (other.peak - other.before) / (ours.peak - ours.before), 3
                )
                apart = {} if side == IMAGE else {
                    value: difference(other.values[value], ours.values[value]) for value in ours.values
                }  # another gradient on purpose  # fmt: skip
                yield row | {"differences": apart}
        for name, (kept, plain_kept) in PAIRINGS.items():
            plain = found.get(replace(case, side=PLAIN, kept=plain_kept))
            if case.kept != kept or plain is None:
                continue
            row = setting(case) | {"pairing": name}
            row["times_faster"], row["times_faster_quartiles"] = ratio(plain.seconds, ours.seconds)
            row["memory_part"] = round(ours.peak / plain.peak, 3)
            row["memory_part_over_start"] = round((ours.peak - ours.before) / (plain.peak - plain.before), 3)
            if (bare := found.get(replace(case, side=BARE))) is not None:
                row["over_bare_passes"], row["over_bare_passes_quartiles"] = ratio(ours.seconds, bare.seconds)
            row["differences"] = {
                value: difference(ours.values[value], plain.values[value]) for value in ours.values
            }
            yield row


def ratio(upper: Sequence[float], lower: Sequence[float]) -> tuple[float, list[float]]:
    """Median and quartiles of the ratio round by round."""
    first, median, third = np.percentile(np.array(upper) / np.array(lower), (25, 50, 75))
    return round(median, 3), [round(first, 3), round(third, 3)]


def difference(ours: np.ndarray, plain: np.ndarray) -> dict[str, float]:
    away = np.abs(ours - plain).max()
    return {
        "largest": float(f"{away:.2e}"),
        "relative_norm": float(f"{np.linalg.norm(ours - plain) / np.linalg.norm(plain):.2e}"),
    }


def reach(rows: Sequence[dict]) -> list[dict]:
    """What was aimed at, and whether it is met on two threads with a batch of two."""
    aims = [
        (META, 128, DEFAULT, "times_faster", "at least", 2.8),
        (META, 128, DEFAULT, "memory_part", "at most", 0.45),
        (META, 128, DEFAULT, "over_bare_passes", "at most", 1.25),
        (META, 128, f"{IMAGE}, {EQUAL}", "times_of_ours", "at most", 0.6),
        (INFER, 480, EQUAL, "times_faster", "at least", 2.2),
        (INFER, 480, DEFAULT, "largest difference of I_f", "at most", 1e-5),
    ]
    met = []
    for row in rows:
        for what, height, pairing, key, sense, aim in aims:
            here = (row["what"], row["height"], row["threads"], row["batch"], row["pairing"])
            if here != (what, height, 2, Case.batch, pairing):
                continue
            value = row["differences"]["I_f"]["largest"] if "difference" in key else row[key]
            holds = bool(value >= aim if sense == "at least" else value <= aim)  # numpy's is no JSON
            name = f"{what} {size_in_words(row)}" + (f", {row['task']}" if row["task"] else "")
            met.append(
                {"what": name, "measure": key, "aim": f"{sense} {aim:g}", "value": value, "met": holds}
            )
    return met


def print_tables(report: dict) -> None:
    print(f"\n{'':54}{'median s (quartiles)':>28}{'peak MB':>9}{'over start':>12}")
    for row in report["cases"]:
        kept = "keeps freed memory" if row["keeps_freed_memory"] else ""
        low, high = row["quartiles_s"]
        times = f"{row['median_s']:.3f} ({low:.3f} .. {high:.3f})"
        memory = f"{row['peak_MB']:9.0f}{row['peak_over_start_MB']:12.0f}"
        print(f"{in_words(row)} {row['side']:<12}{kept:<19}{times:>24}{memory}")
    for row in report["comparisons"]:
        against = "times_faster" if "times_faster" in row else "times_of_ours"
        low, high = row[f"{against}_quartiles"]
        bare = f", {row['over_bare_passes']:.2f} bare passes" if "over_bare_passes" in row else ""
        away = max((found["relative_norm"] for found in row["differences"].values()), default=float("nan"))
        print(
            f"{in_words(row)} {row['pairing']:<42}{against} {row[against]:.2f} ({low:.2f} .. {high:.2f}), memory "
            f"{row['memory_part']:.2f}{bare}, difference {away:.1e}"
        )
    print()
    for row in report["reach"]:
        verdict = "met" if row["met"] else "MISSED"
        print(f"{row['what']}: {row['measure']} {row['value']:g}, wanted {row['aim']}: {verdict}")
    for note in report["left_out"]:
        print(f"left out: {note}")


def in_words(row: dict) -> str:
    task = f", {row['task']}" if row["task"] else ""
    what = f"{row['what']} {size_in_words(row)}{task}"
    return f"{what:<42}{row['threads']:>2} threads, batch {row['batch']}"


def size_in_words(row: dict) -> str:
    return f"{row['height']}x{row['width']}"


if __name__ == "__main__":
    main()
