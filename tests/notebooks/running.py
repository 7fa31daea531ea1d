"""A notebook's cells run one after the other in this process, which is quicker than a kernel."""

import json

import matplotlib.pyplot as plt
import yaml

from ares import paths

#: What every notebook reads and makes.
LISTED = yaml.safe_load((paths.ROOT / "workflow/notebooks.yaml").read_text(encoding="utf-8"))


def execute(name: str, **parameters: str) -> dict:
    """Run a notebook's code cells with other values of its parameters; what they defined."""
    cells = json.loads((paths.NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names.update(parameters)
    plt.close("all")
    return names
