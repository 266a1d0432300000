"""The Jacobian of a network's outputs in its parameters, for many products at the same inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gailfe.nn.mlp import MLP, Activations, weight_gradient


class Jacobian:
    """J = ∂ outputs / ∂ parameters of an `MLP` at n inputs, for products with vectors: J v and Jᵀ u.

    The derivative of output k in a layer's weights is the outer product of ∂ output k / ∂ z, z the layer's values
    before the activation function, and the layer's inputs. All ∂ output / ∂ z are computed once, by the
    constructor. A product then takes one matrix product for each hidden layer, where forward or reverse mode
    through the network takes two. Use it under `torch.no_grad()`.

    Args:
        net: must not change while this object is in use.
        activations: of `net` at (n, in).
    """

    def __init__(self, net: MLP, activations: Activations) -> None:
        self._last_weight = net.weights[-1]
        *self._hidden_inputs, self._last_inputs = activations[:-1]  # of the hidden layers, and of the last layer
        self._derivatives = [net.activation_derivative(y) for y in activations[1:-1]]  # φ'(z), (n, width)
        # ∂ output / ∂ z of each hidden layer but the last one: for every output, (n, width). For the last hidden
        # layer it is the last weights times φ'(z), and stays in these two factors: a product with few columns.
        self._output_derivatives: list[list[Tensor]] = []
        of_outputs = [row * self._derivatives[-1] for row in self._last_weight] if self._hidden_inputs else []
        for weight, derivative in zip(net.weights[-2:0:-1], self._derivatives[-2::-1], strict=True):
            of_outputs = [(of_output @ weight).mul_(derivative) for of_output in of_outputs]
            self._output_derivatives.insert(0, of_outputs)

    def jvp(self, tangents: Sequence[Tensor]) -> Tensor:
        """Compute J v, (n, out): the directional derivative of the outputs.

        Args:
            tangents: v, one tensor for each parameter, in its shape.
        """
        output = torch.addmm(tangents[-1], self._last_inputs, tangents[-2].t())
        layer_tangents = [  # of z, (n, width), from the layer's own parameters
            torch.addmm(bias, inputs, weight.t())
            for inputs, weight, bias in zip(self._hidden_inputs, tangents[:-2:2], tangents[1:-2:2], strict=True)
        ]
        if layer_tangents:
            output.addmm_(layer_tangents.pop().mul_(self._derivatives[-1]), self._last_weight.t())
        for of_outputs, tangent in zip(self._output_derivatives, layer_tangents, strict=True):
            output += torch.stack([torch.linalg.vecdot(of_output, tangent) for of_output in of_outputs], dim=-1)
        return output

    def vjp(self, cotangent: Tensor) -> list[Tensor]:
        """Compute Jᵀ u, one tensor for each parameter: its gradient, where u is the gradient in the outputs.

        Args:
            cotangent: u, (n, out).
        """
        gradients = [weight_gradient(cotangent, self._last_inputs), cotangent.sum(0)]
        layer_cotangents = [_weighted_sum(of_outputs, cotangent) for of_outputs in self._output_derivatives]
        if self._hidden_inputs:
            layer_cotangents.append((cotangent @ self._last_weight).mul_(self._derivatives[-1]))
        for inputs, layer_cotangent in zip(reversed(self._hidden_inputs), reversed(layer_cotangents), strict=True):
            gradients = [weight_gradient(layer_cotangent, inputs), layer_cotangent.sum(0), *gradients]
        return gradients


def _weighted_sum(of_outputs: Sequence[Tensor], cotangent: Tensor) -> Tensor:
    """Compute Σ_k cotangent[:, k] · of_outputs[k], (n, width); an einsum would make n small products of it."""
    total = of_outputs[0] * cotangent[:, :1]
    for k in range(1, len(of_outputs)):
        total.addcmul_(of_outputs[k], cotangent[:, k : k + 1])
    return total
