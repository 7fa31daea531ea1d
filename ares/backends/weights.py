"""Which weights a name stands for: part of what kept responses are known by.

The name of a folder stays when a model in it is trained on, and a branch on the hub moves; answers
of the one must never be taken for answers of the other.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ares.errors import UserError
from ares.paths import resolve

#: Files of a model folder that decide what it says.
DECISIVE = (".safetensors", ".json", ".jinja", ".txt", ".model")


def local_folder(model: str) -> Path | None:
    """The folder of a model, found from the current directory or the repository; None on the hub.

    Raises:
        UserError: there is no such folder, and the name is not of the form that the hub has.
    """
    folder = resolve(model)
    if folder.is_dir():
        return folder.absolute()
    if model.startswith((".", "/")) or model.count("/") != 1:
        raise UserError(f"{model}: no such model folder")
    return None


def weights_of(model: str, revision: str | None = None) -> str:
    """SHA-256 of a folder's files (about a second per 2 GB), or the commit of a model on the hub.

    Raises:
        UserError: a folder without a model, a name or revision that the hub does not know, no hub.
    """
    folder = local_folder(model)
    return _commit(model, revision) if folder is None else _digest(folder)


def _digest(folder: Path) -> str:
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json, so no model folder")
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in DECISIVE:
            with file.open("rb") as handle:
                digest.update(f"{file.name}\0".encode())
                digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def _commit(model: str, revision: str | None) -> str:
    import httpx
    from huggingface_hub import hf_hub_download

    try:
        # In the cache it lies under snapshots/COMMIT; without a connection the cache must do.
        return Path(hf_hub_download(model, "config.json", revision=revision)).parent.name
    except (OSError, ValueError, httpx.HTTPError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"model '{model}': not found on the hub or in its cache ({reason})"
        ) from None
