"""What several test modules build: small configurations, policies, trajectories."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import hydra
import numpy as np
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from gailfe.algorithms.failures import FailuresConfig
from gailfe.algorithms.imitation import ImitationConfig, Imitator
from gailfe.config.checks import parse
from gailfe.config.schema import Config, EnvConfig
from gailfe.config.targets import typed
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.nn.gaussian import GaussianPolicy
from gailfe.nn.stochastic import StochasticPolicy

HOPPER = EnvConfig(name="hopper", id="Hopper-v5", num_iterations=1)
PENDULUM = EnvConfig(name="pendulum", id="Pendulum-v1", num_iterations=1)
HOPPER_DIMS = (11, 3)  # observation, action

with hydra.initialize_config_module("conf", version_base="1.3"):
    GAIL: ImitationConfig
    GAILFE: ImitationConfig
    GAIL, GAILFE = (typed("algo", hydra.compose("config", [f"algo={name}"]).algo) for name in ("gail", "gailfe"))


def compose(*overrides: str) -> Config:
    """The configuration of a command with these overrides, checked; it may be changed."""
    return copy.deepcopy(_composed(*overrides))


@functools.cache
def _composed(*overrides: str) -> Config:
    with hydra.initialize_config_module("conf", version_base="1.3"):
        return parse(hydra.compose("config", list(overrides)))


def put(config: Config, key: str, value: Any) -> None:
    """Give a value to a key that is there, such as "env.ppo.gamma"."""
    *path, name = key.split(".")
    node: Any = config
    for part in path:
        node = getattr(node, part)
    assert hasattr(node, name)
    setattr(node, name, value)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def box(low: list[float], high: list[float]) -> gymnasium.spaces.Box:
    return gymnasium.spaces.Box(np.array(low, dtype=np.float32), np.array(high, dtype=np.float32))


def unit_box(dim: int) -> gymnasium.spaces.Box:
    return box([-1.0] * dim, [1.0] * dim)


def make_policy(
    observation_dim: int = 3,
    action_dim: int = 2,
    seed: int = 0,
    log_std_init: float = -0.5,
    spread: float = 0.0,
    space: gymnasium.Space | None = None,
) -> GaussianPolicy:
    """A small policy; with `spread` its weights and log-std are moved by noise, away from special values."""
    generator = seeded(seed)
    space = space or unit_box(action_dim)
    assert isinstance(space, gymnasium.spaces.Box)
    policy = GaussianPolicy(observation_dim, space, [5], log_std_init, generator)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    return policy


def distribution(policy: GaussianPolicy, x: Tensor) -> Independent:
    """The policy's distribution over actions, as torch has it, without derivatives."""
    mean, log_std = policy(x)
    return Independent(Normal(mean.detach().clone(), log_std.detach().exp().expand_as(mean).clone()), 1)


def gaussian(policy: StochasticPolicy) -> GaussianPolicy:
    """The policy, of which a test knows that it is Gaussian."""
    assert isinstance(policy, GaussianPolicy)
    return policy


def make_trajectory(
    steps: int, seed: int = 0, dims: tuple[int, int] = HOPPER_DIMS, terminated: bool = True
) -> Trajectory:
    """Noise in the shape of an episode."""
    rng = np.random.default_rng(seed)
    return Trajectory(
        observations=rng.normal(size=(steps + 1, dims[0])),
        actions=rng.uniform(-1, 1, size=(steps, dims[1])).astype(np.float32),
        rewards=rng.normal(size=steps),
        terminated=terminated,
        truncated=not terminated,
    )


def make_failures(**overrides: Any) -> FailuresConfig:
    """The configuration of β_F and λ_F, as conf/ has it."""
    assert GAILFE.failures is not None
    return replace(GAILFE.failures, **overrides)


def make_algo(failures: FailuresConfig | None = None, **overrides: Any) -> ImitationConfig:
    """GAIL, or GAILFE where `failures` is given, small enough to iterate in milliseconds."""
    small: dict[str, Any] = {
        "num_envs": 2,
        "steps_per_iteration": 128,
        "policy": replace(GAIL.policy, hidden_sizes=[8], log_std_init=0.0),
        "value": replace(GAIL.value, hidden_sizes=[8], epochs=2, minibatch_size=64),
        "discriminator": replace(GAIL.discriminator, hidden_sizes=[8], updates=2, batch_size=32),
    }
    return replace(GAILFE if failures else GAIL, failures=failures, **{**small, **overrides})


EXPERT = [make_trajectory(40, seed=i, terminated=False) for i in range(2)]
FAILED = [make_trajectory(25, seed=10 + i) for i in range(3)]


def gailfe_config(capacity: int = 50) -> ImitationConfig:
    """`make_algo` with a λ_F that moves fast."""
    return make_algo(make_failures(capacity=capacity, z_f=-0.2, lambda_learning_rate=0.1))


def fell(trajectory: Trajectory) -> bool:
    """An annotator: the episode ended before its time."""
    return trajectory.terminated


def make_imitator(
    config: ImitationConfig,
    seed: int = 0,
    failed: Sequence[Trajectory] = (),
    annotator: Callable[[Trajectory], bool] = fell,
    env: EnvConfig = HOPPER,
    expert: Sequence[Trajectory] = EXPERT,
    device: str = "cpu",
) -> Imitator:
    """GAIL or GAILFE on demonstrations of noise, which are Hopper's if not said otherwise."""
    return Imitator(config, env, Demonstrations(list(expert), list(failed)), annotator, seed, device)


def everything(imitator: Imitator) -> dict[str, torch.Tensor]:
    """A copy of all that a learner has learned: networks, β_F and λ_F."""
    modules = {"policy": imitator.policy, "value": imitator.value, "discriminator": imitator.discriminator}
    tensors = {f"{k}.{name}": t for k, m in modules.items() for name, t in m.state_dict().items()}
    if imitator.failed is not None:
        tensors["failures"] = imitator.failed.buffer.pairs()
        tensors["lambda_f"] = torch.tensor(imitator.failed.multiplier.value, dtype=torch.float64)
    return {key: tensor.clone() for key, tensor in tensors.items()}


def assert_same_tensors(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """Bit for bit."""
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        assert torch.equal(tensor, theirs[key]), key


def below(trajectory: Trajectory, min_return: float) -> bool:
    """An annotator with a threshold that tests can choose."""
    return trajectory.total_reward < min_return


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def shorten(path: Path, lines: int) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))
