"""The command `ares`: quick to answer, one line for a user's mistake."""

import subprocess
import sys

import pytest
import torch
import yaml
from typer.main import get_command

from ares import __version__, cli
from ares.cli import status_of
from ares.config import load_config
from ares.errors import UserError


def fail(error: BaseException):
    raise error


def test_config_prints_what_load_config_returns(capsys):
    assert cli.main(["config", "smoke"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == load_config("smoke").dump()


def test_a_users_mistake_is_one_line_and_status_2(capsys):
    assert cli.main(["config", "lptop"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ares: error: unknown scale 'lptop'; did you mean 'laptop'?")
    assert captured.err.count("\n") == 1


def test_a_message_of_several_lines_becomes_one(capsys):
    assert status_of(lambda: fail(UserError("one\n  two"))) == 2
    assert capsys.readouterr().err == "ares: error: one two\n"


def test_an_interrupt_is_status_130_without_traceback(capsys):
    assert status_of(lambda: fail(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "ares: interrupted\n"


@pytest.mark.parametrize("ask", [lambda: bytearray(2**60), lambda: torch.empty(2**50)])
def test_too_little_memory_is_one_line(capsys, ask):
    assert status_of(ask) == 2
    told = capsys.readouterr().err
    assert told.startswith("ares: error: out of memory: run fewer jobs") and told.count("\n") == 1


def test_another_error_of_torch_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="size"):
        status_of(lambda: torch.zeros(2) + torch.zeros(3))


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        status_of(lambda: 1 / 0)


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


def test_output_that_nobody_reads_ends_quietly():
    ares = [sys.executable, "-m", "ares", "config", "smoke"]
    with subprocess.Popen(ares, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_help_needs_no_heavy_imports():
    code = "import sys; from ares import cli; cli.main(['--help']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    heavy = {"torch", "transformers", "pandas", "pyarrow", "matplotlib", "numpy", "jsonschema"}
    assert heavy & set(done.stdout.split()) == set()
