"""A policy as an ONNX file, which programs without Python or torch can run; needs the extra `onnx`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gailfe.config.extras import install
from gailfe.config.keys import ConfigError
from gailfe.nn.categorical import CategoricalPolicy
from gailfe.nn.gaussian import GaussianPolicy
from gailfe.nn.normalisation import CLIP
from gailfe.nn.stochastic import StochasticPolicy
from gailfe.storage.files import atomic

OBSERVATION, ACTION = "observation", "action"
OPERATORS = 17  # version of ONNX's operators; every onnxruntime since 2022 has it
ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu"}
TOLERANCE = 1e-4  # half-widths of the action space, or nats; float32 on both sides


def save_onnx(file: Path, policy: StochasticPolicy) -> None:
    """Write the mean action of `policy`, normalisation and bounds included, and compare it with the policy's.

    `observation` (n, obs_dim) float32, raw → `action` (n, action_dim) float32, for any n; of discrete actions the
    likeliest one, (n,) int64.

    Raises:
        ConfigError: if a package of the extra is missing.
        RuntimeError: if onnxruntime computes other actions; no file is written then.
    """
    onnx, onnxruntime = _imported("onnx"), _imported("onnxruntime")
    model = _model(onnx, policy)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    _compare(onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]), policy)
    with atomic(file) as partial:
        partial.write_bytes(content)


def _model(onnx: Any, policy: StochasticPolicy) -> Any:
    """Return the ONNX model, a chain of operators."""
    constants: list[Any] = []
    nodes: list[Any] = []
    value = OBSERVATION

    def then(operator: str, *arrays: Any, dtype: Any = np.float32, **attributes: Any) -> None:
        nonlocal value
        names = [f"constant_{len(constants) + i}" for i in range(len(arrays))]
        for name, array in zip(names, arrays, strict=True):
            constants.append(onnx.numpy_helper.from_array(np.asarray(array, dtype=dtype), name))
        result = f"value_{len(nodes)}"
        nodes.append(onnx.helper.make_node(operator, [value, *names], [result], **attributes))
        value = result

    # As in the policy: in float32, an observation that hardly varies would lose its digits with the mean.
    then("Cast", to=onnx.TensorProto.DOUBLE)
    then("Sub", policy.normalizer.mean.cpu(), dtype=np.float64)
    then("Mul", policy.normalizer.scale().cpu(), dtype=np.float64)
    then("Clip", -CLIP, CLIP, dtype=np.float64)
    then("Cast", to=onnx.TensorProto.FLOAT)
    weights = [tensor.detach().cpu() for tensor in policy.network.weights]
    biases = [tensor.detach().cpu() for tensor in policy.network.biases]
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if layer > 0:
            then(ACTIVATIONS[str(policy.architecture["activation"])])
        then("Gemm", weight, bias, transB=1)
    kind, shape = onnx.TensorProto.FLOAT, ["batch", weights[-1].shape[0]]
    if isinstance(policy, GaussianPolicy):
        then("Mul", policy.half_width.cpu())
        then("Add", policy.centre.cpu())
        then("Max", policy.low.cpu())
        then("Min", policy.high.cpu())
    else:
        assert isinstance(policy, CategoricalPolicy)
        kind, shape = onnx.TensorProto.INT64, ["batch"]
        then("ArgMax", axis=1, keepdims=0)
        then("Add", policy.start.cpu(), dtype=np.int64)
    nodes[-1].output[0] = ACTION
    port = onnx.helper.make_tensor_value_info

    graph = onnx.helper.make_graph(
        nodes,
        "policy",
        [port(OBSERVATION, onnx.TensorProto.FLOAT, ["batch", weights[0].shape[1]])],
        [port(ACTION, kind, shape)],
        constants,
    )
    opset = onnx.helper.make_opsetid("", OPERATORS)
    return onnx.helper.make_model_gen_version(graph, opset_imports=[opset], producer_name="gailfe")


def _compare(session: Any, policy: StochasticPolicy) -> None:
    """Compare on observations around those that the policy has seen. Raises RuntimeError."""
    mean, scale = policy.normalizer.mean.cpu().numpy(), policy.normalizer.scale().cpu().numpy()
    noise = np.random.default_rng(0).normal(size=(64, len(mean)))
    observations = (mean + 3 * noise / scale).astype(np.float32)
    (theirs,) = session.run([ACTION], {OBSERVATION: observations})
    difference, unit = _difference(policy, observations.astype(np.float64), theirs)
    if not difference < TOLERANCE:
        raise RuntimeError(
            f"the actions of the ONNX model differ from the policy's by {difference:.2g} {unit}, must be less "
            f"than {TOLERANCE}: no file is written"
        )


def _difference(policy: StochasticPolicy, observations: np.ndarray, theirs: np.ndarray) -> tuple[float, str]:
    """Return how far the model's actions are from the policy's, and in what unit."""
    if isinstance(policy, GaussianPolicy):
        ours = policy.acting()(observations)
        distances = np.abs(theirs - ours) / policy.half_width.cpu().numpy()
        return float(distances.max()), "half-widths of the action space"
    logits = policy.actor()(observations)  # of two actions that are as likely, either will do
    chosen = policy.to_unit(torch.as_tensor(theirs).to(policy.device)).cpu().numpy()
    return float((logits.max(-1) - (logits * chosen).sum(-1)).max()), "nats of log-probability"


def _imported(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(f"ONNX needs the extra `onnx` ({install('onnx')}): {error}") from error
