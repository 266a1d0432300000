"""An expert that is already trained: `expert=pretrained` uses the package's, or the one in `expert.folder`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expert.experts import Expert, ExpertConfig
from gailfe.config.keys import ConfigError, key
from gailfe.nn.policy_file import ARCHITECTURE, WEIGHTS
from gailfe.storage.names import MANIFEST
from gailfe.storage.store import ArtifactError, Store, verify

PRETRAINED = Path(__file__).parent / "pretrained"  # made by expert/publish.py


def packaged() -> list[str]:
    """Return the names of the environments that the package has an expert of."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{MANIFEST}"))


@dataclass
class PretrainedConfig(ExpertConfig):
    """The keys of expert=pretrained."""

    folder: str | None = key("an expert's folder; null: the one of the package for this environment")


class PretrainedExpert(Expert):
    """A folder that holds a trained expert. It stays where it is."""

    Config = PretrainedConfig

    def check(self) -> None:
        self.folder()

    def made_from(self) -> dict[str, Any]:
        files = verify(self.folder())["files"]
        # The number of episodes decides the reference of annotators in stage 2.
        weights = {name: files[name] for name in (WEIGHTS, ARCHITECTURE)}
        return {**weights, "eval_episodes": self.config.expert.eval_episodes}

    def make(self, store: Store) -> Path:
        return self.folder()

    def folder(self) -> Path:
        """Return the expert's folder.

        Raises:
            ConfigError: if there is none, or its files are not what its manifest says.
        """
        chosen, env = self.config.expert.folder, self.config.env.name
        folder = Path(chosen or PRETRAINED / env)
        try:
            verify(folder)
        except ArtifactError as error:
            raise ConfigError(
                f"expert=pretrained expert.folder={chosen}: no expert for env={env} ({error}); the package has "
                f"some for {', '.join(packaged())}, and expert.folder takes another expert's folder"
            ) from error
        return folder
