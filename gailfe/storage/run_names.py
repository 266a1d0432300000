"""The overrides of a run, from its folder."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gailfe.config.folders import MORE, fixed_arguments, names_of

log = logging.getLogger(__name__)

HYDRAS = Path(".hydra")  # in a run's folder
OVERRIDES, HYDRA_CONFIG = "overrides.yaml", "hydra.yaml"  # in there: the overrides, in whole; Hydra's own settings


def overrides_in_name(folder_name: str) -> list[str]:
    """`seed=0,algo.gamma=0.9,algo.sizes=_64,64_` → `["algo.gamma=0.9", "algo.sizes=_64,64_"]`, no seed."""
    if "=" not in folder_name:
        return []
    others = re.sub(r"(^|,)seed=[^,]*", "", folder_name).strip(",")
    # Only a comma with `key=` after it separates: values may hold commas themselves.
    return re.split(r",(?=[^,=]+=)", others) if others else []


def overrides_of(folder: Path) -> list[str]:
    """Return a run's overrides: from its folder's name, or from Hydra's list where that had become too long."""
    if MORE in folder.name:
        try:
            listed = OmegaConf.to_container(OmegaConf.load(folder / HYDRAS / OVERRIDES))
            sweeper = OmegaConf.select(OmegaConf.load(folder / HYDRAS / HYDRA_CONFIG), "hydra.sweeper.params")
            fixed = fixed_arguments(sweeper)
            return names_of([str(override) for override in listed], fixed) if isinstance(listed, list) else []
        except (OSError, YAMLError, HydraException, OmegaConfBaseException, UnicodeDecodeError) as error:
            log.warning("%s: its name is cut, and its overrides are not known: %s", folder, error)
    return overrides_in_name(folder.name)
