"""Intervals, probability of improvement and censored medians, against what can be counted by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from analysis.statistics import (
    Interval,
    censored_median,
    difference_interval,
    improvement_interval,
    interquartile_mean,
    interval_over_seeds,
    mean_with_interval,
    probability_of_improvement,
)


def exists(interval: Interval | None) -> Interval:
    assert interval is not None
    return interval


def test_probability_of_improvement_counts_pairs_and_ties_half():
    # 2 > 1, 2 < 3, 3 > 1, 3 = 3
    assert probability_of_improvement(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == 2.5 / 4


def test_probability_of_improvement_is_that_of_all_pairs_in_every_row():
    rng = np.random.default_rng(0)
    baseline, algo = rng.integers(0, 4, (3, 5)).astype(float), rng.integers(0, 4, (3, 7)).astype(float)
    counted = [
        np.mean([1.0 if y > x else 0.5 if y == x else 0.0 for x, y in itertools.product(xs, ys)])
        for xs, ys in zip(baseline, algo, strict=True)
    ]
    assert probability_of_improvement(baseline, algo) == pytest.approx(counted)


def test_interquartile_mean_leaves_a_quarter_out_at_either_end():
    assert interquartile_mean(np.array([1e6, 1.0, 2.0, 4.0, 3.0, 5.0, -1e6, 6.0])) == 3.5
    assert interquartile_mean(np.array([1.0, 2.0, 9.0])) == 4.0  # a quarter of three, rounded down, is none


@pytest.mark.parametrize("statistic", [np.mean, np.median, interquartile_mean])
def test_bootstrap_interval_is_that_of_all_resamples_and_stays_inside_the_data(statistic):
    values = np.array([3.0, 5.0, 11.0, 2.0, 7.0])
    every = np.array(list(itertools.product(values, repeat=5)))  # 3125 resamples, equally likely
    low, high = exists(interval_over_seeds([values], statistic))
    assert [low, high] == pytest.approx(np.quantile(statistic(every, axis=1), [0.025, 0.975]), abs=0.21)
    assert values.min() <= low <= high <= values.max()
    assert interval_over_seeds([values], statistic) == (low, high)


def test_stratified_bootstrap_draws_seeds_anew_within_each_task_only():
    # Over all four values together the mean would reach from 0 to 10.
    assert interval_over_seeds([np.array([0.0, 0.0]), np.array([10.0, 10.0])], np.mean) == (5.0, 5.0)


def test_single_seed_has_no_interval():
    one, two = np.array([1.0]), np.array([1.0, 2.0])
    assert interval_over_seeds([two, one], np.mean) is None
    assert difference_interval(one, two, paired=False) is None
    assert improvement_interval(two, one) is None


def test_pairs_tell_an_improvement_of_every_seed_which_the_spread_between_seeds_hides_otherwise():
    baseline = np.array([100.0, 900.0, 300.0, 2000.0])
    low, high = exists(difference_interval(baseline, baseline + np.array([10.0, 11.0, 9.0, 10.0]), paired=True))
    assert 8 < low < 10 < high < 12
    low, high = exists(difference_interval(baseline, baseline + 10, paired=False))
    assert low < 0 < high
    assert difference_interval(baseline, baseline + 10, paired=True) == (10.0, 10.0)


def test_difference_interval_of_three_pairs_is_students():
    # Differences 1, 2, 6: mean 3, standard deviation √7; t(0.975, 2 degrees of freedom) = 4.302653.
    low, high = exists(difference_interval(np.zeros(3), np.array([1.0, 2.0, 6.0]), paired=True))
    half = 4.302653 * np.sqrt(7 / 3)
    assert (low, high) == pytest.approx((3 - half, 3 + half), rel=1e-6)


def test_intervals_cover_what_they_claim_to():
    rng = np.random.default_rng(0)
    intervals = [exists(difference_interval(np.zeros(5), rng.normal(1, 1, 5), paired=True)) for _ in range(500)]
    assert np.mean([low <= 1 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.025)
    intervals = [exists(interval_over_seeds([rng.normal(1, 1, 30)], np.mean)) for _ in range(150)]
    assert np.mean([low <= 1 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.05)


def test_improvement_interval_is_that_of_all_resamples_of_both_sides():
    baseline, algo = np.array([1.0, 3.0, 5.0]), np.array([2.0, 4.0, 4.0])
    every = [
        probability_of_improvement(np.array(xs), np.array(ys))
        for xs in itertools.product(baseline, repeat=3)
        for ys in itertools.product(algo, repeat=3)
    ]
    low, high = exists(improvement_interval(baseline, algo))
    assert (low, high) == pytest.approx(np.quantile(every, [0.025, 0.975]), abs=1e-9)
    assert low < probability_of_improvement(baseline, algo) < high


@pytest.mark.parametrize(
    ("times", "reached", "expected"),
    [
        ([100, 300, 200], [True, True, True], (200, True)),
        (
            [100, 200, 1000],
            [True, True, False],
            (200, True),
        ),  # one of three never: the median is there all the same
        ([100, 1000, 1000], [True, False, False], (1000, False)),
        ([100, 200, 1000, 1000], [True, True, False, False], (600, False)),  # half way from 200 to more than 1000
        ([100, 200, 150], [True, True, False], (150, False)),  # a run cut short may still have come before 200
        ([100, 200, 250], [True, True, False], (200, True)),
        ([1000], [False], (1000, False)),
    ],
)
def test_median_of_censored_times_is_known_only_where_the_data_settle_it(times, reached, expected):
    assert censored_median(np.array(times, dtype=float), np.array(reached)) == expected


def test_band_lies_within_the_seeds_and_only_where_all_of_them_are():
    lines = pd.DataFrame({0: [1.0, 2.0, np.nan], 1: [3.0, 8.0, 4.0], 2: [2.0, 5.0, 9.0]}, index=[1, 2, 3])
    table = mean_with_interval(lines)
    assert table["mean"].to_dict() == {1: 2.0, 2: 5.0}
    assert (table["low"] >= [1.0, 2.0]).all()
    assert (table["high"] <= [3.0, 8.0]).all()
    assert (table["low"] < table["mean"]).all()
    assert mean_with_interval(lines[[1]])[["low", "high"]].isna().all(axis=None)
