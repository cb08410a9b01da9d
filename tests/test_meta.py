"""The meta-gradient: exact, non-zero, in the right direction, and without side effects."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from tdfusion.algorithm import NormalisedGradient
from tdfusion.data.pair import Batch
from tdfusion.errors import InputError, TrainingError
from tdfusion.losses import fusion_loss, intensity_loss
from tdfusion.meta import (
    MetaGradient,
    call,
    directional_derivative,
    inner_update_T,
    meta_gradient,
    outer_update,
    pixel_push,
    solve_damped,
    values,
)
from tdfusion.models import FusionNet, LossNet
from tdfusion.reference.alternatives import finite_difference_meta_gradient, mixed_mode_meta_gradient
from tdfusion.reference.double_backward import directional_derivative_by_vjp, plain_meta_gradient


class TinyF(nn.Module):
    """A smooth fusion net of 31 parameters: any F that fits the protocol will do."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2, 1, 3, padding=1)
        self.out = nn.Conv2d(1, 1, 3, padding=1)
        self.skip = nn.Conv2d(2, 1, 1, bias=False)

    def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
        both = torch.cat([I_a, I_b], 1)
        return (self.out(self.mix(both).tanh()) + self.skip(both)).sigmoid()


class TinyG(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, I_a: Tensor, I_b: Tensor) -> tuple[Tensor, Tensor]:
        w = self.net(torch.cat([I_a, I_b], 1)).softmax(1)
        return w[:, :1], w[:, 1:]


class TinyT(nn.Module):
    """Segmentation with batch norm, whose buffers a careless meta-step would spoil."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 3, 1)
        )

    def forward(self, I_f: Tensor, batch: Batch) -> Tensor:
        return nnf.cross_entropy(self.net(I_f), batch.mask)


def batch(size: int = 8) -> Batch:
    images = torch.rand(2, 2, 1, size, size, dtype=torch.float64)
    return Batch(*images, ("p", "q"), torch.randint(0, 3, (2, size, size)))


@pytest.fixture
def setting() -> tuple[nn.Module, nn.Module, nn.Module, Batch, Batch]:
    return TinyF().double(), TinyG().double(), TinyT().double().train(), batch(), batch()


STEPS = {"loss": fusion_loss, "eta_F_prime": 0.5, "eta_T_prime": 0.3}


def flat(gradient: dict[str, Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in gradient.values()])


def outer_loss_by_hand(
    setting, L_f=fusion_loss, eta_F_prime: float = 0.5, eta_T_prime: float = 0.3
) -> Tensor:
    """L_t after Eq. (4) and (5), written with torch.optim.SGD and no code of the library."""
    import copy

    F, G, T, mtr, mts = setting
    F, T = copy.deepcopy(F), copy.deepcopy(T)
    I_f = F(mtr.ir, mtr.vi)
    with torch.no_grad():
        w_a, w_b = G(mtr.ir, mtr.vi)
    step_F, step_T = (
        torch.optim.SGD(F.parameters(), lr=eta_F_prime),
        torch.optim.SGD(T.parameters(), lr=eta_T_prime),
    )
    fusion_loss(I_f, mtr.ir, mtr.vi, w_a, w_b).backward()
    T(I_f.detach(), mtr).backward()
    step_F.step()
    step_T.step()
    with torch.no_grad():
        return T(F(mts.ir, mts.vi), mts)


def test_the_outer_loss_is_that_of_two_plain_sgd_steps(setting) -> None:
    expected = outer_loss_by_hand(setting)
    torch.testing.assert_close(meta_gradient(*setting, **STEPS).L_t_mts, expected, rtol=1e-12, atol=0)


def finite_differences(setting, step: float = 1e-4) -> Tensor:
    G = setting[1]
    slopes = []
    for parameter in G.parameters():
        for i in range(parameter.numel()):
            losses = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter.view(-1)[i] += sign * step
                losses.append(outer_loss_by_hand(setting))
                with torch.no_grad():
                    parameter.view(-1)[i] -= sign * step
            slopes.append((losses[0] - losses[1]) / (2 * step))
    return torch.stack(slopes)


def test_meta_gradient_equals_finite_differences_of_the_whole_step(setting) -> None:
    """Both sign and size, against differences of `outer_loss_by_hand`, which knows no derivative in theta_G."""
    exact = flat(meta_gradient(*setting, **STEPS).theta_G)
    numeric = finite_differences(setting)
    assert (exact - numeric).norm() / numeric.norm() < 1e-6
    assert nnf.cosine_similarity(exact, numeric, dim=0) > 0.999999


def test_forward_mode_equals_reverse_over_reverse(setting) -> None:
    forward = flat(meta_gradient(*setting, **STEPS).theta_G)
    other = flat(plain_meta_gradient(*setting, **STEPS))
    assert (forward - other).norm() / forward.norm() < 1e-12


def test_mixed_mode_is_the_meta_gradient_and_a_difference_comes_near(setting) -> None:
    exact = flat(meta_gradient(*setting, **STEPS).theta_G)
    mixed = flat(mixed_mode_meta_gradient(*setting, **STEPS))
    assert exact.norm() > 0 and (exact - mixed).norm() / exact.norm() < 1e-12
    errors = [
        (
            (flat(finite_difference_meta_gradient(*setting, **STEPS, radius=r)) - exact).norm() / exact.norm()
        ).item()
        for r in (1e-2, 1e-3)
    ]
    assert errors[0] < 0.05 and errors[1] < errors[0] / 50  # its error is of second order


def test_J_v_in_forward_mode_is_that_of_two_reverse_passes(setting) -> None:
    F, _, _, mtr, _ = setting
    v = {name: torch.randn_like(p) for name, p in values(F).items()}
    found = directional_derivative(F, v, mtr.ir, mtr.vi)
    expected = directional_derivative_by_vjp(F, v, mtr.ir, mtr.vi)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_J_v_of_a_compiled_F_is_that_of_the_plain_one() -> None:
    """PyTorch's inductor has dropped tangents in silence: the derivative of a compiled F was then zero."""
    torch.manual_seed(0)
    F = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.GELU(), nn.Conv2d(4, 1, 1))
    F.forward = lambda I_a, I_b: nn.Sequential.forward(F, torch.cat([I_a, I_b], 1))
    I_a, I_b = torch.rand(2, 1, 1, 16, 16)
    v = {name: torch.randn_like(p) for name, p in values(F).items()}
    plain, J_v = F(I_a, I_b), directional_derivative(F, v, I_a, I_b)
    F.compile()
    torch.testing.assert_close(F(I_a, I_b), plain)  # compiled here
    assert J_v.abs().max() > 0.1
    torch.testing.assert_close(directional_derivative(F, v, I_a, I_b), J_v)


@pytest.mark.slow
def test_forward_mode_equals_double_backward_on_the_real_networks() -> None:
    from tdfusion.tasks.segmentation import SegmentationTask

    F, G, T = FusionNet().double(), LossNet().double(), SegmentationTask(3).double().eval()
    mtr, mts = batch(32), batch(32)
    forward = meta_gradient(F, G, T, mtr, mts, **STEPS).theta_G
    found = [flat(g) for g in (forward, plain_meta_gradient(F, G, T, mtr, mts, **STEPS))]
    assert found[1].norm() > 0
    assert (found[0] - found[1]).norm() / found[1].norm() < 1e-12


def test_every_parameter_of_G_receives_a_gradient(setting) -> None:
    gradient = meta_gradient(*setting, **STEPS).theta_G
    assert gradient.keys() == dict(setting[1].named_parameters()).keys()
    assert all(g.abs().max() > 0 for g in gradient.values())


def test_a_loss_without_w_is_refused_because_G_would_learn_nothing(setting) -> None:
    def blind(I_f, I_a, I_b, w_a, w_b):
        return fusion_loss(I_f, I_a, I_b, torch.full_like(w_a, 0.5), torch.full_like(w_b, 0.5))

    with pytest.raises(TrainingError, match="G would receive no gradient"):
        meta_gradient(*setting, **STEPS | {"loss": blind})


def test_first_order_maml_would_train_nothing(setting) -> None:
    """Detach theta_F' from theta_G, as first-order MAML does, and no path to G is left."""
    F, G, T, mtr, mts = setting
    theta = {k: v.clone().requires_grad_() for k, v in values(F).items()}
    w_a, w_b = G(mtr.ir, mtr.vi)
    I_f = torch.func.functional_call(F, theta, (mtr.ir, mtr.vi))
    step = torch.autograd.grad(fusion_loss(I_f, mtr.ir, mtr.vi, w_a, w_b), list(theta.values()))
    prime = {k: v - 0.5 * g for (k, v), g in zip(theta.items(), step)}
    L_t = T(torch.func.functional_call(F, prime, (mts.ir, mts.vi)), mts)
    assert all(g is None for g in torch.autograd.grad(L_t, list(G.parameters()), allow_unused=True))


def test_stepping_against_the_gradient_lowers_the_outer_loss(setting) -> None:
    G = setting[1]
    before = outer_loss_by_hand(setting)
    outer_update(G, meta_gradient(*setting, **STEPS).theta_G, torch.optim.SGD(G.parameters(), lr=1.0))
    assert outer_loss_by_hand(setting) < before


def state_of(*nets: nn.Module) -> list[Tensor]:
    return [t.clone() for net in nets for t in net.state_dict().values()]


@pytest.mark.parametrize("method", ["forward", "gauss_newton", "image"])
@pytest.mark.parametrize("adam", [False, True])
def test_a_meta_step_leaves_everything_but_G_bit_for_bit(setting, method: str, adam: bool) -> None:
    F, G, T, mtr, _ = setting
    optimiser = torch.optim.Adam(T.parameters(), lr=1e-3)
    T(F(mtr.ir, mtr.vi).detach(), mtr).backward()
    optimiser.step()
    optimiser.zero_grad()
    before = state_of(F, G, T)
    moments = [v.clone() for s in optimiser.state.values() for v in s.values()]
    meta_gradient(*setting, **STEPS, method=method, T_optimiser=optimiser if adam else None)
    assert all(torch.equal(a, b) for a, b in zip(before, state_of(F, G, T)))
    assert all(
        torch.equal(a, b) for a, b in zip(moments, (v for s in optimiser.state.values() for v in s.values()))
    )
    assert all(p.grad is None for net in (F, G, T) for p in net.parameters())


def test_T_prime_by_its_own_adam_is_the_step_that_adam_would_take(setting) -> None:
    F, _, T, mtr, _ = setting
    optimiser = torch.optim.Adam(T.parameters(), lr=1e-2)
    I_f = F(mtr.ir, mtr.vi).detach()
    for _ in range(3):  # moments that matter
        optimiser.zero_grad()
        T(I_f, mtr).backward()
        optimiser.step()
    predicted, _ = inner_update_T(T, I_f, mtr, 123.0, optimiser)
    optimiser.zero_grad()
    T(I_f, mtr).backward()
    optimiser.step()
    for name, parameter in T.named_parameters():
        torch.testing.assert_close(predicted[name], parameter.detach(), rtol=1e-12, atol=1e-15)


def test_J_v_equals_a_finite_difference_of_F(setting) -> None:
    F, _, _, mtr, _ = setting
    v = {name: torch.randn_like(p) for name, p in values(F).items()}
    moved = [
        torch.func.functional_call(F, {n: p + s * v[n] for n, p in values(F).items()}, (mtr.ir, mtr.vi))
        for s in (1e-6, -1e-6)
    ]
    numeric = (moved[0] - moved[1]) / 2e-6
    torch.testing.assert_close(directional_derivative(F, v, mtr.ir, mtr.vi), numeric, rtol=1e-6, atol=1e-8)


def test_the_pixel_form_of_eq_11(setting) -> None:
    """d push / d w_a = 2 (I_b - I_a) J v / n, the expression that bracket (b) must be."""
    F, _, _, mtr, _ = setting
    w_a = torch.rand_like(mtr.ir, requires_grad=True)
    J_v = torch.randn_like(mtr.ir)
    push = pixel_push(F(mtr.ir, mtr.vi), mtr.ir, mtr.vi, w_a, 1 - w_a, J_v, fusion_loss)
    (found,) = torch.autograd.grad(push, w_a)
    torch.testing.assert_close(found, 2 * (mtr.vi - mtr.ir) * J_v / mtr.ir.numel(), rtol=1e-10, atol=1e-15)


def test_gauss_newton_solve_equals_a_dense_one(setting) -> None:
    F, _, _, mtr, _ = setting
    v = {name: torch.randn_like(p) for name, p in values(F).items()}
    shapes = {name: p.shape for name, p in values(F).items()}

    def image(theta_flat: Tensor) -> Tensor:
        pieces = torch.split(theta_flat, [s.numel() for s in shapes.values()])
        theta = {n: piece.view(s) for (n, s), piece in zip(shapes.items(), pieces)}
        return torch.func.functional_call(F, theta, (mtr.ir, mtr.vi)).flatten()

    J = torch.func.jacrev(image)(flat(values(F)))  # (pixels, parameters)
    dense = torch.linalg.solve(J.T @ J + 1e-2 * torch.eye(J.shape[1], dtype=J.dtype), flat(v))
    ours = flat(solve_damped(F, v, mtr.ir, mtr.vi, damping=1e-2, iterations=200))
    torch.testing.assert_close(ours, dense, rtol=1e-7, atol=1e-9)
    assert not torch.allclose(ours, flat(v))


def test_the_released_view_of_T_is_used(setting) -> None:
    """With another view for T's inner step, L_t_mtr changes and L_f does not."""
    plain = meta_gradient(*setting, **STEPS)
    other = meta_gradient(*setting, **STEPS, mtr_task=batch(12))
    assert torch.equal(plain.L_f, other.L_f)
    assert not torch.equal(plain.L_t_mtr, other.L_t_mtr)


def test_released_update_of_G_is_normalised_by_the_largest_entry(setting) -> None:
    G = setting[1]
    gradient = meta_gradient(*setting, **STEPS).theta_G
    before = {n: p.detach().clone() for n, p in G.named_parameters()}
    largest = max(g.abs().max() for g in gradient.values())
    outer_update(G, gradient, NormalisedGradient(G.parameters(), lr=0.01))
    for name, parameter in G.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name] - 0.01 * gradient[name] / largest)
    moved = max((p.detach() - before[n]).abs().max().item() for n, p in G.named_parameters())
    assert moved == pytest.approx(0.01)


def test_the_updates_of_G_differ(setting) -> None:
    gradient = meta_gradient(*setting, **STEPS).theta_G
    results = []
    for make in (torch.optim.SGD, torch.optim.Adam, NormalisedGradient):
        torch.manual_seed(1)
        G = TinyG().double()
        outer_update(G, gradient, make(G.parameters(), lr=0.01))
        results.append(flat(values(G)))
    assert all((results[i] - results[j]).norm() > 1e-6 for i, j in ((0, 1), (0, 2), (1, 2)))


def test_unknown_method_is_named(setting) -> None:
    with pytest.raises(InputError, match='unknown method "fomaml"'):
        meta_gradient(*setting, **STEPS, method="fomaml")


def test_result_is_detached(setting) -> None:
    result = meta_gradient(*setting, **STEPS)
    assert isinstance(result, MetaGradient)
    tensors = [result.L_f, result.L_t_mtr, result.L_t_mts, result.I_f_mtr, result.I_f_mts, result.w_a]
    assert not any(t.requires_grad for t in [*tensors, *result.theta_G.values()])


# The step in the image itself, method="image"


def image_loss_by_hand(setting, eta_I: float = 0.5, alpha: float = 1.0) -> Tensor:
    """L_t of the stepped image, T' by torch.optim.SGD, the slope of L_f by automatic differentiation of it alone."""
    import copy

    F, G, T, mtr, mts = setting
    T = copy.deepcopy(T)
    with torch.no_grad():
        I_f, w_a, w_b = F(mts.ir, mts.vi), *G(mts.ir, mts.vi)
        seen = F(mtr.ir, mtr.vi)
    step_T = torch.optim.SGD(T.parameters(), lr=0.3)
    T(seen, mtr).backward()
    step_T.step()
    I_f.requires_grad_()
    (slope,) = torch.autograd.grad(fusion_loss(I_f, mts.ir, mts.vi, w_a, w_b, alpha) * I_f.numel(), I_f)
    with torch.no_grad():
        return T(I_f - eta_I * slope, mts)


@pytest.mark.parametrize(("eta_I", "alpha"), [(0.5, 0.0), (0.2, 0.0), (0.3, 0.4)])
def test_the_image_step_equals_finite_differences(setting, eta_I: float, alpha: float) -> None:
    def loss(*arguments: Tensor) -> Tensor:
        return fusion_loss(*arguments, alpha)

    step = meta_gradient(*setting, **STEPS | {"loss": loss}, method="image", eta_I=eta_I)
    torch.testing.assert_close(step.L_t_mts, image_loss_by_hand(setting, eta_I, alpha), rtol=1e-12, atol=0)
    exact, G, slopes = flat(step.theta_G), setting[1], []
    with torch.no_grad():
        for parameter in G.parameters():
            for entry in parameter.view(-1):
                ends = []
                for sign in (1, -1):
                    entry += sign * 1e-4
                    with torch.enable_grad():
                        ends.append(image_loss_by_hand(setting, eta_I, alpha))
                    entry -= sign * 1e-4
                slopes.append((ends[0] - ends[1]) / 2e-4)
    numeric = torch.stack(slopes)
    assert exact.norm() > 0
    assert (exact - numeric).norm() / numeric.norm() < 1e-6


def test_half_an_image_step_lands_on_the_mix_of_exp_V(setting) -> None:
    """At eta_I = 1/2 and alpha = 0 the gradient is that of L_t(w_a I_a + w_b I_b), whatever F says."""
    F, G, T, mtr, mts = setting
    step = meta_gradient(*setting, **STEPS | {"loss": intensity_loss}, method="image")
    theta_T_prime, _ = inner_update_T(T, F(mtr.ir, mtr.vi), mtr, 0.3)
    w_a, w_b = G(mts.ir, mts.vi)
    L_t = call(T, theta_T_prime, w_a * mts.ir + w_b * mts.vi, mts)
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(L_t, list(G.parameters()))])
    torch.testing.assert_close(flat(step.theta_G), expected, rtol=1e-10, atol=1e-14)


def test_the_image_step_pushes_nothing_where_both_sources_agree(setting) -> None:
    F, G, T, mtr, mts = setting
    same = Batch(mts.ir, mts.ir, mts.names, mts.mask)
    assert flat(meta_gradient(F, G, T, mtr, same, **STEPS, method="image").theta_G).abs().max() < 1e-12
