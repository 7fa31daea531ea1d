"""`ares config`, `ares summary`, `ares report`: what a scale means, and what its run made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument

from ares.cli.options import Scale, option


def config(scale: Scale) -> None:
    """Check a config and print it, defaults included."""
    from ares.config import load_config
    from ares.settings import yaml_text

    print(yaml_text(load_config(scale).dump()), end="")


def summary(scale: Scale) -> None:
    """Say what the last complete run of a scale made, and where."""
    from ares import paths
    from ares.config import load_config
    from ares.errors import UserError
    from ares.io import KEY, check, read_json

    path = _finished(load_config(scale).scale, scale)
    manifest, shown = read_json(path), path.relative_to(paths.ROOT)
    if not isinstance(manifest, dict):
        raise UserError(f"{shown}: damaged; run the workflow again")
    check(manifest.get(KEY), shown.parent)
    try:
        lines = summary_lines(manifest, shown)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UserError(f"{shown}: damaged; run the workflow again") from None
    print("\n".join(lines))
    if (path.parent / "report" / "index.html").is_file():
        print(f"  findings   {shown.parent}/report/index.html: open it in a browser")


def report(
    scale: Annotated[str | None, Argument(help="its last complete run is shown")] = None,
    reference: Annotated[bool, option("of data/reference instead", name="--reference")] = False,
    out: Annotated[Path | None, option("default: results/SCALE/report", "FOLDER")] = None,
) -> None:
    """Write the findings page of a run: claims, numbers, verdicts, figures."""
    from ares import paths
    from ares.config import config_path, load_config
    from ares.errors import UserError
    from ares.findings import page
    from ares.io import write_text
    from ares.settings import shown

    if (scale is None) != reference:
        raise UserError("give a scale, or --reference")
    if scale is None:
        if out:
            raise UserError("--out: the page of the reference run is docs/findings.html")
        written = page.REFERENCE_PAGE
        write_text(written, page.reference())
    else:
        name, path = load_config(scale, of_data_sets=False).scale, config_path(scale)
        made = _finished(name, scale)
        given = name if path.parent == paths.CONFIG else shown(path)
        written = page.write_run(name, given, out or made.parent / "report")
    print(f"made {shown(written)}")


def _finished(name: str, given: str) -> Path:
    """The manifest of a run that ended.

    Raises:
        UserError: there is none.
    """
    from ares import paths
    from ares.errors import UserError

    path = paths.RESULTS / name / "manifest.json"
    if not path.is_file():
        raise UserError(
            f"scale '{name}' has not been run to its end: snakemake --cores all "
            f"--config scale={given}"
        )
    return path


def summary_lines(manifest: dict[str, Any], path: Path) -> list[str]:
    """Return the summary of a manifest that lies at `path`."""
    drawn = sorted({Path(file).stem for file in manifest["figures"]})
    endings = sorted({Path(file).suffix[1:] for file in manifest["figures"]})
    made = {kind: [Path(file).name for file in manifest[kind]] for kind in ("tables", "notebooks")}
    made["figures"] = [", ".join(drawn) + f" ({', '.join(endings)})"]
    commit = manifest["commit"]
    state = "no git" if commit is None else commit["hash"][:10]
    if commit is not None and commit["changed"]:
        state += " with local changes"
    minutes = sum(manifest["job_seconds"].values()) / 60
    lines = [
        f"made at scale {manifest['config']['scale']} ({state}), {minutes:.1f} minutes of jobs:"
    ]
    for kind in ("tables", "figures", "notebooks"):
        places = ", ".join(sorted({f"{Path(file).parent}/" for file in manifest[kind]}))
        lines.append(f"  {kind:9}  {places}: {', '.join(made[kind])}")
    return [*lines, f"  manifest   {path}"]
