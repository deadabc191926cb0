import hashlib
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mtut_baselines import METHODS
from mtut_baselines.weights.download import KNOWN, fetch
from mtut_baselines.weights.files import WeightsError
from mtut_bench.errors import BusyError, MtutBenchError, UsageError
from mtut_bench.files import hold_lock

BODY = bytes(range(256)) * 12_000  # three chunks
DIGEST = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """One file, as the attributes of the server say."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and server.ranges else 0
        if server.status != 200:
            self.send_error(server.status)
            return
        self.send_response(206 if start else 200)
        start += server.slip if start else 0
        for name, value in server.headers.items():
            self.send_header(name, value)
        if start:
            total = len(server.body)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if server.tells_length:
            self.send_header("Content-Length", str(len(server.body) - start))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        stop = server.drop_after if server.hang_after is None else server.hang_after
        self.wfile.write(server.body[start : None if stop is None else start + stop])
        if server.hang_after is not None:
            server.ended.wait()
        if stop is not None:
            self.close_connection = True


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Say nothing of clients that hang up in the middle, as ours does on a wrong range."""


@pytest.fixture
def server():
    """Serve BODY with ranges and an ETag on 127.0.0.1."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.body, server.status, server.asked = BODY, 200, []
        server.ranges, server.tells_length, server.slip = True, True, 0
        server.drop_after = server.hang_after = None
        server.ended = threading.Event()
        server.headers = {"ETag": '"one"', "Content-Type": "application/octet-stream"}
        server.url = f"http://127.0.0.1:{server.server_port}/weights.pt"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "weights.pt"


def names(path):
    return sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("."))


def break_off(server, path, after=1_500_000):
    """Let one download end in the middle."""
    server.drop_after = after
    with pytest.raises(WeightsError) as caught:
        fetch(server.url, path)
    server.drop_after = None
    assert "resumes" in caught.value.hint
    (part,) = names(path)
    assert re.fullmatch(r"weights\.pt\.\w+\.part", part)
    return path.parent / part


def test_a_file_arrives_whole_with_its_digest(server, path):
    calls = []
    found = fetch(server.url, path, DIGEST, lambda *call: calls.append(call))
    assert found == DIGEST
    assert path.read_bytes() == BODY
    assert (path.parent / "weights.pt.sha256").read_text() == f"{DIGEST}  weights.pt\n"
    assert names(path) == ["weights.pt", "weights.pt.sha256"]
    assert calls[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_a_present_file_is_not_downloaded_again(server, path):
    fetch(server.url, path)
    assert fetch(server.url, path) == DIGEST
    assert len(server.asked) == 1


def test_a_download_that_breaks_again_and_again_resumes(server, path):
    for after in (1_000_000, 700_000, 300_000):
        part = break_off(server, path, after)
    assert part.read_bytes() == BODY[:2_000_000]
    calls = []
    assert fetch(server.url, path, progress=lambda *call: calls.append(call)) == DIGEST
    assert path.read_bytes() == BODY
    assert server.asked[-1] == "bytes=2000000-"
    assert calls[0][0] > 2_000_000
    assert names(path) == ["weights.pt", "weights.pt.sha256"]


def test_a_killed_download_resumes(server, path):
    code = "import sys; from mtut_baselines.weights.download import fetch; fetch(*sys.argv[1:])"
    server.hang_after = 1_500_000
    process = subprocess.Popen([sys.executable, "-c", code, server.url, str(path)])
    # The first chunk is on the disk, the second is under way.
    while not [p for p in path.parent.glob("*.part") if p.stat().st_size == 1 << 20]:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    server.hang_after = None
    server.ended.set()
    assert fetch(server.url, path) == DIGEST
    assert server.asked[-1] == f"bytes={1 << 20}-"


def test_a_kill_before_the_rename_costs_no_second_download(server, path):
    part = break_off(server, path)
    part.write_bytes(BODY)
    server.drop_after = 0  # a body would be refused
    assert fetch(server.url, path) == DIGEST


def no_ranges(server):
    server.ranges = False


def another_range(server):
    server.slip = 7


def another_tag(server):
    server.body, server.headers = BODY[::-1], server.headers | {"ETag": '"two"'}


def another_length(server):
    server.body = BODY[::-1] + b"more"


def another_address(server):
    server.body = BODY[::-1]
    server.url += "?other"


@pytest.mark.parametrize(
    "change", [no_ranges, another_range, another_tag, another_length, another_address]
)
def test_bytes_of_two_files_are_never_joined(server, path, change):
    break_off(server, path)
    change(server)
    assert fetch(server.url, path) == hashlib.sha256(server.body).hexdigest()
    assert path.read_bytes() == server.body
    assert names(path) == ["weights.pt", "weights.pt.sha256"]


def test_a_part_longer_than_the_file_starts_again(server, path):
    break_off(server, path).write_bytes(BODY + b"more")
    assert fetch(server.url, path) == DIGEST


def test_a_body_of_unknown_length_is_taken_to_its_end(server, path):
    server.tells_length = False
    calls = []
    assert fetch(server.url, path, progress=lambda *call: calls.append(call)) == DIGEST
    assert calls[-1] == (len(BODY), 0)


def test_a_download_with_another_digest_is_deleted(server, path):
    with pytest.raises(WeightsError, match=DIGEST):
        fetch(server.url, path, "0" * 64)
    assert names(path) == []
    assert fetch(server.url, path, DIGEST.upper()) == DIGEST


def test_the_digest_of_the_first_use_is_asked_of_the_next_download(server, path):
    fetch(server.url, path)
    path.unlink()
    server.body = BODY[::-1]
    with pytest.raises(WeightsError, match=DIGEST):
        fetch(server.url, path)


@pytest.mark.parametrize("digest", [None, DIGEST])
def test_a_present_file_that_has_changed_is_named_and_kept(server, path, digest):
    fetch(server.url, path)
    path.write_bytes(b"changed")
    with pytest.raises(WeightsError, match=DIGEST) as caught:
        fetch(server.url, path, digest)
    assert str(path) in caught.value.what
    assert path.read_bytes() == b"changed"


def test_a_file_put_there_by_hand_is_recorded(path):
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert fetch("http://127.0.0.1:9/never-asked", path) == DIGEST
    assert (path.parent / "weights.pt.sha256").exists()


def not_found(server, path):
    server.status = 404


def web_page(server, path):
    server.headers["Content-Type"] = "text/html; charset=utf-8"


def gone(server, path):
    server.shutdown()
    server.server_close()


def no_folder(server, path):
    path.parent.write_text("")


@pytest.mark.parametrize(
    ("fault", "word"),
    [(not_found, "404"), (web_page, "web page"), (gone, "refused"), (no_folder, "weights.pt")],
)
def test_a_fault_is_one_message(server, path, fault, word):
    fault(server, path)
    with pytest.raises(MtutBenchError, match=word):
        fetch(server.url, path)
    assert not path.exists()


def test_a_part_that_cannot_be_written_is_named(server, path):
    part = break_off(server, path)
    part.unlink()
    part.mkdir()
    with pytest.raises(WeightsError, match="directory"):
        fetch(server.url, path)


@pytest.mark.parametrize(
    "arguments", [("file:///etc/passwd",), ("weights.pt",), ("http://127.0.0.1:9/", "abc")]
)
def test_what_is_no_address_or_no_digest_is_refused(path, arguments):
    with pytest.raises(UsageError, match=arguments[-1]):
        fetch(arguments[0], path, *arguments[1:])


def test_two_downloads_of_one_file_do_not_mix(server, path):
    with hold_lock(path.with_name(".weights.pt.lock"), "a test"), pytest.raises(BusyError):
        fetch(server.url, path)


def test_known_files_have_distinct_addresses_and_fill_what_methods_look_for():
    addresses = [file.url for file in KNOWN.values()]
    assert len(set(addresses)) == len(KNOWN)
    assert all(re.match(r"https?://[\w.]+/\S+\.(pt|pth|pickle)$", url) for url in addresses)
    wanted = {name for method in METHODS.values() for name in method.weights.values()}
    assert {file.fills for file in KNOWN.values()} == wanted
