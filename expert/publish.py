"""`python -m expert.publish env=hopper episodes=100` copies an expert into the package, for `expert=pretrained`.

A card beside the weights has their origin and their returns.
"""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import version
from pathlib import Path

from omegaconf import OmegaConf

from expert.checkpoints import CHECKPOINTS, weaker_checkpoints
from expert.experts import expert_of, make_expert
from expert.pretrained import PRETRAINED
from gailfe.commands import command
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.envs.evaluation import FRESH_SEED, Evaluation, Evaluator
from gailfe.storage.files import write_json, write_text
from gailfe.storage.names import EVALUATION, MANIFEST
from gailfe.storage.store import Store, verify, write_manifest

WEAKER = (0.1, 0.2, 0.5)  # returns, in units of the expert's, of the earlier checkpoints that go with it

CARD = """\
# A PPO expert for {id}

| episodes | return, mean ± std | worst | best | length, mean |
| --- | --- | --- | --- | --- |
| {episodes} | {mean:.0f} ± {std:.0f} | {worst:.0f} | {best:.0f} | {length:.0f} |

Its mean action, in fresh episodes (seed {seed}). The best evaluated checkpoint of a training that is in curve.csv:

    python -m expert.train env={env}
    python -m expert.publish env={env} episodes={episodes}

with {versions}.
{weaker}The configuration:

```yaml
{config}```
"""


WEAKER_NOTE = """\
checkpoints/ holds weaker policies for `demonstrations.contamination`: its earlier checkpoints with about a tenth,
a fifth and half of its return. """


def publish(config: Config, source: Path, folder: Path) -> None:
    """Copy the expert in `source` to `folder`, evaluate it over `config.episodes` episodes, write its card."""
    policy = expert_of(config).load(source)
    evaluation = Evaluator(config.env, config.episodes, FRESH_SEED)(policy)
    manifest = verify(source)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(MANIFEST, CHECKPOINTS))
    weaker = weaker_checkpoints(source, WEAKER)
    for path in weaker:
        shutil.copytree(path, folder / CHECKPOINTS / path.name)
    record = {"episodes": config.episodes, **evaluation.metrics}
    write_json(folder / EVALUATION, record)
    write_text(folder / "README.md", card(config, evaluation, manifest["recipe"]["expert"], bool(weaker)))
    write_manifest(folder, manifest["key"], manifest["recipe"])


def card(config: Config, evaluation: Evaluation, expert_config: dict[str, object], weaker: bool) -> str:
    """Return the text of the card. `weaker` says whether weaker policies go with the expert."""
    packages = ("torch", "gymnasium", "mujoco", "numpy")
    return CARD.format(
        id=config.env.id,
        env=config.env.name,
        episodes=config.episodes,
        mean=evaluation.returns.mean(),
        std=evaluation.returns.std(),
        worst=evaluation.returns.min(),
        best=evaluation.returns.max(),
        length=evaluation.lengths.mean(),
        seed=FRESH_SEED,
        weaker=WEAKER_NOTE if weaker else "",
        versions=", ".join([f"Python {platform.python_version()}", *(f"{p} {version(p)}" for p in packages)]),
        config=OmegaConf.to_yaml(OmegaConf.create(expert_config)),
    )


USAGE = """\
python -m expert.publish [key=value ...]

Puts a trained expert into the package, evaluated and with its card, for expert=pretrained.

  python -m expert.publish env=hopper episodes=100
"""


@command(USAGE, listens=False)
def main(config: Config) -> None:
    if not expert_of(config).trained_here:
        raise ConfigError(
            f"expert={config.expert.name} can't be published: valid is one that is trained here, as expert=ppo is"
        )
    folder = PRETRAINED / config.env.name
    publish(config, make_expert(config, Store(Path(config.paths.artifacts))), folder)
    print(folder)


if __name__ == "__main__":
    main()
