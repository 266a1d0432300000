"""Multi-layer perceptrons, and their derivatives written out.

These networks are so small that autograd's bookkeeping costs more than their arithmetic, and torch's tanh more
than the matrix products around it; where a gradient is taken thousands of times a minute, it is written out here.
Autograd works on an `MLP` as on any module, and is what the tests compare with.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

Trace = list[Tensor]  # what each linear layer of a network saw, and last the network's output


class _Tanh(torch.autograd.Function):
    """By numpy on a CPU, ten times as fast as torch's."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        y = tanh_(x.clone())
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        (y,) = ctx.saved_tensors
        return grad * (1 - y * y)


class Tanh(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _Tanh.apply(x)


ACTIVATIONS = {"tanh": Tanh, "relu": nn.ReLU}


def tanh_(x: Tensor) -> Tensor:
    """tanh in place, without a gradient."""
    if x.device.type != "cpu":
        return x.tanh_()
    values = x.detach().numpy()
    np.tanh(values, out=values)
    return x


class MLP(nn.Sequential):
    """Orthogonal weights and zero biases, linear at its output.

    `trace`, `vjp` and `input_gradient` are meant for `torch.no_grad()`; lists of tensors that stand for
    the parameters are in the order of `parameters()`: weight, bias, weight, bias, …

    Args:
        sizes: of the input, the hidden layers and the output.
        generator: of the weights.
        activation: a key of ACTIVATIONS.
        output_gain: scales the last layer's weights.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        generator: torch.Generator,
        activation: str = "tanh",
        output_gain: float = 1.0,
    ) -> None:
        layers: list[nn.Module] = []
        linear = []
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            last = i == len(sizes) - 2
            linear.append(nn.Linear(fan_in, fan_out))
            nn.init.orthogonal_(linear[-1].weight, output_gain if last else math.sqrt(2), generator=generator)
            nn.init.zeros_(linear[-1].bias)
            layers += [linear[-1]] if last else [linear[-1], ACTIVATIONS[activation]()]
        super().__init__(*layers)
        self._is_tanh = activation == "tanh"
        self._gather()

    def _gather(self) -> None:
        linear = [layer for layer in self if isinstance(layer, nn.Linear)]
        self.weights = [layer.weight for layer in linear]
        self.biases = [layer.bias for layer in linear]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> MLP:
        """What `to` and its like call; a device may get new parameters instead of the old ones' data."""
        super()._apply(fn, recurse)
        self._gather()
        return self

    def trace(self, x: Tensor) -> Trace:
        """A forward pass at `x` (n, in) with all that its derivatives need; the output is its last entry."""
        trace = [x]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            z = torch.addmm(bias, trace[-1], weight.t())
            trace.append(tanh_(z) if self._is_tanh else z.relu_())
        trace.append(torch.addmm(self.biases[-1], trace[-1], self.weights[-1].t()))
        return trace

    def numpy_forward(self) -> Callable[[np.ndarray], np.ndarray]:
        """A forward pass at (n, in) float32 for small n, where torch's overhead a call is most of the time.

        With the weights as they are now, of which it may hold copies or not.
        """
        weights = [weight.detach().cpu().numpy().T for weight in self.weights]
        biases = [bias.detach().cpu().numpy() for bias in self.biases]

        def forward(x: np.ndarray) -> np.ndarray:
            for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
                x = x @ weight
                x += bias
                x = np.tanh(x, out=x) if self._is_tanh else np.maximum(x, 0, out=x)
            return x @ weights[-1] + biases[-1]

        return forward

    def vjp(self, trace: Trace, grad: Tensor) -> list[Tensor]:
        """Jᵀ grad: the gradient in the parameters, given the one in the output, (n, out)."""
        gradients: list[Tensor] = []
        for i in reversed(range(len(self.weights))):
            gradients += [grad.sum(0), weight_gradient(grad, trace[i])]
            if i > 0:
                grad = self._times_slope(grad @ self.weights[i], trace[i])
        return gradients[::-1]

    def input_gradient(self, trace: Trace) -> tuple[Tensor, list[Tensor]]:
        """The gradient of the summed outputs in the input, (n, in), and in what each hidden layer gives."""
        delta, deltas = self.weights[-1].sum(0).expand(len(trace[0]), -1), []
        for weight, activation in zip(self.weights[-2::-1], trace[-2:0:-1], strict=True):
            deltas.append(self._times_slope(delta, activation))
            delta = deltas[-1] @ weight
        return delta, deltas[::-1]

    def input_gradient_vjp(self, trace: Trace, deltas: Sequence[Tensor], grad: Tensor) -> list[Tensor]:
        """The gradient of a function of `input_gradient` in the parameters, given the one in its result, (n, in).

        That is the gradient of how the outputs move when the inputs move along `grad`: a tangent goes forward, and
        reverse mode goes back through it (Pearlmutter 1994).
        """
        tangents, moves = [grad], []  # what each linear layer would see of the movement, and make of it
        for weight, activation in zip(self.weights[:-1], trace[1:-1], strict=True):
            moves.append(tangents[-1] @ weight.t())
            tangents.append(self._times_slope(moves[-1], activation))
        last = tangents[-1].sum(0).expand_as(self.weights[-1]).contiguous()
        gradients = [torch.zeros_like(self.biases[-1]), last]
        back: Tensor | None = None  # the gradient in a layer's activations, then in what it gives
        for i in reversed(range(len(moves))):
            if back is not None:
                back = self._times_slope(back @ self.weights[i + 1], trace[i + 1])
            if self._is_tanh:  # its slope, 1 − tanh², lets more or less of the tangent through
                bend = (trace[i + 1] * deltas[i]).mul_(moves[i])
                back = bend.mul_(-2) if back is None else back.sub_(bend, alpha=2)
            weights = weight_gradient(deltas[i], tangents[i])
            gradients += [torch.zeros_like(self.biases[i]), weights]
            if back is not None:
                gradients[-2:] = [back.sum(0), weights.add_(weight_gradient(back, trace[i]))]
        return gradients[::-1]

    def slope(self, activations: Tensor) -> Tensor:
        """φ'(z), from φ(z)."""
        return self._times_slope(torch.ones_like(activations), activations)

    def _times_slope(self, grad: Tensor, activations: Tensor) -> Tensor:
        """grad · φ'(z), from φ(z)."""
        if self._is_tanh:
            return torch.ops.aten.tanh_backward(grad, activations)
        return torch.ops.aten.threshold_backward(grad, activations, 0)


def weight_gradient(grad: Tensor, seen: Tensor) -> Tensor:
    """gradᵀ seen, (out, in): of a linear layer's weights, given the gradient in what it gives and what it saw.

    A product with few rows is twice to five times as fast as one with few columns.
    """
    if seen.shape[1] < grad.shape[1]:
        return (seen.t() @ grad).t().contiguous()  # a fused optimiser reads a gradient in the order of its memory
    return grad.t() @ seen


def flatten_parameters(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Moves `parameters` into one vector, of which they become views: an optimiser then has one tensor to step."""
    parameters = list(parameters)
    flat = concatenated(parameters).detach()
    for parameter, piece in zip(parameters, split_like(flat, parameters), strict=True):
        parameter.data = piece
    return flat


def concatenated(tensors: Iterable[Tensor]) -> Tensor:
    """All their elements in one vector."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def split_like(vector: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Views of `vector` in the shapes of `tensors`."""
    pieces = vector.split([tensor.numel() for tensor in tensors])
    return [piece.view_as(tensor) for piece, tensor in zip(pieces, tensors, strict=True)]
