"""One rule of comparison: every use of numbers, over every condition they may differ in."""

import numpy as np
import pytest
from figure_runs import make_run
from planned import plan_runs
from record_bench import changed

from mtut_bench.cli.options import Size
from mtut_bench.cli.paths import store_path
from mtut_bench.contract.published import load_published
from mtut_bench.contract.types import NOT_STORES, ClipRow
from mtut_bench.errors import ComparisonError, UsageError
from mtut_bench.report.comparisons import scoring
from mtut_bench.report.comparisons.compare import all_comparisons
from mtut_bench.report.comparisons.confused import most_confused
from mtut_bench.report.figures.groups import group_runs
from mtut_bench.report.tables.local import local_tables
from mtut_bench.report.tables.published_tables import published_table
from mtut_bench.statistics.cells import not_mixed
from mtut_bench.statistics.comparable import CONDITIONS, NEEDED, by_method, described, difference
from mtut_bench.statistics.rows import result_rows
from mtut_bench.statistics.sides import gather, pair

# What is changed of one of two runs that are otherwise alike: parts of a manifest, by their paths.
CHANGES = {
    "origin": {"store.origin": "synthetic"},
    "complete": {"store.complete": False},
    "dataset": {"store.dataset": "nvgesture"},
    "store": {"store.name": "another"},
    "store_digest": {"store.digest": "e" * 64, "identity.store_digest": "e" * 64},
    "num_classes": {"store.classes": ["left", "right", "up", "down"]},
    "mirror": {"identity.mirror": [1, 0, -1]},
    "num_folds": {"store.folds": ["1", "2"]},
    "protocol": {"protocol.name": "paper-scratch"},
    "protocol_version": {"protocol.version": 2},
    "tables": {"protocol.tables": ["1", "4"]},
    "overrides": {"identity.overrides": {"crop": 32}},
    "precision": {"identity.precision": "bf16"},
    "modalities": {"identity.modalities": ["rgb"]},
    "method": {"method.name": "c3d", "identity.method": {"name": "c3d"}},
    "settings": {"identity.method": {"name": "i3d", "settings": {"beta": 3}}},
    "weights_digest": {"identity.weights_digest": "f" * 64},
    "device": {"provenance.device": "NVIDIA H100"},
    "family": {"identity.something": 1},
}


def made(folder, changes, **options):
    """Return a run of the paper's protocol on complete recordings, with some parts changed."""
    said = {m: (0, 1, 2, 1) for m in ("rgb", "depth")}
    if changes.get("identity.modalities") == ["rgb"]:
        del said["depth"]
    store = {"origin": "recorded", "complete": True, "dataset": "viva", "num_clips": 4}
    run = make_run(folder, said=said, store=store, **options)
    return changed(run, {"protocol.name": "paper", "protocol.tables": ["1"]} | changes)


def two(folder, name, methods=("i3d", "mtut"), seeds=(0, 0)):
    """Return two runs that differ in a condition, and in method or seed."""
    first = made(folder, {}, method=methods[0], seed=seeds[0])
    changes = dict(CHANGES[name])
    second = made(folder, changes, method=methods[1], seed=seeds[1])
    if name == "settings" and methods[1] == "mtut":
        second = changed(second, {"identity.method.name": "mtut"})
    return [first, second]


def same_method(folder, name):
    return two(folder, name, ("i3d", "i3d"), (0, 1))


def refused(call):
    try:
        call()
    except ComparisonError:
        return True
    return False


def cell(folder, name):
    return bool(not_mixed([result_rows([run])[0] for run in same_method(folder, name)]))


def side(folder, name):
    return refused(lambda: gather("i3d", same_method(folder, name)))


def comparison(folder, name):
    a, b = two(folder, name)
    separate = refused(lambda: pair(gather("i3d", [a]), gather("mtut", [b])))
    # The page's comparisons are those that may be made, of stores of one name.
    found = [c for c in all_comparisons([a, b]) if c.rows]
    assert (not found) == (separate or name == "store")
    return separate


def score(folder, name):
    clips = [ClipRow(f"clip{n}", "1", label, 0, "", 20) for n, label in enumerate((0, 1, 2, 0))]
    runs = same_method(folder, name)
    pairs, _ = scoring._pairs(runs, "d" * 64, "1", clips, np.array([0, 1, 2, 0]), "mine", None)
    return [len(found.seeds) for found in pairs] != [2]


def table(folder, name):
    return len(local_tables(result_rows(two(folder, name)))) == 2


def figure(folder, name):
    return len(group_runs(two(folder, name))) == 2


def clips(folder, name):
    return len(most_confused(two(folder, name), None)) == 2


def published(folder, name):
    tables = load_published()
    made_table = published_table(tables.tables["1"], result_rows(two(folder, name)), tables)
    return any("Measured numbers differ in" in note for note in made_table.notes)


USES = {
    "cell": cell,
    "side": side,
    "comparison": comparison,
    "score": score,
    "table": table,
    "figure": figure,
    "clips": clips,
    "published": published,
}


def test_every_use_and_condition_is_walked():
    assert USES.keys() == NEEDED.keys()
    assert CHANGES.keys() == CONDITIONS.keys()


@pytest.mark.parametrize("use", list(USES))
@pytest.mark.parametrize("name", list(CONDITIONS))
def test_numbers_that_differ_in_what_a_use_needs_do_not_stand_together(tmp_path, use, name):
    # A user's file is compared with the runs of one side.
    needed = {*NEEDED[use], *(NEEDED["side"] if use == "score" else ())}
    # A changed identity is another family, but for what runs of one family may differ in.
    consequences = set()
    if name != "modalities" and any(path.startswith("identity.") for path in CHANGES[name]):
        consequences = {"family"}
    assert USES[use](tmp_path, name) == bool({name, *consequences} & needed)


def test_the_identity_is_named_only_where_nothing_else_differs(tmp_path):
    rows = [result_rows([run])[0] for run in same_method(tmp_path, "precision")]
    assert difference(rows, "cell") == "precision"
    rows = [result_rows([run])[0] for run in same_method(tmp_path / "b", "family")]
    assert difference(rows, "cell") == "identity"
    assert difference(rows, "table") == ""


def test_conditions_in_words(tmp_path):
    row = result_rows([made(tmp_path, {})])[0]
    assert (
        described(row, ["store_digest", "precision"]) == "store digest dddddddddddd, precision fp32"
    )
    assert described(row, []) == ""
    assert by_method([row], ["device"]) == "device (I3D cpu)"


@pytest.mark.parametrize("name", NOT_STORES)
def test_a_store_that_the_report_would_pass_over_is_refused(
    tmp_path, make_store, make_request, name
):
    with pytest.raises(UsageError, match=repr(name)):
        store_path(tmp_path, name, "viva", Size.TINY)
    with pytest.raises(UsageError, match=f"{name}.zarr"):
        plan_runs([make_request(store=make_store(name))])
