"""Derivatives written out, against autograd's."""

from __future__ import annotations

import pytest
import torch
from helpers import seeded
from torch import Tensor, nn

from gailfe.nn.jacobian import Jacobian
from gailfe.nn.mlp import MLP, Tanh, concatenated, flatten_parameters, split_like

SIZES = [[3, 2], [3, 8, 2], [3, 8, 5, 2], [3, 6, 7, 5, 1]]


def make(sizes: list[int], activation: str) -> tuple[MLP, Tensor]:
    """A network with biases that are not zero, and inputs, in float64."""
    generator = seeded(0)
    net = MLP(sizes, generator, activation).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return net, torch.randn(6, sizes[0], generator=generator, dtype=torch.float64)


def randn_like(tensor: Tensor, seed: int) -> Tensor:
    return torch.randn(tensor.shape, generator=seeded(seed), dtype=torch.float64)


@pytest.fixture(params=SIZES, ids=str)
def sizes(request: pytest.FixtureRequest) -> list[int]:
    return request.param


@pytest.fixture(params=["tanh", "relu"])
def activation(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_trace_ends_with_the_output_and_holds_what_each_layer_saw(sizes: list[int], activation: str) -> None:
    net, x = make(sizes, activation)
    with torch.no_grad():
        trace = net.trace(x)
    torch.testing.assert_close(trace[-1], net(x))
    assert [t.shape[1] for t in trace] == sizes
    plain = {"tanh": torch.tanh, "relu": torch.relu}[activation]
    expected = x
    for layer, seen in zip([m for m in net if isinstance(m, nn.Linear)], trace[:-1], strict=True):
        torch.testing.assert_close(seen, expected)
        expected = plain(layer(expected))


def test_vjp_is_autograds_gradient(sizes: list[int], activation: str) -> None:
    net, x = make(sizes, activation)
    grad = randn_like(net(x), 1)
    expected = torch.autograd.grad((net(x) * grad).sum(), list(net.parameters()))
    with torch.no_grad():
        gradients = net.vjp(net.trace(x), grad)
    torch.testing.assert_close(gradients, list(expected))
    assert all(gradient.is_contiguous() for gradient in gradients)  # fused optimisers take that for granted


def test_the_jacobians_products_are_autograds(sizes: list[int], activation: str) -> None:
    net, x = make(sizes, activation)
    direction = [randn_like(parameter, i) for i, parameter in enumerate(net.parameters())]
    expected = torch.zeros_like(net(x))
    for row in range(len(x)):
        for column in range(expected.shape[1]):
            gradient = torch.autograd.grad(net(x)[row, column], list(net.parameters()))
            expected[row, column] = concatenated(gradient) @ concatenated(direction)
    grad = randn_like(expected, 7)
    transposed = torch.autograd.grad((net(x) * grad).sum(), list(net.parameters()))
    with torch.no_grad():
        jacobian = Jacobian(net, net.trace(x))
        for _ in range(2):  # it is there to be used again
            torch.testing.assert_close(jacobian.times(direction), expected)
            torch.testing.assert_close(jacobian.transposed_times(grad), list(transposed))


def test_the_input_gradient_and_its_own_derivative_are_autograds(sizes: list[int], activation: str) -> None:
    net, x = make(sizes, activation)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    grad = randn_like(x, 2)
    expected = torch.autograd.grad((slope * grad).sum(), list(net.parameters()), allow_unused=True)
    with torch.no_grad():
        trace = net.trace(x.detach())
        ours, deltas = net.input_gradient(trace)
        gradients = net.input_gradient_vjp(trace, deltas, grad)
    torch.testing.assert_close(ours, slope.detach())
    assert all(gradient.is_contiguous() for gradient in gradients)
    for gradient, theirs, parameter in zip(gradients, expected, net.parameters(), strict=True):
        torch.testing.assert_close(gradient, torch.zeros_like(parameter) if theirs is None else theirs)


def test_tanh_is_tanh_and_twice_differentiable() -> None:
    x = torch.linspace(-12, 12, 101, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(Tanh()(x), torch.tanh(x))
    single = x.detach().float()
    torch.testing.assert_close(Tanh()(single), torch.tanh(single), rtol=3e-7, atol=0.0)
    assert torch.equal(single, x.detach().float())  # its input is left alone
    assert torch.autograd.gradcheck(Tanh(), x)
    assert torch.autograd.gradgradcheck(Tanh(), x)
    assert Tanh()(torch.tensor([float("nan")])).isnan().all()


def test_flat_parameters_and_the_networks_are_the_same_memory() -> None:
    net, x = make([3, 8, 2], "tanh")
    before = net(x).detach()
    flat = flatten_parameters(net.parameters())
    assert torch.equal(net(x), before)
    assert torch.equal(flat, concatenated(net.parameters()))
    flat.mul_(2)
    assert not torch.allclose(net(x), before)
    assert torch.equal(flat, concatenated(net.parameters()))
    net.load_state_dict({name: torch.ones_like(value) for name, value in net.state_dict().items()})
    assert torch.equal(flat, torch.ones_like(flat))
    pieces = split_like(flat, list(net.parameters()))
    assert [piece.shape for piece in pieces] == [p.shape for p in net.parameters()]
