"""β_F against a plain list, and λ_F against its formula."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from helpers import seeded
from torch import Tensor

from gailfe.algorithms.failures import FailureBuffer, Multiplier
from gailfe.config.schema import FailuresConfig


def numbered(lengths: list[int]) -> Iterator[Tensor]:
    """Trajectories whose pairs all differ: (T, 2), the pair's number and its negative."""
    start = 0
    for length in lengths:
        numbers = torch.arange(start, start + length, dtype=torch.float32)
        yield torch.stack([numbers, -numbers], dim=-1)
        start += length


def bytes_held(buffer: FailureBuffer) -> int:
    return sum(v.numel() * v.element_size() for v in vars(buffer).values() if isinstance(v, Tensor))


@pytest.mark.parametrize("capacity", [1, 3, 7])
@pytest.mark.parametrize("longest", [10, 400, 1500])
def test_it_holds_the_last_n_trajectories_oldest_first(capacity: int, longest: int) -> None:
    rng = np.random.default_rng(capacity * longest)
    lengths = [*rng.integers(1, longest + 1, size=40).tolist(), 1, longest, 5 * longest, 1]
    buffer = FailureBuffer(capacity, 2)
    model: list[Tensor] = []
    for trajectory in numbered(lengths):
        buffer.add(trajectory)
        model = [*model, trajectory][-capacity:]
        assert buffer.num_trajectories == len(model)
        assert buffer.num_pairs == sum(map(len, model))
        assert torch.equal(buffer.pairs(), torch.cat(model))


def test_what_is_stored_is_a_copy() -> None:
    buffer, trajectory = FailureBuffer(2, 2), torch.ones(5, 2)
    buffer.add(trajectory)
    trajectory.zero_()
    buffer.pairs().zero_()
    assert torch.equal(buffer.pairs(), torch.ones(5, 2))


def test_samples_are_uniform_over_the_stored_pairs_and_only_those() -> None:
    """A chi-square test: each stored pair, whatever its trajectory's length, is drawn as often."""
    buffer = FailureBuffer(3, 2)
    for trajectory in numbered([700, 600, 5, 50, 445]):  # the first two are forgotten, the ring has wrapped
        buffer.add(trajectory)
    draws = 100_000
    sample = buffer.sample(draws, seeded(0))
    assert sample.shape == (draws, 2)
    assert torch.equal(sample[:, 0], -sample[:, 1])
    counts = torch.bincount(sample[:, 0].long(), minlength=1800)
    assert counts[:1300].sum() == 0
    counts, expected = counts[1300:].double(), draws / 500
    assert len(counts) == buffer.num_pairs == 500
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    assert abs(chi_square - 499) < 5 * np.sqrt(2 * 499)


def test_samples_depend_on_the_generator_alone() -> None:
    buffer = FailureBuffer(3, 2)
    for trajectory in numbered([30, 40]):
        buffer.add(trajectory)
    assert torch.equal(buffer.sample(64, seeded(1)), buffer.sample(64, seeded(1)))
    assert not torch.equal(buffer.sample(64, seeded(1)), buffer.sample(64, seeded(2)))


def test_memory_follows_what_is_stored_not_what_passed_through() -> None:
    buffer = FailureBuffer(10, 4)
    for _ in range(20):
        buffer.add(torch.zeros(100, 4))
    held = bytes_held(buffer)
    assert held >= 1000 * 4 * 4
    for _ in range(5000):
        buffer.add(torch.zeros(100, 4))
    assert bytes_held(buffer) == held <= 2048 * 4 * 4


def test_an_empty_buffer_says_so() -> None:
    with pytest.raises(ValueError, match="empty"):
        FailureBuffer(3, 2).sample(4, seeded(0))


@pytest.mark.parametrize("lengths", [[], [3], [700, 600, 5, 50, 445, 900]])
def test_a_restored_buffer_continues_as_the_original_would(lengths: list[int]) -> None:
    original, restored = FailureBuffer(4, 2), FailureBuffer(4, 2)
    for trajectory in numbered(lengths):
        original.add(trajectory)
    for trajectory in numbered([11, 22]):
        restored.add(trajectory)  # what it held before is forgotten
    restored.load_state_dict(copy.deepcopy(original.state_dict()))
    for more in numbered([100, 1, 2000, 30, 4]):
        assert restored.num_trajectories == original.num_trajectories
        assert torch.equal(restored.pairs(), original.pairs())
        if lengths:
            assert torch.equal(restored.sample(50, seeded(0)), original.sample(50, seeded(0)))
        original.add(more)
        restored.add(more)


def multiplier(init: float = 1.0, rate: float = 0.1, most: float = 5.0, z_f: float = -0.5) -> Multiplier:
    return Multiplier(FailuresConfig(z_f=z_f, lambda_init=init, lambda_learning_rate=rate, lambda_max=most))


@pytest.mark.parametrize("log_d_failed", [-2.0, -0.5, -0.1, 0.0])
def test_lambda_moves_by_the_constraints_slack(log_d_failed: float) -> None:
    weight = multiplier(init=1.0, rate=0.1, z_f=-0.5)
    weight.update(log_d_failed)
    assert weight.value == pytest.approx(1.0 - 0.1 * (log_d_failed + 0.5))


def test_lambda_falls_while_the_constraint_holds_and_rises_while_it_is_violated() -> None:
    holds, violated = multiplier(z_f=np.log(0.5)), multiplier(z_f=np.log(0.5))
    holds.update(np.log(0.8))
    violated.update(np.log(0.2))
    assert holds.value < 1.0 < violated.value


def test_lambda_stays_between_zero_and_its_maximum() -> None:
    weight = multiplier(most=2.0, rate=0.5)
    for _ in range(100):
        weight.update(-0.01)
        assert weight.value >= 0.0
    assert weight.value == 0.0
    for _ in range(100):
        weight.update(-30.0)
        assert weight.value <= 2.0
    assert weight.value == 2.0
    weight.update(-0.01)
    assert 0.0 < weight.value < 2.0  # it comes back from the bound at once


def test_without_a_learning_rate_lambda_is_constant() -> None:
    weight = multiplier(init=0.7, rate=0.0)
    for log_d_failed in (-10.0, -0.5, 0.0):
        weight.update(log_d_failed)
    assert weight.value == 0.7
