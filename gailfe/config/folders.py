"""Where conf/ is, and where a job's output goes: resolvers that conf/config.yaml uses for Hydra's own folders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from gailfe.config.overrides import key_of

CONF = Path(__file__).resolve().parents[2] / "conf"  # beside the package, in every working directory

# Already in the path, or without influence on the numbers.
NOT_IN_NAME = {"algo", "env", "seed", "study", "checkpoint_every", "episodes", "device"}
MORE = ",more="  # before the digest at the end of a name that was too long
NOT_IN_NAME_WITH_ALL_BELOW = {"paths", "tracking", "hydra"}


def job_subfolder(
    job: str, env: str, algo: str, seed: int, overrides: list[str], fixed: Collection[str] = ()
) -> str:
    """`<env>/<algo>/seed=<n>[,key=value…]`: every override that changes the numbers appears in the name.

    Stages 1 and 2 alone make no run: of their jobs the overrides are the name. The name must not depend on other
    jobs of a sweep, or a later sweep would not find its run.

    Args:
        fixed: what the experiment sets for all of its runs, which sets none of them apart.

    >>> job_subfolder("run", "hopper", "gail", 3, ["algo=gail", "algo.gamma=0.9", "tracking.mode=online"])
    'hopper/gail/seed=3,algo.gamma=0.9'
    """
    if job != "run":
        return _short(",".join(map(_word, sorted(overrides))) or "default")
    return f"{env}/{algo}/" + _short(",".join([f"seed={seed}", *names_of(overrides, fixed)]))


def names_of(overrides: list[str], fixed: Collection[str] = ()) -> list[str]:
    """Return those of a run's overrides that its name has, as they are written there; `fixed` as above."""
    # A study that has its own name may hold runs of several experiments; else the folder above has its name.
    named = any(key_of(override) == "study" for override in overrides)
    return [
        _word(override)
        for override in sorted(overrides)
        if _in_name(override) and override not in fixed and (named or key_of(override) != "experiment")
    ]


def _word(override: str) -> str:
    plain = re.sub(r"\\(.)", r"\1", override)  # a sweep escapes colons and more
    return re.sub(r"[^\w.=,-]", "_", plain.lstrip("+~"))


def _short(name: str, longest: int = 200) -> str:
    """File systems end at 255 bytes: of a longer name the rest becomes a digest."""
    if len(name.encode()) <= longest:
        return name
    kept = name[:longest].rsplit(",", 1)[0]
    return f"{kept}{MORE}{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def fixed_arguments(params: Mapping[str, Any] | None) -> set[str]:
    """Return the arguments in a configuration's `hydra.sweeper.params` that have one value for all jobs."""
    arguments = [f"{key}={value}" for key, value in (params or {}).items()]
    parsed = OverridesParser.create().parse_overrides(arguments)
    return {
        f"{override.get_key_element()}={override.get_value_element_as_str()}"
        for override in parsed
        if not override.is_sweep_override()
    }


def _in_name(override: str) -> bool:
    key = key_of(override)
    return key not in NOT_IN_NAME and re.split(r"[./@]", key)[0] not in NOT_IN_NAME_WITH_ALL_BELOW


def _subfolder(*, _root_: DictConfig) -> str:
    return job_subfolder(
        _root_.hydra.job.name,
        _root_.env.name,
        _root_.algo.name,
        _root_.seed,
        list(_root_.hydra.overrides.task),
        fixed_arguments(_root_.hydra.sweeper.get("params")),
    )


def _folder(*, _root_: DictConfig) -> str:
    if _root_.hydra.job.name == "run":
        return f"{_root_.paths.runs}/{_root_.study}"
    return f"{_root_.paths.artifacts}/logs/{_root_.hydra.job.name}"


def register_resolvers() -> None:
    """Make `${gailfe.folder:}` and `${gailfe.subfolder:}` known; harmless to repeat."""
    OmegaConf.register_new_resolver("gailfe.folder", _folder, replace=True)
    OmegaConf.register_new_resolver("gailfe.subfolder", _subfolder, replace=True)
