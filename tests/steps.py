"""Run a step of the workflow in this process, as Snakemake or a launcher would."""

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from snakemake.iocontainers import Namedlist, Snakemake

from ares.paths import ROOT


def named(given: object) -> Namedlist:
    """What stands in a rule: a dictionary of names, or one value."""
    found: Namedlist = Namedlist()
    for name, value in given.items() if isinstance(given, dict) else [("", given)]:
        start = len(found)
        found.extend(value if isinstance(value, list) else [value])
        if name:
            found._set_name(name, start, len(found) if isinstance(value, list) else None)
    return found


def script(name: str, scale: object, output: object, log: object = "/dev/null", **given) -> int:
    """Run workflow/scripts/<name>.py.

    Args:
        given: input, params, wildcards, as they stand in its rule.

    Returns:
        The exit status.
    """
    injected = Snakemake(
        input_=named(given.get("input", {})),
        output=named(output if isinstance(output, dict) else str(output)),
        params=named(given.get("params", {})),
        wildcards=named(given.get("wildcards", {})),
        log=named(str(log)),
        config={"scale": str(scale)},
        rulename=name,
        threads=1,
        resources=named({}),
        bench_iteration=None,
    )
    path = ROOT / "workflow/scripts" / f"{name}.py"
    with status() as ended:
        runpy.run_path(str(path), {"snakemake": injected}, "__main__")
    return ended[0]


def launched(name: str, *words: object, **options: object) -> int:
    """Run `python -m ares.launch NAME`; `model_out="a"` stands for --model-out a."""
    command = [str(word) for word in words]
    for option, value in options.items():
        command += [f"--{option.replace('_', '-')}", str(value)]
    with status() as ended, patch.object(sys, "argv", ["launch", name.replace("_", "-"), *command]):
        runpy.run_module("ares.launch", run_name="__main__")
    return ended[0]


@contextmanager
def status() -> Iterator[list[int]]:
    """Catch how a program ends; the list then holds its exit status."""
    ended: list[int] = []
    try:
        yield ended
    except SystemExit as end:
        ended.append(int(end.code or 0))
    else:
        ended.append(0)


def joined(parts: list[Path], out: Path, scale: object = "smoke") -> int:
    """Join the parts of a table."""
    return script("join", scale, out, input={"parts": [str(part) for part in parts]})
