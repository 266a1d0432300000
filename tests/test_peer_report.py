"""What all sides of `python -m benchmarks.peers` share: their clocks, and the evaluation."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from benchmarks.peer_gailfe import read_curve
from benchmarks.peer_report import first_reaching, mean_return, rate, time_to_target


def test_seconds_until_the_return_leave_evaluations_out(tmp_path):
    curve = tmp_path / "curve.csv"
    curve.write_text(
        "iteration,env_steps,steps_per_s,eval_return_mean,wall_time_s\n"
        "1,2000,1000,,2\n2,4000,500,1500,99\n3,6000,1000,,101\n4,8000,1000,2600,199\n"
    )
    evaluations = read_curve(curve)
    assert evaluations == [(4000, 6.0, 1500.0), (8000, 10.0, 2600.0)]
    assert first_reaching(evaluations, 2500) == {
        "reached": True,
        "env_steps": 8000,
        "seconds": 10.0,
        "return": 2600,
    }
    assert not first_reaching(evaluations, 3000)["reached"]


def test_rate_leaves_the_first_iterations_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter", iter([101.0, 105.0]).__next__)
    result = rate(iter([1024, 2048, 3072, 4096]), warmup=2, number=2)
    assert result == {"iterations": 2, "env_steps": 2048, "seconds": 4.0, "steps_per_s": 512.0}


def test_evaluations_come_at_the_same_steps_whatever_an_iteration_takes_and_are_not_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def learn(steps: int):
        for done in range(steps, 100_000, steps):
            now[0] += steps / 100
            yield done

    def evaluate() -> float:
        now[0] += 1000
        return now[0] / 1000

    settings = {"target": 3, "interval": 400, "max_steps": 10_000, "max_seconds": 100}
    for steps in (100, 200, 400):
        now[0] = 0.0
        result = time_to_target(learn(steps), evaluate, settings)
        assert [row[:2] for row in result["curve"]] == [(400, 4.0), (800, 8.0), (1200, 12.0)]
        assert result["reached"]
        assert (result["env_steps"], result["seconds"]) == (1200, 12.0)


@pytest.mark.parametrize(("cap", "value"), [("max_steps", 600), ("max_seconds", 6)])
def test_codebase_is_stopped_at_a_cap_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, cap: str, value: int
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def learn():
        for done in range(100, 100_000, 100):
            now[0] += 1
            yield done

    settings = {"target": 3, "interval": 400, "max_steps": 10_000, "max_seconds": 1000} | {cap: value}
    result = time_to_target(learn(), lambda: 2.0, settings)
    assert [row[0] for row in result["curve"]] == [400, 600]  # evaluated at the cap too
    assert not result["reached"]
    assert result["seconds"] == 6


def test_evaluation_is_of_whole_episodes_in_the_environments_own_reward_with_actions_within_bounds() -> None:
    returns = []
    for seed in (1, 2):
        env = gymnasium.make("Hopper-v5")
        env.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            _, reward, terminated, truncated, _ = env.step(np.ones(3))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    assert returns[0] != returns[1]

    def act(observations: np.ndarray) -> np.ndarray:
        return np.full((len(observations), 3), 7.0)

    assert mean_return(act, "Hopper-v5", episodes=2) == pytest.approx(np.mean(returns))
