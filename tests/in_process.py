"""A pool of processes without processes."""

from __future__ import annotations

import signal
from concurrent.futures import Future

import torch


class InProcess:
    """A pool that runs one task after the other in this process."""

    def __init__(self, _workers, _context, set_up, arguments):
        handler = signal.getsignal(signal.SIGINT)
        set_up(*arguments[:1], torch.get_num_threads())
        signal.signal(signal.SIGINT, handler)

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, **options):
        pass
