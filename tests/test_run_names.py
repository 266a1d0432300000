"""The names of folders: everything that changes a run's numbers is in them."""

from __future__ import annotations

import pytest

from gailfe.config.folders import fixed_arguments, job_subfolder


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "seed=3"),
        (["algo=gail", "env=hopper", "seed=3", "experiment=quick", "episodes=5"], "seed=3"),
        (
            ["tracking=none", "tracking.mode=online", "paths.runs=/x", "hydra/launcher=basic"],
            "seed=3",
        ),
        (["checkpoint_every=1", "hydra.launcher.n_jobs=2", "+experiment=mine"], "seed=3"),
        (["algo.gamma=0.9", "seed=3"], "seed=3,algo.gamma=0.9"),
        (["env.num_iterations=2", "algo.gamma=0.9"], "seed=3,algo.gamma=0.9,env.num_iterations=2"),
        (["annotator=upside_down"], "seed=3,annotator=upside_down"),
        (["+env.kwargs.x=1", "expert.seed=2"], "seed=3,env.kwargs.x=1,expert.seed=2"),
        (["env.id='a b/c'"], "seed=3,env.id=_a_b_c_"),
        (["env.id=my_module:MyEnv-v0"], "seed=3,env.id=my_module_MyEnv-v0"),
        (["env.id=my_module\\:MyEnv-v0"], "seed=3,env.id=my_module_MyEnv-v0"),  # as Hydra's sweeper hands it on
        (["algo.policy.hidden_sizes=[8,8]"], "seed=3,algo.policy.hidden_sizes=_8,8_"),
    ],
)
def test_a_run_is_named_after_everything_that_changes_its_numbers(overrides: list[str], name: str) -> None:
    assert job_subfolder("run", "hopper", "gail", 3, overrides) == f"hopper/gail/{name}"
    assert job_subfolder("run", "hopper", "gail", 3, overrides[::-1]) == f"hopper/gail/{name}"


def test_what_the_experiment_sets_for_all_runs_is_in_no_name_and_its_own_name_only_in_a_study_of_another() -> None:
    fixed = fixed_arguments({"expert": "pretrained", "algo.gamma": "0.9,0.8", "seed": "0,1"})
    assert fixed == {"expert=pretrained"}
    overrides = ["expert=pretrained", "algo.gamma=0.9", "experiment=mine", "seed=1"]
    assert job_subfolder("run", "e", "a", 1, overrides, fixed) == "e/a/seed=1,algo.gamma=0.9"
    changed = ["expert=sb3", *overrides[1:], "study=both"]
    assert (
        job_subfolder("run", "e", "a", 1, changed, fixed) == "e/a/seed=1,algo.gamma=0.9,experiment=mine,expert=sb3"
    )


def test_stages_of_their_own_are_named_after_their_overrides() -> None:
    assert job_subfolder("train", "hopper", "gail", 0, []) == "default"
    assert job_subfolder("train", "ant", "gail", 0, ["env=ant", "algo=gail"]) == "algo=gail,env=ant"


def test_many_overrides_still_make_a_folder_name_and_none_like_anothers() -> None:
    keys = [f"env.kwargs.of_some_length_{i}" for i in range(50)]
    given = [f"{key}=1" for key in keys]
    names = [job_subfolder("run", "e", "a", 0, overrides) for overrides in (given, given[::-1])]
    other = job_subfolder("run", "e", "a", 0, [*(f"{key}=1" for key in keys[:-1]), f"{keys[-1]}=2"])
    assert names[0] == names[1] != other
    assert all(len(part.encode()) <= 255 for name in (*names, other) for part in name.split("/"))
