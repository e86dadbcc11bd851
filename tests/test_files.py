"""Files that are written whole or not at all, by one process at a time."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from pyg_remul import files
from pyg_remul.files import (
    check_folder,
    locked,
    read_json,
    remove_leftovers,
    replacing,
    write_text,
)


def test_file_is_written_with_its_folder(tmp_path):
    path = tmp_path / "a" / "b.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["b.txt"]


def test_older_file_stays_until_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_temporary_file_lies_beside_and_has_the_same_ending(tmp_path):
    with replacing(tmp_path / "a.png") as temporary:
        temporary.touch()
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".png")


def test_two_writers_have_files_of_their_own(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_failing_write_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("ha")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_failing_replacement_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(*args):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"), replacing(path) as temporary:
            temporary.write_text("new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_text_is_written_in_utf8(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "β = 1\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "β = 1\n".encode()


def test_failing_write_leaves_the_older_text(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        write_text(tmp_path / "a.txt", "new \ud800")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_files_have_locks_of_their_own(tmp_path):
    with locked(tmp_path / "a.txt"), locked(tmp_path / "a.json"):
        assert sorted(os.listdir(tmp_path)) == [".a.json.lock", ".a.txt.lock"]


def test_lock_is_free_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), locked(tmp_path / "a.txt"):
            raise KeyboardInterrupt


def test_second_holder_waits_and_says_so(tmp_path, monkeypatch, caplog):
    waiting = Event()

    def enter():
        with locked(tmp_path / "a.txt"):
            return True

    monkeypatch.setattr(files, "PATIENCE", 0)
    logger = logging.getLogger("pyg_remul.files")
    monkeypatch.setattr(logger, "filters", [lambda _: not waiting.set()])
    with ThreadPoolExecutor(1) as pool:
        with locked(tmp_path / "a.txt"):
            result = pool.submit(enter)
            assert waiting.wait(20)
            assert not result.done()
        assert result.result(20)
    assert caplog.messages == [f"Waiting for the process that prepares {tmp_path / 'a.txt'}."]


def test_only_leftovers_of_the_same_file_are_removed(tmp_path):
    path, token = tmp_path / "[a].txt", "0" * 32
    others = ["[a].txt", ".[a].txt.lock", f".[a].{token}.npz", f".a.{token}.txt", ".[a].0.txt"]
    for name in [*others, f".[a].{token}.txt"]:
        (tmp_path / name).touch()
    remove_leftovers(path)
    assert sorted(os.listdir(tmp_path)) == sorted(others)


def test_leftovers_are_the_temporary_files_of_killed_writers(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        remove_leftovers(path)
        assert os.listdir(tmp_path) == []
        temporary.write_text("whole")


def test_file_that_another_process_prepares_is_refused_without_waiting(tmp_path):
    path = tmp_path / "a.txt"
    with (
        locked(path),
        pytest.raises(BlockingIOError, match=r"Another process prepares .*a\.txt\."),
        locked(path, wait=False),
    ):
        pass


def test_file_that_no_process_prepares_is_locked_without_waiting(tmp_path):
    path = tmp_path / "a.txt"
    with (
        locked(path, wait=False),
        pytest.raises(BlockingIOError, match=r"a\.txt"),
        locked(path, wait=False),
    ):
        pass


@pytest.mark.parametrize("name", [".", "new", "new/below"])
def test_folder_need_not_exist(tmp_path, name):
    check_folder("out", tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_relative_folder_need_not_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_folder("out", Path("new/below"))


@pytest.mark.parametrize("name", ["file", "file/below/it"])
def test_folder_in_place_of_a_file_is_refused(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"`out` must be a folder, got .*; .*file is a f"):
        check_folder("out", tmp_path / name)


def test_object_in_json_comes_back(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, 2.5]}')
    assert read_json(tmp_path / "a.json") == {"a": [1, 2.5]}


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", "null"])
def test_file_without_an_object_in_json_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"a\.json is not readable as JSON: "):
        read_json(tmp_path / "a.json")
