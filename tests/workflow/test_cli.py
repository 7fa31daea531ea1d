"""The command `ares`: quick to answer, one line for a user's mistake."""

import subprocess
import sys

import pytest
import torch
import yaml
from typer.main import get_command

from ares import __version__, cli
from ares.config import load_config
from ares.errors import UserError, one_line


def status_of(error: BaseException) -> int:
    with pytest.raises(SystemExit) as end, one_line():
        raise error
    return end.value.code


def test_config_prints_what_load_config_returns(capsys):
    assert cli.main(["config", "smoke"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == load_config("smoke").dump()


def test_a_users_mistake_is_one_line_and_status_2(capsys):
    assert cli.main(["config", "lptop"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ares: error: unknown scale 'lptop'; did you mean 'laptop'?")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (UserError("one\n  two"), 2, "error: one two"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ModuleNotFoundError("", name="trl"), 2, "error: trl is missing: pip install 'ares[eval"),
    ],
)
def test_what_a_user_can_mend_is_one_line(capsys, error, status, told):
    assert status_of(error) == status
    line = capsys.readouterr().err
    assert line.startswith(f"ares: {told}") and line.count("\n") == 1


@pytest.mark.parametrize("ask", [lambda: bytearray(2**60), lambda: torch.empty(2**50)])
def test_too_little_memory_is_one_line(capsys, ask):
    with pytest.raises(SystemExit, match="2"), one_line():
        ask()
    told = capsys.readouterr().err
    assert told.startswith("ares: error: out of memory: run fewer jobs") and told.count("\n") == 1


@pytest.mark.parametrize(
    "error", [RuntimeError("sizes"), ZeroDivisionError(), OSError("no number")]
)
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error)), one_line():
        raise error


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["confg", "smoke"], "No such command 'confg'. Did you mean 'config'?"),
        (["infer", "--modell", "x"], "No such option: --modell (Possible options: --model)"),
        (["infer", "--question", "x"], "Missing option '--model'."),
        (["ask", "3", "eight", "--target", "5"], "Invalid value for 'NUMBER'"),
        (["report"], "give a scale, or --reference"),
        (["report", "smoke", "--reference"], "give a scale, or --reference"),
    ],
)
def test_a_mistyped_command_line_is_one_line_that_names_what_is_near(words, near, capsys):
    assert cli.main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"ares: error: {near}") and told.count("\n") == 1


def test_help_groups_the_commands_and_explains_every_option(capsys):
    assert cli.main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(panel in told for panel in cli.COMMANDS)
    for name, command in get_command(cli.app).commands.items():
        assert command.help, name
        assert [p.name for p in command.params if not p.help] == [], name


def test_the_version_is_told(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"ares {__version__}\n"


TRACE = '{"id": "q", "tokens": [" so", " it"], "entropy": [0.5, 1.0]}\n'
ANALYZE = ("analyze", "-", "--window", "1", "--page-traces", "1", "--out", "OUT")


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (("--help",), {"torch", "transformers", "pandas", "pyarrow", "matplotlib", "numpy"}),
        (ANALYZE, {"transformers", "trl", "snakemake", "jupyterlab", "papermill", "datasets"}),
    ],
)
def test_a_command_imports_no_more_than_it_needs(words, heavy, tmp_path):
    code = "import sys; from ares import cli; cli.main(sys.argv[1:]); print(*sys.modules)"
    start = [
        sys.executable,
        "-c",
        code,
        *(str(tmp_path) if word == "OUT" else word for word in words),
    ]
    done = subprocess.run(start, input=TRACE, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert heavy & set(done.stdout.split()) == set()
