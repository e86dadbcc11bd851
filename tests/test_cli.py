"""The command line, in process."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from pyg_remul import __version__, benchmarks, cli
from pyg_remul.benchmarks import BenchmarkName
from pyg_remul.benchmarks.harness import Settings
from pyg_remul.cli import main
from pyg_remul.demo import DemoConfig
from pyg_remul.divergence import DivergenceError
from pyg_remul.presets import preset
from pyg_remul.run_folder import RunFolder
from pyg_remul.simulation import SimulationConfig, SimulationError

TINY = {
    "--model": "gnn",
    "--hidden-channels": 8,
    "--num-layers": 1,
    "--steps": 8,
    "--val-every": 4,
    "--batch-size": 4,
    "--num-train": 10,
    "--num-eval": 8,
    "--equivariance-graphs": 3,
}


@pytest.fixture
def trained(monkeypatch):
    """Lists what would be trained."""
    calls = []

    def train(config, folder, *, resume):
        calls.append((config, folder, resume))
        return {"test": {"mse": 0.5}}

    monkeypatch.setattr(cli, "train", train)
    return calls


@pytest.fixture
def shown(monkeypatch):
    """Lists the configurations of demos that would be run."""
    calls = []
    monkeypatch.setattr(cli, "run_demo", calls.append)
    return calls


@pytest.fixture
def simulated(monkeypatch):
    """Lists what would be simulated."""
    calls = []
    monkeypatch.setattr(cli, "simulate", lambda *call: calls.append(call) or Path("a.npz"))
    return calls


@pytest.fixture
def show_help(capsys, monkeypatch):
    """Returns the text of a command's help, its lines joined and without borders."""
    monkeypatch.setenv("COLUMNS", "100")

    def show(*arguments):
        with pytest.raises(SystemExit, match=r"^0$"):
            main([*arguments, "--help"])
        return " ".join(capsys.readouterr().out.replace("│", " ").split())

    return show


@pytest.fixture
def tiny(tmp_path):
    """Arguments of a short run."""
    options = [str(word) for pair in TINY.items() for word in pair]
    return ["train", "nbody", *options, "--data", str(tmp_path / "data")]


def assert_one_line(error):
    assert str(error.value).startswith("pyg-remul: ")
    assert "\n" not in str(error.value)


def test_help_names_the_commands(show_help):
    text = show_help()
    for command in ("train", "evaluate", "demo", "simulate", "bench", "reproduce"):
        assert f"• {command} " in text


@pytest.mark.parametrize(
    ("arguments", "defaults"),
    [
        ([], ("nbody", "transformer", "small")),
        (["--preset", "paper"], ("nbody", "transformer", "paper")),
        (["--preset=paper"], ("nbody", "transformer", "paper")),
        (["--model", "gatr", "--preset", "nbody"], ("nbody", "gatr", "nbody")),
        (["--preset", "mocap-run"], ("mocap-run", "mlp", "mocap-run")),
        (["mocap-run", "--model=gatr", "--preset=nbody"], ("mocap-run", "gatr", "nbody")),
        (["--model", "gnn"], ("nbody", "gnn", "small")),
        (["mocap-run"], ("mocap-run", "mlp", "small")),
        (["mocap-run", "--preset", "paper"], ("mocap-run", "mlp", "paper")),
        (
            ["mocap-run", "--preset", "paper", "--model", "transformer"],
            ("mocap-run", "transformer", "paper"),
        ),
    ],
    ids=" ".join,
)
def test_help_shows_the_defaults_of_the_preset(show_help, arguments, defaults):
    text, config = show_help("train", *arguments), preset(*defaults)
    for name in ("hidden_channels", "num_layers", "heads", "steps", "batch_size", "lr", "clip"):
        option = text.split(f"--{name.replace('_', '-')} ", 1)[1]
        shown = option.split("(default: ", 1)[1].split(")", 1)[0]
        assert shown == str(getattr(config, name)), name


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], preset("nbody")),
        (["nbody"], preset("nbody")),
        (["mocap-run"], preset("mocap-run", "mlp")),
        (["mocap-run", "--model", "egnn"], preset("mocap-run", "egnn")),
        (["nbody", "--preset", "paper"], preset("nbody", name="paper")),
        (["--preset", "paper", "nbody"], preset("nbody", name="paper")),
        (["nbody", "--preset=paper", "--model=gnn"], preset("nbody", "gnn", "paper")),
        (["--model", "gatr", "--preset", "nbody"], preset("nbody", "gatr", "nbody")),
        (["--model", "se3", "--num-degrees", "2"], preset("nbody", "se3", num_degrees=2)),
        (["mocap-run", "--model=per", "--prior=3"], preset("mocap-run", "per", prior=3.0)),
        (["nbody", "--method", "gradnorm"], preset("nbody", method="gradnorm")),
        (["nbody", "--beta", "0.5"], preset("nbody", beta=0.5)),
        (["nbody", "--beta=2"], preset("nbody", beta=2.0)),
        (["nbody", "--degrees", "10"], preset("nbody", degrees=10.0)),
        (["nbody", "--degrees", "None"], preset("nbody")),
        (["nbody", "--clip", "None"], preset("nbody", clip=None)),
        (["nbody", "--steps", "10", "--val-every", "5"], preset("nbody", steps=10, val_every=5)),
        (["nbody", "--reference", "detached"], preset("nbody", reference="detached")),
        (["nbody", "--seed", "4", "--data-seed", "5"], preset("nbody", seed=4, data_seed=5)),
        (["nbody", "--num-train", "7"], preset("nbody", num_train=7)),
        (["nbody", "--data", "else/where"], preset("nbody", data=Path("else/where"))),
        (["mocap-run", "--preset", "paper"], preset("mocap-run", "mlp", "paper")),
        (["--resume", "mocap-run"], preset("mocap-run", "mlp")),
        (["--out", "mocap-run"], preset("nbody")),
        (["--data", "nbody", "mocap-run"], preset("mocap-run", "mlp", data=Path("nbody"))),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_reach_the_configuration(trained, arguments, expected):
    main(["train", *arguments])
    assert [config for config, *_ in trained] == [expected]


def test_folder_is_named_after_the_run(trained):
    main(["train", "nbody", "--model", "gnn", "--method", "plain", "--seed", "3"])
    assert trained[0][1:] == (Path("runs/nbody-gnn-plain-3"), False)


def test_folder_and_resuming_are_options(trained, tmp_path):
    main(["train", "--out", str(tmp_path), "--resume"])
    assert trained[0][1:] == (tmp_path, True)


def test_resuming_without_a_run_says_so(trained, tmp_path, capsys):
    main(["train", "--out", str(tmp_path), "--resume"])
    assert capsys.readouterr().err == f"nothing to resume in {tmp_path}; starting\n"


def test_resuming_a_run_says_nothing(trained, tmp_path, capsys):
    RunFolder(tmp_path).claim(preset("nbody"))
    main(["train", "--out", str(tmp_path), "--resume"])
    assert capsys.readouterr().err == ""


def test_version_is_that_of_the_package(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"pyg-remul {__version__}\n"


def test_closed_pipe_is_no_error():
    script = (
        "from pyg_remul import cli\n"
        "cli.run_demo = lambda _: print('table')\n"
        "input()\n"
        "cli.main(['demo'])\n"
    )
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as process:
        process.stdout.close()
        process.stdin.write(b"\n")
        process.stdin.close()
        assert (process.stderr.read(), process.wait()) == (b"", 1)


def test_process_arguments_are_the_default(trained, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pyg-remul", "train", "--seed", "9"])
    main()
    assert trained[0][0].seed == 9


def test_training_and_evaluation_agree(tiny, tmp_path, capsys):
    main([*tiny, "--out", str(tmp_path / "run")])
    first = capsys.readouterr().out
    assert first.endswith(f"\nwritten to {tmp_path / 'run'}\n")
    main(["evaluate", str(tmp_path / "run" / "checkpoints" / "best.ckpt")])
    assert capsys.readouterr().out == first.split("\n\nwritten")[0] + "\n"


def test_results_are_shown_as_a_table(tiny, tmp_path, capsys):
    main([*tiny, "--out", str(tmp_path / "run")])
    lines = capsys.readouterr().out.splitlines()
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:4]]
    assert cells[0] == ["", "test", "ood"]
    assert cells[2] == ["mse", *(f"{results[split]['mse']:.3g}" for split in ("test", "ood"))]
    assert cells[3] == ["E", f"{results['test']['E']:.3g}", ""]


def test_evaluation_takes_its_sizes(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(cli, "evaluate", lambda *args, **kwargs: calls.append((args, kwargs)) or {})
    monkeypatch.setattr(cli, "_show", lambda _: None)
    main(["evaluate", "a.ckpt", "--data", "d", "--num-samples", "5", "--num-graphs", "6"])
    assert calls == [((Path("a.ckpt"), Path("d")), {"num_samples": 5, "num_graphs": 6})]


def test_run_there_is_refused_in_one_line(tiny, tmp_path):
    main([*tiny, "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit, match="run holds a run already; go on with it by --r") as error:
        main([*tiny, "--out", str(tmp_path / "run")])
    assert_one_line(error)


def test_resume_with_other_options_is_refused_in_one_line(tiny, tmp_path):
    main([*tiny, "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit, match=r"other options: lr=0.001 \(now 0.5\)") as error:
        main([*tiny, "--lr", "0.5", "--out", str(tmp_path / "run"), "--resume"])
    assert_one_line(error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--val-every", "7"], "`val_every` must divide `steps`, 1500, got 7; give both."),
        (["train", "--batch-size", "0"], "`batch_size` must be positive, got 0."),
        (["train", "nbody", "--model", "mlp"], "`model` must not be 'mlp' for the task 'nbody'"),
        (["evaluate", "none.ckpt"], "`checkpoint` must be a file, got none.ckpt"),
        (["demo", "--steps", "15"], "`steps` must be a multiple of 10, got 15."),
        (["demo", "--seeds", "0"], "`seeds` must be positive, got 0."),
        (["simulate", "--block", "0"], "`block` must be positive, got 0."),
        (["simulate", "water"], r"`molecule` must be one of 'aspirin', .*, got 'water'."),
    ],
    ids=["val_every", "batch_size", "mlp", "checkpoint", "steps", "seeds", "block", "molecule"],
)
def test_mistake_is_told_in_one_line(arguments, message):
    with pytest.raises(SystemExit, match=message) as error:
        main(arguments)
    assert_one_line(error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing subcommand"),
        (["fit"], "fit"),
        (["train", "--steps", "many"], "many"),
        (["train", "jet-flow"], "jet-flow"),
        (["train", "--learning-rate", "1"], "--learning-rate"),
        (["evaluate"], "PATH"),
    ],
    ids=["no command", "command", "number", "task", "option", "no checkpoint"],
)
def test_malformed_command_exits_with_usage(arguments, message, capsys):
    with pytest.raises(SystemExit, match=r"^2$"):
        main(arguments)
    assert message in capsys.readouterr().err


def test_damaged_checkpoint_is_told_in_one_line(tmp_path):
    (tmp_path / "a.ckpt").write_bytes(b"nothing")
    with pytest.raises(SystemExit, match=r"a\.ckpt is damaged") as error:
        main(["evaluate", str(tmp_path / "a.ckpt")])
    assert_one_line(error)


def test_interruption_says_how_to_go_on(monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "train", interrupt)
    with pytest.raises(SystemExit, match=r"^130$"):
        main(["train"])
    assert capsys.readouterr().err == (
        "\npyg-remul: interrupted; train goes on from its last validation by --resume, demo, "
        "simulate, bench complexity and reproduce by the same command\n"
    )


def test_fault_of_the_program_keeps_its_trace(monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("a fault")

    monkeypatch.setattr(cli, "train", fail)
    with pytest.raises(RuntimeError, match="a fault"):
        main(["train"])


def test_demo_has_its_defaults(shown):
    main(["demo"])
    assert shown == [DemoConfig()]


def test_demo_takes_its_options(shown):
    folders, betas = ["--out", "a", "--data", "b"], ["--betas", "0.5", "2", "--degrees", "10"]
    main(["demo", *folders, *betas, "--seeds", "2", "--steps", "50", "--workers", "1"])
    assert shown == [
        DemoConfig(
            out=Path("a"),
            data=Path("b"),
            betas=(0.5, 2.0),
            degrees=10.0,
            seeds=2,
            steps=50,
            workers=1,
        )
    ]


def test_simulation_has_its_defaults(simulated, capsys):
    main(["simulate"])
    assert simulated == [(SimulationConfig(), Path("runs/ethanol-xtb-0"))]
    assert capsys.readouterr().out == "written to a.npz\n"


def test_simulation_takes_its_options(simulated):
    lengths = ["--frames", "7", "--equilibrate", "0", "--every", "2", "--block", "3"]
    physics = ["--timestep", "0.25", "--temperature", "300", "--time-constant", "50"]
    main(["simulate", "b/a.xyz", *lengths, *physics, "--seed", "4", "--threads", "2"])
    expected = SimulationConfig(
        molecule="b/a.xyz",
        frames=7,
        equilibrate=0,
        every=2,
        block=3,
        timestep=0.25,
        temperature=300.0,
        time_constant=50.0,
        seed=4,
        threads=2,
    )
    assert simulated == [(expected, Path("runs/a-xtb-4"))]


def test_simulation_takes_its_folder(simulated, tmp_path):
    main(["simulate", "uracil", "--out", str(tmp_path)])
    assert simulated == [(SimulationConfig(molecule="uracil"), tmp_path)]


def test_failed_simulation_is_told_in_one_line(monkeypatch):
    def fail(*arguments):
        raise SimulationError("The simulation of ethanol failed at frame 3")

    monkeypatch.setattr(cli, "simulate", fail)
    with pytest.raises(SystemExit, match="failed at frame 3") as error:
        main(["simulate"])
    assert_one_line(error)


def test_missing_tblite_is_named_with_its_extra(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "tblite"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tblite", None)
    hint = r"needs the package tblite.*; .*: pip install 'pyg_remul\[xtb\]'"
    with pytest.raises(SystemExit, match=hint):
        main(["simulate", "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run" / "simulation.json").exists()


@pytest.mark.parametrize("package", ["lightning", "matplotlib", "tyro"])
def test_missing_package_is_named_with_its_extra(monkeypatch, package):
    loaded = [name for name in sys.modules if name.split(".")[0] == package]
    ours = ("cli", "demo", "demo_figure", "experiment", "training", "figures")
    for name in (*loaded, *(f"pyg_remul.{module}" for module in ours)):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    hint = rf"needs the package {package}.*: pip install 'pyg_remul\[train\]'"
    with pytest.raises(SystemExit, match=hint):
        importlib.import_module("pyg_remul.cli")


def test_bench_runs_the_module_with_its_settings(monkeypatch):
    calls = []
    monkeypatch.setattr("pyg_remul.benchmarks.rotation.main", calls.append)
    main(["bench", "rotation", "--rounds", "3", "--out", "here"])
    assert calls == [Settings(rounds=3, out=Path("here"))]


def test_every_name_of_bench_is_a_module_with_a_main():
    folder = Path(benchmarks.__file__).parent
    timing = {"harness", "memory", "report", "results", "roofline"}
    helpers = timing | {"__init__", "complexity_figure", "single_layers", "usual_layers"}
    assert sorted({path.stem for path in folder.glob("*.py")} - helpers) == sorted(
        get_args(BenchmarkName)
    )


def test_impossible_setting_of_bench_is_told_in_one_line():
    with pytest.raises(SystemExit) as error:
        main(["bench", "rotation", "--rounds", "0"])
    assert str(error.value) == "pyg-remul: `rounds` must be positive, got 0."


def test_divergence_is_told_in_one_line(monkeypatch):
    def diverge(config, folder, **options):
        raise DivergenceError(folder, "after 40 steps, the weights are not finite.")

    monkeypatch.setattr(cli, "train", diverge)
    with pytest.raises(SystemExit, match="diverged: after 40 steps, the weights are not") as error:
        main(["train"])
    assert_one_line(error)
