"""Statistics over seeds: bootstrap intervals, probability of improvement, differences, times that are censored.

These functions take arrays and return numbers; they know nothing of runs or files. Which interval is used where:

- **One algorithm** (mean, median, interquartile mean; the bands of the figures): the percentile bootstrap over
  seeds with 95% confidence, as in Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the
  Statistical Precipice". Over several tasks it is stratified: seeds are drawn anew within each task. It never
  leaves the range of what was seen. With few seeds it is too short: at five seeds it covers the mean of a normal
  distribution in about 84% of cases, not 95%.
- **The difference of two algorithms**, which decides whether one is called faster: Student's t, which keeps its
  95% with few seeds, too.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

Array = np.ndarray[Any, Any]
Interval = tuple[float, float]
Statistic = Callable[..., Any]  # (*samples, axis) → one number for each row

LEVEL = 0.95  # confidence of every interval
RESAMPLES = 10_000  # of a bootstrap; the ends of an interval then move by about 2% of its width from seed to seed
BAND_RESAMPLES = 1_000  # for a figure's bands, which have an interval in every iteration
SEED = 0  # of every bootstrap: the same curves give the same intervals


def bootstrap(samples: Sequence[Array], statistic: Statistic, resamples: int = RESAMPLES) -> tuple[Array, Array]:
    """The percentile bootstrap interval of `statistic(*samples, axis=-1)`, ends `low` and `high`.

    Args:
        samples: arrays `(..., n)`, resampled along their last axis independently of each other.
    """
    interval = stats.bootstrap(
        samples,
        statistic,
        n_resamples=resamples,
        batch=100,  # bounds the memory that curves of a thousand iterations need
        vectorized=True,
        axis=-1,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return np.asarray(interval.low), np.asarray(interval.high)


def interval_over_seeds(strata: Sequence[Array], statistic: Statistic) -> Interval | None:
    """The stratified bootstrap interval of one statistic of all values together; None below 2 seeds or for NaN.

    Args:
        strata: the seeds' values `(seeds,)`, an array for each task; resampled within each of them.
        statistic: `np.mean`, `np.median`, `interquartile_mean`, or another of `(values, axis)`.
    """
    if min(len(values) for values in strata) < 2 or np.isnan(np.concatenate(strata)).any():
        return None
    low, high = bootstrap(strata, lambda *drawn, axis: statistic(np.concatenate(drawn, axis=axis), axis=axis))
    return float(low), float(high)


def interquartile_mean(values: Array, axis: int = -1) -> Any:
    """The mean of the middle half: a quarter of the values, rounded down, is left out at either end."""
    return stats.trim_mean(values, 0.25, axis=axis)


def probability_of_improvement(baseline: Array, algo: Array, axis: int = -1) -> Any:
    """P(algo > baseline) over all pairs of one value each, ties count half (Agarwal et al. 2021, section 4.3).

    Args:
        baseline, algo: `(..., n)` and `(..., m)`.
        axis: only the last one; `bootstrap` hands it over.
    """
    difference = algo[..., :, None] - baseline[..., None, :]
    return ((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-2, -1))


def improvement_interval(baseline: Array, algo: Array) -> Interval | None:
    """The bootstrap interval of `probability_of_improvement`; None where a side has fewer than 2 seeds.

    Both sides are resampled independently, as in Agarwal et al., also where they have the same seeds: drawing a
    seed's two runs together would count them against each other more often than the probability itself does.
    """
    if min(len(baseline), len(algo)) < 2:
        return None
    low, high = bootstrap([baseline, algo], probability_of_improvement)
    return float(low), float(high)


def difference_interval(baseline: Array, algo: Array, paired: bool) -> Interval | None:
    """Student's t interval of mean(algo) − mean(baseline); None where a side has fewer than 2 seeds.

    Args:
        baseline, algo: `(seeds,)`; where `paired`, entry i of both is the same seed.
        paired: of the seeds' differences; otherwise Welch's, which allows unequal variances.
    """
    if min(len(baseline), len(algo)) < 2:
        return None
    with warnings.catch_warnings():
        # Differences that are all the same are a right answer here, an interval of width 0.
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        test = stats.ttest_rel(algo, baseline) if paired else stats.ttest_ind(algo, baseline, equal_var=False)
        low, high = test.confidence_interval(LEVEL)
    return float(low), float(high)


def censored_median(times: Array, reached: Array) -> tuple[float, bool]:
    """The median of times of which some are only known to be longer than observed.

    Args:
        times: `(n,)`, n ≥ 1: when it was reached, or for how long it was not.
        reached: `(n,)` bool.

    Returns:
        The median and True where the data settle it; otherwise a lower bound of the median and False.
    """
    least = float(np.median(times))
    most = float(np.median(np.where(reached, times, np.inf)))
    return least, least == most


def mean_with_interval(lines: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds with its bootstrap interval, in the iterations that every seed has.

    Args:
        lines: `(iterations, seeds)`, from `aggregate.seed_lines`.

    Returns:
        `(common iterations, 3)` with columns `mean`, `low`, `high`; the ends of a single seed are NaN.
    """
    common = lines.dropna(how="any")
    table = pd.DataFrame({"mean": common.mean(axis=1), "low": np.nan, "high": np.nan})
    if common.shape[1] > 1 and len(common):
        # One draw of seeds serves all iterations: a resample is a set of whole runs.
        table["low"], table["high"] = bootstrap([common.to_numpy()], np.mean, resamples=BAND_RESAMPLES)
    return table
