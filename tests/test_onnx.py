"""Policies as ONNX files: onnxruntime does what the policy does."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from helpers import box, make_policy, seeded

import gailfe
from gailfe.config.extras import install
from gailfe.config.keys import ConfigError
from gailfe.library import Policy
from gailfe.nn import onnx_file
from gailfe.nn.categorical import CategoricalPolicy

ROOT = Path(__file__).parents[1]
onnxruntime = pytest.importorskip("onnxruntime")


def answers(file: Path, observations: np.ndarray) -> np.ndarray:
    """The actions of the model in `file`."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (actions,) = session.run(None, {"observation": observations})
    return actions


@pytest.mark.parametrize("name", ["hopper", "halfcheetah"])
@pytest.mark.parametrize("rows", [1, 7])
def test_the_onnx_file_of_an_expert_gives_its_actions_for_any_batch(name: str, rows: int, tmp_path: Path) -> None:
    policy = gailfe.load_policy(ROOT / "expert" / "pretrained" / name)
    policy.to_onnx(tmp_path / "models" / "policy.onnx")
    observations = (
        np.random.default_rng(rows).normal(scale=2, size=(rows, policy.observation_dim)).astype(np.float32)
    )
    expected, _ = policy.predict(observations)
    found = answers(tmp_path / "models" / "policy.onnx", observations)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


def test_units_bounds_and_clipped_observations_are_in_the_file(tmp_path: Path) -> None:
    network = make_policy(3, space=box([-3, 0.5, -np.inf], [1, 0.5, np.inf]), spread=1.0)
    network.normalizer.update(5 + 0.01 * network.mean.weights[0].detach()[:, :3])
    policy = Policy(network)
    policy.to_onnx(tmp_path / "policy.onnx")
    observations = np.random.default_rng(0).normal(5, 1, size=(50, 3)).astype(np.float32)  # far beyond ±10 std
    expected, _ = policy.predict(observations)
    assert {-3.0, 1.0} & set(expected[:, 0].tolist())
    assert np.abs(answers(tmp_path / "policy.onnx", observations) - expected).max() < 1e-4


def test_a_model_that_acts_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "ACTIVATIONS", {"tanh": "Relu"})
    with pytest.raises(RuntimeError, match="differ from the policy's"):
        Policy(make_policy(spread=1.0)).to_onnx(tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=re.escape(f"extra `onnx` ({install('onnx')})")):
        Policy(make_policy()).to_onnx(tmp_path / "policy.onnx")


def test_of_discrete_actions_the_file_gives_the_likeliest_one(tmp_path: Path) -> None:
    network = CategoricalPolicy(4, Discrete(3, start=-1), [8], seeded(0))
    network.logits.weights[-1].data.mul_(100)
    policy = Policy(network)
    policy.to_onnx(tmp_path / "policy.onnx")
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    expected, _ = policy.predict(observations)
    found = answers(tmp_path / "policy.onnx", observations)
    assert found.dtype == np.int64
    assert set(expected) == {-1, 0, 1}
    assert np.array_equal(found, expected)
