"""The Jacobian of a network's outputs in its parameters, to multiply by many times at the same inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gailfe.nn.mlp import MLP, Trace, weight_gradient


class Jacobian:
    """J of an `MLP` at n inputs, kept in factors.

    Output k moves with the weights of layer l as δ ⊗ a: `a` is what the layer saw, δ how the output moves with
    what the layer gives. All δ are computed once; a product then takes one matrix product a hidden layer, where
    going through the network takes two. Meant for `torch.no_grad()`.

    Args:
        net: unchanged as long as this is used.
        trace: of `net` at (n, in).
    """

    def __init__(self, net: MLP, trace: Trace) -> None:
        self._last = net.weights[-1]
        *self._hidden, self._seen = trace[:-1]  # by the hidden layers, and by the last one
        self._slopes = [net.slope(activations) for activations in trace[1:-1]]
        # δ of the last layer is the identity, of the last hidden one its weights times a slope: kept so, as a
        # product with few columns. Of the others: for every output (n, width).
        self._deltas: list[list[Tensor]] = []
        pulled = [row * self._slopes[-1] for row in self._last] if self._hidden else []
        for weight, slope in zip(net.weights[-2:0:-1], self._slopes[-2::-1], strict=True):
            pulled = [(delta @ weight).mul_(slope) for delta in pulled]
            self._deltas.insert(0, pulled)

    def times(self, direction: Sequence[Tensor]) -> Tensor:
        """J direction, (n, out): how the outputs move when the parameters move along `direction`."""
        output = torch.addmm(direction[-1], self._seen, direction[-2].t())
        moved = [
            torch.addmm(bias, seen, weight.t())
            for seen, weight, bias in zip(self._hidden, direction[:-2:2], direction[1:-2:2], strict=True)
        ]
        if moved:
            output.addmm_(moved.pop().mul_(self._slopes[-1]), self._last.t())
        for delta, move in zip(self._deltas, moved, strict=True):
            output += torch.stack([torch.linalg.vecdot(of_output, move) for of_output in delta], dim=-1)
        return output

    def transposed_times(self, grad: Tensor) -> list[Tensor]:
        """Jᵀ grad: the gradient in the parameters, given the one in the outputs, (n, out)."""
        gradients = [weight_gradient(grad, self._seen), grad.sum(0)]
        pulled = [_weighted_sum(delta, grad) for delta in self._deltas]
        if self._hidden:
            pulled.append((grad @ self._last).mul_(self._slopes[-1]))
        for seen, pull in zip(reversed(self._hidden), reversed(pulled), strict=True):
            gradients = [weight_gradient(pull, seen), pull.sum(0), *gradients]
        return gradients


def _weighted_sum(delta: Sequence[Tensor], grad: Tensor) -> Tensor:
    """Σ_k grad[:, k]·delta[k], (n, width); there are few k, and an einsum would make n small products of it."""
    total = delta[0] * grad[:, :1]
    for k in range(1, len(delta)):
        total.addcmul_(delta[k], grad[:, k : k + 1])
    return total
