"""A sweep through the launchers that leave this machine: a Ray cluster of two nodes, and submitit."""

import hydra
import pytest
from test_cli import run


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
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = cluster_utils.Cluster()
    try:
        cluster.add_node(num_cpus=0, include_dashboard=False)
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        cluster.shutdown()


def test_sweep_on_a_ray_cluster(cluster, tmp_path):
    check_sweep(tmp_path, "hydra/launcher=ray", f"hydra.launcher.ray.init.address={cluster}")


def test_sweep_through_submitit(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    check_sweep(tmp_path, "hydra/launcher=submitit_local")


def test_slurm_takes_what_the_recipe_gives_it():
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    given = {"partition": "cpu", "timeout_min": 720, "cpus_per_task": 1, "mem_gb": 2, "max_num_timeout": 20}
    overrides = [f"hydra.launcher.{key}={value}" for key, value in given.items()]
    with hydra.initialize_config_module("conf", version_base="1.3"):
        cfg = hydra.compose("config", ["hydra/launcher=submitit_slurm", *overrides], return_hydra_config=True)
    assert given.items() <= dict(cfg.hydra.launcher).items()
