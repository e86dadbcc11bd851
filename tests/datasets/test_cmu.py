from __future__ import annotations

from pathlib import Path

import pytest

from pyg_remul.datasets import _cmu
from pyg_remul.datasets._cmu import fetch_subject, find_subject


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Stands in for the site, and lists what was asked of it."""
    asked: list[tuple[str, list[str]]] = []

    def fetch(path: Path, urls: list[str]) -> None:
        asked.append((path.name, list(urls)))
        if path.name == "35_13.amc":
            raise FileNotFoundError(path)
        if not path.exists():
            touch(path.parent, path.name)

    monkeypatch.setattr(_cmu, "fetch_file", fetch)
    return asked


@pytest.mark.parametrize("place", [".", "35", "subjects/35", "a/b/c"])
def test_files_are_found_in_any_folder(tmp_path: Path, place: str) -> None:
    touch(tmp_path / place, "35.asf", "35_02.amc", "35_01.amc", "07.asf", "07_03.amc", "35_01.avi")
    found = find_subject(tmp_path, 35)
    assert found is not None
    assert found.skeleton == tmp_path / place / "35.asf"
    assert {trial: path.name for trial, path in found.trials.items()} == {
        1: "35_01.amc",
        2: "35_02.amc",
    }
    assert list(found.trials) == [1, 2]


def test_other_names_are_not_trials(tmp_path: Path) -> None:
    touch(tmp_path, "07.asf", "07_1.amc", "07_x.amc", "07_01_old.amc", "107_01.amc", "07_100.amc")
    found = find_subject(tmp_path, 7)
    assert found is not None
    assert list(found.trials) == [100]


def test_trials_without_a_skeleton_are_not_found(tmp_path: Path) -> None:
    touch(tmp_path, "35_01.amc")
    assert find_subject(tmp_path, 35) is None
    assert find_subject(tmp_path / "absent", 35) is None


def test_the_least_deep_skeleton_is_taken(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "b", "35.asf", "35_01.amc")
    touch(tmp_path / "c", "35.asf", "35_02.amc")
    found = find_subject(tmp_path, 35)
    assert found is not None
    assert list(found.trials) == [2]


def test_files_come_from_the_site_of_cmu(tmp_path: Path, site: list[tuple[str, list[str]]]) -> None:
    files = fetch_subject(tmp_path, 9, [2, 1])
    base = "http://mocap.cs.cmu.edu/subjects/09/"
    assert dict(site) == {name: [base + name] for name in ("09_01.amc", "09_02.amc", "09.asf")}
    assert files.skeleton == tmp_path / "09.asf"
    assert list(files.trials) == [1, 2]


def test_missing_trials_join_those_that_are_there(
    tmp_path: Path, site: list[tuple[str, list[str]]]
) -> None:
    touch(tmp_path / "subjects" / "09", "09.asf", "09_01.amc")
    files = fetch_subject(tmp_path, 9, [1, 2])
    assert files.trials[2] == tmp_path / "subjects" / "09" / "09_02.amc"
    assert files.trials[2].exists()


def test_an_unfinished_download_is_not_taken_for_the_whole(
    tmp_path: Path, site: list[tuple[str, list[str]]]
) -> None:
    with pytest.raises(FileNotFoundError, match=r"35_13\.amc"):
        fetch_subject(tmp_path, 35, range(1, 17))
    assert (tmp_path / "35_01.amc").exists()
    assert find_subject(tmp_path, 35) is None


def test_all_files_that_are_absent_are_named(
    tmp_path: Path, site: list[tuple[str, list[str]]]
) -> None:
    with pytest.raises(FileNotFoundError, match=r"folder, 35_14\.amc, 35\.asf are absent too\.$"):
        fetch_subject(tmp_path, 35, [12, 13, 14])
