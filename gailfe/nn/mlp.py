"""Multi-layer perceptrons, a fast tanh, and a vector-Jacobian product for the policy and the value function.

An `MLP` is an ordinary module: autograd differentiates it, once or twice, and the discriminator trains that way.
TRPO, PPO and the value function compute thousands of gradients a minute, of networks so small that autograd's
bookkeeping costs more than the arithmetic. They use `MLP.activations` and `MLP.vjp` instead; tests compare these
with autograd.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

# The values in one forward pass: the input, each hidden layer after its activation function, and the output.
# Entry l is the input of linear layer l.
Activations = list[Tensor]


def tanh_(x: Tensor) -> Tensor:
    """Compute tanh in place, without a gradient; on a CPU by numpy, ten times as fast as torch."""
    if x.device.type != "cpu":
        return x.tanh_()
    values = x.detach().numpy()
    np.tanh(values, out=values)
    return x


class _Tanh(torch.autograd.Function):
    """`tanh_` with a gradient, which is differentiable too: the gradient penalty needs the second derivative."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        y = tanh_(x)
        ctx.mark_dirty(y)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        (y,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(grad, y)  # grad · (1 − y²); torch knows the derivative of this too


class Tanh(nn.Module):
    """tanh in place, as `nn.ReLU(inplace=True)` is: for the output of a linear layer, which nothing else reads."""

    def forward(self, x: Tensor) -> Tensor:
        return _Tanh.apply(x)


ACTIVATIONS = {"tanh": Tanh, "relu": nn.ReLU}


class MLP(nn.Sequential):
    """A multi-layer perceptron with a linear output, orthogonal initial weights and zero initial biases.

    Use `activations` and `vjp` under `torch.no_grad()`. A list with one tensor for each parameter is in the order
    of `parameters()`: weight, bias, weight, bias, …

    Args:
        sizes: widths of the input, the hidden layers and the output.
        generator: draws the weights.
        activation: a key of ACTIVATIONS.
        output_gain: scale of the last layer's weights.
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
        """Called by `to` and similar methods, which may replace the parameters: look them up again."""
        super()._apply(fn, recurse)
        self._gather()
        return self

    def activations(self, x: Tensor) -> Activations:
        """Run a forward pass at `x` (n, in), and keep all that derivatives need; the last entry is the output."""
        activations = [x]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            z = torch.addmm(bias, activations[-1], weight.t())
            activations.append(tanh_(z) if self._is_tanh else z.relu_())
        activations.append(torch.addmm(self.biases[-1], activations[-1], self.weights[-1].t()))
        return activations

    def numpy_forward(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the forward pass as a numpy function, (n, in) float32 → (n, out).

        It is for small n, where torch's overhead for each call dominates. Call this again after the weights have
        changed: the function may hold copies of them.
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

    def vjp(self, activations: Activations, cotangent: Tensor) -> list[Tensor]:
        """Compute the vector-Jacobian product Jᵀ u, J the derivative of the outputs in the parameters.

        With u the gradient of a loss in the outputs, this is its gradient in the parameters: backpropagation.

        Args:
            activations: of a forward pass at n inputs.
            cotangent: u, (n, out).

        Returns:
            One tensor for each parameter, in its shape.
        """
        gradients: list[Tensor] = []
        for i in reversed(range(len(self.weights))):
            gradients += [cotangent.sum(0), weight_gradient(cotangent, activations[i])]
            if i > 0:
                cotangent = self._activation_vjp(cotangent @ self.weights[i], activations[i])
        return gradients[::-1]

    def activation_derivative(self, y: Tensor) -> Tensor:
        """Compute φ'(z) from y = φ(z), φ the activation function; of any shape."""
        return self._activation_vjp(torch.ones_like(y), y)

    def _activation_vjp(self, cotangent: Tensor, y: Tensor) -> Tensor:
        """Compute cotangent · φ'(z) from y = φ(z)."""
        if self._is_tanh:
            return torch.ops.aten.tanh_backward(cotangent, y)
        return torch.ops.aten.threshold_backward(cotangent, y, 0)


def weight_gradient(cotangent: Tensor, inputs: Tensor) -> Tensor:
    """Compute cotangentᵀ inputs, (out, in): the gradient in a linear layer's weights.

    A product with few rows is two to five times as fast as one with few columns: where `in` is the smaller of the
    two, the transpose is computed.

    Args:
        cotangent: gradient in the layer's outputs, (n, out).
        inputs: of the layer, (n, in).
    """
    if inputs.shape[1] < cotangent.shape[1]:
        return (inputs.t() @ cotangent).t().contiguous()  # a fused optimiser reads a gradient in memory order
    return cotangent.t() @ inputs


def flatten_parameters(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Move `parameters` into one vector and make them views of it: an optimiser then updates a single tensor."""
    parameters = list(parameters)
    flat = concatenated(parameters).detach()
    for parameter, piece in zip(parameters, split_like(flat, parameters), strict=True):
        parameter.data = piece
    return flat


def concatenated(tensors: Iterable[Tensor]) -> Tensor:
    """Copy all elements of `tensors` into one vector."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def split_like(vector: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Cut `vector` into views that have the shapes of `tensors`."""
    pieces = vector.split([tensor.numel() for tensor in tensors])
    return [piece.view_as(tensor) for piece, tensor in zip(pieces, tensors, strict=True)]
