from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import AddRandomWalkPE, Compose

from pyg_remul.datasets import _storage
from pyg_remul.datasets._collation import Graphs, stack_graphs
from pyg_remul.datasets._storage import TensorDataset


class Toy(TensorDataset):
    """Graphs of two nodes, numbered from zero."""

    reps = {"pos": "point"}  # noqa: RUF012

    def __init__(self, root: object, num: int = 3, **kwargs: object) -> None:
        self.num = num
        self.built = False
        super().__init__(root, stem=f"toy-{num}", options={"num": num, "pair": (1, 2)}, **kwargs)

    def build(self) -> Graphs:
        self.built = True
        number = torch.arange(float(self.num))[:, None, None]
        return stack_graphs({"pos": number.expand(-1, 2, 3), "number": number[:, :, 0]})


class Raw(Toy):
    """Notes what it is asked for."""

    raw_file_names = ("toy.bin",)

    def __init__(self, root: object, **kwargs: object) -> None:
        self.calls: list[str] = []
        super().__init__(root, **kwargs)

    def download(self) -> None:
        self.calls.append("download")

    def build(self) -> Graphs:
        self.calls.append("build")
        return super().build()


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.target),)


def double(data: Data) -> Data:
    data.pos = 2 * data.pos
    return data


def with_edges(data: Data) -> Data:
    data.edge_index = torch.tensor([[0, 1], [1, 0]])
    return data


def with_text(data: Data) -> Data:
    data.text = "text"
    return data


def as_hetero(data: Data) -> HeteroData:
    return HeteroData()


def is_odd(data: Data) -> bool:
    return data.number.item() % 2 == 1


def never(data: Data) -> bool:
    return False


def numbers(dataset: Toy) -> list[float]:
    return [graph.number.item() for graph in dataset]


def files(dataset: Toy) -> list[str]:
    """What the folder of processed files holds, besides the lock."""
    folder = Path(dataset.processed_dir)
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def replace_payload(dataset: Toy, payload: object) -> None:
    """Writes another content with the checksum that goes with it."""
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    path, header_path = map(Path, dataset.processed_paths)
    header = json.loads(header_path.read_text())
    header["sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.write_bytes(buffer.getvalue())
    header_path.write_text(json.dumps(header))


def test_graphs_come_back_as_they_were_built(tmp_path: Path) -> None:
    Toy(tmp_path)
    dataset = Toy(tmp_path)
    assert not dataset.built
    assert numbers(dataset) == [0, 1, 2]
    assert dataset[2].pos.tolist() == [[2.0] * 3] * 2


def test_processed_file_holds_tensors_alone(tmp_path: Path) -> None:
    path = Toy(tmp_path).processed_paths[0]
    payload = torch.load(path, weights_only=True)
    assert set(payload) == {"tensors", "slices"}
    assert all(
        type(value) is torch.Tensor for group in payload.values() for value in group.values()
    )


def test_options_lie_beside_the_tensors_as_json(tmp_path: Path) -> None:
    header = json.loads(Path(Toy(tmp_path, 4).processed_paths[1]).read_text())
    assert header["dataset"] == "Toy"
    assert header["options"] == {"num": 4, "pair": [1, 2]}


def test_processed_folder_holds_nothing_else(tmp_path: Path) -> None:
    dataset = Toy(tmp_path, pre_transform=double)
    assert files(dataset) == sorted(dataset.processed_file_names)


def test_force_reload_builds_again(tmp_path: Path) -> None:
    Toy(tmp_path)
    assert Toy(tmp_path, force_reload=True).built


def test_other_options_use_other_files(tmp_path: Path) -> None:
    Toy(tmp_path, 3)
    assert numbers(Toy(tmp_path, 2)) == [0, 1]
    assert numbers(Toy(tmp_path, 3)) == [0, 1, 2]


def test_equal_graphs_give_equal_bytes(tmp_path: Path) -> None:
    first, second = Toy(tmp_path / "a"), Toy(tmp_path / "b")
    for one, other in zip(first.processed_paths, second.processed_paths, strict=True):
        assert Path(one).read_bytes() == Path(other).read_bytes()


def test_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Toy("~/toy")
    assert (tmp_path / "toy" / "processed").is_dir()


def test_pre_transform_is_stored(tmp_path: Path) -> None:
    Toy(tmp_path, pre_transform=double)
    dataset = Toy(tmp_path, pre_transform=double)
    assert not dataset.built
    assert dataset[1].pos[0, 0] == 2


def test_other_pre_transform_builds_again(tmp_path: Path) -> None:
    Toy(tmp_path, pre_transform=double)
    dataset = Toy(tmp_path)
    assert dataset.built
    assert dataset[1].pos[0, 0] == 1


def test_pre_filter_keeps_its_graphs(tmp_path: Path) -> None:
    assert numbers(Toy(tmp_path, 4, pre_filter=is_odd)) == [1, 3]


def test_pre_filter_may_keep_one_graph(tmp_path: Path) -> None:
    dataset = Toy(tmp_path, pre_filter=is_odd)
    assert len(dataset) == 1
    assert dataset[0].pos.shape == (2, 3)


def test_pre_filter_must_keep_a_graph(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`pre_filter` must keep at least one graph"):
        Toy(tmp_path, pre_filter=never)


@pytest.mark.parametrize("nested", [False, True], ids=["alone", "composed"])
def test_other_options_of_a_transform_build_again(tmp_path: Path, nested: bool) -> None:
    for length in (4, 8):
        transform = AddRandomWalkPE(length)
        transform = Compose([with_edges, transform if not nested else Compose([transform])])
        assert Toy(tmp_path, pre_transform=transform).random_walk_pe.size(1) == length


def test_numbers_of_numpy_are_those_of_python(tmp_path: Path) -> None:
    Toy(tmp_path, num=3)
    assert not Toy(tmp_path, num=np.int64(3)).built


def test_files_of_other_raw_files_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for state, built in (("a", True), ("a", False), ("b", True), (None, False), ("b", False)):
        monkeypatch.setattr(Toy, "raw_state", lambda _, state=state: state)
        assert Toy(tmp_path).built == built


def test_pre_transform_must_leave_tensors(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"`pre_transform` must leave tensors .* `text` of type list"
    ):
        Toy(tmp_path, pre_transform=with_text)


def test_pre_transform_must_return_data(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="`pre_transform` must return a graph of type Data"):
        Toy(tmp_path, pre_transform=as_hetero)


def test_transform_acts_at_access_alone(tmp_path: Path) -> None:
    dataset = Toy(tmp_path, transform=double)
    assert dataset[1].pos[0, 0] == 2
    assert dataset[1].pos[0, 0] == 2
    assert Toy(tmp_path)[1].pos[0, 0] == 1


@pytest.mark.parametrize(
    "index",
    [slice(1, 3), [1, 2], torch.tensor([1, 2]), torch.tensor([False, True, True])],
    ids=["slice", "list", "tensor", "mask"],
)
def test_indexing_selects_graphs(tmp_path: Path, index: object) -> None:
    assert numbers(Toy(tmp_path)[index]) == [1, 2]


def test_a_copy_of_a_subset_stands_alone(tmp_path: Path) -> None:
    subset = Toy(tmp_path).copy([2, 0])
    assert numbers(subset) == [2, 0]


def test_graphs_collate_in_a_loader(tmp_path: Path) -> None:
    batch = next(iter(DataLoader(Toy(tmp_path), batch_size=3)))
    assert batch.batch.tolist() == [0, 0, 1, 1, 2, 2]


def test_root_must_be_a_path() -> None:
    with pytest.raises(TypeError, match="`root` must be a path, got None"):
        Toy(None)


def test_failed_write_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Toy(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            Toy(tmp_path, force_reload=True)
    dataset = Toy(tmp_path)
    assert not dataset.built
    assert files(dataset) == sorted(dataset.processed_file_names)


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    dataset = Toy(tmp_path)
    for path in map(Path, dataset.processed_paths):
        path.unlink()
        path.with_name(f".{path.stem}.{'0' * 32}{path.suffix}").write_bytes(b"half")
    assert files(Toy(tmp_path)) == sorted(dataset.processed_file_names)


def test_a_process_that_waited_finds_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def locked_after_another(path: Path) -> Iterator[None]:
        monkeypatch.undo()
        Toy(tmp_path)
        yield

    monkeypatch.setattr(_storage, "locked", locked_after_another)
    dataset = Toy(tmp_path)
    assert not dataset.built
    assert numbers(dataset) == [0, 1, 2]


def test_a_failed_build_lets_the_next_one_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Toy, "build", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Toy(tmp_path)
    assert numbers(Toy(tmp_path)) == [0, 1, 2]


def test_complete_files_are_read_without_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise PermissionError(f"{path} cannot be written")

    Toy(tmp_path)
    monkeypatch.setattr(_storage, "locked", fail)
    assert numbers(Toy(tmp_path)) == [0, 1, 2]


def test_raw_files_are_verified_before_they_are_read(tmp_path: Path) -> None:
    assert Raw(tmp_path).calls == ["download", "build"]


def test_raw_files_that_are_there_are_verified_too(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "toy.bin").touch()
    assert Raw(tmp_path).calls == ["download", "build"]


def test_raw_files_are_not_asked_for_where_the_processed_ones_are_complete(tmp_path: Path) -> None:
    Raw(tmp_path)
    assert Raw(tmp_path).calls == []
    assert Raw(tmp_path, force_reload=True).calls == ["download", "build"]


@pytest.mark.parametrize("size", [0, 100, -1], ids=["empty", "head", "all but a byte"])
def test_truncated_tensors_are_refused(tmp_path: Path, size: int) -> None:
    path = Path(Toy(tmp_path).processed_paths[0])
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=rf"{path.name} is refused: its checksum .*force_reload"):
        Toy(tmp_path)


def test_altered_tensors_are_refused(tmp_path: Path) -> None:
    path = Path(Toy(tmp_path).processed_paths[0])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path.name} is refused: its checksum"):
        Toy(tmp_path)


def test_force_reload_repairs_a_damaged_file(tmp_path: Path) -> None:
    Path(Toy(tmp_path).processed_paths[0]).write_bytes(b"")
    Toy(tmp_path, force_reload=True)
    assert numbers(Toy(tmp_path)) == [0, 1, 2]


def test_code_in_a_processed_file_does_not_run(tmp_path: Path) -> None:
    replace_payload(Toy(tmp_path), Bomb(tmp_path / "ran"))
    with pytest.raises(ValueError, match=r"is refused: it does not load as tensors"):
        Toy(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_code_in_the_files_of_pyg_does_not_run(tmp_path: Path) -> None:
    Toy(tmp_path)
    for name in ("pre_transform.pt", "pre_filter.pt"):
        torch.save(Bomb(tmp_path / "ran"), tmp_path / "processed" / name)
    Toy(tmp_path)
    assert not (tmp_path / "ran").exists()


POS = torch.zeros(6, 3)
BOUNDS = torch.tensor([0, 2, 4, 6])


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ([1, 2], "does not hold `tensors` and `slices`"),
        ({"tensors": {}, "slices": {}}, "do not belong together"),
        ({"tensors": {"pos": POS}, "slices": {"vel": BOUNDS}}, "do not belong together"),
        ({"tensors": {"pos": "text"}, "slices": {"pos": BOUNDS}}, "other than named tensors"),
        ({"tensors": {"pos": POS.to_sparse()}, "slices": {"pos": BOUNDS}}, "other than named"),
        ({"tensors": {"pos": POS[:5]}, "slices": {"pos": BOUNDS}}, "slices of `pos` do not fit"),
        (
            {"tensors": {"pos": POS}, "slices": {"pos": BOUNDS[[0, 2, 1, 3]]}},
            "slices of `pos` do not",
        ),
        ({"tensors": {"pos": POS}, "slices": {"pos": BOUNDS.float()}}, "slices of `pos` do not"),
        (
            {"tensors": {"pos": POS, "vel": POS}, "slices": {"pos": BOUNDS, "vel": BOUNDS[::3]}},
            "different numbers of graphs",
        ),
    ],
    ids=[
        "no dict",
        "nothing",
        "other names",
        "text",
        "sparse",
        "too short",
        "descending",
        "float",
        "counts",
    ],
)
def test_contents_that_do_not_fit_are_refused(tmp_path: Path, payload: object, reason: str) -> None:
    replace_payload(Toy(tmp_path), payload)
    with pytest.raises(ValueError, match=f"is refused: .*{reason}"):
        Toy(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "it is not a JSON object"),
        ("{}", "it describes other options"),
    ],
    ids=["empty", "deep", "list", "bare"],
)
def test_damaged_options_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = Path(Toy(tmp_path).processed_paths[1])
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"{path.name} is refused: {reason}"):
        Toy(tmp_path)
