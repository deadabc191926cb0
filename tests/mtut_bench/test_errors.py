"""What may have been meant by a name that is not there."""

import pytest

from mtut_bench.errors import did_you_mean

NAMES = ("viva", "nvgesture", "rgb", "mtut", "I3D", "official")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("vivva", "viva"),
        ("nvgestur", "nvgesture"),
        ("rbg", "rgb"),
        ("MTUT", "mtut"),
        ("i3d", "I3D"),
        ("offical", "official"),
    ],
)
def test_the_nearest_name_is_asked_for(typed, meant):
    assert did_you_mean(typed, NAMES).startswith(f"Did you mean {meant}")
    assert did_you_mean(typed, NAMES).endswith("? ")


@pytest.mark.parametrize("typed", ["", "kinetics", "9"])
def test_nothing_is_asked_where_nothing_is_near(typed):
    assert did_you_mean(typed, NAMES) == ""


def test_no_more_than_two_names_are_asked_for():
    assert did_you_mean("mtut", ["mtut1", "mtut2", "mtut3"]).count("mtut") == 2
