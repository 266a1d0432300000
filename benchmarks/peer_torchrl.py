"""GAIL by TorchRL, for `python -m benchmarks.peers`.

TorchRL has no TRPO. The policy learns as in its own GAIL example (sota-implementations/gail): clipped PPO with 10
epochs of minibatches of 64 and advantages made anew each epoch. part=gail gives networks, batches and the
discriminator's steps the sizes of our config; part=imitate leaves all as it is in the example's config.yaml, which
is for HalfCheetah. Two things are better than there: 8 environments instead of 1, which collect faster, and D gets
the expert's observations normalised as the policy's are.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from tensordict import TensorDict
from tensordict.nn import AddStateIndependentNormalScale, TensorDictModule
from torch import Tensor, nn
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.data.replay_buffers.samplers import SamplerWithoutReplacement
from torchrl.envs import (
    ClipTransform,
    Compose,
    DoubleToFloat,
    GymWrapper,
    RewardSum,
    StepCounter,
    TransformedEnv,
    VecNorm,
)
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import MLP, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss, GAILLoss
from torchrl.objectives.value.advantages import GAE

from benchmarks.peer_report import measure, read_settings, report

PACKAGES = ("torchrl", "tensordict", "torch", "gymnasium", "mujoco", "numpy")
PPO_EPOCHS, PPO_MINIBATCH, PPO_LEARNING_RATE = 10, 64, 3e-4  # the example's config.yaml
EXAMPLE = Path(__file__).parent / "settings" / "torchrl.json"  # the example's own, in the form of our `algo`
EPSILON = 1e-8


class ProbabilityOfExpert(nn.Module):
    """D in TorchRL's orientation, (…, obs_dim) and (…, action_dim) → (…, 1)."""

    def __init__(self, dim: int, hidden_sizes: list[int], activation: type[nn.Module]) -> None:
        super().__init__()
        self.net = MLP(in_features=dim, out_features=1, num_cells=hidden_sizes, activation_class=activation)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        return torch.sigmoid(self.net(torch.cat([observation, action], dim=-1)))


def main() -> None:
    warnings.filterwarnings("ignore")
    settings = read_settings()
    algo = json.loads(EXAMPLE.read_text()) if settings["part"] == "imitate" else settings["algo"]
    torch.set_num_threads(1)
    torch.manual_seed(settings["seed"])
    env = make_env(settings["env_id"], algo["num_envs"])
    env.set_seed(settings["seed"])
    learner = Gail(algo, env, settings["demonstrations"], settings.get("max_steps", math.inf))
    collector = Collector(env, learner.actor, frames_per_batch=algo["steps_per_iteration"], total_frames=-1)

    def iterations() -> Iterator[int]:
        for number, batch in enumerate(collector, start=1):
            learner.update(batch)
            yield number * batch.numel()

    result = measure(settings, iterations(), learner.act)
    collector.shutdown()
    report("TorchRL", settings["env_id"], PACKAGES, result)


def make_env(env_id: str, num_envs: int) -> TransformedEnv:
    """Make Gymnasium's vector environment: the fastest that TorchRL has for several environments in one process.

    The example steps a single environment; a SerialEnv of several collected more slowly. VecNorm's successor
    VecNormV2 was no faster either, and would keep each environment's statistics apart.
    """
    vector = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.make(env_id)] * num_envs, autoreset_mode=gymnasium.vector.AutoresetMode.DISABLED
    )
    transforms = Compose(
        VecNorm(in_keys=["observation"], decay=0.99999, eps=1e-2),
        ClipTransform(in_keys=["observation"], low=-10, high=10),
        RewardSum(),
        StepCounter(),
        DoubleToFloat(in_keys=["observation"]),
    )
    return TransformedEnv(GymWrapper(vector), transforms)


class Gail:
    """Networks and optimisers, and `update`, which learns from one batch.

    Args:
        algo: settings, as our `algo`.
        demonstrations: path of the expert's pairs, an .npz.
        annealed_over: environment steps after which PPO's learning rate is 0.
    """

    def __init__(
        self, algo: dict[str, Any], env: TransformedEnv, demonstrations: str, annealed_over: float
    ) -> None:
        self.algo, self.annealed_over, self.env_steps = algo, annealed_over, 0
        self.normalization = env.transform[0]
        with np.load(demonstrations) as arrays:
            self.expert_observations = torch.from_numpy(arrays["observations"])
            self.expert_actions = torch.from_numpy(arrays["actions"]).float()
        observation_dim, action_dim = self.expert_observations.shape[-1], self.expert_actions.shape[-1]
        self.actor = make_actor(observation_dim, env.action_spec_unbatched, algo["policy"]["hidden_sizes"])
        self.critic = ValueOperator(
            mlp(observation_dim, 1, algo["value"]["hidden_sizes"], gain=0.01), in_keys=["observation"]
        )
        config = algo["discriminator"]
        self.discriminator = TensorDictModule(
            ProbabilityOfExpert(
                observation_dim + action_dim, config["hidden_sizes"], getattr(nn, config.get("activation", "Tanh"))
            ),
            in_keys=["observation", "action"],
            out_keys=["d_logits"],
        )
        self.discriminator_loss = GAILLoss(
            self.discriminator,
            use_grad_penalty=config["gradient_penalty"] > 0,
            gp_lambda=config["gradient_penalty"],
        )
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=config["learning_rate"]
        )
        self.advantages = GAE(
            gamma=algo["gamma"], lmbda=algo["gae_lambda"], value_network=self.critic, average_gae=False
        )
        self.ppo_loss = ClipPPOLoss(
            actor_network=self.actor,
            critic_network=self.critic,
            clip_epsilon=0.2,
            loss_critic_type="l2",
            entropy_coeff=0.0,
            critic_coeff=0.25,
            normalize_advantage=True,
        )
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.ppo_optimizer = torch.optim.Adam(parameters, lr=PPO_LEARNING_RATE, eps=1e-5)
        self.buffer = TensorDictReplayBuffer(
            storage=LazyTensorStorage(algo["steps_per_iteration"]),
            sampler=SamplerWithoutReplacement(),
            batch_size=PPO_MINIBATCH,
        )

    def update(self, batch: TensorDict) -> None:
        """Discriminator, rewards, policy. `batch`: (num_envs, steps), as collected."""
        self._update_discriminator(batch.reshape(-1))
        with torch.no_grad():
            d = self.discriminator(batch)["d_logits"]
        batch["next", "reward"] = -torch.log(1 - d + EPSILON)
        left = max(0.0, 1 - self.env_steps / self.annealed_over)
        self.ppo_optimizer.param_groups[0]["lr"] = PPO_LEARNING_RATE * left
        self.env_steps += batch.numel()
        for _ in range(PPO_EPOCHS):
            with torch.no_grad():
                batch = self.advantages(batch)
            self.buffer.empty()
            self.buffer.extend(batch.reshape(-1))
            for minibatch in self.buffer:
                losses = self.ppo_loss(minibatch)
                loss = losses["loss_objective"] + losses["loss_entropy"] + losses["loss_critic"]
                self.ppo_optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.ppo_optimizer.step()

    def _update_discriminator(self, policy_pairs: TensorDict) -> None:
        config = self.algo["discriminator"]
        size = config["batch_size"]
        for _ in range(config["updates"]):
            chosen = torch.randint(len(policy_pairs), (size,))
            expert = torch.randint(len(self.expert_actions), (size,))
            pairs = TensorDict(
                {
                    "observation": self._normalize(self.expert_observations[expert]),
                    "action": self.expert_actions[expert],
                    "collector_observation": policy_pairs["observation"][chosen],
                    "collector_action": policy_pairs["action"][chosen],
                },
                batch_size=[size],
            )
            self.discriminator_optimizer.zero_grad(set_to_none=True)
            self.discriminator_loss(pairs)["loss"].backward()
            self.discriminator_optimizer.step()

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Return the mean action: raw (n, obs_dim) → (n, action_dim)."""
        inputs = TensorDict({"observation": self._normalize(torch.from_numpy(observations))}, [len(observations)])
        with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
            return self.actor(inputs)["action"].numpy()

    def _normalize(self, observations: Tensor) -> Tensor:
        """Normalise as the environment's transforms do: raw (n, obs_dim) float64 → (n, obs_dim) float32."""
        loc, scale = self.normalization.loc["observation"], self.normalization.scale["observation"]
        return ((observations - loc) / scale).clamp(-10, 10).float()


def mlp(dim: int, outputs: int, hidden_sizes: list[int], gain: float) -> MLP:
    """With the example's initial weights: orthogonal, no biases."""
    network = MLP(in_features=dim, out_features=outputs, num_cells=hidden_sizes, activation_class=nn.Tanh)
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)
    return network


def make_actor(observation_dim: int, action_spec: Any, hidden_sizes: list[int]) -> ProbabilisticActor:
    action_dim = action_spec.shape[-1]
    network = nn.Sequential(
        mlp(observation_dim, action_dim, hidden_sizes, gain=1.0),
        AddStateIndependentNormalScale(action_dim, scale_lb=EPSILON),
    )
    return ProbabilisticActor(
        TensorDictModule(network, in_keys=["observation"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"],
        spec=action_spec,
        distribution_class=TanhNormal,
        distribution_kwargs={"low": action_spec.space.low, "high": action_spec.space.high, "tanh_loc": False},
        return_log_prob=True,
    )


if __name__ == "__main__":
    main()
