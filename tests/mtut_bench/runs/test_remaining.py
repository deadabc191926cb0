"""What `run` says of work that it takes up and of all that is left."""

import io
import json
import re

import pytest
from planned import plan_runs
from rich.console import Console
from run_bench import MACHINE, Lines, write_stage_record

from mtut_bench.progress import Reporter
from mtut_bench.runs.execute import execute
from mtut_bench.runs.workload import count_down


def begin_stage(plan, modality, epochs, rate=None):
    """Write what stage one leaves that was killed after so many epochs; a rate: finished."""
    folder = plan.stage_folder(modality)
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").touch()
    entries = [{"stage": "alone", "epoch": n, "clips_per_s": rate} for n in range(epochs)]
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    if rate:
        write_stage_record(folder, plan.stage_id(modality), plan.shared_keys[modality])
    return folder


@pytest.fixture
def plans(make_request):
    """I3D and MTUT on two folds of 4 training clips each: 3 + 2 epochs, two modalities."""
    return plan_runs([make_request(name, fold="all") for name in ("i3d", "mtut")])


def test_all_that_is_left_is_forecast_at_the_rate_of_earlier_runs(plans):
    # Stages of another fold, so that these plans have all of theirs before them.
    begin_stage(plans[1], "rgb", 3, rate=2.0)
    # On the first fold two trainings of stage one, shared by both methods, and a stage two of each.
    left = 2 * 4 * 3 + 2 * (4 * 2 * 2)
    assert count_down([plans[0], plans[2]]).seconds() == pytest.approx(left / 2.0)
    # On both folds one training of stage one less than twice that.
    assert count_down(plans).seconds() == pytest.approx((2 * left - 4 * 3) / 2.0)


def test_epochs_of_an_interrupted_stage_are_not_left(plans):
    begin_stage(plans[1], "rgb", 3, rate=2.0)
    whole = count_down(plans[:1]).seconds()
    folder = begin_stage(plans[0], "depth", 2)
    assert count_down(plans[:1]).seconds() == pytest.approx(whole - 2 * 4 / 2.0)
    # Without its checkpoint it starts anew.
    (folder / "checkpoint.pt").unlink()
    assert count_down(plans[:1]).seconds() == pytest.approx(whole)


def test_what_another_process_finishes_meanwhile_is_not_left(plans):
    begin_stage(plans[1], "rgb", 3, rate=2.0)
    countdown = count_down(plans[:1])
    whole = countdown.seconds()
    begin_stage(plans[0], "rgb", 3, rate=2.0)
    assert countdown.seconds() == pytest.approx(whole - 3 * 4 / 2.0)
    (plans[0].folder).mkdir(parents=True)
    (plans[0].folder / "manifest.json").touch()
    assert countdown.seconds() == pytest.approx(whole - 3 * 4 / 2.0 - 4 * 2 * 2 / 2.0)


def test_a_damaged_stage_of_another_run_stops_nothing(plans):
    folder = begin_stage(plans[1], "rgb", 3, rate=2.0)
    (folder / "manifest.json").write_text("{")
    assert count_down(plans[:1]).seconds() is None


def test_a_pipe_gets_one_line_a_stage_with_what_is_left_of_all_runs(plans):
    out = io.StringIO()
    execute(plans, MACHINE, Reporter(Console(file=out, width=60)))
    lines = out.getvalue().splitlines()
    assert all(line.isprintable() for line in lines)
    stages = [line for line in lines if "epochs:" in line]
    # Four of stage one and four of stage two.
    assert len(stages) == 8
    for line in stages[:-1]:
        assert re.search(r"; about \d+ (s|min) of training left in total$", line)
    assert "left" not in stages[-1]
    # Nothing was measured before.
    assert "at the rate of earlier runs" not in lines[0]


def test_a_later_call_says_at_once_how_long_it_takes(plans):
    execute(plans[:1], MACHINE, Lines())
    lines = Lines()
    execute(plans, MACHINE, lines)
    begin = (
        r"3 runs to do, about \d+ (s|min) of training left in total, at the rate of earlier runs"
    )
    assert re.fullmatch(begin, lines.lines[0])
    again = Lines()
    execute(plans, MACHINE, again)
    assert "left in total" not in again.text
