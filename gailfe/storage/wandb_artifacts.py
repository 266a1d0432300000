"""W&B Artifacts: experts, demonstrations and policies, and which of them was made from which.

    expert → (run `collect`) → demonstrations → (run) → policy

An artifact is called after its content, so each has one version, however many runs use it: W&B knows it again by
the checksums of its files. Offline, the files stay where they are, and `wandb sync` reads them there.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from gailfe.config.schema import Config
from gailfe.storage.files import write_text
from gailfe.storage.locks import artifact_lock
from gailfe.storage.names import CONFIG, POLICY_FILES
from gailfe.storage.store import artifact_key, file_checksum
from gailfe.storage.wandb_run import init

log = logging.getLogger(__name__)

COLLECT = "collect"  # the job type of the W&B run between an expert and its demonstrations


@dataclass(frozen=True)
class Input:
    """Something in files that a run is made from."""

    kind: str  # "expert" or "demonstrations": the artifact's type
    key: str  # SHA-256 of what decides its content
    folder: Path  # all its files are in here
    files: Sequence[Path]  # those that are logged
    metadata: dict[str, Any] = field(default_factory=dict)

    def name(self, env: str) -> str:
        """Return what W&B calls it."""
        ascii_only = re.sub(r"[^A-Za-z0-9_.-]", "_", env)  # which W&B wants, and folders don't
        return f"{self.kind}-{ascii_only}-{self.key[:12]}"


def expert_input(key: str, folder: Path, metadata: dict[str, Any]) -> Input:
    """Describe an expert by the files directly in its folder; checkpoints, which lie deeper, are left out."""
    return Input("expert", key, folder, _files(folder.iterdir()), metadata)


def demonstrations_input(key: str, folder: Path, metadata: dict[str, Any]) -> Input:
    """Describe demonstrations by all files in their folder."""
    return Input("demonstrations", key, folder, _files(folder.rglob("*")), metadata)


def log_inputs(run: Any, config: Config, inputs: Sequence[Input]) -> None:
    """Say that a W&B run is made from `inputs`."""
    for source in inputs:
        _use(run, _artifact(config, source))


def log_collection(config: Config, expert: Input, demonstrations: Input) -> None:
    """Write, once, the W&B run that leads from an expert to its demonstrations, to `wandb/` beside their folders.

    It has no rows. A run of a project has the same id wherever it is written, so W&B never has two of them.
    """
    tracking = config.tracking
    run_id = artifact_key({"collect": demonstrations.key, "of": [tracking.entity, tracking.project]})[:16]
    root = Path(config.paths.artifacts)
    written = root / "wandb" / f"{tracking.mode}-{run_id}.txt"
    with FileLock(artifact_lock(demonstrations.folder)):
        if written.exists():
            return
        name = f"{config.env.name}/demonstrations"
        run = init(
            tracking,
            root,
            id=run_id,
            group=name,
            job_type=COLLECT,
            name=f"{name}/{demonstrations.key[:12]}",
            tags=[config.env.name, COLLECT],
            config=demonstrations.metadata,
        )
        log_inputs(run, config, [expert])
        run.log_artifact(_artifact(config, demonstrations))
        run.finish()
        write_text(written, demonstrations.name(config.env.name))


def log_policy(run: Any, folder: Path, iteration: int, summary: dict[str, Any]) -> None:
    """Log the policy that the run in `folder` has learned, as a copy: the run may go on with a larger budget."""
    import wandb

    copies = Path(run.settings.sync_dir).resolve() / "policy"
    copies.mkdir(exist_ok=True)
    artifact = wandb.Artifact(f"policy-{run.id}", "policy", metadata={"iteration": iteration, **summary})
    for name in (*POLICY_FILES, CONFIG):
        if (folder / name).exists():
            shutil.copyfile(folder / name, copies / name)
            artifact.add_file(str(copies / name), policy="immutable")
    run.log_artifact(artifact, aliases=["latest", f"iteration-{iteration}"])


def _artifact(config: Config, source: Input) -> Any:
    """Return W&B's form of it, with its files; of one that is too large, with their checksums alone."""
    import wandb

    megabytes = sum(path.stat().st_size for path in source.files) / 1e6
    whole = megabytes <= config.tracking.artifact_mb
    metadata = {"key": source.key, "megabytes": megabytes, "files_uploaded": whole, **source.metadata}
    artifact = wandb.Artifact(source.name(config.env.name), source.kind, metadata=metadata)
    if whole:
        for path in source.files:
            name = path.relative_to(source.folder).as_posix()
            artifact.add_file(str(path.resolve()), name=name, policy="immutable")
    else:
        log.info(
            "W&B gets the checksums of %s, not its %.0f MB (tracking.artifact_mb=%g)",
            *(source.folder, megabytes, config.tracking.artifact_mb),
        )
        with artifact.new_file("checksums.txt") as file:
            file.writelines(f"{file_checksum(p)}  {p.relative_to(source.folder)}\n" for p in source.files)
    return artifact


def _use(run: Any, artifact: Any) -> None:
    """`run.use_artifact`, which refuses to work offline.

    What it does first with an artifact of this process is to write a record; that is done here, for `wandb sync`.
    """
    if run.settings.mode == "online":
        run.use_artifact(artifact)
    else:
        run._log_artifact(artifact, aliases=["latest"], is_user_created=True, use_after_commit=True)


def _files(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if path.is_file() and not path.name.startswith("."))
