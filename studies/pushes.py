r"""How far ahead the loss looks: the push on w_a from one step of F to a converged F, and to the image itself.

Every form asks w_a to move along $-(I_a - I_b) \odot K g$, g the task's pixel gradient
(``notebooks/read_37_lookahead.py`` derives it). F and T are first trained for a while at w = 1/2; then K is each of

- ``one step, Adam``: $J D J^\top$, D the slope of F's next Adam step in its gradient;
- ``one step``: $J J^\top$, the paper's;
- ``1e+03`` ... ``1e-04``: $J (J^\top J + \lambda)^{-1} J^\top$, a converged F held to where it is by lambda;
- ``image``: 1.

``mask`` is an F that can only choose, ``paper 8`` the paper's form of F at width 8; ``T older``: the same after more
steps. The group says whether the task judges the pairs that w is written for, or others. A row holds,
over the pixels of a batch whose class one image carries: the balanced share of right signs and the same by mass of
the push, and the AUC (how often a pixel of infrared's is pushed further up than one of visible's), which a lean of
the whole map leaves as it is; further the cosine with the push of ``image`` (same pairs), and what the solve left of v.

    python -m studies.pushes        # a quarter of an hour on one core
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.func import vjp
from tqdm import tqdm

from studies.arm import Arm
from studies.scene_parts import load
from studies.scene_run import Run
from tdfusion.data.pair import Batch
from tdfusion.data.synthroad.scenes import OPTIMUM, right_signs
from tdfusion.files import whole_file
from tdfusion.jacobian import Parameters, call, directional_derivative, values
from tdfusion.meta import loss_and_slope, task_gradient
from tdfusion.results import save
from tdfusion.runs.memory import keep_freed_memory
from tdfusion.runs.provenance import Provenance, add_result_options, command_line, require_clean

ROOT = Path(__file__).resolve().parents[1]
SCRATCH, RESULT = ROOT / "runs" / "pushes", ROOT / "results" / "pushes.csv"
SEEDS = (20, 21, 22)  # of the networks and of the scenes; no other study has them
WARM = {"mask": (150, 400), "paper 8": (150,)}  # steps of F and T at w = 1/2 before the push is measured
SCENES = 384
DAMPINGS = tuple(10.0**k for k in range(3, -5, -1))
STOPS = ("one step, Adam", "one step", *(f"{damping:.0e}" for damping in DAMPINGS), "image")
BATCH, ITERATIONS, SHOWN = 8, 100, 3
LEVEL = 3.0  # a map is kept in 8 bits between -3 and 3 root mean squares


def solve_damped_path(
    F: nn.Module, v: Parameters, I_a: Tensor, I_b: Tensor, dampings: Sequence[float], iterations: int
) -> tuple[list[Parameters], list[float], float]:
    """(J^T J + damping)^-1 v for several dampings from one Krylov space, by Lanczos' method.

    `tdfusion.jacobian.solve_damped` for each of them, at the price of one: the space does not depend on damping.

    Returns:
        A solution per damping, its residual relative to v, and the largest eigenvalue of J^T J that the space knows.
    """
    names, shapes = list(v), [t.shape for t in v.values()]
    _, pull_back = vjp(lambda theta: call(F, theta, I_a, I_b), values(F))  # u -> J^T u

    def named(flat: Tensor) -> Parameters:
        pieces = flat.to(I_a.dtype).split([shape.numel() for shape in shapes])
        return {name: piece.view(shape) for name, piece, shape in zip(names, pieces, shapes)}

    start = _flat(v)

    def matrix_times(flat: Tensor) -> Tensor:
        (product,) = pull_back(directional_derivative(F, named(flat), I_a, I_b))
        return _flat({name: product[name] for name in names})

    basis, diagonal, beside = [start / start.norm()], [], []
    while len(diagonal) < iterations:
        following, known = matrix_times(basis[-1]), torch.stack(basis)
        diagonal.append(torch.dot(following, basis[-1]))
        for _ in range(2):  # rounding undoes the orthogonality that the method rests on
            following = following - known.T @ (known @ following)
        beside.append(following.norm())
        if beside[-1] <= 1e-12 * diagonal[0]:
            break
        basis.append(following / beside[-1])
    size = len(diagonal)
    off = torch.diag(torch.stack(beside[: size - 1]), 1) if size > 1 else torch.zeros(1, 1).to(start)
    matrix = torch.diag(torch.stack(diagonal)) + off + off.T
    first = torch.zeros(size, dtype=start.dtype)
    first[0] = start.norm()
    found, left = [], []
    for damping in dampings:
        y = torch.linalg.solve(matrix + damping * torch.eye(size, dtype=start.dtype), first)
        u = torch.stack(basis[:size]).T @ y
        found.append(named(u))
        left.append(((matrix_times(u) + damping * u - start).norm() / start.norm()).item())
    return found, left, torch.linalg.eigvalsh(matrix)[-1].item()


def _flat(parameters: Parameters) -> Tensor:
    return torch.cat([t.flatten() for t in parameters.values()]).double()


def adam_slope(optimiser: torch.optim.Adam, F: nn.Module, gradient: Parameters) -> Parameters:
    r"""D: minus the derivative of Adam's next step in the gradient, an entry per parameter of F, over its rate.

    $$D = \frac{1 - \beta_1}{1 - \beta_1^t}\, \frac{1}{s + \epsilon}
      - \hat{m}\, \frac{1 - \beta_2}{1 - \beta_2^t}\, \frac{g}{s\, (s + \epsilon)^2}, \qquad s = \sqrt{\hat{v}},$$

    t, the mean m and the square v counted with this gradient g in them. Diagonal, since Adam moves every parameter
    by its own gradient alone; almost 0 in the very first step, whose length is the rate whatever the gradient.
    """
    (group,) = optimiser.param_groups
    (beta_1, beta_2), eps = group["betas"], group["eps"]
    found = {}
    for name, parameter in F.named_parameters():
        state, g = optimiser.state.get(parameter, {}), gradient[name].double()
        t = int(state.get("step", 0)) + 1
        one, two = (1 - beta_1) / (1 - beta_1**t), (1 - beta_2) / (1 - beta_2**t)
        m = (beta_1 * state.get("exp_avg", 0) + (1 - beta_1) * g) / (1 - beta_1**t)
        s = ((beta_2 * state.get("exp_avg_sq", 0) + (1 - beta_2) * g**2) / (1 - beta_2**t)).sqrt()
        curved = torch.where(s > 0, m * two * g / (s * (s + eps) ** 2), 0.0)
        found[name] = (one / (s + eps) - curved).to(parameter.dtype)
    return found


def pixel_gradient(run: Run, pairs: Batch) -> Tensor:
    """g = dL_t / dI_f of the fused pairs, (B, 1, H, W)."""
    F, T = run.state.F, run.state.T
    with torch.no_grad():
        I_f = call(F, values(F), pairs.ir, pairs.vi)
    I_f.requires_grad_()
    return torch.autograd.grad(call(T, values(T), I_f, pairs), I_f)[0]


def pushes(run: Run, mtr: Batch, mts: Batch) -> tuple[dict[str, Tensor], dict[str, float], float]:
    """-(I_a - I_b) K g on ``mtr`` for each of `STOPS`, (B, 1, H, W); residuals; the largest eigenvalue.

    Eq. (4) is left out of v (F' = F), so that the forms differ in K alone. ``image`` only where mtr is mts.
    """
    F = run.state.F
    v, _, _ = task_gradient(F, values(F), run.state.T, values(run.state.T), mts)
    half = torch.full_like(mtr.ir, 0.5)
    _, _, slope = loss_and_slope(F, mtr, half, half, run.loss)
    D = adam_slope(run.state.F_optimiser, F, slope)
    solved, left, largest = solve_damped_path(F, v, mtr.ir, mtr.vi, DAMPINGS, ITERATIONS)
    directions = [{name: D[name] * v[name] for name in v}, v, *solved]
    found = {
        stop: (mtr.vi - mtr.ir) * directional_derivative(F, u, mtr.ir, mtr.vi)
        for stop, u in zip(STOPS, directions)
    }
    if mtr is mts:
        found["image"] = (mtr.vi - mtr.ir) * pixel_gradient(run, mtr)
    return found, dict(zip(STOPS[2:], left)), largest


def scores(push: Tensor, optimum: Tensor) -> dict[str, float]:
    """Right signs, right mass and AUC of a push (B, 1, H, W), see above; ``optimum`` (B, H, W)."""
    push = push[:, 0]
    up, down = (push[(optimum == OPTIMUM.index(k)) & (push != 0)] for k in ("infrared", "visible"))
    ranks = rankdata(torch.cat([up, down]).double().numpy())
    above = ranks[: len(up)].mean() - (len(up) + 1) / 2
    mass = [up.clamp(min=0).sum() / up.abs().sum(), -down.clamp(max=0).sum() / down.abs().sum()]
    return {
        "right signs": right_signs(push, optimum),
        "right mass": (sum(mass) / 2).item(),
        "AUC": float(above / len(down)),
    }


def cosine(one: Tensor, other: Tensor) -> float:
    return torch.nn.functional.cosine_similarity(
        one.flatten().double(), other.flatten().double(), dim=0
    ).item()


def levels(push: Tensor) -> np.ndarray:
    """Maps (B, 1, H, W) in root mean squares of their batch, as 8 bits."""
    scaled = push[:SHOWN, 0] / push.square().mean().sqrt()
    return ((scaled / LEVEL).clamp(-1, 1) * 127.5 + 127.5).round().byte().numpy()


def states(network: str, seed: int) -> Iterator[tuple[str, Run]]:
    """F and T after so many steps, under the name of the state."""
    scenes = load("train", SCRATCH, seed, SCENES)
    run = Run(Arm(F=network, w="half", batch=8), seed, scenes, scenes)
    done = 0
    for warm in WARM[network]:
        run.state.T.train()
        for _ in range(warm - done):
            run.fusion_step()
        run.state.T.eval()
        yield network if not done else f"{network}, T older", run
        done = warm


def measure(name: str, run: Run) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Rows of one state of F and T, and the maps of its first scenes."""
    scenes, seed = run.train, run.seed
    order = torch.randperm(len(scenes), generator=torch.Generator().manual_seed(seed))
    ours, others = order[: 2 * BATCH].split(BATCH)
    mtr, mts = scenes.batch(ours), scenes.batch(others)
    rows, maps = [], {"scenes": ours[:SHOWN].numpy()}
    for group, judged in (("same pairs", mtr), ("other pairs", mts)):
        found, left, largest = pushes(run, mtr, judged)
        if group == "same pairs":
            wanted = found["image"]
            maps |= {f"{name}, {stop}": levels(push) for stop, push in found.items()}
        for stop, push in found.items():
            values_ = scores(push, scenes.optimum[ours]) | {"cosine": cosine(push, wanted)}
            values_ |= {"residual": left[stop]} if stop in left else {}
            values_ |= {"largest eigenvalue": largest} if stop == "one step" else {}
            rows.append(
                {"data": "SynthRoad", "arm": f"{name}, {stop}", "task": "segmentation", "group": group,
                 "seed": seed, "values": {k: round(x, 5) for k, x in values_.items()}}
            )  # fmt: skip
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
    rows, kept = [], {}
    SCRATCH.mkdir(parents=True, exist_ok=True)
    every = ((seed, state) for seed in options.seeds for network in WARM for state in states(network, seed))
    total = len(options.seeds) * sum(map(len, WARM.values()))
    for seed, state in tqdm(every, total=total, unit="state"):
        more, maps = measure(*state)
        rows += more
        if seed == options.seeds[0]:
            kept |= maps
    with whole_file(options.out.with_name(f"{options.out.stem}_maps.npz")) as part:
        np.savez_compressed(part, **kept)
    save(
        options.out.stem,
        rows,
        what="The push on w_a against how far ahead the loss looks: right signs by state of F and T (module's text)",
        command=command_line(),
        provenance=[made.finish()],
        settings={"warm": WARM, "batch": BATCH, "iterations": ITERATIONS, "level": LEVEL,
                  "dampings": list(DAMPINGS), "scenes": SCENES, "shown_seed": options.seeds[0]},
        folder=options.out.parent,
    )  # fmt: skip


if __name__ == "__main__":
    main()
