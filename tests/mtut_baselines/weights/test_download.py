import hashlib
import json
import re
import threading
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
        server.asked.append((self.headers.get("Range"), self.headers.get("If-Range")))
        start = self.start_of_the_answer()
        if server.status != 200 or start is None:
            self.send_error(416 if start is None else server.status)
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
        end = len(server.body) if server.drop_after is None else start + server.drop_after
        self.wfile.write(server.body[start:end])
        if server.drop_after is not None:
            self.close_connection = True

    def start_of_the_answer(self):
        """Return the offset, None for a range behind the end."""
        server = self.server
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        current = condition in (None, server.headers.get("ETag"))
        if not server.ranges or asked is None or not current:
            return 0
        return int(asked[1]) if int(asked[1]) < len(server.body) else None


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Say nothing of clients that hang up in the middle, as ours does on a wrong range."""


@pytest.fixture
def server():
    """Serve BODY with ranges and an ETag on 127.0.0.1."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.body, server.status, server.asked = BODY, 200, []
        server.ranges, server.tells_length, server.drop_after, server.slip = True, True, None, 0
        server.headers = {"ETag": '"one"', "Content-Type": "application/octet-stream"}
        server.url = f"http://127.0.0.1:{server.server_port}/weights.pt"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
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
    assert "goes on from there" in caught.value.hint
    assert names(path) == ["weights.pt.part", "weights.pt.part.json"]
    return caught.value


def test_a_file_arrives_whole_with_its_digest(server, path):
    assert fetch(server.url, path, DIGEST) == DIGEST
    assert path.read_bytes() == BODY
    assert (path.parent / "weights.pt.sha256").read_text() == f"{DIGEST}  weights.pt\n"
    assert names(path) == ["weights.pt", "weights.pt.sha256"]


def test_progress_ends_at_the_total(server, path):
    calls = []
    fetch(server.url, path, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_a_present_file_is_not_downloaded_again(server, path):
    fetch(server.url, path)
    assert fetch(server.url, path) == DIGEST
    assert len(server.asked) == 1


def test_a_broken_download_resumes_where_it_stopped(server, path):
    break_off(server, path)
    calls = []
    assert fetch(server.url, path, progress=lambda *call: calls.append(call)) == DIGEST
    assert path.read_bytes() == BODY
    assert server.asked[1] == ("bytes=1500000-", '"one"')
    assert calls[0][0] > 1_500_000
    assert names(path) == ["weights.pt", "weights.pt.sha256"]


def test_a_download_may_break_again_and_again(server, path):
    for after in (1_000_000, 700_000, 300_000):
        break_off(server, path, after)
    assert fetch(server.url, path) == DIGEST
    assert server.asked[-1][0] == "bytes=2000000-"


def test_a_short_body_names_the_bytes(server, path):
    fault = break_off(server, path)
    assert "1500000" in fault.what
    assert not path.exists()


def test_without_ranges_the_download_starts_again(server, path):
    break_off(server, path)
    server.ranges = False
    assert fetch(server.url, path) == DIGEST
    assert path.read_bytes() == BODY


def test_a_changed_file_on_the_server_is_not_glued_to_the_old_part(server, path):
    break_off(server, path)
    server.body, server.headers = BODY[::-1], server.headers | {"ETag": '"two"'}
    assert fetch(server.url, path) == hashlib.sha256(BODY[::-1]).hexdigest()


@pytest.mark.parametrize("body", [BODY[::-1] + b"more", BODY[:1000]])
def test_without_a_tag_the_length_tells_another_file(server, path, body):
    server.headers.pop("ETag")
    break_off(server, path)
    server.body = body
    assert fetch(server.url, path) == hashlib.sha256(body).hexdigest()


def test_a_weak_tag_is_no_condition(server, path):
    server.headers["ETag"] = 'W/"one"'
    break_off(server, path)
    assert fetch(server.url, path) == DIGEST
    assert server.asked[1] == ("bytes=1500000-", None)


def test_the_wrong_range_is_not_appended(server, path):
    break_off(server, path)
    server.slip = 7
    assert fetch(server.url, path) == DIGEST


def test_a_part_of_another_address_is_not_continued(server, path):
    break_off(server, path)
    server.body = BODY[::-1]
    assert fetch(server.url + "?other", path) == hashlib.sha256(BODY[::-1]).hexdigest()
    assert server.asked[1] == (None, None)


def test_a_part_of_unknown_origin_is_not_continued(server, path):
    path.parent.mkdir()
    (path.parent / "weights.pt.part").write_bytes(b"something else")
    assert fetch(server.url, path) == DIGEST


def test_a_kill_before_the_rename_costs_no_second_download(server, path):
    path.parent.mkdir()
    (path.parent / "weights.pt.part").write_bytes(BODY)
    facts = {"url": server.url, "validator": '"one"', "total": len(BODY)}
    (path.parent / "weights.pt.part.json").write_text(json.dumps(facts))
    assert fetch(server.url, path) == DIGEST
    assert server.asked == []


def test_a_body_of_unknown_length_is_taken_to_its_end(server, path):
    server.tells_length = False
    calls = []
    assert fetch(server.url, path, progress=lambda *call: calls.append(call)) == DIGEST
    assert calls[-1] == (len(BODY), 0)


def test_a_wrong_digest_sets_the_body_aside(server, path):
    with pytest.raises(WeightsError, match=DIGEST) as caught:
        fetch(server.url, path, "0" * 64)
    assert "rejected" in caught.value.hint
    assert names(path) == ["weights.pt.rejected"]
    assert fetch(server.url, path, DIGEST.upper()) == DIGEST


def test_the_digest_of_the_first_use_is_asked_of_the_next_download(server, path):
    fetch(server.url, path)
    path.unlink()
    server.body = BODY[::-1]
    with pytest.raises(WeightsError, match="not " + DIGEST):
        fetch(server.url, path)


@pytest.mark.parametrize("digest", [None, DIGEST])
def test_a_present_file_that_has_changed_is_named_and_kept(server, path, digest):
    fetch(server.url, path)
    path.write_bytes(b"changed")
    with pytest.raises(WeightsError, match=r"weights\.pt has the SHA-256"):
        fetch(server.url, path, digest)
    assert path.read_bytes() == b"changed"


def test_a_file_put_there_by_hand_is_recorded(path):
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert fetch("http://127.0.0.1:9/never-asked", path) == DIGEST
    assert (path.parent / "weights.pt.sha256").exists()


def test_a_missing_page_is_named(server, path):
    server.status = 404
    with pytest.raises(WeightsError, match=r"weights\.pt answers 404"):
        fetch(server.url, path)
    assert names(path) == []


def test_a_web_page_is_no_file(server, path):
    server.headers["Content-Type"] = "text/html; charset=utf-8"
    with pytest.raises(WeightsError, match="web page"):
        fetch(server.url, path)
    assert names(path) == []


def test_a_refused_connection_is_named(server, path):
    server.shutdown()
    server.server_close()
    with pytest.raises(WeightsError, match="cannot be reached"):
        fetch(server.url, path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "weights.pt"])
def test_only_http_is_opened(path, url):
    with pytest.raises(UsageError, match="no http address"):
        fetch(url, path)


def test_a_digest_must_be_one(path):
    with pytest.raises(UsageError, match="no SHA-256"):
        fetch("http://127.0.0.1:9/", path, "abc")


def test_two_downloads_of_one_file_do_not_mix(server, path):
    with hold_lock(path.with_name(".weights.pt.lock"), "a test"), pytest.raises(BusyError):
        fetch(server.url, path)


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MtutBenchError, match=r"weights\.pt"):
        fetch(server.url, tmp_path / "file" / "weights.pt")


def test_a_part_that_cannot_be_written_is_named(server, path):
    (path.parent / "weights.pt.part").mkdir(parents=True)
    with pytest.raises(WeightsError, match="cannot be read or written"):
        fetch(server.url, path)


def test_known_addresses_are_distinct_and_http():
    addresses = [file.url for file in KNOWN.values()]
    assert len(set(addresses)) == len(KNOWN)
    assert all(re.match(r"https?://[\w.]+/\S+\.(pt|pth|pickle)$", url) for url in addresses)


def test_known_files_fill_what_methods_look_for():
    wanted = {name for method in METHODS.values() for name in method.weights.values()}
    assert {file.fills for file in KNOWN.values()} == wanted
