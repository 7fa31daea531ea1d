"""Tests with the real vLLM, on a CPU or a GPU: `make test-vllm`. Without vLLM nothing is collected.

They take minutes (vLLM alone starts in about one) and run in an environment of their own.
"""

from __future__ import annotations

import os
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore_glob = ["path/*"] if find_spec("vllm") else ["*.py"]

PATH = Path(__file__).with_name("path")
# Threads go where the system puts them; a gigabyte for keys and values; nobody is told.
SETTINGS = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="session", autouse=True)
def settings(tmp_path_factory):
    """For this process and for those that vLLM starts; before anything imports transformers."""
    runpy.run_path(str(PATH / "sitecustomize.py"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        # Compiled code of another installation is of no use here.
        patch.setenv("VLLM_CACHE_ROOT", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PYTHONPATH", str(PATH), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """The folder of a tiny text model in float32."""
    from tests.vllm.tiny import make_model

    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_model(folder)
    return folder


@pytest.fixture(scope="session")
def reference(model):
    """What transformers makes of the same folder."""
    from tests.vllm.tiny import Reference

    return Reference(model)
