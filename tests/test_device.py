"""Where the networks learn."""

from __future__ import annotations

from dataclasses import replace

import hydra
import pytest
import torch
from helpers import FAILED, everything, gailfe_config, make_algo, make_imitator
from torch import Tensor

from gailfe.algorithms.clipped import ClippedUpdate
from gailfe.algorithms.imitation import ImitationConfig, Imitator
from gailfe.commands import prepare
from gailfe.config.keys import ConfigError

GAIL = make_algo()
CONFIGS = {
    "gail": GAIL,
    "gailfe": gailfe_config(),
    "ppo": make_algo(policy_update="ppo", discriminator=replace(GAIL.discriminator, batch_size=None)),
}


def make(config: ImitationConfig, device: str) -> Imitator:
    return make_imitator(config, failed=FAILED, device=device)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_an_iteration_mixes_no_devices(config: ImitationConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """On torch's meta device: it has no values and needs no accelerator, but refuses tensors of another one."""
    to_cpu = Tensor.cpu
    monkeypatch.setattr(Tensor, "cpu", lambda t: torch.zeros_like(t, device="cpu") if t.is_meta else to_cpu(t))
    monkeypatch.setattr(Tensor, "item", lambda _: 0.5)
    monkeypatch.setattr(Tensor, "__bool__", lambda _: True)
    imitator = make(config, "meta")
    optimizers = [imitator.optimizer, imitator.value.optimizer]
    if isinstance(imitator.policy_update, ClippedUpdate):
        optimizers.append(imitator.policy_update.optimizer)
    for optimizer in optimizers:
        monkeypatch.setattr(optimizer, "step", lambda: None)  # fused kernels don't know meta
    for _ in range(3):
        imitator.iterate()
    modules = (imitator.policy, imitator.value, imitator.discriminator)
    assert {t.device.type for module in modules for t in module.state_dict().values()} == {"meta"}
    assert imitator.value.weights.is_meta
    if imitator.failed is not None:
        assert imitator.failed.buffer.pairs().device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_an_iteration_on_cuda_is_one_on_the_cpu_but_for_rounding(config: ImitationConfig) -> None:
    here, there = make(config, "cpu"), make(config, "cuda")
    there.load_state_dict(here.state_dict())
    here.iterate()
    there.iterate()
    for (name, mine), other in zip(everything(here).items(), everything(there).values(), strict=True):
        torch.testing.assert_close(mine, other.cpu(), rtol=1e-3, atol=1e-4, msg=name)


def test_a_cuda_device_that_is_not_there_is_refused_by_name() -> None:
    with hydra.initialize_config_module("conf", version_base="1.3"):
        config = hydra.compose("config", ["device=cuda:97"])
    with pytest.raises(ConfigError, match=r"device=cuda:97: .*valid is cpu"):
        prepare(config)
