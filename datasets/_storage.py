"""In-memory datasets whose processed files hold tensors and nothing that could run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.transforms import BaseTransform

from pyg_remul.datasets._collation import Graphs, collate_graphs, separate_graphs
from pyg_remul.files import locked, remove_leftovers, replacing

__all__ = ["TensorDataset", "raw_folder"]

# To be raised whenever the same options would give other files.
FORMAT_VERSION = 1


class TensorDataset(InMemoryDataset):
    """An in-memory dataset that keeps PyTorch Geometric's contract but trusts no processed file.

    A subclass declares ``reps``, checks its own arguments, and makes its graphs in :meth:`build`.
    ``processed/`` then holds, for every combination of options, a file ``STEM-HASH.pt`` of plain
    tensors and a file ``STEM-HASH.json`` with the options and a checksum. The hash covers the
    options, this format's version, and the ``repr`` of ``pre_transform`` and ``pre_filter`` with
    the attributes of PyG transforms, so that other options never meet a stale file. Of several
    processes one makes the files and the others wait for them.

    Before raw files are read, :meth:`download` fetches or verifies them; it is not called where the
    processed files are complete, which then may lie in a folder that cannot be written to.

    Note:
        PyTorch Geometric stores Python objects and loads them without restriction. These files are
        loaded with ``weights_only=True`` and refused where they are not what was written. Two
        lambdas from the same place have equal ``repr``: after editing one, pass
        ``force_reload=True``.

    Args:
        root: Folder that holds ``raw/`` and ``processed/``.
        stem: Readable beginning of the processed files' names.
        options: Everything that the processed graphs depend on, as JSON values.
        transform: Applied to a graph at each access.
        pre_transform: Applied to each graph before it is stored.
        pre_filter: Keeps the graphs for which it is true.
        force_reload: Processes again even if there are processed files.

    Raises:
        TypeError: If ``root`` is no path.
        ValueError: If a processed file is damaged or not what this class writes.
    """

    reps: ClassVar[dict[str, str]]

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        stem: str,
        options: Mapping[str, object],
        transform: Callable[..., Any] | None = None,
        pre_transform: Callable[..., Any] | None = None,
        pre_filter: Callable[..., Any] | None = None,
        force_reload: bool = False,
    ) -> None:
        raw_folder(root)
        header = {
            "format": FORMAT_VERSION,
            "dataset": type(self).__name__,
            "options": dict(options),
            "pre_transform": _name(pre_transform),
            "pre_filter": _name(pre_filter),
        }
        text = json.dumps(header, sort_keys=True, default=_plain_number)
        self._header: dict[str, Any] = json.loads(text)  # as it will be read back, without tuples
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._stem = f"{stem}-{digest[:10]}"
        super().__init__(
            os.fspath(root), transform, pre_transform, pre_filter, force_reload=force_reload
        )
        self._data, self.slices = _read(Path(self.processed_paths[0]), self._header)

    def build(self) -> Graphs:
        """Makes all graphs, before ``pre_filter`` and ``pre_transform``."""
        raise NotImplementedError

    @property
    def raw_file_names(self) -> list[str]:
        """No raw files, unless a subclass names some."""
        return []

    def raw_state(self) -> str | None:
        """What the raw files are now, where others may take their place under the same names.

        Processed files that were made of others are made again. ``None`` accepts them as they are,
        for raw files that never change, or that are no longer there.
        """
        return None

    @property
    def processed_file_names(self) -> list[str]:
        """The tensors and the options they were made with."""
        return [f"{self._stem}.pt", f"{self._stem}.json"]

    def process(self) -> None:
        """Makes the graphs and writes them."""
        data, slices = self.build()
        if self.pre_filter is not None or self.pre_transform is not None:
            data, slices = self._preprocess(data, slices)
        header = self._header | {"raw": self.raw_state()}
        _write(Path(self.processed_paths[0]), header, data, slices)

    def _preprocess(self, data: Data, slices: dict[str, Tensor]) -> Graphs:
        graphs = separate_graphs(data, slices)
        if self.pre_filter is not None:
            graphs = [graph for graph in graphs if self.pre_filter(graph)]
        if not graphs:
            raise ValueError("`pre_filter` must keep at least one graph, got none.")
        if self.pre_transform is not None:
            graphs = [self.pre_transform(graph) for graph in graphs]
        if not all(isinstance(graph, Data) for graph in graphs):
            raise TypeError("`pre_transform` must return a graph of type Data for every graph.")
        return collate_graphs(graphs)

    def _download(self) -> None:
        # Replaces a method that takes raw files as they are; here `download` gets to verify them.
        if self._is_to_process():
            self.download()

    def _process(self) -> None:
        # Replaces a method that unpickles `processed/pre_transform.pt` without restriction.
        if self._is_to_process():
            with locked(Path(self.processed_dir, self._stem)):
                if self._is_to_process():  # else another process has done it in the meantime
                    for path in self.processed_paths:
                        remove_leftovers(Path(path))
                    self.process()

    def _is_to_process(self) -> bool:
        if self.force_reload or not all(map(os.path.exists, self.processed_paths)):
            return True
        state = self.raw_state()
        return state is not None and state != _read_header(Path(self.processed_paths[1])).get("raw")


def raw_folder(root: str | os.PathLike[str]) -> Path:
    """The folder of raw files, for datasets of which the options depend on these.

    Args:
        root: The folder of the dataset.

    Raises:
        TypeError: If it is no path.
    """
    if not isinstance(root, (str, os.PathLike)):
        raise TypeError(f"`root` must be a path, got {root!r}.")
    return Path(root).expanduser() / "raw"


def _name(function: object) -> str:
    """The ``repr`` without addresses, which differ between two runs, and a transform's options."""
    name = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(function))
    if not isinstance(function, BaseTransform):
        return name
    options = {key: _option(value) for key, value in sorted(vars(function).items())}
    return f"{name} {options}"


def _option(value: object) -> object:
    return list(map(_name, value)) if isinstance(value, (list, tuple)) else _name(value)


def _plain_number(value: object) -> int | float:
    """NumPy's numbers as JSON has them."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"Options must be numbers, strings or None, got {value!r}.")


def _write(path: Path, header: dict[str, Any], data: Data, slices: dict[str, Tensor]) -> None:
    tensors = data.to_dict()
    for key, value in tensors.items():
        if not isinstance(value, Tensor) or key not in slices:
            raise ValueError(
                f"`pre_transform` must leave tensors alone in a graph, got `{key}` of type "
                f"{type(value).__name__}."
            )
    # A buffer, for `torch.save` writes a file's own name into it: equal graphs give equal bytes,
    # and of two processes that make the same files either may come last.
    buffer = io.BytesIO()
    torch.save({"tensors": tensors, "slices": dict(slices)}, buffer)
    content = buffer.getvalue()
    header = header | {"sha256": hashlib.sha256(content).hexdigest()}
    options = json.dumps(header, indent=2).encode()
    for target, written in ((path, content), (path.with_suffix(".json"), options)):
        with replacing(target) as temporary:
            temporary.write_bytes(written)


def _read(path: Path, header: Mapping[str, object]) -> Graphs:
    header_path = path.with_suffix(".json")
    stored = _read_header(header_path)
    digest = stored.pop("sha256", None)
    stored.pop("raw", None)
    if stored != header:
        raise _refusal(header_path, "it describes other options than its name")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise _refusal(path, "its checksum is not the recorded one")
    try:
        payload = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a crafted file can make the loader fail in any way
        raise _refusal(path, f"it does not load as tensors ({error})") from error
    return _check_payload(path, payload)


def _read_header(path: Path) -> dict[str, Any]:
    try:
        header = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _refusal(path, f"it is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise _refusal(path, "it is not a JSON object")
    return header


def _check_payload(path: Path, payload: object) -> Graphs:
    if not isinstance(payload, dict) or set(payload) != {"tensors", "slices"}:
        raise _refusal(path, "it does not hold `tensors` and `slices`")
    tensors, slices = payload["tensors"], payload["slices"]
    for mapping in (tensors, slices):
        if not isinstance(mapping, dict) or not all(
            isinstance(key, str) and _is_plain(value) for key, value in mapping.items()
        ):
            raise _refusal(path, "it holds something other than named tensors")
    if not tensors or set(tensors) != set(slices):
        raise _refusal(path, "its tensors and slices do not belong together")
    data = Data.from_dict(tensors)
    for key, value in tensors.items():
        if not _fits(slices[key], value, data.__cat_dim__(key, value)):
            raise _refusal(path, f"the slices of `{key}` do not fit")
    if len({len(bounds) for bounds in slices.values()}) != 1:
        raise _refusal(path, "its attributes belong to different numbers of graphs")
    return data, slices


def _is_plain(value: object) -> bool:
    return type(value) is Tensor and value.layout is torch.strided and not value.is_meta


def _fits(bounds: Tensor, value: Tensor, dim: int) -> bool:
    return bool(
        bounds.dtype == torch.int64
        and bounds.dim() == 1
        and bounds.numel() > 1
        and value.dim() > 0
        and bounds[0] == 0
        and (bounds.diff() >= 0).all()
        and bounds[-1] == value.size(dim)
    )


def _refusal(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"The processed file {path} is refused: {reason}. "
        "Pass `force_reload=True` to make it again."
    )
