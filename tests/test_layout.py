"""Panels and legends of a study over a factor, and the figure of the mechanism."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from run_folders import announce, make_run, write_hydras

from analysis.aggregate import final_table
from analysis.curves import load_curves
from analysis.layout import conditions, lay_out, place
from analysis.mechanism import draw_mechanism, main
from analysis.panels import draw_panels
from analysis.runs import RunsError, parse_label
from analysis.sweep import announced_runs, missing_runs
from gailfe.config.folders import job_subfolder

SHARES = ("0", "0.1", "0.25", "0.5")


def study(env: str = "hopper") -> list[tuple[str, str]]:
    """GAIL and two settings of GAILFE at four contaminations, with one override that all of them have."""
    settings = {"gail": "", "gailfe": "algo.failures.rule=fixed, ", "gailfe ": "algo.failures.rule=relative, "}
    return [
        (env, f"{algo.strip()} ({own}algo.gamma=0.9, demonstrations.contamination={share})")
        for share in SHARES
        for algo, own in settings.items()
    ]


def legend_of(axis: Axes) -> list[str]:
    legend = axis.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def heights(axis: Axes) -> list[list[float]]:
    """The distinct values of each of the axis's lines."""
    return [np.unique(np.asarray(line.get_ydata(), dtype=float)).tolist() for line in axis.lines]


def test_overrides_of_the_task_make_panels_and_those_of_the_algorithm_make_lines():
    layout = lay_out([*study("hopper"), *study("ant")])
    assert [panel.title for panel in layout.panels[:4]] == [f"Ant\ncontamination={share}" for share in SHARES]
    assert [(panel.env, panel.row, panel.column) for panel in layout.panels[3:5]] == [
        ("ant", 0, 3),
        ("hopper", 1, 0),
    ]
    assert layout.names == ["GAIL", "GAILFE (rule=fixed)", "GAILFE (rule=relative)"]
    assert list(layout.panels[1].lines) == layout.names
    assert layout.panels[1].lines["GAIL"] == "gail (algo.gamma=0.9, demonstrations.contamination=0.1)"
    assert layout.shared == "algo.gamma=0.9"
    assert layout.by_factor


def test_tables_and_lists_name_runs_by_what_differs_and_say_the_rest_once(tmp_path):
    shared = "env.num_iterations=4,expert=pretrained"
    for algo, own in (
        ("gail", ""),
        ("gailfe", "algo.failures.window=null,"),
        ("gailfe", "algo.failures.window=50,"),
    ):
        make_run(tmp_path, algo=algo, folder_name=f"seed=0,{own}{shared}")
        announce(tmp_path, ("hopper", "gail", 1), others=f",{shared}")
    curves = load_curves(tmp_path)
    lines = final_table(curves, "eval_return_mean").splitlines()
    named = [" ".join(line.split("  ")[1:3]).strip() for line in lines[1:4]]
    assert named == ["gail", "gailfe (window=50)", "gailfe (window=null)"]
    assert lines[4:] == ["All runs: env.num_iterations=4, expert=pretrained."]
    assert missing_runs(curves, announced_runs(tmp_path)) == ["hopper/gail/seed=1: no run folder"]


def test_seeds_of_runs_with_names_that_were_too_long_are_one_line(tmp_path):
    many = [f"env.kwargs.of_some_length_{i}=1" for i in range(20)]
    for seed in (0, 1):
        overrides = [*many, "algo=gail", f"seed={seed}"]
        name = job_subfolder("run", "hopper", "gail", seed, overrides).rpartition("/")[2]
        assert "more=" in name
        folder = make_run(tmp_path, seed=seed, folder_name=name)
        write_hydras(folder, [*overrides, "expert=pretrained"], {"expert": "pretrained", "seed": "0,1"})
    (label,) = load_curves(tmp_path).query("iteration > 0")["algo"].unique()
    assert parse_label(label) == ("gail", frozenset(many))  # and not what the experiment sets for all


def test_keys_are_cut_to_an_ending_that_no_other_key_has():
    layout = lay_out(
        [("hopper", "gail (algo.policy.rate=1)"), ("hopper", "gail (algo.value.rate=1, algo.gamma=0.9)")]
    )
    assert layout.names == ["GAIL (gamma=0.9, value.rate=1)", "GAIL (policy.rate=1)"]
    assert not layout.by_factor


def test_forms_of_a_task_are_in_the_order_of_their_numbers():
    layout = lay_out(
        [("hopper", f"gail (demonstrations.use_trajectories={count})") for count in (11, 4, 25, 1, 18)]
    )
    assert [panel.title.split("=")[1] for panel in layout.panels] == ["1", "4", "11", "18", "25"]
    assert layout.shape == (2, 3)
    assert [place(1, form, 5) for form in range(5)] == [(2, 0), (2, 1), (2, 2), (3, 0), (3, 1)]


@pytest.mark.parametrize(
    "label", ["gailfe", "gailfe (algo.z_f=-0.1)", "gailfe (algo.sizes=_64,32_, algo.z_f=-0.1)"]
)
def test_label_is_taken_apart_into_what_it_was_made_from(label):
    algo, overrides = parse_label(label)
    assert algo == "gailfe"
    assert (f"{algo} ({', '.join(sorted(overrides))})" if overrides else algo) == label


def test_figure_of_a_factor_has_a_panel_for_each_form_and_one_legend(tmp_path):
    for share in SHARES:
        for algo, seeds in (("gail", (0, 1)), ("gailfe", (0, 1, 2))):
            for seed in seeds:
                name = f"seed={seed},demonstrations.contamination={share}"
                make_run(tmp_path, algo=algo, seed=seed, evaluated={2: 100.0 * seed, 4: 900.0}, folder_name=name)
    figure = draw_panels(load_curves(tmp_path), "eval_return_mean", None, [])
    *panels, below = figure.axes
    assert [axis.get_title() for axis in panels] == [f"Hopper\ncontamination={share}" for share in SHARES]
    assert [axis.get_legend() for axis in panels] == [None] * 4
    assert legend_of(below) == ["GAIL (2 seeds)", "GAILFE (3 seeds)", "Expert"]
    assert "the clean expert's return" in figure.get_supxlabel()


def test_band_never_reaches_beyond_what_was_seen(tmp_path):
    for seed, value in enumerate([100.0, 900.0, 1000.0]):
        make_run(tmp_path, seed=seed, evaluated={2: value, 4: 1000.0} | ({} if seed else {3: 1.0}))
    (axis,) = draw_panels(load_curves(tmp_path), "eval_return_mean", None, []).axes
    (band,) = [artist for artist in axis.collections if isinstance(artist, PolyCollection)]
    corners = pd.DataFrame(np.asarray(band.get_paths()[0].vertices), columns=["iteration", "value"])
    at_2 = corners.loc[corners["iteration"] == 2, "value"]
    assert (at_2.min(), at_2.max()) == (100.0, 1000.0)  # one standard deviation would reach up to 1160
    assert corners["value"].between(1.0, 1000.0).all()


def add_mechanism(folder) -> None:
    """The discriminator's columns in a run's metrics, as training leaves them: in GAIL none of failures."""
    rows = pd.read_csv(folder / "metrics.csv").assign(d_expert=0.3, d_policy=0.7)
    if folder.parent.name == "gailfe":
        rows = rows.assign(d_failed=0.8, log_d_failed=-0.2, lambda_f=0.5)
    rows.to_csv(folder / "metrics.csv", index=False)


def test_rows_of_panels_have_one_label_and_a_single_row_its_own(tmp_path):
    for share in ("0", "0.5"):
        make_run(tmp_path, "hopper", folder_name=f"seed=0,demonstrations.contamination={share}")
    single = draw_panels(load_curves(tmp_path), "eval_return_mean", None, [])
    assert (single.get_supylabel(), bool(single.axes[0].get_ylabel())) == ("", True)
    for share in ("0", "0.5"):
        make_run(tmp_path, "ant", folder_name=f"seed=0,demonstrations.contamination={share}")
    several = draw_panels(load_curves(tmp_path), "eval_return_mean", None, [])
    assert several.get_supylabel().startswith("Return of the mean action")
    assert {axis.get_ylabel() for axis in several.axes} == {""}


def test_keys_of_failures_alone_make_another_line_and_not_another_task():
    own = "gailfe (demonstrations.earlier_checkpoints=3, demonstrations.earlier_episodes=20, annotator=mine)"
    assert conditions(own) == frozenset()
    assert conditions("gailfe (demonstrations.num_trajectories=3)") == {"demonstrations.num_trajectories=3"}


def test_mechanism_is_a_row_a_metric_and_a_column_a_task_with_z_f_where_it_is_known(tmp_path):
    for env in ("hopper", "ant"):
        for algo in ("gail", "gailfe"):
            for seed in (0, 1):
                add_mechanism(folder := make_run(tmp_path, env, algo, seed))
                if (env, algo) == ("hopper", "gailfe"):
                    config = (folder / "config.yaml").read_text()
                    (folder / "config.yaml").write_text(
                        config.replace("name: gailfe", "name: gailfe\n  failures: {z_f: -0.5}")
                    )
    *axes, below = draw_mechanism(load_curves(tmp_path)).axes
    assert len(axes) == 5 * 2
    assert [axis.get_title() for axis in axes[:2]] == ["Ant", "Hopper"]
    drawn = [heights(axis) for axis in axes[1::2]]  # Hopper's column
    assert drawn == [[[0.3], [0.3], [0.5]], [[0.7], [0.7], [0.5]], [[0.8], [0.5]], [[-0.2], [-0.5]], [[0.5]]]
    assert [-0.5] not in heights(axes[6])  # Ant's Z_F is not known
    assert legend_of(below) == ["GAIL (2 seeds)", "GAILFE (2 seeds)", "Z$_F$"]


def test_mechanism_of_gail_alone_leaves_out_the_rows_of_failures(tmp_path, capsys):
    add_mechanism(make_run(tmp_path))
    assert len(draw_mechanism(load_curves(tmp_path)).axes) == 2 + 1
    assert main([f"runs={tmp_path}", f"out={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr().out
    for name in ("mechanism.png", "mechanism.pdf"):
        assert (tmp_path / "out" / name).stat().st_size > 0
        assert str(tmp_path / "out" / name) in printed


def test_mechanism_without_any_of_its_metrics_is_refused(tmp_path, capsys):
    make_run(tmp_path)
    with pytest.raises(RunsError, match="d_expert"):
        draw_mechanism(load_curves(tmp_path))
    assert main([f"runs={tmp_path}"]) == 1
    assert "d_expert" in capsys.readouterr().err
    assert main(["formats=[gif]"]) == 2
