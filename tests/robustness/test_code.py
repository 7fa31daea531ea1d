"""Nothing in the code loads pickles, evaluates text, or starts a shell."""

from __future__ import annotations

import ast
import json

import pytest

from ares.paths import ROOT

#: What runs the text or the bytes that it is given.
CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"),
    *("code", "codeop", "ctypes", "imp", "runpy", "jsonpickle"),
}
ATTRIBUTES = {
    *("torch.load", "torch.hub", "torch.package", "np.load", "numpy.load", "pd.read_pickle"),
    *("pandas.read_pickle", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"),
    *("yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader", "os.system", "os.popen"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "sympy.sympify", "sympy.S"),
    *("sympy.parse_expr", "sympy.lambdify", "jinja2.Template", "builtins.eval", "builtins.exec"),
    *("pd.eval", "pandas.eval", "table.eval", "pa.deserialize", "pyarrow.deserialize"),
}
#: Options that must be off, and on.
OFF, ON = (
    {"shell", "allow_pickle", "trust_remote_code"},
    {"weights_only", "autoescape", "use_safetensors"},
)


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


def dangers(text: str) -> list[str]:
    """What a source does that could run code from data."""
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [name.name for name in node.names]
            # An exception that says no more than that a file was a pickle is allowed.
            if node.module.split(".")[0] in MODULES and names != ["UnpicklingError"]:
                found.append(node.module)
            found += {f"{node.module}.{name}" for name in names} & ATTRIBUTES
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in ATTRIBUTES:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Call):
            if ast.unparse(node.func) in CALLS:
                found.append(ast.unparse(node))
            for word in node.keywords:
                off = isinstance(word.value, ast.Constant) and word.value.value is False
                if (word.arg in OFF and not off) or (word.arg in ON and off):
                    found.append(ast.unparse(word))
    return found


def test_no_code_comes_from_data():
    found = {place: dangers(text) for place, text in sources().items()}
    assert "ares/cli/__init__.py" in found and len(found) > 100
    assert {place: what for place, what in found.items() if what} == {}


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
