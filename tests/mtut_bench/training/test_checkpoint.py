import pytest
import torch

from mtut_bench.errors import RunError
from mtut_bench.training.checkpoint import load_checkpoint, save_checkpoint, save_network

STATE = {"next_epoch": 3, "best": float("inf"), "log": "[]", "tensors": [torch.arange(6.0)]}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "new" / "checkpoint.pt"
    save_checkpoint(path, STATE)
    return path


def test_what_is_saved_comes_back(saved):
    state = load_checkpoint(saved)
    assert torch.equal(state.pop("tensors")[0], STATE["tensors"][0])
    assert state == {"next_epoch": 3, "best": float("inf"), "log": "[]"}


def test_a_truncated_file_is_named(saved):
    data = saved.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        saved.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(RunError, match=r"checkpoint\.pt is damaged") as caught:
            load_checkpoint(saved)
        assert "Delete the file" in caught.value.hint


def test_a_flipped_bit_of_a_tensor_is_noticed(saved):
    data = bytearray(saved.read_bytes())
    place = data.find(torch.arange(6.0).numpy().tobytes())
    data[place + 9] ^= 1
    saved.write_bytes(data)
    with pytest.raises(RunError, match="damaged"):
        load_checkpoint(saved)


class Trap:
    def __reduce__(self):
        return print, ("code in a checkpoint was run",)


def test_code_in_a_file_is_not_run(tmp_path, capsys):
    torch.save({"trap": Trap()}, tmp_path / "checkpoint.pt")
    with pytest.raises(RunError):
        load_checkpoint(tmp_path / "checkpoint.pt")
    assert capsys.readouterr().out == ""


def test_something_else_than_a_state_is_refused(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.pt", [1, 2])
    with pytest.raises(RunError, match="no training state"):
        load_checkpoint(tmp_path / "checkpoint.pt")


def test_a_failed_write_keeps_the_state_before(saved):
    before = saved.read_bytes()
    with pytest.raises(AttributeError):
        save_checkpoint(saved, {"lambda": lambda: 0})
    assert saved.read_bytes() == before
    assert [file.name for file in saved.parent.iterdir()] == ["checkpoint.pt"]


def test_networks_are_plain_safetensors(tmp_path):
    from safetensors.torch import load_file

    network = torch.nn.BatchNorm3d(2)
    save_network(tmp_path / "network.safetensors", network.state_dict())
    found = load_file(tmp_path / "network.safetensors")
    assert found.keys() == network.state_dict().keys()
