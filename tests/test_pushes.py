"""How far ahead the loss looks: the study's own pieces, each against a second computation."""

from __future__ import annotations

import copy

import pytest
import torch
from test_meta import TinyF, batch
from torch import Tensor, nn

from studies.pushes import LEVEL, adam_slope, levels, scores, solve_damped_path
from tdfusion.jacobian import directional_derivative, solve_damped, values
from tdfusion.losses import intensity_loss


def flat(parameters: dict[str, Tensor]) -> Tensor:
    return torch.cat([p.flatten() for p in parameters.values()])


def test_all_dampings_at_once_are_each_damping_by_conjugate_gradients() -> None:
    F, mtr = TinyF().double(), batch()
    v = {name: torch.randn_like(p) for name, p in values(F).items()}
    dampings = (1e2, 1.0, 1e-2)
    found, left, largest = solve_damped_path(F, v, mtr.ir, mtr.vi, dampings, iterations=31)
    for damping, u, residual in zip(dampings, found, left):
        expected = solve_damped(F, v, mtr.ir, mtr.vi, damping, iterations=300)
        torch.testing.assert_close(flat(u), flat(expected), rtol=1e-6, atol=1e-9)
        assert residual < 1e-9
    blocks = torch.func.jacrev(lambda theta: torch.func.functional_call(F, theta, (mtr.ir, mtr.vi)))(
        values(F)
    )
    J = torch.cat([block.flatten(4) for block in blocks.values()], -1).flatten(0, 3)
    assert largest == pytest.approx(torch.linalg.eigvalsh(J.T @ J)[-1].item(), rel=1e-9)


def test_what_too_few_iterations_leave_is_said() -> None:
    F, mtr = TinyF().double(), batch()
    v = {name: torch.randn_like(p) for name, p in values(F).items()}
    (u,), (left,), _ = solve_damped_path(F, v, mtr.ir, mtr.vi, (1e-3,), iterations=4)
    _, pull_back = torch.func.vjp(
        lambda theta: torch.func.functional_call(F, theta, (mtr.ir, mtr.vi)), values(F)
    )
    (product,) = pull_back(directional_derivative(F, u, mtr.ir, mtr.vi))
    missing = flat({name: product[name] for name in v}) + 1e-3 * flat(u) - flat(v)
    assert left == pytest.approx((missing.norm() / flat(v).norm()).item(), rel=1e-6)
    assert left > 1e-3


@pytest.mark.parametrize("steps", [0, 3])
def test_the_slope_of_adams_step_is_that_of_torchs_own_adam(steps: int) -> None:
    """Finite differences of what torch.optim.Adam does to a parameter when its gradient is changed."""
    F, mtr = TinyF().double(), batch()
    optimiser = torch.optim.Adam(F.parameters(), lr=0.5, eps=1e-3)

    def slope(net: nn.Module) -> list[Tensor]:
        half = torch.full_like(mtr.ir, 0.5)
        loss = intensity_loss(net(mtr.ir, mtr.vi), mtr.ir, mtr.vi, half, half)
        return torch.autograd.grad(loss, list(net.parameters()))

    def stepped(gradient: list[Tensor]) -> Tensor:
        other = copy.deepcopy(F)
        twin = torch.optim.Adam(other.parameters(), lr=0.5, eps=1e-3)
        twin.load_state_dict(copy.deepcopy(optimiser.state_dict()))
        for parameter, g in zip(other.parameters(), gradient):
            parameter.grad = g
        twin.step()
        return flat(values(other))

    for _ in range(steps):
        for parameter, g in zip(F.parameters(), slope(F)):
            parameter.grad = g
        optimiser.step()
    gradient = slope(F)
    D = flat(adam_slope(optimiser, F, dict(zip(values(F), gradient))))
    h = 1e-7  # of every entry at once: a parameter moves by its own gradient alone
    numeric = (stepped([g - h for g in gradient]) - stepped([g + h for g in gradient])) / (2 * h * 0.5)
    torch.testing.assert_close(D, numeric, rtol=1e-4, atol=1e-5)


def test_scores_are_those_counted_by_hand_and_a_lean_is_worth_one_half() -> None:
    optimum = torch.tensor([[[1, 1, 1, 2], [2, 0, 3, 1]]])  # infrared 1, visible 2
    push = torch.tensor([[[[3.0, 1.0, -2.0, -1.0], [4.0, 9.0, -9.0, 0.0]]]])  # a push of 0 does not count
    found = scores(push, optimum)
    assert found["right signs"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["right mass"] == pytest.approx((4 / 6 + 1 / 5) / 2)
    pairs = [(up > down) + (up == down) / 2 for up in (3, 1, -2) for down in (-1, 4)]
    assert found["AUC"] == pytest.approx(sum(pairs) / 6)
    leaning = scores(push + 100, optimum)
    assert leaning["right signs"] == 0.5
    assert scores(push - 100, optimum)["right signs"] == 0.5


def test_a_kept_map_is_the_push_in_root_mean_squares() -> None:
    push = torch.randn(4, 1, 6, 5)
    back = levels(push).astype(float) / 127.5 - 1
    expected = (push[:3, 0] / push.square().mean().sqrt()).clamp(-LEVEL, LEVEL)
    assert abs(back * LEVEL - expected.numpy()).max() <= LEVEL / 255 + 1e-6
