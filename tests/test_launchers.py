"""A sweep through the launchers that leave this machine: a Ray cluster of two nodes, and submitit."""

import re
import secrets
from pathlib import Path

import hydra
import pytest
from commands import run

import gailfe.config.schema  # noqa: F401 (the schema of conf/)

RECIPES = Path(__file__).parents[1] / "docs/past_one_machine.md"


def check_sweep(folder, *launcher):
    """Two jobs that want the same expert, and one that fails."""
    spoilt = folder / "runs/tiny/halfcheetah/gail/seed=2"
    spoilt.mkdir(parents=True)
    (spoilt / "recipe.json").write_text('{"seed": 99}')
    code, output = run("gailfe.run", folder, "-m", "algo=gail", "seed=0,1,2", "tracking=none", *launcher)
    assert code == 1, output
    assert str(spoilt) in output.split("1 of 3 jobs failed")[1]
    assert "seed was 99, now 2" in (spoilt / "failure.txt").read_text()
    assert len(list(folder.glob("runs/**/summary.json"))) == 2
    logs = "".join(path.read_text() for path in folder.glob("runs/**/run.log"))
    for kind in ("experts", "demonstrations"):
        assert [logs.count(f"{kind}: {word}") for word in ("made", "found")] == [1, 1]
    assert (folder / "runs/tiny/figure1.png").stat().st_size > 0


@pytest.fixture
def cluster(monkeypatch):
    """The address of a head that takes no jobs, with two workers that take one each."""
    settings = {"USAGE_STATS_ENABLED": "0", "AUTH_MODE": "token", "AUTH_TOKEN": secrets.token_hex(32)}
    for name, value in settings.items():  # Ray reads a token of the user's home otherwise, or makes one there
        monkeypatch.setenv(f"RAY_{name}", value)
    cluster = pytest.importorskip("ray.cluster_utils").Cluster()  # only now: its import reads them
    try:
        cluster.add_node(num_cpus=0, include_dashboard=False)
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        cluster.shutdown()


def test_sweep_on_a_ray_cluster(cluster, tmp_path):
    init = [f"hydra.launcher.ray.init.address={cluster}", "+hydra.launcher.ray.init.object_store_memory=null"]
    check_sweep(tmp_path, "hydra/launcher=ray", *init)


def test_sweep_through_submitit(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    check_sweep(tmp_path, "hydra/launcher=submitit_local")


@pytest.mark.parametrize("plugin", ["ray", "submitit"])
def test_every_command_of_the_recipes_composes(plugin):
    pytest.importorskip(f"hydra_plugins.hydra_{plugin}_launcher")
    text = RECIPES.read_text().replace("\\\n", " ")
    commands = re.findall(rf"gailfe\.run -m (hydra/launcher={plugin}.*)", text)
    assert commands
    with hydra.initialize_config_module("conf", version_base="1.3"):
        for command in commands:
            overrides = [override for override in command.split() if "," not in override]  # of one job
            cfg = hydra.compose("config", overrides, return_hydra_config=True)
            assert plugin in cfg.hydra.launcher._target_
