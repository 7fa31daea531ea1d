"""Nothing in the code loads pickles, evaluates text, or starts a shell."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from ares.paths import ROOT

#: Functions that run what they are given, and how they may be called nevertheless.
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"),
    *("code", "codeop", "ctypes", "imp", "runpy", "jsonpickle"),
}
FORBIDDEN_ATTRIBUTES = {
    *("torch.load", "torch.hub", "torch.package", "np.load", "numpy.load", "pd.read_pickle"),
    *("pandas.read_pickle", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"),
    *("yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader", "os.system", "os.popen"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "sympy.sympify", "sympy.S"),
    *("sympy.parse_expr", "sympy.lambdify", "jinja2.Template", "builtins.eval", "builtins.exec"),
    *("pd.eval", "pandas.eval", "table.eval", "pa.deserialize", "pyarrow.deserialize"),
}
#: An exception that says no more than that a file was a pickle.
ALLOWED_NAMES = {"pickle": {"UnpicklingError"}}


def sources() -> dict[str, str]:
    """Python of the package, the workflow and the code cells of the notebooks, by place."""
    files = [*(ROOT / "ares").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")]
    found = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in files}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        lines = "\n".join(code).splitlines()
        found[f"notebooks/{path.name}"] = "\n".join(
            "" if line.startswith(("%", "!")) else line for line in lines
        )
        assert not any(line.startswith("!") for line in lines), path
    return found


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(text: str) -> list[str]:
    """What a source does that could run code from data, one line each."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
            found += [f"import {name}" for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".")[0]
            names = {name.name for name in node.names}
            if module in FORBIDDEN_MODULES and not names <= ALLOWED_NAMES.get(module, set()):
                found.append(f"from {module} import {', '.join(names)}")
            found += [
                f"from {node.module} import {name}"
                for name in names
                if f"{node.module}.{name}" in FORBIDDEN_ATTRIBUTES
            ]
        elif isinstance(node, ast.Attribute) and dotted(node) in FORBIDDEN_ATTRIBUTES:
            found.append(dotted(node))
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
                found.append(f"{node.func.id}(...)")
            for word in node.keywords:
                off = isinstance(word.value, ast.Constant) and word.value.value is False
                on = word.arg in ("shell", "allow_pickle", "trust_remote_code") and not off
                safe = word.arg in ("weights_only", "autoescape", "use_safetensors") and off
                if on or safe:
                    found.append(f"{word.arg}={ast.unparse(word.value)}")
    return found


SOURCES = sources()


@pytest.mark.parametrize("place", SOURCES)
def test_no_code_comes_from_data(place):
    assert dangers(SOURCES[place]) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "eval('1')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import yaml\nyaml.load(text, Loader=yaml.FullLoader)",
        "import numpy as np\nnp.load('x.npy', allow_pickle=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=asked)",
        "from sympy import sympify",
        "torch.load(path, weights_only=False)",
    ],
)
def test_the_scan_finds(text):
    assert dangers(text)


def test_the_snakefiles_hand_no_text_to_python():
    rules = [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*.smk")]
    for path in rules:
        text = path.read_text("utf-8")
        for word in ("eval(", "exec(", "pickle", "os.system", "trust_remote_code"):
            assert word not in text, (path, word)


def test_no_command_takes_a_key():
    """Keys come from the environment: a command line is seen by every user of a machine."""
    from typer.main import get_command

    from ares.cli import app

    for name, command in get_command(app).commands.items():
        options = {option for parameter in command.params for option in parameter.opts}
        secret = {o for o in options if any(w in o for w in ("key", "secret", "password"))}
        assert secret <= {"--key-variable", "--judge-key-variable"}, name


def test_path_is_known():
    assert Path(ROOT, "ares", "cli", "__init__.py").is_file()
    assert "ares/cli/__init__.py" in SOURCES and len(SOURCES) > 100
