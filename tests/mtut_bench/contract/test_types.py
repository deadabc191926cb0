import pytest

from mtut_bench.contract.types import behaves_like, is_modality_name, num_channels, sort_modalities


@pytest.mark.parametrize(
    ("name", "kind", "channels"),
    [
        ("rgb", "rgb", 3),
        ("rgb_left", "rgb", 3),
        ("depth", "depth", 1),
        ("ir", "depth", 1),
        ("rgbd", "depth", 1),
        ("flow", "flow", 2),
        ("flow_dis", "flow", 2),
    ],
)
def test_a_name_says_how_a_modality_behaves(name, kind, channels):
    assert (behaves_like(name), num_channels(name)) == (kind, channels)


@pytest.mark.parametrize(
    "name", ["", "RGB", "a b", "_ir", "ir_", "a__b", "1a", "a/b", "a+b", "a,b"]
)
def test_names_that_options_or_files_could_not_hold_are_refused(name):
    assert not is_modality_name(name)


def test_the_papers_three_come_first():
    names = {"thermal", "flow", "ir", "rgb", "depth", "flow_dis"}
    assert sort_modalities(names) == ("rgb", "depth", "flow", "flow_dis", "ir", "thermal")
