import csv
import io
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from figure_runs import add_log, add_maps, log_entry, make_run

from mtut_bench.cli.report import focal_weight
from mtut_bench.contract.metrics import wilson_interval
from mtut_bench.errors import RunError
from mtut_bench.report.figures import canvas, draw_figures
from mtut_bench.report.figures.canvas import clean, legend_columns, style
from mtut_bench.report.figures.confusions import called_out, confusion_figure
from mtut_bench.report.figures.curves import (
    Curve,
    mean_curve,
    read_log,
    run_curve,
    stage_two_epoch,
    training_csv,
)
from mtut_bench.report.figures.evidence import (
    class_shares,
    length_edges,
    length_shares,
    mean_confusion,
    person_shares,
    row_shares,
)
from mtut_bench.report.figures.features import (
    features_figure,
    map_strip,
    matrix_distance,
    shown_steps,
)
from mtut_bench.report.figures.focal import focal_grid
from mtut_bench.report.figures.groups import describe, group_runs, pair, scope
from mtut_bench.report.figures.maps import read_maps
from mtut_bench.report.figures.strips import flow_arrows, join, strips_figure
from mtut_bench.store.format import encode_flow

HOSTILE = ("a$b_{c}$", '<b>&"quoted"', "x" * 90, "-- \\frac \x00\n\t \u624b")


def rho(loss_m, loss_n):
    """Equation 3 at beta 2 in plain numpy, in place of the methods' own function."""
    return np.maximum(0.0, np.exp(2.0 * (loss_m - loss_n)) - 1.0)


def draw(runs):
    return draw_figures(runs, focal_weight=rho)


def config_of(*runs):
    (group,) = group_runs(runs)
    (config,) = group.configs
    return config


def by_key(drawn):
    return {figure.key: figure for figure in drawn.figures}


@pytest.fixture(scope="module")
def two_methods(tmp_path_factory):
    """i3d and mtut on one fold, with maps and logs."""
    tmp_path, runs = tmp_path_factory.mktemp("runs"), []
    for method in ("i3d", "mtut"):
        run = make_run(tmp_path, method=method)
        entries = [log_entry("alone", 0, m, 1.0) for m in ("rgb", "depth")]
        terms = {"rho_mean": 0.5, "ssa_term": 3.0} if method == "mtut" else {}
        entries += [log_entry("joint", 1, m, 1.0, **terms) for m in ("rgb", "depth")]
        runs.append(add_log(add_maps(run), entries))
    return runs


@pytest.fixture(scope="module")
def drawn(two_methods):
    """Their figures, and what progress was told."""
    calls = []
    result = draw_figures(two_methods, focal_weight=rho, progress=lambda *call: calls.append(call))
    return result, calls


# ---- which runs are drawn together


def test_seeds_with_fewer_folds_do_not_count_and_are_named(tmp_path):
    done = [("1", 0), ("2", 0), ("1", 1)]
    runs = [make_run(tmp_path, fold=f, seed=s, folds=("1", "2", "3")) for f, s in done]
    config = config_of(*runs)
    assert (config.folds, config.seeds, config.num_clips) == (("1", "2"), (0,), 8)
    assert "2 of 3 folds (incomplete), seed 0, 8 test clips" in scope([config])
    assert "seed 1" in scope([config])


def test_two_methods_are_compared_on_folds_and_seeds_that_both_have(tmp_path):
    folds = ("1", "2")
    runs = [make_run(tmp_path, method="i3d", fold=f, folds=folds) for f in folds]
    runs += [make_run(tmp_path, method="mtut", fold="2", folds=folds)]
    first, second = pair(group_runs(runs)[0].configs)
    assert (first.row["method"], first.folds) == ("i3d", ("2",))
    assert (second.row["method"], second.folds) == ("mtut", ("2",))


def test_methods_without_a_common_fold_are_not_compared(tmp_path):
    runs = [make_run(tmp_path, method="i3d", fold="1", folds=("1", "2"))]
    runs += [make_run(tmp_path, method="mtut", fold="2", folds=("1", "2"))]
    (group,) = group_runs(runs)
    assert pair(group.configs) is None
    assert "different clips are compared" in scope(group.configs)


def test_the_papers_pair_goes_before_the_first_two(tmp_path):
    runs = [make_run(tmp_path, method=method) for method in ("c3d", "i3d", "mtut")]
    chosen = pair(group_runs(runs)[0].configs)
    assert [config.row["method"] for config in chosen] == ["i3d", "mtut"]
    chosen = pair(group_runs([runs[0], runs[2]])[0].configs)
    assert [config.row["method"] for config in chosen] == ["c3d", "mtut"]


def test_methods_of_one_title_get_labels_of_their_own(tmp_path):
    runs = [make_run(tmp_path / name, identity={"weights_digest": name}) for name in ("a", "b")]
    (group,) = group_runs(runs)
    assert len({config.name for config in group.configs}) == 2
    assert "starting weights" in group.remark


def test_data_are_described_with_their_origin(tmp_path):
    (group,) = group_runs([make_run(tmp_path)])
    assert describe(group).startswith("Synthetic recordings (viva-synthetic, 4 of 885 clips;")
    complete = {"origin": "recorded", "complete": True, "dataset": "viva"}
    (group,) = group_runs([make_run(tmp_path, store=complete)])
    assert describe(group).startswith("Real recordings (viva, all 885 clips;")


# ---- numbers of accuracy


def test_confusion_counts_each_clip_once_over_folds_and_averages_seeds(tmp_path):
    folds = ("1", "2")
    runs = []
    for seed, said_2 in ((0, [1, 1]), (1, [0, 1])):
        runs.append(
            make_run(tmp_path, [0, 1, 2], {"rgb": [0, 2, 2]}, fold="1", seed=seed, folds=folds)
        )
        runs.append(make_run(tmp_path, [0, 1], {"rgb": said_2}, fold="2", seed=seed, folds=folds))
    counts = mean_confusion(config_of(*runs), "rgb")
    # Fold 1, both seeds: 0->0, 1->2, 2->2. Fold 2: 1->1 twice; 0->1 with seed 0, 0->0 with seed 1.
    np.testing.assert_array_equal(counts, [[1.5, 0.5, 0], [0, 1, 1], [0, 0, 1]])
    assert counts.sum() == 5


def test_a_class_without_clips_has_no_share():
    shares = row_shares(np.array([[1.0, 3.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(shares, [[0.25, 0.75], [np.nan, np.nan]])


def test_shares_of_classes_and_persons_are_counted_by_hand(tmp_path):
    said = {"rgb": [0, 0, 0, 2], "depth": [1, 1, 1, 1]}
    run = make_run(tmp_path, [0, 0, 1, 2], said, subjects=["10", "2", "2", "2"])
    config = config_of(run)
    found = class_shares(config, "rgb")
    assert {k: (s.correct, s.total, s.value) for k, s in found.items()} == {
        0: (2, 2, 1.0),
        1: (0, 1, 0.0),
        2: (1, 1, 1.0),
    }
    persons = person_shares(config, "rgb")
    assert list(persons) == ["2", "10"]
    two = persons["2"]
    assert (two.correct, two.total, two.low, two.high) == (2, 3, *wilson_interval(2, 3))
    assert class_shares(config, "depth")[1].value == 1.0


def test_seeds_are_averaged_and_never_pooled(tmp_path):
    right, wrong = {"rgb": [0, 1]}, {"rgb": [1, 1]}
    runs = [make_run(tmp_path, [0, 1], right, seed=0), make_run(tmp_path, [0, 1], wrong, seed=1)]
    share = class_shares(config_of(*runs), "rgb")[0]
    assert (share.correct, share.total) == (0.5, 1)
    assert "seeds 0, 1, 2 test clips. Numbers are means over seeds." in scope([config_of(*runs)])


@pytest.mark.parametrize(
    ("lengths", "edges"),
    [
        (range(1, 17), (8, 16)),
        (range(1, 33), (8, 16, 24, 32)),
        ([7] * 40, (7,)),
        ([5], (5,)),
        ([5] * 39 + [9], (5, 9)),
    ],
)
def test_length_bins_hold_about_as_many_clips_and_never_part_equal_lengths(lengths, edges):
    assert length_edges(list(lengths)) == edges


def test_accuracy_over_length_is_counted_by_hand(tmp_path):
    run = make_run(tmp_path, [0, 0, 0], {"rgb": [0, 1, 0]}, num_frames=[1, 20, 21])
    shares = length_shares(config_of(run), "rgb", (20, 30))
    assert [(s.correct, s.total) for s in shares.values()] == [(1, 2), (1, 1)]


def test_first_six_classes_are_called_out_in_numbers():
    counts = np.eye(8) * 2
    counts[0] = [0.5, 1.5, 0, 0, 0, 0, 0, 0]
    sentence = called_out([counts, np.eye(8)], ["A", "B"])
    assert sentence == "Right in the first six classes: 10.5 of 12 by A, 6 of 6 by B."


# ---- numbers of training


def test_curves_follow_the_log_and_leave_out_what_it_lacks(tmp_path):
    run = make_run(tmp_path, method="mtut")
    entries = [
        log_entry("alone", 0, "rgb", 2.0),
        log_entry("alone", 0, "depth", 9.0),
        log_entry("joint", 1, "rgb", 1.0, ssa_term=3.0, rho_mean=0.5),
        log_entry(
            "joint",
            2,
            "rgb",
            float("nan"),
            ssa_term=float("nan"),
            rho_mean=0.25,
            ssa=7.0,
            rho_open=0.125,
        ),
    ]
    log = read_log(add_log(run, entries).folder)
    assert run_curve(log, "rgb", "cross-entropy") == Curve((0, 1), (2.0, 1.0))
    assert run_curve(log, "rgb", "mean \u03c1") == Curve((1, 2), (0.5, 0.25))
    assert run_curve(log, "rgb", "SSA share") == Curve((1,), (0.75,))
    assert run_curve(log, "depth", "SSA share") == Curve((), ())
    assert run_curve(log, "rgb", "distance") == Curve((2,), (7.0,))
    assert run_curve(log, "rgb", "\u03c1 open") == Curve((2,), (0.125,))
    assert stage_two_epoch([log, ()]) == 1


def test_legends_stay_within_the_figure():
    assert legend_columns(["I3D", "MTUT"]) == 2
    assert legend_columns(["I3D"] * 9) == 9
    assert legend_columns([*["I3D"] * 8, "Deep mutual learning"]) == 4
    assert legend_columns(["x" * 300]) == 1


def test_mean_curve_takes_epochs_that_every_run_has():
    curves = [Curve((0, 1), (1.0, 2.0)), Curve((0,), (3.0,)), Curve((), ())]
    assert mean_curve(curves) == Curve((0,), (2.0,))


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"stage": "alone", "epoch": 0}', '{"stage":"a","epoch":"x","modality":"rgb"}'],
)
def test_a_damaged_log_names_file_and_line(tmp_path, line):
    (tmp_path / "log.jsonl").write_text(line + "\n")
    with pytest.raises(RunError, match=r"log\.jsonl, line 1"):
        read_log(tmp_path)


def test_stage_two_of_every_run_is_written_as_csv(tmp_path):
    alone = add_log(
        make_run(tmp_path, method="i3d", fold="2", folds=("1", "2")),
        [log_entry("alone", 0, "rgb", 2.5), log_entry("joint", 1, "rgb", 0.1 + 0.2)],
    )
    mtut = add_log(
        make_run(tmp_path, method="mtut", seed=3, identity={"overrides": {"beta": 1.0}}),
        [log_entry("joint", 1, "rgb", 1.0, ssa=4.0), log_entry("joint", 1, "depth", 2.0, ssa=5.0)],
    )
    found = list(csv.DictReader(io.StringIO(training_csv([alone, mtut]).decode())))
    assert [(r["method"], r["fold"], r["seed"], r["modality"], r["ssa"]) for r in found] == [
        ("i3d", "2", "0", "rgb", ""),
        ("mtut", "1", "3", "rgb", "4.0"),
        ("mtut", "1", "3", "depth", "5.0"),
    ]
    assert float(found[0]["cross_entropy"]) == 0.1 + 0.2
    assert [r["overrides"] for r in found] == ["{}", '{"beta":1.0}', '{"beta":1.0}']
    assert {r["run"] for r in found} == {run.record.id[:12] for run in (alone, mtut)}


def test_without_logs_there_is_no_file(tmp_path):
    assert training_csv([]) == b""
    assert training_csv([make_run(tmp_path)]) == b""


# ---- maps and strips


def test_saved_maps_are_read_as_written(tmp_path):
    run = add_maps(make_run(tmp_path), steps=2, side=2)
    first, last = read_maps(run)
    assert (first.clip_id, first.index, last.index) == ("clip0", 0, 3)
    assert first.maps["rgb"].shape == (2, 2, 2)
    assert first.correlations["depth"].shape == (8, 8)
    assert first.thumbs["rgb"].shape == (2, 8, 12, 3)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def _change(name, array):
    def change(path):
        with np.load(path) as archive:
            arrays = dict(archive)
        if array is None:
            del arrays[name]
        else:
            arrays[name] = array
        np.savez(path, **arrays)

    return change


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        lambda path: path.write_bytes(b""),
        _change("0/rgb/map", None),
        _change("0/rgb/map", np.full((2, 2, 2), np.nan, "f4")),
        _change("0/rgb/map", np.zeros((2, 2), "f4")),
        _change("0/rgb/correlation", np.zeros((3, 3), "f4")),
        _change("0/rgb/thumbs", np.zeros((2, 8, 12, 1), "u1")),
        _change("0/id", np.array("stranger")),
        _change("0/id", None),
        _change("0/rgb/map", np.array([{}], dtype=object)),
    ],
)
def test_damaged_maps_are_refused_by_name_and_never_unpickled(tmp_path, damage):
    run = add_maps(make_run(tmp_path))
    damage(run.folder / "maps.npz")
    with pytest.raises(RunError, match=r"maps\.npz"):
        read_maps(run)


def test_map_strip_puts_gaps_between_time_steps():
    strip = map_strip(np.arange(8.0).reshape(2, 2, 2))
    assert strip.shape == (8, 8 + 1 + 8)
    assert np.isnan(strip[:, 8]).all()
    assert [strip[0, 0], strip[0, 7], strip[7, 0], strip[0, 9]] == [0.0, 1.0, 2.0, 4.0]


def test_long_maps_are_shown_at_twelve_even_steps():
    assert shown_steps(4) == (0, 1, 2, 3)
    assert shown_steps(23) == tuple(range(0, 23, 2))


def test_distance_of_correlations_is_the_mean_square(tmp_path):
    run = add_maps(make_run(tmp_path, [0]), steps=1, side=1)
    _change("0/rgb/correlation", np.array([[1.0]], "f4"))(run.folder / "maps.npz")
    _change("0/depth/correlation", np.array([[-0.5]], "f4"))(run.folder / "maps.npz")
    assert matrix_distance(read_maps(run)[0], "rgb", "depth") == pytest.approx(2.25)


def test_pictures_are_joined_with_white_gaps():
    joined = join(np.zeros((3, 2, 4, 3), np.uint8))
    assert joined.shape == (2, 3 * 4 + 2 * 3, 3)
    assert (joined[:, 4:7] == 255).all()
    assert (joined[:, :4] == 0).all()


def test_arrows_point_where_the_flow_goes():
    flow = np.zeros((2, 32, 32, 2), np.float32)
    flow[1, 16:, 16:] = (10.0, -5.0)
    shade, arrows = flow_arrows(encode_flow(flow))
    ((x, y, dx, dy),) = arrows
    # Second picture, after one picture and a gap of three pixels; its lower right quarter.
    assert (x, y) == (35 + 24, 24)
    assert dx / dy == pytest.approx(-2.0, rel=0.02)
    assert math.hypot(dx, dy) == pytest.approx(16.0, rel=1e-6)
    assert shade[1, 20, 20, 0] < shade[1, 0, 0, 0] == shade[0].min()


# ---- figure 3


def test_figure_3_shows_the_equation_that_trains():
    loss_m, loss_n, values = focal_grid(focal_weight())
    assert (loss_m[-1, 0], loss_n[-1, 0]) == (2.0, 0.0)
    np.testing.assert_allclose(values, rho(loss_m, loss_n), rtol=1e-12, atol=1e-15)
    assert values[-1, 0] == pytest.approx(math.exp(4) - 1)
    assert (values[np.triu_indices(81)] == 0).all()


# ---- the drawn files


def test_without_runs_figure_3_alone_is_drawn():
    drawn = draw([])
    assert list(by_key(drawn)) == ["focal-weight"]
    assert drawn.remarks == ()
    assert "53.6" in drawn.figures[0].caption


def test_all_figures_of_two_methods(drawn):
    result, calls = drawn
    assert list(by_key(result)) == [
        "focal-weight",
        "strips-1",
        "feature-maps-1",
        "confusion-1-rgb",
        "confusion-1-depth",
        "class-accuracy-1",
        "person-accuracy-1",
        "learning-curves-1",
        "length-accuracy-1",
    ]
    assert calls[-1] == (9, 9)
    for figure in result.figures:
        assert figure.png.startswith(b"\x89PNG\r\n\x1a\n")
        assert figure.png.rstrip().endswith(b"IEND\xaeB`\x82")
        assert ElementTree.fromstring(figure.svg).tag.endswith("svg")
        assert b"<dc:date>" not in figure.svg
        assert figure.alt
        if figure.key != "focal-weight":
            assert "ynthetic" in figure.caption


def test_equal_runs_give_equal_bytes_whatever_the_user_has_set(two_methods, drawn):
    first, _ = drawn
    with mpl.rc_context({"font.size": 20.0, "svg.hashsalt": None, "axes.facecolor": "red"}):
        second = draw(two_methods)
        assert mpl.rcParams["font.size"] == 20.0
    assert first == second


def test_the_global_state_of_matplotlib_stays_as_it_was(drawn):
    assert drawn
    assert mpl.rcParams["svg.hashsalt"] is None
    assert mpl.rcParams["text.parse_math"]
    for path in Path(canvas.__file__).parent.glob("*.py"):
        assert "pyplot" not in path.read_text(), f"{path.name} uses pyplot's global figures"


def test_captions_say_what_is_shown(drawn):
    found = by_key(drawn[0])
    caption = found["confusion-1-rgb"].caption
    assert "1 of 1 fold, seed 0, 4 test clips" in caption
    assert "protocol demo" in caption
    maps = found["feature-maps-1"].caption
    assert maps.startswith("Clip clip0 (left), the first fixed test clip of fold 1, seed 0")
    assert "(a) I3D, (b) MTUT" in maps
    assert "epochs 1 to 1" in found["learning-curves-1"].caption


def test_hostile_names_are_drawn_as_they_are(tmp_path):
    labels = (0, 1, 2, 3)
    runs = [
        add_maps(make_run(tmp_path, labels, {"rgb": labels}, method=method, classes=HOSTILE))
        for method in ("i3d", "mtut")
    ]
    for figure in draw(runs).figures:
        ElementTree.fromstring(figure.svg)


def test_names_are_one_short_line():
    assert clean("a\n\x00 b\t$c_d$") == "a b $c_d$"
    assert len(clean("x" * 90, 16)) == 16
    assert clean("x" * 90, 16).endswith("\u2026")


def test_one_method_without_maps_and_log_leaves_figures_out(tmp_path):
    drawn = draw([make_run(tmp_path, num_frames=[30] * 4)])
    assert list(by_key(drawn)) == ["focal-weight", "class-accuracy-1", "person-accuracy-1"]
    assert len(drawn.remarks) == 5
    assert any("maps.npz" in remark for remark in drawn.remarks)


def test_one_clip_is_enough(tmp_path):
    runs = [make_run(tmp_path, [1], {"rgb": [1]}, method=m) for m in ("i3d", "mtut")]
    keys = by_key(draw([add_maps(run) for run in runs]))
    assert {"strips-1", "feature-maps-1", "confusion-1-rgb", "class-accuracy-1"} <= keys.keys()


def test_three_modalities_with_flow_and_a_method_without_correlations(tmp_path):
    labels = (0, 1, 2, 0)
    said = dict.fromkeys(("rgb", "depth", "flow"), labels)
    runs = [
        add_maps(make_run(tmp_path, labels, said, method=m), correlate=m == "mtut", size=(32, 32))
        for m in ("i3d", "mtut")
    ]
    (group,) = group_runs(runs)
    with style():
        assert "arrows" in strips_figure([group], 1).caption
        caption = features_figure(group).caption
        assert confusion_figure(group, "flow").key == "confusion-1-flow"
    assert "correlation of every pair" not in caption


def test_maps_of_two_networks_may_differ_in_size(tmp_path):
    runs = [make_run(tmp_path, [0, 1], {"rgb": [0, 1]}, method=m) for m in ("c3d", "mtut")]
    for steps, run in enumerate(runs, 2):
        add_maps(run, steps=steps)
    (group,) = group_runs(runs)
    with style():
        caption = features_figure(group).caption
    assert "C3D: 2 time steps of 2 x 2 blocks; MTUT: 3 time steps of 2 x 2 blocks" in caption


def test_a_class_without_clips_is_said(tmp_path):
    runs = [make_run(tmp_path, [0, 0], {"rgb": [0, 1]}, method=m) for m in ("i3d", "mtut")]
    (group,) = group_runs(runs)
    with style():
        caption = confusion_figure(group, "rgb").caption
    assert "Grey: without test clips (2 classes)" in caption
