"""Which field of a file does not fit a struct, by its place and value."""

import msgspec
import pytest

from mtut_bench.typed import MisfitError, typed


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    sizes: tuple[int, ...] = ()


class Outer(msgspec.Struct):
    inner: tuple[Inner, ...]
    rates: dict[str, float] = {}


def test_content_that_fits_is_the_struct():
    content = {"inner": [{"name": "a", "sizes": [1, 2]}], "rates": {"rgb": 0.5}, "more": 3}
    assert typed(content, Outer) == Outer((Inner("a", (1, 2)),), {"rgb": 0.5})


@pytest.mark.parametrize(
    ("content", "fault", "field", "value"),
    [
        ({}, "missing", "inner", None),
        ({"inner": [{"name": "a"}, {}]}, "missing", "inner[1].name", None),
        ({"inner": [{"name": "a", "size": 3}]}, "unknown", "inner[0].size", 3),
        ({"inner": [{"name": "a", "sizes": [1, True]}]}, "value", "inner[0].sizes[1]", True),
        ({"inner": [{"name": "a", "sizes": [1.0]}]}, "value", "inner[0].sizes[0]", 1.0),
        ({"inner": 7}, "value", "inner", 7),
        # msgspec does not say which value of a mapping it is.
        ({"inner": [], "rates": {"rgb": "x"}}, "value", "rates", {"rgb": "x"}),
        ([], "value", "", []),
    ],
)
def test_the_first_field_that_does_not_fit_is_named(content, fault, field, value):
    with pytest.raises(MisfitError) as caught:
        typed(content, Outer)
    found = caught.value
    assert (found.fault, found.field, found.value) == (fault, field, value)
    assert type(found.value) is type(value)
