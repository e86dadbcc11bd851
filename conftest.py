"""Which modules pytest collects."""

from __future__ import annotations

from importlib.util import find_spec

_NEED_TRITON = ("_*_kernels.py", "_*_launchers.py", "_message_constants.py")

collect_ignore_glob = (
    [] if find_spec("triton") else [f"pyg_remul/ops/{pattern}" for pattern in _NEED_TRITON]
)
