"""Trajectories that are interrupted and go on."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import CalculationFailed
from filelock import FileLock, Timeout

from pyg_remul import simulation, simulation_log
from pyg_remul.molecules import load_molecule
from pyg_remul.simulation import SimulationConfig, SimulationError, simulate
from pyg_remul.simulation_log import plot_simulation

SMALL = {"frames": 30, "equilibrate": 10, "block": 7}


def springs(numbers, positions):
    """A potential that holds the atoms at their distances in the given geometry."""
    rest = np.linalg.norm(positions[:, None] - positions, axis=-1)
    spread = np.eye(len(positions))

    def potential(positions):
        offsets = positions[:, None] - positions
        lengths = np.linalg.norm(offsets, axis=-1)
        forces = -5.0 * ((lengths - rest) / (lengths + spread))[..., None] * offsets
        return 1.25 * float(((lengths - rest) ** 2).sum()), forces.sum(axis=1)

    return potential


@pytest.fixture(autouse=True)
def calls(monkeypatch):
    """Replaces xTB by springs, and lists the geometries that are computed."""
    places = []

    def surface(numbers, positions):
        potential = springs(numbers, positions)
        return lambda place: places.append(place) or potential(place)

    monkeypatch.setattr(simulation, "gfn2_xtb", surface)
    monkeypatch.setattr(simulation, "xtb_threads", nullcontext)
    monkeypatch.setattr(simulation_log, "plot_simulation", lambda *options: options[-1].touch())
    return places


def stop_after(monkeypatch, count, error):
    """Lets the potential fail at a call."""
    surface, left = simulation.gfn2_xtb, [count]

    def failing(numbers, positions):
        potential = surface(numbers, positions)

        def compute(place):
            left[0] -= 1
            if left[0] < 0:
                raise error
            return potential(place)

        return compute

    monkeypatch.setattr(simulation, "gfn2_xtb", failing)


def make(**options):
    return SimulationConfig(**SMALL | options)


def load(path):
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def read_log(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def stored_frames(folder):
    return sum(len(np.load(path)["E"]) for path in (folder / "blocks").glob("frames-*.npz"))


def test_file_has_the_layout_of_md17(tmp_path):
    path = simulate(make(), tmp_path)
    assert path == tmp_path / "ethanol_xtb.npz"
    arrays = load(path)
    shapes = {name: (arrays[name].shape, arrays[name].dtype.str) for name in "REFz"}
    assert shapes == {
        "R": ((30, 9, 3), "<f8"),
        "E": ((30, 1), "<f8"),
        "F": ((30, 9, 3), "<f8"),
        "z": ((9,), "<i8"),
    }
    assert (str(arrays["name"]), str(arrays["theory"])) == ("ethanol", "GFN2-xTB")


def test_energies_and_forces_belong_to_the_positions(tmp_path):
    atoms = load_molecule("ethanol")
    potential, arrays = springs(atoms.numbers, atoms.positions), load(simulate(make(), tmp_path))
    kcal_per_mol = 0.0433641  # in eV
    for place, energy, forces in zip(arrays["R"], arrays["E"], arrays["F"], strict=True):
        expected = potential(place)
        assert energy * kcal_per_mol == pytest.approx(expected[0], rel=1e-6)
        np.testing.assert_allclose(forces * kcal_per_mol, expected[1], rtol=1e-6)


def test_frames_are_a_number_of_time_steps_apart(tmp_path):
    each = load(simulate(make(time_constant=1e9), tmp_path / "a"))["R"]
    options = {"every": 3, "frames": 10, "equilibrate": 3}
    third = load(simulate(make(time_constant=1e9, **options), tmp_path / "b"))["R"]
    np.testing.assert_allclose(third[0], each[1], atol=1e-3)
    assert np.abs(third[0] - each[0]).max() > np.abs(third[0] - each[1]).max()


def test_frames_of_the_equilibration_are_left_out(tmp_path):
    whole = load(simulate(make(equilibrate=0, frames=40), tmp_path / "a"))["R"]
    kept = load(simulate(make(), tmp_path / "b"))["R"]
    assert (kept == whole[10:]).all()


def test_molecule_neither_travels_nor_turns(tmp_path):
    arrays = load(simulate(make(frames=300), tmp_path))
    masses = load_molecule("ethanol").get_masses()
    centres = masses @ arrays["R"] / masses.sum()
    np.testing.assert_allclose(centres - centres[0], 0, atol=1e-10)
    middle, moves = (arrays["R"][1:] + arrays["R"][:-1]) / 2, np.diff(arrays["R"], axis=0)
    turn = np.cross(middle, masses[:, None] * moves).sum(axis=1)
    np.testing.assert_allclose(turn, 0, atol=1e-8)


def test_rotation_that_forces_bring_in_is_taken_out(tmp_path, monkeypatch):
    surface, axis = simulation.gfn2_xtb, np.array([0.0, 0.0, 1e-3])

    def twisting(numbers, positions):
        potential = surface(numbers, positions)
        return lambda place: (potential(place)[0], potential(place)[1] + np.cross(axis, place))

    monkeypatch.setattr(simulation, "gfn2_xtb", twisting)
    places = load(simulate(make(frames=250, equilibrate=0), tmp_path))["R"]
    masses = load_molecule("ethanol").get_masses()
    middle, moves = (places[1:] + places[:-1]) / 2, np.diff(places, axis=0)
    turn = np.abs(np.cross(middle, masses[:, None] * moves).sum(axis=1)[:, 2])
    for frame in (100, 200):
        assert turn[frame] < 0.05 * turn[frame - 1]


def test_mean_temperature_is_that_of_the_thermostat(tmp_path):
    config = make(frames=4000, equilibrate=1000, block=1000, time_constant=20.0, timestep=1.0)
    simulate(config, tmp_path)
    kept = [float(row["temperature"]) for row in read_log(tmp_path) if int(row["step"]) >= 0]
    assert np.mean(kept) == pytest.approx(500, rel=0.08)


def test_finished_trajectory_is_not_simulated_again(tmp_path, calls):
    path = simulate(make(), tmp_path)
    content, count = path.read_bytes(), len(calls)
    assert simulate(make(), tmp_path) == path
    assert (path.read_bytes(), len(calls)) == (content, count)


def test_blocks_are_removed_at_the_end(tmp_path):
    simulate(make(), tmp_path)
    names = ["ethanol_xtb.npz", "log.csv", "log.png", "simulation.json"]
    found = [name for name in os.listdir(tmp_path) if not name.endswith(".lock")]
    assert sorted(found) == names


def test_blocks_left_by_a_process_killed_at_the_end_are_removed(tmp_path):
    simulate(make(), tmp_path)
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / ".frames-00000000.0123.npz").write_bytes(b"half")
    simulate(make(), tmp_path)
    assert not (tmp_path / "blocks").exists()


@pytest.mark.parametrize("count", [1, 2, 11, 29, 40])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()], ids=["Ctrl-C", "error"])
def test_interrupted_trajectory_goes_on_to_the_same_bytes(tmp_path, monkeypatch, count, error):
    unbroken = simulate(make(), tmp_path / "a").read_bytes()
    with monkeypatch.context() as patch:
        stop_after(patch, count, error)
        with pytest.raises(type(error)):
            simulate(make(), tmp_path / "b")
    assert stored_frames(tmp_path / "b") == count - 1  # the first call is for the beginning
    assert simulate(make(), tmp_path / "b").read_bytes() == unbroken


def test_going_on_repeats_no_frame(tmp_path, monkeypatch, calls):
    with monkeypatch.context() as patch:
        stop_after(patch, 21, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            simulate(make(), tmp_path)
    calls.clear()
    simulate(make(), tmp_path)
    assert len(calls) == 1 + 20


@pytest.mark.parametrize("options", [{"block": 1}, {"block": 1000}, {"threads": 2}], ids=str)
def test_blocks_and_threads_may_change_on_the_way(tmp_path, monkeypatch, options):
    unbroken = simulate(make(), tmp_path / "a").read_bytes()
    with monkeypatch.context() as patch:
        stop_after(patch, 17, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            simulate(make(), tmp_path / "b")
    assert simulate(make(**options), tmp_path / "b").read_bytes() == unbroken


KILLED = """
import os, random, signal, sys
from contextlib import nullcontext
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_simulation import springs
from pyg_remul import simulation, simulation_log
simulation_log.plot_simulation = lambda *_: None  # which would take most of the time
out, draw = Path(sys.argv[1]), random.Random(0)
simulation.gfn2_xtb, simulation.xtb_threads = springs, nullcontext
config = simulation.SimulationConfig(frames=600, equilibrate=0, block=20)
def run(folder, moments):
    child = os.fork()
    if child == 0:
        def count(*_):  # at every call and return of a function
            nonlocal moments
            moments -= 1
            if moments == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        try:
            sys.setprofile(count)
            simulation.simulate(config, folder)
        finally:
            sys.setprofile(None)
            (folder / "moments").write_text(str(-moments))
            os._exit(0)
    os.waitpid(child, 0)
run(out / "unbroken", 0)
length = int((out / "unbroken" / "moments").read_text())
for _ in range(20):
    run(out / "killed", draw.randrange(1, length // 4))
    files = (out / "killed" / "blocks").glob("frames-*.npz")
    print(len(list(files)), (out / "killed" / "moments").exists(), flush=True)
run(out / "killed", 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_trajectory_killed_at_random_moments_ends_with_the_same_bytes(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path), os.path.dirname(__file__)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    unbroken, killed = (tmp_path / name / "ethanol_xtb.npz" for name in ("unbroken", "killed"))
    assert killed.read_bytes() == unbroken.read_bytes()
    blocks = [int(line.split()[0]) for line in text.splitlines()]
    assert len(set(blocks)) > 5
    assert "True" not in text  # each of them was killed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, r"seed=0 \(now 1\)"),
        ({"frames": 31}, r"frames=30 \(now 31\)"),
        ({"temperature": 300.0}, r"temperature=500.0 \(now 300.0\)"),
        ({"molecule": "benzene"}, r"molecule='ethanol' \(now 'benzene'\), geometry"),
        ({"every": 2, "timestep": 0.1}, r"every=1 \(now 2\), timestep=0.5 \(now 0.1\)"),
    ],
    ids=["seed", "frames", "temperature", "molecule", "two"],
)
def test_other_options_are_refused_by_name(tmp_path, options, message):
    simulate(make(), tmp_path)
    with pytest.raises(ValueError, match=rf"holds a trajectory with other options: {message};"):
        simulate(make(**options), tmp_path)


def test_other_geometry_of_the_same_file_is_refused(tmp_path):
    path = tmp_path / "pair.xyz"
    path.write_text("2\n\nN 0 0 0\nN 0 0 1.1\n")
    simulate(make(molecule=str(path)), tmp_path / "out")
    path.write_text("2\n\nN 0 0 0\nN 0 0 1.2\n")
    with pytest.raises(ValueError, match="other options: geometry; choose another folder"):
        simulate(make(molecule=str(path)), tmp_path / "out")


@pytest.mark.parametrize("content", ["{", "[1]", "3"])
def test_damaged_description_is_refused_by_name(tmp_path, content):
    (tmp_path / "simulation.json").write_text(content)
    with pytest.raises(ValueError, match=r"simulation.json is not readable as JSON"):
        simulate(make(), tmp_path)


def test_damaged_block_is_refused_by_name(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 20, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            simulate(make(), tmp_path)
    (tmp_path / "blocks" / "frames-00000007.npz").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"frames-00000007.npz is refused: it does not load"):
        simulate(make(), tmp_path)


def test_failing_calculation_tells_when_and_keeps_the_frames(tmp_path, monkeypatch):
    stop_after(monkeypatch, 13, CalculationFailed("charges not converged"))
    message = r"simulation of ethanol failed at frame 12, after 0.007 ps: charges not converged\."
    with pytest.raises(SimulationError, match=message):
        simulate(make(), tmp_path)
    assert stored_frames(tmp_path) == 12
    assert len(read_log(tmp_path)) == 12


def test_molecule_that_flies_apart_ends_the_simulation(tmp_path, monkeypatch):
    monkeypatch.setattr(
        simulation, "gfn2_xtb", lambda *_: lambda place: (0.0, np.zeros_like(place))
    )
    with pytest.raises(SimulationError, match=r"after 0\.\d+ ps: the molecule has flown apart"):
        simulate(make(frames=100_000, block=100), tmp_path)
    assert stored_frames(tmp_path) > 100


def test_positions_that_are_not_numbers_end_the_simulation(tmp_path, monkeypatch):
    monkeypatch.setattr(simulation, "gfn2_xtb", lambda *_: lambda place: (0.0, np.nan * place))
    with pytest.raises(SimulationError, match="flown apart"):
        simulate(make(), tmp_path)
    assert stored_frames(tmp_path) == 0


def test_unstable_simulation_ends_with_the_same_error(tmp_path):
    with pytest.raises(SimulationError, match="flown apart"):
        simulate(make(timestep=50.0, frames=1000), tmp_path)


def test_description_holds_the_options_and_the_geometry(tmp_path):
    arrays = load(simulate(make(), tmp_path))
    stored = json.loads((tmp_path / "simulation.json").read_text())
    assert json.loads(str(arrays["options"])) == stored
    geometry = stored.pop("geometry")
    assert stored == {
        "molecule": "ethanol",
        "frames": 30,
        "equilibrate": 10,
        "every": 1,
        "timestep": 0.5,
        "temperature": 500.0,
        "time_constant": 100.0,
        "seed": 0,
    }
    assert geometry["R"] == load_molecule("ethanol").positions.tolist()


def test_log_has_a_row_for_each_frame_of_a_short_simulation(tmp_path):
    arrays = load(simulate(make(), tmp_path))
    rows = read_log(tmp_path)
    assert [int(row["step"]) for row in rows] == list(range(-10, 30))
    assert float(rows[-1]["time_ps"]) == pytest.approx(29 * 5e-4, abs=1e-4)
    kept = [float(row["potential"]) for row in rows[10:]]
    np.testing.assert_allclose(kept, arrays["E"][:, 0], atol=1e-4)


def test_log_relates_energies_and_temperature(tmp_path):
    simulate(make(), tmp_path)
    for row in read_log(tmp_path):
        potential, kinetic, total = (float(row[key]) for key in ("potential", "kinetic", "total"))
        assert total == pytest.approx(potential + kinetic, abs=2e-4)
        kelvin = 2 * kinetic * (units.kcal / units.mol) / (units.kB * 21)
        assert float(row["temperature"]) == pytest.approx(kelvin, abs=0.01)


def test_log_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(simulation_log, "plot_simulation", plot_simulation)
    simulate(make(), tmp_path)
    assert (tmp_path / "log.png").read_bytes().startswith(b"\x89PNG")


def test_bar_shows_the_time_left(tmp_path, capsys):
    simulate(make(), tmp_path)
    text = capsys.readouterr().err
    assert "ethanol: 100%" in text
    assert "40/40" in text
    assert "frame/s" in text


@pytest.mark.parametrize("molecule", ["a/b/water.xyz", "water.xyz"])
def test_name_of_a_file_is_that_without_folder_and_ending(molecule):
    assert make(molecule=molecule).name == "water"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"frames": 0}, ValueError, "`frames` must be positive, got 0"),
        ({"equilibrate": -1}, ValueError, "`equilibrate` must not be negative, got -1"),
        ({"every": 0}, ValueError, "`every` must be positive, got 0"),
        ({"block": 0}, ValueError, "`block` must be positive, got 0"),
        ({"threads": 0}, ValueError, "`threads` must be positive, got 0"),
        ({"timestep": 0.0}, ValueError, "`timestep` must be positive, got 0"),
        ({"temperature": float("nan")}, ValueError, "`temperature` must be finite, got nan"),
        ({"time_constant": -1.0}, ValueError, "`time_constant` must be positive, got -1"),
        ({"seed": 0.5}, TypeError, r"`seed` must be an integer, got 0\.5"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_mistaken_option_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        make(**options)


def test_draws_are_those_of_the_seed(tmp_path):
    first, second = (load(simulate(make(seed=seed), tmp_path / f"{seed}"))["R"] for seed in (0, 1))
    assert np.abs(first - second).max() > 0.01


def test_folder_is_locked_while_a_trajectory_is_made(tmp_path, calls, monkeypatch):
    held = []

    def look(numbers, positions):
        lock = FileLock(tmp_path / ".simulation.json.lock")
        with pytest.raises(Timeout, match="could not be acquired"):
            lock.acquire(timeout=0)
        held.append(True)
        return springs(numbers, positions)

    monkeypatch.setattr(simulation, "gfn2_xtb", look)
    simulate(make(), tmp_path)
    assert held == [True]
