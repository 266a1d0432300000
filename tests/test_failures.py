"""β_F against a plain list: what it holds, what it draws, what it forgets."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from helpers import seeded
from torch import Tensor

from gailfe.algorithms.failures import FailureBuffer


def numbered(lengths: list[int]) -> Iterator[Tensor]:
    """Trajectories whose pairs all differ: (T, 2), the pair's number and its negative."""
    start = 0
    for length in lengths:
        numbers = torch.arange(start, start + length, dtype=torch.float32)
        yield torch.stack([numbers, -numbers], dim=-1)
        start += length


def bytes_held(buffer: FailureBuffer) -> int:
    rings = [state["rows"] for state in buffer.state_dict().values() if isinstance(state, dict)]
    return sum(rows.numel() * rows.element_size() for rows in rings)


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
    sample = buffer.sample(draws, seeded(0)).pairs
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
    draws = [buffer.sample(64, seeded(seed)).pairs for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_memory_follows_what_is_stored_not_what_passed_through() -> None:
    buffer = FailureBuffer(10, 4)
    for _ in range(20):
        buffer.add(torch.zeros(100, 4))
    held = bytes_held(buffer)
    assert held >= 1000 * 4 * 4
    for _ in range(5000):
        buffer.add(torch.zeros(100, 4))
    assert bytes_held(buffer) == held <= 2 * 2048 * 4 * 4


def test_an_empty_buffer_says_so() -> None:
    with pytest.raises(ValueError, match="empty"):
        FailureBuffer(3, 2).sample(4, seeded(0))


@pytest.mark.parametrize("sampling", ["pairs", "trajectories"])
@pytest.mark.parametrize("lengths", [[], [3], [700, 600, 5, 50, 445, 900]])
def test_a_restored_buffer_continues_as_the_original_would(lengths: list[int], sampling: str) -> None:
    original, restored = (FailureBuffer(6, 2, sampling, max_age=3) for _ in range(2))
    for number, trajectory in enumerate(numbered(lengths)):
        original.add(trajectory, own=number > 1)
        original.next_iteration()
    for trajectory in numbered([11, 22]):
        restored.add(trajectory)  # what it held before is forgotten
    restored.load_state_dict(copy.deepcopy(original.state_dict()))
    for more in numbered([100, 1, 2000, 30, 4]):
        assert restored.num_trajectories == original.num_trajectories
        assert torch.equal(restored.pairs(), original.pairs())
        if original.num_pairs > 0:
            ours, theirs = restored.sample(50, seeded(0)), original.sample(50, seeded(0))
            assert torch.equal(ours.pairs, theirs.pairs)
            assert torch.equal(ours.own, theirs.own)
        for buffer in (original, restored):
            buffer.add(more)
            buffer.next_iteration()


@pytest.mark.parametrize("capacity", [4, 100])
@pytest.mark.parametrize("max_age", [None, 1, 3])
def test_own_failures_age_and_the_demonstrations_do_not(capacity: int, max_age: int | None) -> None:
    rng = np.random.default_rng(capacity)
    buffer = FailureBuffer(capacity, 2, max_age=max_age)
    trajectories = numbered(rng.integers(1, 400, size=200).tolist())
    model: list[tuple[Tensor, float]] = []  # pairs and the iteration of their birth
    for _ in range(3):
        model.append((next(trajectories), np.inf))
        buffer.add(model[-1][0], own=False)
    for iteration in range(20):
        buffer.next_iteration()
        if max_age is not None:
            model = [(pairs, birth) for pairs, birth in model if iteration - birth < max_age]
        for _ in range(rng.integers(0, 4)):
            model = [*model, (next(trajectories), iteration)][-capacity:]
            buffer.add(model[-1][0], own=True)
        assert buffer.num_trajectories == len(model)
        assert torch.equal(buffer.pairs(), torch.cat([pairs for pairs, _ in model] or [torch.empty(0, 2)]))


def test_a_draw_says_which_source_its_pairs_are_from() -> None:
    buffer = FailureBuffer(4, 2)
    for number, trajectory in enumerate(numbered([30, 10, 40, 20])):
        buffer.add(trajectory, own=number > 1)
    pairs, own = buffer.sample(500, seeded(0))
    assert own.any()
    assert torch.equal(own, pairs[:, 0] >= 40)
    assert torch.equal(pairs[:, 0], -pairs[:, 1])


def test_draws_by_trajectory_are_uniform_over_trajectories_and_then_over_the_pairs_of_each() -> None:
    """A chi-square test: pairs of a short trajectory are drawn more often."""
    buffer, lengths, draws = FailureBuffer(4, 2, sampling="trajectories"), [3, 90, 7, 400], 100_000
    for number, trajectory in enumerate(numbered(lengths)):
        buffer.add(trajectory, own=number > 0)
    sample = buffer.sample(draws, seeded(0)).pairs
    counts = torch.bincount(sample[:, 0].long(), minlength=500).double()
    assert len(counts) == 500
    expected = draws / 4 / torch.tensor(lengths).double().repeat_interleave(torch.tensor(lengths))
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    assert abs(chi_square - 499) < 5 * np.sqrt(2 * 499)
