"""`bench evaluate`: its table."""


def test_the_test_beside_training_as_a_table(bench_command):
    out = bench_command("evaluate", "--modalities", "rgb", "--method", "i3d").stdout
    assert "whole-clip test" in out
    assert "of the floor" in out
    assert "GFLOP a clip, counted" in out
