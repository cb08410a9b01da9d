"""Where the signal is lost: from T's pixel gradient to the push on w, at one state of F and T.

F and T are first trained for a while at w = 1/2. Then, over batches that neither has to learn from, four maps
say how w_a should move at every pixel:

- ``pixel gradient``: -(dL_t/dI_f)(I_a - I_b), what T would ask for if every pixel of I_f obeyed its own w;
- ``one step``: the descent direction of Eq. (11)'s bracket, (I_b - I_a) J v: what one plain step of F lets through;
- ``four steps``: the same through four plain steps of F, by differentiating all of them;
- ``gauss-newton``: (I_b - I_a) J u with u = (J^T J + damping)^-1 v.

Each map is divided by its root mean square in its batch. A row holds, over the batches, the mean of the map where
infrared carries the class minus where visible does (the right sign is +), its standard deviation, the share of
batches with the right sign, and the lean: the mean over all pixels. Writes results/mechanism_signal.csv.

    python -m studies.mechanism_signal        # about ten minutes on one core
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from studies.mechanism import ROOT, SCRATCH
from studies.mechanism_arms import MASK, SEEDS
from studies.scene_parts import Scenes, load
from studies.scene_run import Run
from tdfusion.data.synthroad.scenes import OPTIMUM
from tdfusion.files import whole_file
from tdfusion.jacobian import call, directional_derivative, solve_damped, values
from tdfusion.losses import intensity_loss
from tdfusion.meta import task_gradient
from tdfusion.results import save
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

RESULT = ROOT / "results" / "mechanism_signal.csv"
WARM, BATCHES, INNER = 150, 12, 4
STATES = (  # F, whether T's input is standardised
    ("mask centred", True),
    ("mask", True),
    ("paper 8", True),
    ("mask", False),
)


def pushes(run: Run, mtr: Tensor, mts: Tensor, forms: tuple[str, ...]) -> dict[str, tuple[Tensor, Tensor]]:
    """Each form's map (B, 1, H, W), and the scenes it lies on. Eq. (4) is left out of v: F' = F."""
    scenes, F, T = run.train, run.state.F, run.state.T
    on_mtr, on_mts = scenes.batch(mtr), scenes.batch(mts)
    theta_F = values(F)
    v, _, I_f = task_gradient(F, theta_F, T, values(T), on_mts)
    found = {}
    if "pixel gradient" in forms:
        I_f = I_f.requires_grad_()
        (pixel,) = torch.autograd.grad(call(T, values(T), I_f, on_mts), I_f)
        found["pixel gradient"] = (-pixel * (on_mts.ir - on_mts.vi), mts)
    if "one step" in forms:
        J_v = directional_derivative(F, v, on_mtr.ir, on_mtr.vi)
        found["one step"] = ((on_mtr.vi - on_mtr.ir) * J_v, mtr)
    if "gauss-newton" in forms:
        u = solve_damped(F, v, on_mtr.ir, on_mtr.vi, 1e-3, 10)
        found["gauss-newton"] = (
            (on_mtr.vi - on_mtr.ir) * directional_derivative(F, u, on_mtr.ir, on_mtr.vi),
            mtr,
        )
    if "four steps" in forms:
        found["four steps"] = (-through_steps(run, mtr, mts, INNER), mtr)
    return found


def through_steps(run: Run, mtr: Tensor, mts: Tensor, steps: int) -> Tensor:
    """dL_t / dw_a through several plain steps of F on L_int, by reverse mode through all of them."""
    on_mtr, on_mts = run.train.batch(mtr), run.train.batch(mts)
    w_a = torch.full_like(on_mtr.ir, 0.5).requires_grad_()
    theta = {name: value.clone().requires_grad_() for name, value in values(run.state.F).items()}
    for _ in range(steps):
        L_f = intensity_loss(
            call(run.state.F, theta, on_mtr.ir, on_mtr.vi), on_mtr.ir, on_mtr.vi, w_a, 1 - w_a
        )
        gradient = torch.autograd.grad(L_f, list(theta.values()), create_graph=True)
        theta = {name: p - run.arm.eta_F * g for (name, p), g in zip(theta.items(), gradient)}
    L_t = call(run.state.T, values(run.state.T), call(run.state.F, theta, on_mts.ir, on_mts.vi), on_mts)
    return torch.autograd.grad(L_t, w_a)[0]


def measure(
    network: str, standardised: bool, seed: int, train: Scenes, test: Scenes
) -> tuple[list[dict], dict]:
    """Rows of one state, and the maps of one scene."""
    arm = replace(MASK, F=network, w="half", standardised=standardised)
    run = Run(arm, seed, train, test)
    for _ in range(WARM):
        run.fusion_step()
    run.state.T.eval()
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    maps: dict[str, Tensor] = {}
    forms = ("pixel gradient", "one step", "gauss-newton", "four steps")
    for batch, batches in ((16, BATCHES if network != "paper 8" else BATCHES // 3), (2, BATCHES)):
        for i in range(batches):
            chosen = order.roll(-2 * batch * i)
            here = pushes(run, chosen[:batch], chosen[batch : 2 * batch], forms if batch == 16 else forms[:2])
            for form, (push, on) in here.items():
                push = push / push.square().mean().sqrt()
                infrared, visible = (train.optimum[on] == OPTIMUM.index(k) for k in ("infrared", "visible"))
                difference = push[:, 0][infrared].mean() - push[:, 0][visible].mean()
                found.setdefault((form, batch), []).append((difference.item(), push.mean().item()))
        if batch == 16:  # the same scenes on both sides, so that the maps can be laid beside each other
            same = order[:16]
            maps = {
                form: (push / push.square().mean().sqrt())[0, 0]
                for form, (push, _) in pushes(run, same, same, forms).items()
            }
    rows = []
    for (form, batch), values_ in found.items():
        differences, leans = np.array(values_).T
        rows.append(
            {
                "data": "SynthRoad",
                "arm": network + ("" if standardised else ", T raw"),
                "task": "segmentation",
                "group": f"{form}, batch {batch}",
                "seed": seed,
                "values": {
                    "batches": len(differences),
                    "difference": round(float(differences.mean()), 4),
                    "sd": round(float(differences.std(ddof=1)), 4),
                    "right_sign": round(float((differences > 0).mean()), 4),
                    "lean": round(float(leans.mean()), 4),
                    "lean_sd": round(float(leans.std(ddof=1)), 4),
                },
            }
        )
    return rows, maps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    add_result_options(parser, RESULT)
    options = parser.parse_args()
    require_clean(options.out, options.allow_dirty)
    torch.set_num_threads(1)
    keep_freed_memory()
    made = Provenance.begin(seeds=list(options.seeds))
    train, test = load("train", SCRATCH), load("test", SCRATCH)
    rows, kept = [], {}
    for (network, standardised), seed in tqdm(list(product(STATES, options.seeds)), unit="state"):
        more, maps = measure(network, standardised, seed, train, test)
        rows += more
        if seed == options.seeds[0] and standardised:
            kept |= {f"{network}, {form}": m.numpy().astype(np.float16) for form, m in maps.items()}
            scene = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[0].item()
    with whole_file(options.out.with_name(f"{options.out.stem}_maps.npz")) as part:
        np.savez_compressed(part, **kept)
    save(
        options.out.stem,
        rows,
        what="How w_a is asked to move: infrared-carried minus visible-carried pixels, over batches (module's text)",
        command=command_line(),
        provenance=[made.finish()],
        settings={"warm": WARM, "inner_steps": INNER, "damping": 1e-3, "iterations": 10, "scene": scene},
        folder=options.out.parent,
    )


if __name__ == "__main__":
    main()
