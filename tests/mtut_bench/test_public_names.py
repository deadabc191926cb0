"""Public names come from the package itself, and only when they are used."""

import subprocess
import sys

import pytest

import mtut_baselines
import mtut_bench


@pytest.mark.parametrize("name", mtut_bench.__all__)
def test_every_public_name_is_there(name):
    assert getattr(mtut_bench, name) is not None
    assert name in dir(mtut_bench)


def test_they_are_the_names_where_they_live():
    from mtut_bench.contract import predictions
    from mtut_bench.store.reader import StoreReader

    assert mtut_bench.StoreReader is StoreReader
    assert mtut_bench.predictions is predictions
    assert all(hasattr(mtut_baselines, name) for name in mtut_baselines.__all__)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'StoreReadr'"):
        mtut_bench.StoreReadr  # noqa: B018


def test_importing_the_package_imports_no_torch():
    code = (
        "import sys, mtut_bench; from mtut_bench import StoreReader; print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
