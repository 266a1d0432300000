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


def test_activations_are_the_inputs_of_each_layer_and_the_output(sizes: list[int], activation: str) -> None:
    net, x = make(sizes, activation)
    with torch.no_grad():
        activations = net.activations(x)
    torch.testing.assert_close(activations[-1], net(x))
    assert [t.shape[1] for t in activations] == sizes
    plain = {"tanh": torch.tanh, "relu": torch.relu}[activation]
    expected = x
    for layer, inputs in zip([m for m in net if isinstance(m, nn.Linear)], activations[:-1], strict=True):
        torch.testing.assert_close(inputs, expected)
        expected = plain(layer(expected))


def test_vjp_is_autograds_gradient(sizes: list[int], activation: str) -> None:
    net, x = make(sizes, activation)
    cotangent = randn_like(net(x), 1)
    expected = torch.autograd.grad((net(x) * cotangent).sum(), list(net.parameters()))
    with torch.no_grad():
        gradients = net.vjp(net.activations(x), cotangent)
    torch.testing.assert_close(gradients, list(expected))
    assert all(gradient.is_contiguous() for gradient in gradients)  # fused optimisers take that for granted


def test_the_jacobians_products_are_autograds(sizes: list[int], activation: str) -> None:
    net, x = make(sizes, activation)
    tangents = [randn_like(parameter, i) for i, parameter in enumerate(net.parameters())]
    expected = torch.zeros_like(net(x))
    for row in range(len(x)):
        for column in range(expected.shape[1]):
            gradient = torch.autograd.grad(net(x)[row, column], list(net.parameters()))
            expected[row, column] = concatenated(gradient) @ concatenated(tangents)
    cotangent = randn_like(expected, 7)
    transposed = torch.autograd.grad((net(x) * cotangent).sum(), list(net.parameters()))
    with torch.no_grad():
        jacobian = Jacobian(net, net.activations(x))
        for _ in range(2):  # it is there to be used again
            torch.testing.assert_close(jacobian.jvp(tangents), expected)
            torch.testing.assert_close(jacobian.vjp(cotangent), list(transposed))


def test_autograd_differentiates_a_network_twice(sizes: list[int], activation: str) -> None:
    """As the gradient penalty does, against torch's own layers."""
    net, x = make(sizes, activation)
    x.requires_grad_()
    plain = nn.Sequential(*(nn.Tanh() if isinstance(module, Tanh) else module for module in net))
    results = []
    for module in (net, plain):
        (slope,) = torch.autograd.grad(module(x).sum(), x, create_graph=True)
        loss = (slope * randn_like(x, 2)).square().sum()
        second = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
        results.append([slope, *(torch.zeros(()) if gradient is None else gradient for gradient in second)])
    torch.testing.assert_close(*results)


def test_tanh_is_tanh_in_place_and_twice_differentiable() -> None:
    x = torch.linspace(-12, 12, 101, dtype=torch.float64, requires_grad=True)

    def tanh(values: Tensor) -> Tensor:
        return Tanh()(values.clone())

    torch.testing.assert_close(tanh(x), torch.tanh(x))
    single = x.detach().float()
    expected = torch.tanh(single)
    assert Tanh()(single) is single
    torch.testing.assert_close(single, expected, rtol=3e-7, atol=0.0)
    assert torch.autograd.gradcheck(tanh, x)
    assert torch.autograd.gradgradcheck(tanh, x)
    assert tanh(torch.tensor([float("nan")])).isnan().all()


def test_autograd_notices_that_tanh_overwrote_what_another_gradient_needs() -> None:
    x = torch.ones(3, requires_grad=True)
    exponential = x.exp()  # its derivative is itself
    total = Tanh()(exponential).sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


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
