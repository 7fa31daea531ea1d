"""A copy of the repository in which Snakemake plans and runs on its own records.

Its config is small, and `make_stand_in` puts empty outputs in the place of the work of its jobs.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import yaml

from ares.paths import ROOT
from tests import plans
from tests.configs import TINY, with_changes

#: Three arms, one of which starts from the other cold start, and one with two seeds.
ARMS = {
    "grpo": {"seeds": [1]},
    "ares": {"seeds": [1, 2]},
    "from-base": {"preset": "ares", "start": "base", "seeds": [3]},
}
CONFIG = with_changes(TINY, {"scale": "stand-in", "aepo.arms": ARMS, "evaluation.samples": 2})
#: What all jobs of the copy do in place of their work.
STAND_IN = """
import json
import os
import sys
import time
from pathlib import Path


def make(files):
    time.sleep(float(os.environ.get("STAND_IN_S", 0)))
    while not Path(os.environ.get("STAND_IN_UNTIL", ".")).exists():
        time.sleep(0.05)
    for path in map(Path, files):
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        else:
            path.mkdir(parents=True, exist_ok=True)
            (path / "config.json").write_text("{}")
    with open("calls.txt", "a") as calls:
        calls.write(" ".join(map(str, files)) + "\\n")
    sys.exit()


def launched():
    given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    tables = Path(given.get("--tables-out", "."))
    runs = [tables / f"{name}.parquet" for name in ("steps", "timings", "validation", "trees")]
    outputs = ("--out", "--model-out", "--losses-out")
    named = [given[option] for option in outputs if option in given]
    make(named + runs * ("--tables-out" in given))


def papermill():
    words = sys.argv[1:]
    parameters = json.loads(Path(words[words.index("-f") + 1]).read_text())
    figures = json.loads(Path("figures.json").read_text())[Path(words[-1]).stem]
    endings = ("png", "pdf", "csv")
    make([words[-1]] + [f"{parameters['figures']}/{f}.{e}" for f in figures for e in endings])
"""


def make_stand_in(folder: Path) -> None:
    """Copy the repository into `folder`, with stand-ins for the work of its jobs."""
    copy_repository(folder)
    listed = yaml.safe_load((folder / "workflow/notebooks.yaml").read_text(encoding="utf-8"))
    figures = {name: spec["figures"] for name, spec in listed.items()}
    (folder / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
    (folder / "stand_in.py").write_text(STAND_IN)
    # The modules that a step imports are still named in it: they are the inputs of its rule.
    for script in (folder / "workflow/scripts").glob("*.py"):
        first = "import stand_in\n\nstand_in.make(snakemake.output)\n"
        script.write_text(first + script.read_text())
    launch, future = folder / "ares/launch.py", "from __future__ import annotations\n"
    first = "import stand_in\n\nif __name__ == '__main__':\n    stand_in.launched()\n"
    launch.write_text(launch.read_text().replace(future, future + first))
    python = os.path.realpath(sys.executable)
    papermill = folder / "bin/papermill"
    papermill.write_text(f"#!{python}\nimport stand_in\n\nstand_in.papermill()\n")
    papermill.chmod(0o755)


def copy_repository(folder: Path) -> None:
    """Copy what the workflow needs into `folder`, and make its bin/python."""
    for name in ("ares", "config", "data", "notebooks", "profiles", "workflow"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "Snakefile", folder)
    # The commands that jobs start are those beside the Python that runs Snakemake.
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(os.path.realpath(sys.executable))


def write_config(folder: Path, **changes: object) -> None:
    """Write the config with changes like {"aepo.lr": 1e-4}."""
    text = yaml.safe_dump(with_changes(CONFIG, changes))
    (folder / "config/stand-in.yaml").write_text(text, encoding="utf-8")


def command_line(folder: Path, *arguments: str, scale: str = "stand-in") -> list[str]:
    """Snakemake in the copy."""
    python = str(folder / "bin/python")
    return [python, "-m", "snakemake", *arguments, "--config", f"scale={scale}"]


def environment(folder: Path) -> dict[str, str]:
    """What Snakemake in the copy needs to find the package and its own packages."""
    installed = sysconfig.get_paths()
    return {
        **os.environ,
        "PYTHONPATH": f"{folder}:{installed['purelib']}",
        "JUPYTER_PATH": f"{installed['data']}/share/jupyter",
    }


def snakemake(
    folder: Path, *arguments: str, scale: str = "stand-in"
) -> subprocess.CompletedProcess:
    """Run Snakemake in the copy, to its end."""
    return subprocess.run(
        command_line(folder, *arguments, scale=scale),
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=3600,
    )  # fmt: skip


def planned(folder: Path, scale: str = "stand-in", *targets: str) -> dict[str, int]:
    """How often each rule would run."""
    done = snakemake(folder, "-n", *targets, scale=scale)
    assert done.returncode == 0, done.stderr
    return plans.jobs(done.stdout)
