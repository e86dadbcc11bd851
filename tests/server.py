"""A web server on the loopback interface, as broken as a test wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from typing import Any

BODY = bytes(range(256)) * 1000
LIMIT = 200.0
"""Seconds after which a test that waits in vain fails."""


def reply(
    body: bytes = BODY, status: str = "200 OK", length: int | None = None, **headers: str
) -> bytes:
    """A reply as it goes over the wire; its announced length may differ from that of its body."""
    lines = {"Content-Length": len(body) if length is None else length, "Connection": "close"}
    head = "".join(f"{key}: {value}\r\n" for key, value in {**lines, **headers}.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class Server(ThreadingTCPServer):
    """Sends one reply after the other, the last for ever, and keeps the paths asked for.

    A reply is bytes or a function of the server that gives pieces of them.
    """

    daemon_threads = True
    replies: tuple[bytes | Callable[[Server], Iterable[bytes]], ...]

    def __init__(self, *replies: bytes | Callable[[Server], Iterable[bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = replies
        self.paths: list[str] = []
        self.closing = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/mirror/file.bin"


class _Handler(StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass  # the headers
        self.server.paths.append(path)
        current = self.server.replies[min(len(self.server.paths), len(self.server.replies)) - 1]
        with suppress(ConnectionError):  # clients may leave
            for piece in [current] if isinstance(current, bytes) else current(self.server):
                self.wfile.write(piece)


@contextmanager
def serving(*replies: bytes | Callable[[Server], Iterable[bytes]]) -> Iterator[Server]:
    """Runs a server in a thread."""
    with Server(*replies) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
