from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Timer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server import BODY, LIMIT, Server, reply, serving

from pyg_remul.datasets._download import fetch_file

SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()
SUMS = pytest.mark.parametrize("known_hash", [f"md5:{MD5}", f"sha256:{SHA256}"], ids=["md5", "sha"])
ERROR_500 = reply(b"", "500 Internal Server Error")
ERROR_404 = reply(b"", "404 Not Found")
TRUNCATED = reply(BODY[:5000], length=len(BODY))
CHUNK = b"5\r\nabcde\r\n"

fetch = partial(fetch_file, progress=False, timeouts=(10, 10), pause=lambda _: None)


def stall(server: Server) -> Iterator[bytes]:
    """Half of the file and then nothing more."""
    yield TRUNCATED
    server.closing.wait(LIMIT)


def never(server: Server) -> Iterator[bytes]:
    """Not even the head of an answer."""
    server.closing.wait(LIMIT)
    yield b""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "file.bin"


@pytest.fixture
def record(path: Path) -> Path:
    return path.with_name("file.bin.sha256")


@pytest.fixture
def unused_url() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/file.bin"


def visible(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.endswith(".lock"))


def put(path: Path, content: bytes = BODY) -> None:
    path.parent.mkdir()
    path.write_bytes(content)


@given(body=st.binary(max_size=2000))
def test_any_body_arrives_as_it_was_sent(body: bytes) -> None:
    with TemporaryDirectory() as folder, serving(reply(body)) as server:
        path = Path(folder, "raw", "file.bin")
        fetch(path, [server.url])
        assert path.read_bytes() == body


def test_a_file_of_many_pieces_arrives(path: Path) -> None:
    body = os.urandom(3_000_000)
    with serving(reply(body)) as server:
        fetch(path, [server.url])
    assert path.read_bytes() == body


def test_a_chunked_file_arrives(path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(head + CHUNK + CHUNK + b"0\r\n\r\n") as server:
        fetch(path, [server.url])
    assert path.read_bytes() == b"abcdeabcde"


def test_the_sum_of_a_download_is_recorded_beside_it(path: Path, record: Path) -> None:
    with serving(reply()) as server:
        fetch(path, [server.url])
    assert record.read_text() == f"{SHA256}  file.bin\n"
    assert visible(path.parent) == ["file.bin", "file.bin.sha256"]


@SUMS
def test_a_download_with_a_known_sum_needs_no_record(path: Path, known_hash: str) -> None:
    with serving(reply()) as server:
        fetch(path, [server.url], known_hash=known_hash)
    assert path.read_bytes() == BODY
    assert visible(path.parent) == ["file.bin"]


def test_a_verified_file_is_not_asked_for_again(path: Path) -> None:
    with serving(reply()) as server:
        for _ in range(3):
            fetch(path, [server.url])
        assert server.paths == ["/mirror/file.bin"]


@pytest.mark.parametrize("known_hash", [None, f"md5:{MD5}"], ids=["unknown", "known"])
def test_a_file_put_there_by_hand_is_taken(
    path: Path, unused_url: str, known_hash: str | None
) -> None:
    put(path)
    fetch(path, [unused_url], known_hash=known_hash)
    assert path.read_bytes() == BODY


def test_nothing_is_written_beside_a_file_that_is_there(path: Path, unused_url: str) -> None:
    put(path)
    fetch(path, [unused_url])
    assert os.listdir(path.parent) == ["file.bin"]


@SUMS
def test_a_file_put_there_by_hand_must_have_the_known_sum(
    path: Path, unused_url: str, known_hash: str
) -> None:
    put(path, b"other")
    algorithm, expected = known_hash.split(":")
    found = hashlib.new(algorithm, b"other").hexdigest()
    with pytest.raises(
        ValueError,
        match=rf"{path} is refused: its {algorithm.upper()} sum is {found}, not {expected}\. "
        rf"Delete it to have it downloaded again, or put the file {unused_url} there\.$",
    ):
        fetch(path, [unused_url], known_hash=known_hash)
    assert path.read_bytes() == b"other"


@pytest.mark.parametrize(
    "damaged",
    [b"", BODY[:-1], BODY[:-1] + b"\x00", BODY + b"\n"],
    ids=["empty", "cut", "bit", "more"],
)
def test_later_damage_is_detected(path: Path, unused_url: str, damaged: bytes) -> None:
    with serving(reply()) as server:
        fetch(path, [server.url])
    path.write_bytes(damaged)
    with pytest.raises(
        ValueError, match=rf"{path} is refused: its SHA256 sum is .*, not {SHA256}.* Delete it"
    ):
        fetch(path, [unused_url])


def test_refusal_says_how_to_accept_another_file(path: Path, record: Path, unused_url: str) -> None:
    put(path)
    record.write_text("0  file.bin\n")
    with pytest.raises(ValueError, match=r"meant to be another, delete file\.bin\.sha256\.$"):
        fetch(path, [unused_url])
    record.unlink()
    fetch(path, [unused_url])


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"no sum at all"], ids=repr)
def test_a_damaged_record_verifies_nothing(
    path: Path, record: Path, unused_url: str, content: bytes
) -> None:
    put(path)
    record.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path} is refused: its SHA256 sum is {SHA256}, not "):
        fetch(path, [unused_url])


def test_a_deleted_file_is_downloaded_and_recorded_anew(path: Path, record: Path) -> None:
    with serving(reply(b"old"), reply()) as server:
        fetch(path, [server.url])
        path.unlink()
        fetch(path, [server.url])
    assert path.read_bytes() == BODY
    assert record.read_text().startswith(SHA256)


@SUMS
def test_a_wrong_body_is_refused(path: Path, known_hash: str) -> None:
    algorithm, expected = known_hash.split(":")
    found = hashlib.new(algorithm, b"wrong").hexdigest()
    with (
        serving(reply(b"wrong")) as server,
        pytest.raises(
            FileNotFoundError, match=f"its {algorithm.upper()} sum is {found}, not {expected}"
        ),
    ):
        fetch(path, [server.url], known_hash=known_hash)
    assert visible(path.parent) == []
    assert len(server.paths) == 1


@pytest.mark.parametrize(
    "broken", [reply(b"wrong"), ERROR_404, ERROR_500, TRUNCATED], ids=["body", "404", "500", "cut"]
)
def test_the_next_mirror_serves_what_the_first_does_not(path: Path, broken: bytes) -> None:
    with serving(broken) as first, serving(reply()) as second:
        fetch(path, [first.url, second.url], known_hash=f"md5:{MD5}")
    assert path.read_bytes() == BODY


def test_the_first_mirror_is_preferred(path: Path) -> None:
    with serving(reply()) as first, serving(reply()) as second:
        fetch(path, [first.url, second.url])
    assert (len(first.paths), len(second.paths)) == (1, 0)


@pytest.mark.parametrize(
    "fault",
    [
        ERROR_500,
        reply(b"", "503 Busy"),
        reply(b"", "429 Too Many Requests"),
        TRUNCATED,
        b"",
        b"?\r\n",
    ],
    ids=["500", "503", "429", "truncated", "empty", "garbage"],
)
def test_faults_that_may_pass_are_met_by_more_attempts(path: Path, fault: bytes) -> None:
    pauses: list[float] = []
    with serving(fault, fault, reply()) as server:
        fetch(path, [server.url], pause=pauses.append)
    assert path.read_bytes() == BODY
    assert pauses == [1, 4]


def test_three_attempts_are_enough(path: Path) -> None:
    with serving(ERROR_500) as server, pytest.raises(FileNotFoundError, match="500 Internal"):
        fetch(path, [server.url])
    assert len(server.paths) == 3


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "204 No Content"])
def test_final_answers_are_not_asked_for_again(path: Path, status: str) -> None:
    with (
        serving(reply(b"", status)) as server,
        pytest.raises(FileNotFoundError, match=rf"\({server.url}: {status}\)"),
    ):
        fetch(path, [server.url])
    assert len(server.paths) == 1


@pytest.mark.parametrize(
    "broken",
    [TRUNCATED, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK],
    ids=["by length", "in chunks"],
)
def test_a_truncated_body_is_refused(path: Path, broken: bytes) -> None:
    with serving(broken) as server, pytest.raises(FileNotFoundError, match="broke off before the"):
        fetch(path, [server.url])
    assert visible(path.parent) == []


@pytest.mark.parametrize("stalled", [stall, never])
def test_a_stalled_server_is_given_up(
    path: Path, stalled: Callable[[Server], Iterator[bytes]]
) -> None:
    with (
        serving(stalled) as server,
        pytest.raises(FileNotFoundError, match=rf"\({server.url}: timed out\)"),
    ):
        fetch(path, [server.url], timeouts=(10, 0.05))
    assert len(server.paths) == 3
    assert visible(path.parent) == []


def test_a_slow_server_is_waited_for(path: Path) -> None:
    def trickle(server: Server) -> Iterator[bytes]:
        whole = reply(BODY[:8])
        yield whole[:-8]
        for byte in whole[-8:]:
            server.closing.wait(0.2)
            yield bytes([byte])

    with serving(trickle) as server:
        fetch(path, [server.url], timeouts=(10, 1.2))
        assert len(server.paths) == 1
    assert path.read_bytes() == BODY[:8]


def test_redirections_are_followed(path: Path) -> None:
    with serving(reply(b"", "302 Found", Location="/elsewhere"), reply()) as server:
        fetch(path, [server.url])
        assert server.paths == ["/mirror/file.bin", "/elsewhere"]
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("location", "clause"),
    [
        ("/mirror/file.bin", "Exceeded 30 redirects"),
        ("ftp://host/file", "No connection adapters"),
        ("http://[::1/file", "Invalid IPv6 URL"),
    ],
    ids=["in circles", "other protocol", "malformed"],
)
def test_redirections_to_nowhere_are_given_up(path: Path, location: str, clause: str) -> None:
    with (
        serving(reply(b"", "302 Found", Location=location)) as server,
        pytest.raises(FileNotFoundError, match=rf"\({server.url}: {clause}"),
    ):
        fetch(path, [server.url])


def test_a_refused_connection_is_told_in_a_clause(path: Path, unused_url: str) -> None:
    with pytest.raises(
        FileNotFoundError, match=rf"failed \({unused_url}: Connection refused\)\. Put"
    ):
        fetch(path, [unused_url])


def test_offline_is_told_in_a_clause(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(
        FileNotFoundError, match=r"\(http://host/file: Temporary failure in name resolution\)\. Put"
    ):
        fetch(path, ["http://host/file"])


def test_an_exception_that_is_being_handled_is_no_cause(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"\(nonsense: Invalid URL 'nonsense'"):  # noqa: PT012
        try:
            {}["outer"]
        except KeyError:
            fetch(path, ["nonsense"])


def test_error_names_the_file_and_the_fault_of_every_mirror(path: Path, unused_url: str) -> None:
    with (
        serving(ERROR_404) as first,
        serving(ERROR_500) as second,
        pytest.raises(
            FileNotFoundError,
            match=rf"^The file {path} is absent and its download failed "
            rf"\({first.url}: 404 Not Found; {second.url}: 500 Internal Server Error; "
            rf"{unused_url}: Connection refused\)\. "
            rf"Put the file {first.url} there\.$",
        ),
    ):
        fetch(path, [first.url, second.url, unused_url])


def test_control_characters_of_a_server_stay_out_of_errors(path: Path) -> None:
    status = "404 \x1b[31m" + "red" * 1000
    with (
        serving(reply(b"", status)) as server,
        pytest.raises(FileNotFoundError, match=r"404 \?\[31mred") as caught,
    ):
        fetch(path, [server.url])
    assert len(str(caught.value)) < 700


@given(answer=st.binary(max_size=200).map(b"HTTP/1.1 200 OK\r\n".__add__) | st.binary(max_size=200))
def test_any_answer_gives_a_file_or_the_documented_error(answer: bytes) -> None:
    with TemporaryDirectory() as folder, serving(answer) as server:
        path = Path(folder, "raw", "file.bin")
        try:
            fetch(path, [server.url])
        except FileNotFoundError:
            assert visible(path.parent) == []
        else:
            assert visible(path.parent) == ["file.bin", "file.bin.sha256"]


def test_a_fault_of_the_disk_is_no_fault_of_the_mirror(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with serving(reply()) as server, pytest.raises(OSError, match=r"^disk full$"):
        fetch(path, [server.url], known_hash=f"md5:{MD5}")
    assert len(server.paths) == 1
    assert visible(path.parent) == []


def test_bar_names_the_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(reply()) as server:
        fetch(path, [server.url], progress=True)
    assert "file.bin: 100%" in capsys.readouterr().err


def test_bar_can_be_switched_off(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(reply()) as server:
        fetch(path, [server.url], progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "known_hash", ["", MD5, f"md5:{SHA256}", f"sha1:{MD5}", f"md5:{MD5.upper()}"]
)
def test_a_malformed_sum_is_refused(path: Path, known_hash: str) -> None:
    with pytest.raises(ValueError, match=r"`known_hash` must be 'md5:\.\.\.' or .*, got '"):
        fetch(path, ["http://127.0.0.1/"], known_hash=known_hash)


def test_a_mirror_is_required(path: Path) -> None:
    with pytest.raises(ValueError, match="`urls` must name at least one mirror, got none"):
        fetch(path, [])


def test_a_killed_download_leaves_no_file_and_the_next_one_succeeds(path: Path) -> None:
    halfway = Event()

    def halt(server: Server) -> Iterator[bytes]:
        yield reply(BODY * 2, length=len(BODY) * 3)
        while not any(path.parent.glob(".file.*.bin")) and not server.closing.wait(0.01):
            pass
        halfway.set()
        server.closing.wait(LIMIT)

    with serving(halt, reply()) as server:
        script = (
            "from pathlib import Path\n"
            "from pyg_remul.datasets._download import fetch_file\n"
            f"fetch_file(Path({str(path)!r}), [{server.url!r}], progress=False)\n"
        )
        with subprocess.Popen([sys.executable, "-c", script]) as process:
            reached = halfway.wait(LIMIT)
            process.kill()
        assert reached
        assert not path.exists()
        fetch(path, [server.url])
    assert path.read_bytes() == BODY
    assert visible(path.parent) == ["file.bin", "file.bin.sha256"]


TOY = """
import sys
from pathlib import Path

import torch

import pyg_remul.files
from pyg_remul.datasets._collation import stack_graphs
from pyg_remul.datasets._download import fetch_file
from pyg_remul.datasets._storage import TensorDataset

pyg_remul.files.PATIENCE = 0


class Toy(TensorDataset):
    raw_file_names = ["file.bin"]

    def download(self):
        fetch_file(Path(self.raw_paths[0]), [sys.argv[2]], progress=False)

    def build(self):
        sys.stderr.write("building\\n")  # at one go, as the other process writes there too
        input()
        return stack_graphs({"pos": torch.zeros(3, 2, 3)})


print(len(Toy(sys.argv[1], stem="toy", options={})))
"""


def test_two_processes_download_and_process_once(tmp_path: Path) -> None:
    one_waits = Event()

    def hold(server: Server) -> Iterator[bytes]:
        one_waits.wait(LIMIT)
        yield reply()

    read, write = os.pipe()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": write}
    with serving(hold) as server, open(read) as log:
        command = [sys.executable, "-c", TOY, str(tmp_path), server.url]
        processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(2)]
        os.close(write)
        limit = Timer(LIMIT, lambda: [process.kill() for process in processes])
        limit.start()
        download = log.readline()  # the other process is held by the server
        one_waits.set()
        processing = sorted([log.readline(), log.readline()])
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        results = [process.communicate()[0] for process in processes]
        limit.cancel()
        assert len(server.paths) == 1
        assert log.read() == ""
    assert download == f"Waiting for the process that prepares {tmp_path}/raw/file.bin.\n"
    assert processing[0].startswith(
        f"Waiting for the process that prepares {tmp_path}/processed/toy-"
    )
    assert processing[1] == "building\n"
    assert results == ["3\n", "3\n"]
