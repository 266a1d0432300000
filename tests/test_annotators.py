"""What each annotator calls a failure, on hand-made trajectories, and how one is found by its import path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import HOPPER, compose

from expert.annotators import (
    Reference,
    check_annotator,
    low_return,
    make_annotator,
    no_progress,
    terminated,
    upside_down,
)
from gailfe.config.keys import ConfigError
from gailfe.config.schema import AnnotatorConfig
from gailfe.envs.trajectory import Trajectory

UPRIGHT, FLAT = 0.0, 2.0  # a pitch on either side of the default limit, π/2


def trajectory(column: list[float], rewards: list[float] | None = None, ended: str = "truncated") -> Trajectory:
    """An episode whose observations hold `column` between two columns of other things."""
    steps = len(column) - 1
    observations = np.full((steps + 1, 3), 99.0)
    observations[:, 1] = column
    return Trajectory(
        observations,
        np.zeros((steps, 1), dtype=np.float32),
        np.array(rewards if rewards is not None else [0.0] * steps),
        terminated=ended in ("terminated", "both"),
        truncated=ended in ("truncated", "both"),
    )


@pytest.mark.parametrize(("ended", "failed"), [("terminated", True), ("truncated", False), ("both", True)])
def test_terminated_means_that_the_environment_ended_the_episode(ended: str, failed: bool) -> None:
    assert terminated(trajectory([0.0, 0.0], ended=ended)) is failed


@pytest.mark.parametrize(("flat_steps", "failed"), [(0, False), (4, False), (5, True)])
def test_upside_down_forgives_max_steps_in_a_row_and_not_one_more(flat_steps: int, failed: bool) -> None:
    pitch = [UPRIGHT] + [FLAT] * flat_steps + [UPRIGHT] * 3
    assert upside_down(trajectory(pitch), torso_angle=1, max_steps=4) is failed


def test_upside_down_counts_the_longest_run_and_not_the_sum() -> None:
    stumbles = ([FLAT] * 4 + [UPRIGHT]) * 6
    assert not upside_down(trajectory(stumbles), torso_angle=1, max_steps=4)
    assert upside_down(trajectory([*stumbles, *[FLAT] * 5]), torso_angle=1, max_steps=4)


@pytest.mark.parametrize(("before", "after"), [(0, 7), (7, 0), (0, 0)])
def test_upside_down_sees_a_run_at_either_end_of_the_episode(before: int, after: int) -> None:
    pitch = [UPRIGHT] * before + [FLAT] * 5 + [UPRIGHT] * after
    assert upside_down(trajectory(pitch), torso_angle=1, max_steps=4)


@pytest.mark.parametrize("turns", [-3, -1, 0, 1, 2])
@pytest.mark.parametrize(
    ("tilt", "failed"), [(0.0, False), (1.5, False), (-1.5, False), (1.65, True), (3.1, True)]
)
def test_upside_down_counts_full_turns_of_the_pitch_as_upright(turns: int, tilt: float, failed: bool) -> None:
    pitch = [tilt + turns * 2 * np.pi] * 10
    assert upside_down(trajectory(pitch), torso_angle=1, max_steps=4) is failed


def test_upside_down_takes_its_limit_from_the_arguments() -> None:
    pitch = trajectory([1.0] * 10)
    assert upside_down(pitch, torso_angle=1, max_angle=0.9, max_steps=4)
    assert not upside_down(pitch, torso_angle=1, max_angle=1.1, max_steps=4)
    assert not upside_down(pitch, torso_angle=1, max_angle=1.0, max_steps=4)  # at the limit: still upright


def test_no_progress_compares_the_mean_velocity_with_a_fraction_of_the_reference() -> None:
    walked = trajectory([-100.0, 0.4, 0.6])  # the first row is where the episode began, and no step's doing
    fast = Reference.of([trajectory([-100.0, 1.0, 3.0]), trajectory([0.0, 2.0])])
    assert fast.observation_mean[1] == 2.0
    assert not no_progress(walked, fast, forward_velocity=1, fraction=0.25)  # at the threshold: enough
    assert no_progress(walked, fast, forward_velocity=1, fraction=0.26)


@pytest.mark.parametrize(("expert", "threshold"), [(10.0, 5.0), (-10.0, -15.0), (0.0, 0.0)])
def test_low_return_compares_with_a_fraction_of_the_experts_also_below_zero(
    expert: float, threshold: float
) -> None:
    reference = Reference.of([trajectory([0.0, 0.0, 0.0], rewards=[expert, 0.0])])
    reached, missed = (trajectory([0.0, 0.0], rewards=[threshold - miss]) for miss in (0.0, 0.1))
    assert not low_return(reached, reference, fraction=0.5)
    assert low_return(missed, reference, fraction=0.5)


def test_any_of_fails_what_one_of_its_annotators_fails() -> None:
    arguments = {
        "fell": {"function": "expert.annotators.terminated"},
        "slow": {
            "function": "expert.annotators.no_progress",
            "arguments": {"forward_velocity": 1, "fraction": 0.5},
        },
    }
    config = AnnotatorConfig(name="any_of", function="expert.annotators.any_of", arguments=arguments)
    annotator = make_annotator(config, Reference.of([trajectory([0.0, 2.0])]))
    assert not annotator(trajectory([0.0, 1.0]))
    assert annotator(trajectory([0.0, 1.0], ended="terminated"))
    assert annotator(trajectory([0.0, 0.9]))


def test_wrong_annotator_inside_any_of_is_named_by_its_key() -> None:
    arguments = {"slow": {"function": "expert.annotators.no_progress", "arguments": {"speed": 1}}}
    config = AnnotatorConfig(name="any_of", function="expert.annotators.any_of", arguments=arguments)
    with pytest.raises(ConfigError, match=r"annotator\.arguments\.slow\.arguments"):
        make_annotator(config, reference=None)


def test_a_users_function_is_found_by_its_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_failures.py").write_text(
        "def longer_than(trajectory, steps, strict=True):\n"
        "    return len(trajectory) > steps if strict else len(trajectory) >= steps\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = "my_failures.longer_than"
    annotator = make_annotator(AnnotatorConfig(name="mine", function=path, arguments={"steps": 3}), None)
    lenient = make_annotator(
        AnnotatorConfig(name="mine", function=path, arguments={"steps": 3, "strict": False}), None
    )
    three, four = trajectory([0.0] * 4), trajectory([0.0] * 5)
    assert [annotator(three), annotator(four), lenient(three)] == [False, True, True]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("os.system", "can't be called on an episode of 1000 steps: TypeError"),
        ("sys.exit", "can't be called on an episode of 1000 steps: SystemExit"),
        ("builtins.len", "must return True or False of an episode, got 1000"),
        ("builtins.print", "must return True or False of an episode, got None"),
        ("builtins.max", "don't fit builtins.max"),
    ],
)
@pytest.mark.parametrize("within", [False, True])
def test_a_function_that_judges_no_episode_is_refused_by_its_key(within: bool, function: str, said: str) -> None:
    config = AnnotatorConfig(name="odd", function=function)
    key = "annotator"
    if within:
        both = {"fell": {"function": "expert.annotators.terminated"}, "odd": {"function": function}}
        config, key = AnnotatorConfig("any", "expert.annotators.any_of", both), "annotator.arguments.odd"
    with pytest.raises(ConfigError, match=said) as caught:
        check_annotator(config, HOPPER)
    assert str(caught.value).startswith(key)


@pytest.mark.parametrize(("key", "value"), [("needs", 3), ("arguments", "steps")])
def test_an_annotator_within_another_one_has_keys_of_the_right_kinds(key: str, value: object) -> None:
    inner = f"annotator.arguments.odd={{function: expert.annotators.terminated, {key}: {value}}}"
    with pytest.raises(ConfigError, match=rf"annotator\.arguments\.odd\.{key}={value} must be"):
        compose("annotator=any_of", "env=halfcheetah", f"+{inner}")


@pytest.mark.parametrize("name", ["terminated", "upside_down", "no_progress", "low_return", "any_of"])
def test_every_annotator_of_the_package_passes_its_trial(name: str) -> None:
    config = compose("env=hopper", f"annotator={name}")
    check_annotator(config.annotator, config.env)
