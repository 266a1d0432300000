"""An expert of a user's own kind, found by import path, beside those that come with the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import compose

from expert.collect import collect
from expert.experts import Expert, ExpertConfig, expert_of, make_expert, record_evaluation
from gailfe.config.keys import POSITIVE, ConfigError, key
from gailfe.config.schema import Config
from gailfe.envs.evaluation import Evaluator
from gailfe.nn.acting import Act
from gailfe.storage.store import Store

OPTION = """\
_target_: test_own_expert.Constant
name: constant
eval_episodes: 1
torque: 0.5
"""


@dataclass
class ConstantConfig(ExpertConfig):
    torque: float = key("what it always does", POSITIVE)


class Push:
    def __init__(self, torque: float) -> None:
        self.torque = torque

    def acting(self, generator: torch.Generator | None = None) -> Act:
        return lambda observations: np.full((len(observations), 1), self.torque, dtype=np.float32)


class Constant(Expert):
    """Pushes a pendulum always alike."""

    Config = ConstantConfig

    def check(self) -> None:
        if self.config.env.name != "pendulum":
            raise ConfigError(f"expert=constant does not fit env={self.config.env.name}")

    def made_from(self) -> dict[str, Any]:
        return {"torque": self.config.expert.torque}

    def fill(self, folder: Path) -> None:
        record_evaluation(folder, Evaluator(self.config.env, 1, 0)(self.load(folder)).metrics)

    def load(self, folder: Path) -> Push:
        return Push(self.config.expert.torque)


class NoExpert:
    Config = ConstantConfig


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """Composes with a folder of configuration beside the package's, as --config-dir does."""
    (tmp_path / "conf/expert").mkdir(parents=True)
    (tmp_path / "conf/expert/constant.yaml").write_text(OPTION)

    def configured(*overrides: str) -> Config:
        chosen = ["env=pendulum", "env.max_episode_steps=5", "expert=constant", "annotator=low_return", *overrides]
        return compose(f"hydra.searchpath=[file://{tmp_path / 'conf'}]", *chosen)

    return configured


def test_an_expert_of_ones_own_demonstrates(own: Any, tmp_path: Path) -> None:
    config = own("demonstrations.num_trajectories=2", "annotator.arguments.fraction=-9")
    folder = make_expert(config, Store(tmp_path / "artifacts"))
    demonstrations, _ = collect(config, folder)
    assert [trajectory.actions.tolist() for trajectory in demonstrations.expert] == [[[0.5]] * 5] * 2
    others = {str(expert_of(own(o)).recipe()) for o in ("expert.torque=1.0", "env.max_episode_steps=6")}
    assert len(others | {str(expert_of(config).recipe())}) == 3


def test_its_keys_are_checked_like_all_others(own: Any) -> None:
    with pytest.raises(ConfigError, match=r"expert\.torque=-1\.0 must be greater than 0"):
        own("expert.torque=-1")


def test_one_that_does_not_fit_is_refused_before_anything_is_made(own: Any, tmp_path: Path) -> None:
    config = own()
    config.env.name = "other"
    with pytest.raises(ConfigError, match="expert=constant does not fit env=other"):
        make_expert(config, Store(tmp_path / "artifacts"))
    assert not (tmp_path / "artifacts").exists()


def test_a_class_that_is_no_expert_is_refused(own: Any) -> None:
    with pytest.raises(ConfigError, match=r"_target_=test_own_expert\.NoExpert must derive from .*Expert"):
        expert_of(own("expert._target_=test_own_expert.NoExpert"))


def test_what_is_not_trained_here_has_no_earlier_checkpoints(own: Any) -> None:
    with pytest.raises(ConfigError, match="earlier_checkpoints=1 needs an expert that is trained here"):
        own("demonstrations.earlier_checkpoints=1")
