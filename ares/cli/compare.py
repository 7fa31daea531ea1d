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
    from ares.io import read_json
    from ares.versions import check_manifest

    paths = one, other
    manifests = [read_json(path) for path in paths]
    for path, manifest in zip(paths, manifests, strict=True):
        check_manifest(manifest, path.parent)
        if "reproducible" not in manifest:
            raise UserError(f"{path}: does not say what it promises: run the scale again")
    promises = {manifest["reproducible"] for manifest in manifests}
    promise = "bytes" if promises == {"bytes"} else "tolerance"
    differ = same_bytes if promise == "bytes" else within_tolerance
    compared, differences = differ(manifests[0], manifests[1], one, other)
    for line in differences:
        print(line)
    if differences:
        raise UserError(
            f"{len(differences)} of {compared} files differ between {one} and {other}; "
            f"promised: {promise}"
        )
    timed = sum(known is None for known in listed(manifests[0]).values())
    print(f"the same: {compared} files, by {promise}; not compared, as they hold times: {timed}")


def listed(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the fingerprint of every table and figure of a manifest, None for timed ones."""
    return {**manifest["tables"], **manifest["figures"]}


def same_bytes(
    one: dict[str, Any], other: dict[str, Any], one_path: Path, other_path: Path
) -> tuple[int, list[str]]:
    """Compare every hash, those of trained models included.

    Returns:
        How many files were compared, and a line for each that differs.
    """
    found = [
        {**listed(manifest), **models(path)}
        for manifest, path in ((one, one_path), (other, other_path))
    ]
    names = [name for name in {**found[0], **found[1]} if found[0].get(name, 0) is not None]
    differences = []
    for name in names:
        if name not in found[0] or name not in found[1]:
            there = one_path if name in found[0] else other_path
            differences.append(f"{name}: only in {there.parent}")
        elif found[0][name] != found[1][name]:
            places = [root(path) / name for path in (one_path, other_path)]
            differences.append(f"{name}: {first_difference(*places)}")
    return len(names), differences


def models(manifest: Path) -> dict[str, Any]:
    """Return the fingerprint of every model beside a manifest."""
    from ares.manifest import fingerprint

    return {
        str(path.relative_to(root(manifest))): fingerprint(path)
        for path in sorted((manifest.parent / "models").rglob("*.safetensors"))
    }


def root(manifest: Path) -> Path:
    """Return the folder that the paths of results/<scale>/manifest.json start from."""
    return manifest.resolve().parents[2]


def first_difference(one: Path, other: Path) -> str:
    """Say where two files of different bytes differ first."""
    from ares.analysis import agreement
    from ares.io import read_table

    if one.suffix not in (".parquet", ".csv"):
        return "other bytes"
    return agreement.first_difference(read_table(one), read_table(other))


def within_tolerance(
    one: dict[str, Any], other: dict[str, Any], one_path: Path, other_path: Path
) -> tuple[int, list[str]]:
    """Compare the tables within the tolerance of their kind; see `same_bytes`."""
    from ares.analysis.agreement import table_difference
    from ares.io import read_table

    names = [
        name for name, known in one["tables"].items() if known is not None and "parquet" in name
    ]
    differences = []
    for name in names:
        tables = [read_table(root(path) / name) for path in (one_path, other_path)]
        told = table_difference(Path(name).stem, *tables)
        if told:
            differences.append(f"{name}: {told}")
    return len(names), differences
