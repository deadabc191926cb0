"""`derive` as a user types it."""

import pytest
from typer.testing import CliRunner

from mtut_bench.cli import app
from mtut_bench.errors import UsageError
from mtut_bench.store.reader import StoreReader


@pytest.fixture
def reader(make_store):
    return StoreReader(make_store("whole"))


def test_the_command_derives_a_store_by_name(reader, tmp_path):
    call = ["derive", "--store", "whole", "--data", str(tmp_path), "--as", "control"]
    result = CliRunner().invoke(app, [*call, "--copy", "rgb_copy=rgb", "--modalities", "rgb"])
    assert result.exit_code == 0, result.output
    found = StoreReader(tmp_path / "stores" / "control.zarr")
    assert found.modalities == ("rgb", "rgb_copy")
    assert found.attributes.digest[:12] in result.output
    assert (tmp_path / "stores" / "control.md").exists()


def test_the_command_refuses_a_copy_without_a_source(reader, tmp_path):
    call = ["derive", "--store", "whole", "--data", str(tmp_path), "--as", "control"]
    result = CliRunner().invoke(app, [*call, "--copy", "rgb_copy"])
    assert isinstance(result.exception, UsageError)
    assert "NEW=OLD" in result.exception.hint


def test_the_command_takes_same_class_clips(reader, tmp_path):
    call = ["derive", "--store", "whole", "--data", str(tmp_path), "--as", "control"]
    result = CliRunner().invoke(app, [*call, "--same-class", "depth"])
    assert result.exit_code == 0, result.output
    derived = StoreReader(tmp_path / "stores" / "control.zarr").attributes.alignment["derived"]
    assert derived["partnered"] == ["depth"]
