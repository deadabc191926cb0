"""`mtut-bench weights` from a local server to a run that could start."""

import http.server
import sys
import threading
from functools import partial

import pytest
import torch

from mtut_baselines.networks.i3d import build_i3d
from mtut_bench import cli


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without writing to the terminal."""

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def public_file(tmp_path_factory):
    """A full-width I3D of 400 classes under the names of pytorch-i3d's files."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("server") / "rgb_imagenet.pt"
    state = build_i3d(400).state_dict()
    gains = {
        name.replace("bn.bias", "bn.weight"): torch.ones_like(value)
        for name, value in state.items()
        if name.endswith("bn.bias")
    }
    torch.save(state | gains, path)
    return path


@pytest.fixture
def address(public_file):
    handler = partial(Quiet, directory=str(public_file.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{public_file.name}"
        server.shutdown()
        thread.join()


@pytest.fixture
def bench_here(monkeypatch, capsys):
    """Run the command line in this process; return what it printed."""

    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["mtut-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        output = capsys.readouterr()
        assert caught.value.code == code, output.out + output.err
        return output.out + output.err

    return run


def test_fetched_weights_start_the_papers_protocol(bench_here, address, tmp_path, make_store):
    make_store("viva", size=(30, 40))
    run = ("run", "--method", "i3d", "--data", tmp_path, "--runs", tmp_path / "runs", "--dry-run")
    text = bench_here(*run)
    assert "i3d-rgb.safetensors" in text
    assert "mtut-bench weights fetch i3d-rgb" in text
    assert "no id yet" in text
    text = bench_here("weights", "fetch", "i3d-rgb", "--url", address, "--data", tmp_path)
    assert "SHA-256" in text
    assert "pytorch-i3d" in text
    assert (tmp_path / "weights" / "i3d-rgb.safetensors").is_file()
    # Depth takes the weights of rgb, so nothing is missing now.
    text = bench_here(*run)
    assert "2 runs to do" in text
    assert "missing" not in text
    assert "no id yet" not in text


def test_fetch_without_a_name_lists_the_known_files(bench_here, tmp_path):
    text = bench_here("weights", "fetch", "--data", tmp_path)
    for name in ("i3d-rgb", "i3d-flow", "c3d-rgb"):
        assert name in text


def test_a_wrong_digest_is_refused_and_nothing_is_converted(bench_here, address, tmp_path):
    arguments = ("--url", address, "--sha256", "0" * 64, "--data", tmp_path)
    assert "SHA-256" in bench_here("weights", "fetch", "i3d-rgb", *arguments, code=1)
    assert not (tmp_path / "weights" / "i3d-rgb.safetensors").exists()


def test_check_says_what_a_file_expects(bench_here, public_file):
    text = bench_here("weights", "check", public_file)
    assert "[-1, 1]" in text


def test_convert_fills_only_what_a_method_looks_for(bench_here, public_file, tmp_path):
    bench_here("weights", "convert", public_file, "--as", "i3d-rgb", "--data", tmp_path)
    assert (tmp_path / "weights" / "i3d-rgb.safetensors").is_file()
    text = bench_here("weights", "convert", public_file, "--as", "resnet", code=2)
    assert "resnet" in text
