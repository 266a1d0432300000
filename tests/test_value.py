"""The value function: PopArt's promise, and that it learns returns of any scale."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from helpers import GAIL, seeded

from gailfe.nn.value import ValueFunction


def value_function(seed: int = 0, **config: object) -> ValueFunction:
    return ValueFunction(3, replace(GAIL.value, hidden_sizes=[32], **config), seeded(seed))  # type: ignore[arg-type]


def returns_of(x: torch.Tensor) -> torch.Tensor:
    return 500.0 + 300.0 * torch.sin(x[:, 0]) - 100.0 * x[:, 1]


def test_predictions_do_not_move_when_the_targets_statistics_do() -> None:
    value = value_function(epochs=0)  # tracks the targets, takes no step
    x = torch.randn(200, 3, generator=seeded(1))
    before = value(x).detach()
    assert before.std() > 0.1
    for scale, shift in ((500.0, 1000.0), (1.0, -50.0), (0.1, 20.0), (2000.0, 0.0)):
        value.fit(x, shift + scale * torch.randn(200, generator=seeded(2)))
        torch.testing.assert_close(value(x), before, atol=2e-3, rtol=1e-3)


def test_the_first_targets_set_the_statistics_and_later_ones_move_them_slowly() -> None:
    value = value_function(epochs=0)
    x = torch.randn(1000, 3, generator=seeded(1))
    targets = 400.0 + 50.0 * torch.randn(1000, generator=seeded(2))
    value.fit(x, targets)
    torch.testing.assert_close(value.mean, targets.double().mean())
    torch.testing.assert_close(value.std, targets.double().std(correction=0))
    value.fit(x, targets + 100.0)
    assert targets.mean() < value.mean < targets.mean() + 50.0


def test_regression_reduces_the_error_on_returns_of_hundreds() -> None:
    value = value_function(epochs=20, minibatch_size=64)
    x = torch.randn(1024, 3, generator=seeded(3))
    returns = returns_of(x)
    losses = [value.fit(x, returns) for _ in range(6)]
    root_mean_square = (value(x) - returns).square().mean().sqrt().item()
    assert losses[-1] < 0.05 * losses[0]
    assert root_mean_square < 60.0  # of a spread of about 230


def test_it_follows_returns_that_drift() -> None:
    value = value_function(epochs=20, minibatch_size=64)
    x = torch.randn(512, 3, generator=seeded(4))
    for step in range(40):
        value.fit(x, returns_of(x) + 10.0 * step)
    assert (value(x) - returns_of(x) - 390.0).mean().abs() < 40.0


def test_the_reported_loss_is_the_standardised_error_before_the_regression() -> None:
    value = value_function(epochs=3, minibatch_size=512)
    x = torch.randn(512, 3, generator=seeded(5))
    returns = returns_of(x)
    error = (value(x) - returns).square().mean() / returns.var(correction=0)
    assert value.fit(x, returns) == pytest.approx(error.item(), rel=1e-3)


def test_a_restored_value_function_continues_bit_for_bit() -> None:
    x = torch.randn(256, 3, generator=seeded(6))
    original, restored = value_function(seed=1), value_function(seed=2)
    original.fit(x, returns_of(x))
    restored.load_full_state_dict(copy.deepcopy(original.full_state_dict()))
    restored.generator.set_state(original.generator.get_state())
    assert original.fit(x, returns_of(-x)) == restored.fit(x, returns_of(-x))
    assert torch.equal(original(x), restored(x))
