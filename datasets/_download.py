"""Downloads that arrive whole and verified, once for all processes, or say what to do instead."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from pyg_remul.files import locked, remove_leftovers, replacing, write_text

__all__ = ["fetch_file"]

TIMEOUTS = (10.0, 30.0)
PAUSES = (1.0, 4.0)  # seconds before the second and the third attempt at a mirror
CHUNK = 2**18

_HASH = re.compile(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}")


def fetch_file(
    path: Path,
    urls: Sequence[str],
    *,
    known_hash: str | None = None,
    progress: bool = True,
    timeouts: tuple[float, float] = TIMEOUTS,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Downloads a file unless it is there, and verifies it in either case.

    Where no sum is known, that of the download is recorded in ``NAME.sha256`` beside the file,
    which moves with it and which ``sha256sum --check`` reads, and later uses compare with that. A
    file put there by hand has no record.

    Faults that may pass, such as time-outs and answers of 500, are met by two more attempts;
    others, such as a wrong body and 404, by the next mirror. The file takes its name once it is
    whole and verified. Of several processes one downloads and the others wait. Where the file is
    there already, nothing is written or locked.

    Args:
        path: Where to; its folder is made if need be.
        urls: The mirrors of the file, in order of preference.
        known_hash: ``"md5:..."`` or ``"sha256:..."``, in lower case.
        progress: Show a bar.
        timeouts: Seconds to wait for a connection, and for each next piece of the file.
        pause: Called with the seconds between two attempts.

    Raises:
        ValueError: If ``urls`` is empty or ``known_hash`` malformed, or if the file that is there
            has another sum.
        FileNotFoundError: If the file is absent and no mirror gives it; says for each why.
    """
    if not urls:
        raise ValueError("`urls` must name at least one mirror, got none.")
    if known_hash is not None and not _HASH.fullmatch(known_hash):
        raise ValueError(f"`known_hash` must be 'md5:...' or 'sha256:...', got {known_hash!r}.")
    if not path.exists():
        with locked(path):
            if not path.exists():  # else another process has brought it in the meantime
                remove_leftovers(path)
                _download(path, urls, known_hash, _Client(progress, timeouts, pause))
                return
    _verify(path, urls, known_hash)


@dataclass(frozen=True)
class _Client:
    """How to ask a server."""

    progress: bool
    timeouts: tuple[float, float]
    pause: Callable[[float], object]

    def get(self, url: str, path: Path, name: str) -> None:
        """Downloads, and tries again where the fault may pass."""
        for seconds in PAUSES:
            try:
                return self._stream(url, path, name)
            except requests.RequestException as error:
                if not _may_pass(error):
                    raise
            self.pause(seconds)
        return self._stream(url, path, name)

    def _stream(self, url: str, path: Path, name: str) -> None:
        # Not by `pooch.HTTPDownloader`, which leaves the connections of failed requests open.
        # Compressed by the transport, the file would not have the length that is announced.
        headers = {"Accept-Encoding": "identity"}
        with requests.get(url, stream=True, timeout=self.timeouts, headers=headers) as response:
            if response.status_code != HTTPStatus.OK:
                raise requests.HTTPError(response=response)
            total = response.raw.length_remaining  # what arrives is compared with it by urllib3
            with (
                path.open("wb") as file,
                tqdm(
                    total=total, desc=name, unit="B", unit_scale=True, disable=not self.progress
                ) as bar,
            ):
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))


def _may_pass(error: requests.RequestException) -> bool:
    if error.response is not None:
        status = error.response.status_code
        return status >= 500 or status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
    broken_off = requests.exceptions.ChunkedEncodingError
    return isinstance(error, (requests.ConnectionError, requests.Timeout, broken_off))


def _download(path: Path, urls: Sequence[str], known_hash: str | None, client: _Client) -> None:
    """Takes the file from the first mirror that gives the right one."""
    faults = []
    for url in urls:
        fault = _try_mirror(url, path, known_hash, client)
        if fault is None:
            return
        faults.append(f"{url}: {fault}")
    raise FileNotFoundError(
        f"The file {path} is absent and its download failed ({'; '.join(faults)}). "
        f"Put the file {urls[0]} there."
    )


def _try_mirror(url: str, path: Path, known_hash: str | None, client: _Client) -> str | None:
    """Puts the file in its place, or returns in a clause why not."""
    try:
        with replacing(path) as temporary:
            client.get(url, temporary, path.name)
            if known_hash is not None:
                _compare(temporary, known_hash)
            else:  # before the file takes its name, so that no download goes unrecorded
                write_text(_record(path), f"{pooch.file_hash(temporary)}  {path.name}\n")
    except (requests.RequestException, ValueError) as error:  # malformed redirects give the latter
        return _describe(error)
    return None


def _describe(error: BaseException) -> str:
    """Digs the cause out of what requests and urllib3 wrap around it."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        text = f"{error.response.status_code} {error.response.reason}"
    elif isinstance(error, requests.exceptions.ChunkedEncodingError):
        text = "the connection broke off before the end"
    else:
        while wrapped := [e for e in (error.__cause__, *error.args) if isinstance(e, Exception)]:
            error = wrapped[0]
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    # Some of it may come from the server.
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]


def _verify(path: Path, urls: Sequence[str], known_hash: str | None) -> None:
    """Refuses a file that is there but is not what it should be."""
    record = _record(path)
    remedy = f"Delete it to have it downloaded again, or put the file {urls[0]} there."
    if known_hash is None:
        if not record.exists():
            return
        recorded, *_ = record.read_text(encoding="utf-8", errors="replace").split(" ")
        known_hash = f"sha256:{recorded}"
        remedy += f" If it is meant to be another, delete {record.name}."
    try:
        _compare(path, known_hash)
    except ValueError as error:
        raise ValueError(f"The file {path} is refused: {error}. {remedy}") from error


def _compare(path: Path, known_hash: str) -> None:
    algorithm, _, expected = known_hash.partition(":")
    found = pooch.file_hash(path, algorithm)
    if found != expected:
        raise ValueError(f"its {algorithm.upper()} sum is {found}, not {expected}")


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
