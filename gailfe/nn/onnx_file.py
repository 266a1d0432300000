"""A policy as an ONNX file, which programs without Python or torch can run; needs the extra `onnx`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from gailfe.config.keys import ConfigError
from gailfe.nn.normalisation import CLIP
from gailfe.nn.policy import GaussianPolicy
from gailfe.storage.files import atomic

OBSERVATION, ACTION = "observation", "action"
OPERATORS = 17  # version of ONNX's operators; every onnxruntime since 2022 has it
ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu"}
TOLERANCE = 1e-4  # half-widths of the action space; float32 on both sides


def save_onnx(file: Path, policy: GaussianPolicy) -> None:
    """Write the mean action of `policy`, normalisation and bounds included, and compare it with the policy's.

    `observation` (n, obs_dim) float32, raw → `action` (n, action_dim) float32, for any n.

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


def _model(onnx: Any, policy: GaussianPolicy) -> Any:
    """Return the ONNX model, a chain of operators."""
    constants, nodes, value = [], [], OBSERVATION

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
    weights = [tensor.detach().cpu() for tensor in policy.mean.weights]
    biases = [tensor.detach().cpu() for tensor in policy.mean.biases]
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if layer > 0:
            then(ACTIVATIONS[policy.architecture["activation"]])
        then("Gemm", weight, bias, transB=1)
    then("Mul", policy.half_width.cpu())
    then("Add", policy.centre.cpu())
    then("Max", policy.low.cpu())
    then("Min", policy.high.cpu())
    nodes[-1].output[0] = ACTION

    def port(name: str, size: int) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", size])

    graph = onnx.helper.make_graph(
        nodes,
        "policy",
        [port(OBSERVATION, weights[0].shape[1])],
        [port(ACTION, weights[-1].shape[0])],
        constants,
    )
    opset = onnx.helper.make_opsetid("", OPERATORS)
    return onnx.helper.make_model_gen_version(graph, opset_imports=[opset], producer_name="gailfe")


def _compare(session: Any, policy: GaussianPolicy) -> None:
    """Compare on observations around those that the policy has seen. Raises RuntimeError."""
    mean, scale = policy.normalizer.mean.cpu().numpy(), policy.normalizer.scale().cpu().numpy()
    noise = np.random.default_rng(0).normal(size=(64, len(mean)))
    observations = (mean + 3 * noise / scale).astype(np.float32)
    (theirs,) = session.run([ACTION], {OBSERVATION: observations})
    ours = policy.acting()(observations.astype(np.float64))
    difference = float((np.abs(theirs - ours) / policy.half_width.cpu().numpy()).max())
    if not difference < TOLERANCE:
        raise RuntimeError(
            f"the actions of the ONNX model differ from the policy's by {difference:.2g} half-widths of the "
            f"action space, must be less than {TOLERANCE}: no file is written"
        )


def _imported(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(f"ONNX needs the extra `onnx` (pip install -e '.[onnx]'): {error}") from error
