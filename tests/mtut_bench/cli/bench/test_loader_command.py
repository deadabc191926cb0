"""`bench loader`: its faults."""


def test_a_modality_that_is_not_there_is_one_message(bench_command):
    found = bench_command("loader", "--modalities", "flow", code=2)
    assert found.stdout == ""
    assert "no modality 'flow'" in found.stderr
