"""Rows of a data set, from the hub or from a local file, through the one library.

Nothing of a data set is ever executed: only its data files are read. Pictures stay encoded until
they are asked for.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd
from PIL import Image

from ares.data.pictures import MOST_BYTES, decode
from ares.errors import UserError
from ares.evaluation.registry import Benchmark

if TYPE_CHECKING:
    import datasets

BUILDERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}
#: Larger pictures are refused before they are decoded: Pillow's own limit.
MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485


class ItemError(UserError):
    """One row can't be read; others can. The message names the item."""


@dataclass(frozen=True)
class DatasetPart:
    """The rows of one config and split, or of one file.

    folder: where the pictures are that rows name by path; None on the hub.
    archive: zip file with such pictures, or None.
    origin: commit or content that the rows came from.
    """

    table: datasets.Dataset
    config: str
    split: str
    origin: str
    folder: Path | None = None
    archive: Path | None = None

    def column(self, name: str) -> list[Any]:
        """All values of a column, or of the pseudo column @row, @split or @config."""
        if name.startswith("@"):
            places = {"@split": self.split, "@config": self.config}
            return [places.get(name, place) for place in range(len(self.table))]
        picked = self.table.select_columns([name]).with_format("arrow")
        return picked[:].column(name).to_pylist() if len(self.table) else []

    def picture(self, value: Any) -> Image.Image:
        """Decode a picture and make it RGB, transparent parts white.

        Raises:
            ValueError: it is too large, damaged, not there, or no picture.
        """
        named = isinstance(value, dict)
        data = value.get("bytes") or value.get("path") if named else value
        if isinstance(data, str):
            data = self._bytes(data)
        if not isinstance(data, bytes):
            raise ValueError(f"holds {type(value).__name__} where a picture should be")
        try:
            return decode(data, MAX_PIXELS)
        except ValueError as error:
            raise ValueError(f"has a picture that can't be decoded ({error})") from None

    def _bytes(self, name: str) -> bytes:
        """The encoded picture that a row names by its path."""
        said, inside = f"names the picture '{name}', which is", PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            raise ValueError(f"{said} outside the data set")
        if self.folder is not None and (self.folder / inside).is_file():
            with (self.folder / inside).open("rb") as file:
                return file.read(MOST_BYTES + 1)
        if self._zip is None or name not in self._zip.namelist():
            raise ValueError(f"{said} not in {self.archive or self.folder or 'the data set'}")
        try:
            with self._zip.open(name) as file:
                return file.read(MOST_BYTES + 1)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"{said} damaged ({error})") from None

    @cached_property
    def _zip(self) -> zipfile.ZipFile | None:
        try:
            return zipfile.ZipFile(self.archive) if self.archive is not None else None
        except (zipfile.BadZipFile, OSError) as error:
            raise UserError(f"{self.archive}: not a readable zip file ({error})") from None


def parts(benchmark: Benchmark) -> list[DatasetPart]:
    """All configs and splits of a benchmark, in their order.

    Raises:
        UserError: the hub can't be reached, there is no such data set, config, split or file, or
            it can't be read.
    """
    wanted = [(config, split) for config in benchmark.config or ("",) for split in benchmark.split]
    if benchmark.hub:
        return [_from_hub(benchmark, config, split) for config, split in wanted]
    path = Path(benchmark.path)
    if len(wanted) > 1 and not path.is_dir():
        names = ", ".join("/".join(filter(None, pair)) for pair in wanted[:3])
        raise UserError(
            f"benchmark {benchmark.name}: has {len(wanted)} splits; give a folder with a file for "
            f"each ({names}, ...) in place of {path}"
        )
    return [_from_file(benchmark, path, config, split) for config, split in wanted]


def _from_hub(benchmark: Benchmark, config: str, split: str) -> DatasetPart:
    import httpx
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError
    from huggingface_hub import hf_hub_download

    try:
        table = load_dataset(
            benchmark.hub,
            config or None,
            data_files=benchmark.files or None,
            split=split,
            revision=benchmark.revision,
        )
        archive = benchmark.archive and hf_hub_download(
            benchmark.hub, benchmark.archive, repo_type="dataset", revision=benchmark.revision
        )
    except (DatasetsError, httpx.HTTPError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"benchmark {benchmark.name}: {benchmark.source} can't be loaded ({reason}). Where the "
            "hub can't be reached, or asks for an account (HF_TOKEN), read it from a file: a "
            f"registry entry with 'like: {benchmark.name}' and 'path: FILE', see docs/benchmarks.md"
        ) from None
    origin = f"{benchmark.hub}@{_commit_of(table) or benchmark.revision}"
    return DatasetPart(table, config, split, origin, archive=Path(archive) if archive else None)


def _commit_of(table: datasets.Dataset) -> str:
    """The commit in the addresses of the files that were read, or ""."""
    found = re.search(r"@([0-9a-f]{40})/", " ".join(table.info.download_checksums or ()))
    return found[1] if found else ""


def _from_file(benchmark: Benchmark, path: Path, config: str, split: str) -> DatasetPart:
    from datasets import Dataset, load_dataset
    from datasets.exceptions import DatasetsError

    if path.is_dir():
        there = [path / config / f"{split}{suffix}" for suffix in BUILDERS]
        path = next(filter(Path.is_file, there), there[0])
    where = f"benchmark {benchmark.name}: {path}"
    if path.suffix not in BUILDERS:
        raise UserError(f"{where}: a benchmark is read from {', '.join(BUILDERS)}")
    if not path.is_file():
        raise UserError(f"{where}: no such file, nor one of another kind ({', '.join(BUILDERS)})")
    kind = BUILDERS[path.suffix]
    try:
        if kind == "csv":
            # Text as it stands: no number loses its zeros, and "NA" is an answer.
            table = Dataset.from_pandas(pd.read_csv(path, dtype=str, keep_default_na=False))
        else:
            table = load_dataset(kind, data_files=str(path), split="train")
    except (DatasetsError, OSError, ValueError, TypeError, StopIteration) as error:
        # A file without anything in it ends in a bare StopIteration.
        reason = str(error.__cause__ or error).strip().split("\n")[0] or "it is empty"
        raise UserError(f"{where}: not readable as {kind} ({reason})") from None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    archive, origin = path.parent / benchmark.archive, f"{path.name} sha256:{digest[:16]}"
    kept = archive if archive.is_file() else None  # without a name it is the folder
    return DatasetPart(table, config, split, origin, folder=path.parent, archive=kept)
