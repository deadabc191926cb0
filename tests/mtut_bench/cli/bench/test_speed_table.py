"""How `bench train|loader|evaluate` show what they found."""

from mtut_bench.benchmarks.speed import Rate, SpeedReport, Window
from mtut_bench.cli.bench.speed_table import print_speed


def test_a_row_that_was_not_run_shows_why_and_no_number(capsys):
    rates = (
        Rate("plain loop", (Window(20, 10.0, 3 * 10**9),), 5e9),
        Rate("eager [bf16]", (), 5e9, "not run on this device: it has no bf16 units"),
        Rate("training step", (Window(60, 10.0, 2 * 10**9),), 5e9),
    )
    report = SpeedReport(
        "train",
        rates,
        {"device": "cpu"},
        {"load": 1.0, "forward": 3.0},
        {"float32 product, FLOP/s": 120e9, "copy, bytes/s": 8e9},
        {2: 5.5},
    )
    print_speed(report, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["plain", "loop", "2", "1", "8.33", "%", "3.00", "GB"]
    assert lines[2].strip().startswith("eager [bf16]")
    text = " ".join("\n".join(lines).split())
    assert "not run on this device" in text
    assert "training step 6 3 25 % 2.00 GB" in text
    assert "load: 1.000 ms a step, 25 %" in lines
    assert "copy: 8 Gbytes/s" in lines
    assert "2 processes at once: 5.5 clips/s together" in lines
    assert "device: cpu" in lines
