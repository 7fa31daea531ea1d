"""`ares compare`: whether two runs of a scale made the same, by their manifests.

What is promised stands in the manifests (`reproducible`):

| promise | compared | the same when |
|---|---|---|
| bytes: a CPU | tables, figures, findings, models | every hash is equal |
| tolerance: a GPU, in one of the two | tables | see `ares.analysis.agreement` |

Figures and findings are computed from the tables on a CPU: they are the same where the tables are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument


def compare(
    one: Annotated[Path, Argument(metavar="MANIFEST", help="results/<scale>/manifest.json")],
    other: Annotated[Path, Argument(metavar="MANIFEST", help="of the other run")],
) -> None:
    """Compare two runs of a scale: hashes where bytes are promised, else tables in a tolerance."""
    from ares.errors import UserError
    from ares.io import KEY, check, read_json

    paths = one, other
    manifests = [read_json(path) for path in paths]
    for path, manifest in zip(paths, manifests, strict=True):
        check(manifest.get(KEY), path.parent)
        if "reproducible" not in manifest:
            raise UserError(f"{path}: does not say what it promises: run the scale again")
    exact = all(manifest["reproducible"] == "bytes" for manifest in manifests)
    promised = "bytes" if exact else "tolerance"
    found = [listed(*pair, exact) for pair in zip(manifests, paths, strict=True)]
    # None is known of files that hold times.
    names = [name for name in found[0] | found[1] if found[0].get(name, 0) is not None]
    differences = []
    for name in names:
        there = [path for path, files in zip(paths, found, strict=True) if name in files]
        if len(there) == 1:
            differences.append(f"{name}: only in {there[0].parent}")
        elif not exact or found[0][name] != found[1][name]:
            told = difference(root(one) / name, root(other) / name, exact)
            differences += [f"{name}: {told}"] if told else []
    print(*differences, sep="\n", end="\n" if differences else "")
    if differences:
        raise UserError(
            f"{len(differences)} of {len(names)} files differ between {one} and {other}; "
            f"promised: {promised}"
        )
    timed = list({**manifests[0]["tables"], **manifests[0]["figures"]}.values()).count(None)
    print(f"the same: {len(names)} files, by {promised}; not compared, as they hold times: {timed}")


def listed(manifest: dict[str, Any], path: Path, exact: bool) -> dict[str, Any]:
    """The fingerprint of every file of a run that is compared, None for timed ones."""
    from ares.manifest import fingerprint

    if not exact:
        return {name: known for name, known in manifest["tables"].items() if "parquet" in name}
    weights = sorted((path.resolve().parent / "models").rglob("*.safetensors"))
    models = {str(file.relative_to(root(path))): fingerprint(file) for file in weights}
    return {**manifest["tables"], **manifest["figures"], **models}


def root(manifest: Path) -> Path:
    """The folder that the paths of results/<scale>/manifest.json start from."""
    return manifest.resolve().parents[2]


def difference(one: Path, other: Path, exact: bool) -> str:
    """Say where two files of different bytes differ first, or what is beyond the tolerance."""
    from ares.analysis.agreement import first_difference, table_difference
    from ares.io import read_table

    if one.suffix not in (".parquet", ".csv"):
        return "other bytes"
    tables = read_table(one), read_table(other)
    return first_difference(*tables) if exact else table_difference(one.stem, *tables)
