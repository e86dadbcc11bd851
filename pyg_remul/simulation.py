"""Trajectories in the recipe of MD17: one molecule in vacuum, by molecular dynamics with xTB."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from tqdm import tqdm

from pyg_remul.checks import check_integers, check_numbers
from pyg_remul.dynamics import (
    Array,
    MolecularDynamics,
    State,
    internal_modes,
    remove_rigid_motion,
    thermal_velocities,
)
from pyg_remul.files import locked, read_json, write_text
from pyg_remul.md17_format import KCAL_PER_MOL
from pyg_remul.molecules import load_molecule
from pyg_remul.randomness import derive_seed
from pyg_remul.simulation_log import write_log
from pyg_remul.trajectory_store import TrajectoryStore
from pyg_remul.xtb import gfn2_xtb, xtb_threads

__all__ = ["SimulationConfig", "SimulationError", "simulate"]

# Forces from charges that are converged to a tolerance only turn the molecule by a little.
_STOP_EVERY = 100
# How far from the centre an atom may get, in terms of where the outermost began.
_MAX_GROWTH = 4.0


class SimulationError(RuntimeError):
    """A simulation that cannot go on."""


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """All that a trajectory depends on.

    Raises:
        ValueError: If a number is out of range.
    """

    molecule: str = "ethanol"
    """A molecule of MD17 (aspirin, benzene, ethanol, malonaldehyde, naphthalene, salicylic,
    toluene, uracil), or a file that ASE reads."""
    frames: int = 60_000
    """Frames of the trajectory."""
    equilibrate: int = 10_000
    """Frames before these, which are not kept."""
    every: int = 1
    """Time steps from one frame to the next."""
    timestep: float = 0.5
    """Time step in fs."""
    temperature: float = 500.0
    """Temperature in K."""
    time_constant: float = 100.0
    """Time constant of the thermostat in fs."""
    block: int = 1000
    """Frames between two savings."""
    seed: int = 0
    """Of the initial velocities and the thermostat."""
    threads: int = 1
    """Threads of xTB; more than one only pays off for large molecules, and the last bits of its
    results then vary."""

    def __post_init__(self) -> None:
        check_integers(frames=self.frames, every=self.every, block=self.block, threads=self.threads)
        check_integers("not negative", equilibrate=self.equilibrate)
        check_integers("any", seed=self.seed)
        check_numbers(
            timestep=self.timestep, temperature=self.temperature, time_constant=self.time_constant
        )

    @property
    def name(self) -> str:
        """The molecule's name, that of its file without the ending."""
        return Path(self.molecule).stem


def simulate(config: SimulationConfig, out: Path) -> Path:
    """Simulates a trajectory, or goes on with it where it was, whatever ended it.

    After every block of frames, and when interrupted, all frames are stored. The thermostat's draws
    are a function of the seed and the frame's number, and forces one of the positions, so
    that the trajectory is the same bit for bit as that of an unbroken run (on one thread).

    Args:
        config: The options.
        out: Folder of the trajectory; other options in it are refused.

    Returns:
        The file ``NAME_xtb.npz`` in MD17's layout: ``R`` in Å, ``E`` in kcal/mol, ``F`` in
        kcal/mol/Å, ``z``, and besides ``name``, ``theory`` and ``options``, in JSON. ``log.csv``
        and ``log.png`` beside it show energy and temperature.

    Raises:
        SimulationError: If energy and forces cannot be computed, or the molecule breaks apart.
        ValueError: If ``out`` holds a trajectory with other options, or a damaged file.
        ModuleNotFoundError: If tblite is not installed.
    """
    atoms = load_molecule(config.molecule)
    with locked(out / "simulation.json"):  # of two processes, the second waits for the result
        return _simulate(config, atoms, out)


def _simulate(config: SimulationConfig, atoms: Atoms, out: Path) -> Path:
    described = _describe(config, atoms)
    _check_same(out / "simulation.json", described)
    store = TrajectoryStore(out / "blocks", len(atoms))
    result = out / f"{config.name}_xtb.npz"
    if not result.exists():
        dynamics = _make_dynamics(config, atoms)
        write_text(out / "simulation.json", json.dumps(described, indent=2) + "\n")
        try:
            with xtb_threads(config.threads):
                _run(config, atoms, dynamics, store)
        finally:
            write_log(out, store, config, dynamics)
        entries = {"z": atoms.numbers, "name": config.name, "theory": "GFN2-xTB"}
        store.save(result, config.equilibrate, entries | {"options": json.dumps(described)})
    store.clear()
    return result


def _describe(config: SimulationConfig, atoms: Atoms) -> dict[str, object]:
    """All that the trajectory depends on, as JSON values."""
    options = dataclasses.asdict(config)
    del options["block"], options["threads"]
    geometry = {"z": atoms.numbers.tolist(), "R": atoms.positions.tolist()}
    return options | {"geometry": geometry}


def _check_same(path: Path, now: Mapping[str, object]) -> None:
    if not path.exists():
        return
    before = read_json(path)
    changed = [
        key if key == "geometry" else f"{key}={before.get(key)!r} (now {now[key]!r})"
        for key in now
        if now[key] != before.get(key)
    ]
    if changed:
        raise ValueError(
            f"{path.parent} holds a trajectory with other options: {', '.join(changed)}; choose "
            "another folder by --out."
        )


def _make_dynamics(config: SimulationConfig, atoms: Atoms) -> MolecularDynamics:
    masses = atoms.get_masses()
    return MolecularDynamics(
        gfn2_xtb(atoms.numbers, atoms.positions),
        masses,
        internal_modes(atoms.positions, masses),
        config.timestep,
        config.temperature,
        config.time_constant,
    )


def _run(
    config: SimulationConfig, atoms: Atoms, dynamics: MolecularDynamics, store: TrajectoryStore
) -> None:
    """Simulates all frames that are not stored yet, and stores them."""
    total = config.equilibrate + config.frames
    farthest = _MAX_GROWTH * _extent(atoms.positions, dynamics.masses)
    bar = tqdm(
        total=total,
        initial=store.num_frames,
        desc=config.name,
        unit="frame",
        dynamic_ncols=True,
    )
    with bar:
        state = _begin(config, atoms, dynamics, store)
        while store.num_frames < total:
            states: list[State] = []
            try:
                for frame in range(store.num_frames, total)[: config.block]:
                    state = _next_frame(config, dynamics, state, frame, farthest)
                    states.append(state)
                    bar.update()
            finally:  # also where an interruption or a failure ends the block
                if states:
                    store.append(_arrays(states))


def _begin(
    config: SimulationConfig, atoms: Atoms, dynamics: MolecularDynamics, store: TrajectoryStore
) -> State:
    """The state after the last frame that is stored, or before the first."""
    if store.num_frames:
        last = store.last_frame()
        return dynamics.start(last["R"], last["V"])
    rng = np.random.default_rng(derive_seed(config.seed, "velocities"))
    velocities = thermal_velocities(atoms.positions, dynamics.masses, config.temperature, rng)
    return dynamics.start(atoms.positions, velocities)


def _next_frame(
    config: SimulationConfig, dynamics: MolecularDynamics, state: State, frame: int, farthest: float
) -> State:
    rng = np.random.default_rng(derive_seed(config.seed, "thermostat", frame))
    try:
        for _ in range(config.every):
            state = dynamics.step(state, rng)
    except CalculationFailed as error:
        raise _failure(config, frame, str(error)) from error
    if not _extent(state.positions, dynamics.masses) <= farthest:  # nor is it where it is NaN
        raise _failure(config, frame, "the molecule has flown apart")
    if frame % _STOP_EVERY == 0:
        velocities = remove_rigid_motion(state.positions, state.velocities, dynamics.masses)
        state = dataclasses.replace(state, velocities=velocities)
    return state


def _extent(positions: Array, masses: Array) -> float:
    """The distance in Å of the outermost atom from the centre of mass."""
    centred = positions - masses @ positions / masses.sum()
    return float(np.square(centred).sum(axis=1).max() ** 0.5)


def _failure(config: SimulationConfig, frame: int, reason: str) -> SimulationError:
    time = 1e-3 * config.timestep * config.every * (frame + 1)
    return SimulationError(
        f"The simulation of {config.name} failed at frame {frame}, after {time:.3f} ps: {reason}. "
        "The frames before are stored; a shorter `timestep` or a lower `temperature` may help."
    )


def _arrays(states: Sequence[State]) -> dict[str, Array]:
    """The frames of a block, energies and forces in MD17's units."""
    return {
        "R": np.stack([state.positions for state in states]),
        "V": np.stack([state.velocities for state in states]),
        "E": np.array([[state.energy / KCAL_PER_MOL] for state in states]),
        "F": np.stack([state.forces / KCAL_PER_MOL for state in states]),
    }
