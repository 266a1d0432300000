"""The keys of GAIL and GAILFE; the keys of a part are declared in the module of that part."""

from __future__ import annotations

from dataclasses import dataclass

from gailfe.algorithms.clipped import TO_STANDARDISE, ClippedConfig, check_minibatches
from gailfe.algorithms.discriminator import REWARD, DiscriminatorConfig
from gailfe.algorithms.failures import FailuresConfig
from gailfe.algorithms.trpo import TRPOConfig
from gailfe.config.keys import ENVIRONMENTS, NOT_NEGATIVE, PROBABILITY, check_multiple, key, one_of
from gailfe.config.targets import Target
from gailfe.nn.policy import PolicyConfig
from gailfe.nn.value import ValueConfig

ORDER = one_of("discriminator_first", "policy_first")
POLICY_UPDATE = one_of("trpo", "ppo")


@dataclass
class ImitationConfig(Target):
    """Keys of `algo` for GAIL and GAILFE."""

    num_envs: int = key("environments side by side", ENVIRONMENTS)
    steps_per_iteration: int = key("environment steps in an iteration, a multiple of num_envs", TO_STANDARDISE)
    order: str = key(
        "which update comes first; policy_first: rewards come from the D of the previous iteration", ORDER
    )
    gamma: float = key("γ, discount", PROBABILITY)
    gae_lambda: float = key("λ of generalised advantage estimation", PROBABILITY)
    reward: str = key("r(s, a): log_d, −log D; logit, log(1 − D) − log D", REWARD)
    lambda_h: float = key("λ_H, weight of the policy's entropy, which is maximised", NOT_NEGATIVE)
    policy: PolicyConfig = key("the policy π_θ")
    value: ValueConfig = key("the value function")
    policy_update: str = key("trpo, the paper's policy step, or ppo", POLICY_UPDATE)
    trpo: TRPOConfig = key("the policy step by TRPO")
    ppo: ClippedConfig = key("the policy step by PPO's clipped surrogate")
    discriminator: DiscriminatorConfig = key("the discriminator D_ω")
    failures: FailuresConfig | None = key("what GAILFE adds; null: GAIL")

    def check(self) -> None:
        """Raise ConfigError where keys don't go together."""
        check_multiple(self, "algo.", "steps_per_iteration", "num_envs")
        if self.policy_update == "ppo":
            size, steps = self.ppo.minibatch_size, self.steps_per_iteration
            check_minibatches("algo.ppo.minibatch_size", size, "algo.steps_per_iteration", steps)
        if self.failures is not None:
            self.failures.check()
