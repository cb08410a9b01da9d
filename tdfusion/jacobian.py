"""F as a function of its parameters: its value, its Jacobian J = dI_f / dtheta_F along a direction, and a solve.

Parameters are passed as values by name and buffers as copies, so no function here changes a network.
"""

from __future__ import annotations

import functools
import warnings

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp

from tdfusion.errors import InputError

Parameters = dict[str, Tensor]


def values(net: nn.Module) -> Parameters:
    """The parameters of a network as detached tensors by name; they share its memory."""
    return {name: parameter.detach() for name, parameter in net.named_parameters()}


def call(net: nn.Module, theta: Parameters, *arguments: object) -> Tensor:
    """``net(*arguments)`` with parameters ``theta``, and copies of its buffers: batch norm writes to them."""
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    return functional_call(net, (theta, buffers), arguments)


def directional_derivative(F: nn.Module, v: Parameters, I_a: Tensor, I_b: Tensor) -> Tensor:
    """J v: the derivative of I_f = F(I_a, I_b; theta_F) along v, by forward mode. (B, 1, H, W).

    Raises:
        InputError: F holds an operation that has no forward-mode derivative.
    """
    _load_forward_mode()
    try:
        with torch.no_grad():
            return jvp(lambda theta: call(F, theta, I_a, I_b), (values(F),), (v,))[1]
    except NotImplementedError as error:
        raise InputError(
            f"F ({type(F).__name__}) holds an operation without a forward-mode derivative, which the meta-step needs; "
            f"write it out in plain tensor operations ({str(error).partition('. ')[0]})"
        ) from error


@functools.cache
def _load_forward_mode() -> None:
    """PyTorch's first forward-mode derivative warns of a function that PyTorch itself calls; not ours to heed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)
        jvp(torch.sin, (torch.zeros(()),), (torch.ones(()),))


def solve_damped(
    F: nn.Module, v: Parameters, I_a: Tensor, I_b: Tensor, damping: float, iterations: int
) -> Parameters:
    """(J^T J + damping I)^-1 v by conjugate gradients, J = dI_f / dtheta_F at (I_a, I_b).

    The Gauss-Newton matrix of F's output: one step of F along J^T u moves the image by J J^T u, which
    smears u over whatever F's parameters move together; the inverse undoes that. Every iteration costs
    one forward-mode and one reverse pass through F.

    Args:
        v: right-hand side by parameter name.
        damping: lambda > 0, in the units of J^T J (squared image change per squared parameter change).
        iterations: at most this many; stops early once the residual is 1e-10 of v.

    Raises:
        InputError: damping not positive, or no iteration asked for.
    """
    if damping <= 0 or iterations < 1:
        raise InputError(f"damping = {damping}, iterations = {iterations}: both must be positive")
    names = list(v)
    _, pull_back = vjp(lambda theta: call(F, theta, I_a, I_b), values(F))  # u -> J^T u

    def matrix(p: list[Tensor]) -> list[Tensor]:
        J_p = directional_derivative(F, dict(zip(names, p)), I_a, I_b)  # (B, 1, H, W)
        (J_T_J_p,) = pull_back(J_p)
        return [J_T_J_p[name] + damping * p_i for name, p_i in zip(names, p)]

    x = [torch.zeros_like(t) for t in v.values()]
    residual = [t.clone() for t in v.values()]
    direction = [t.clone() for t in residual]
    square = start = _dot(residual, residual)
    for _ in range(iterations):
        if square <= 1e-20 * start:
            break
        product = matrix(direction)
        length = square / _dot(direction, product)
        x = [x_i + length * d for x_i, d in zip(x, direction)]
        residual = [r - length * q for r, q in zip(residual, product)]
        square, previous = _dot(residual, residual), square
        direction = [r + (square / previous) * d for r, d in zip(residual, direction)]
    return dict(zip(names, x))


def _dot(left: list[Tensor], right: list[Tensor]) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(left, right)]).sum()
