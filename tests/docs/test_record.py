"""docs/reproducibility.md says what the reference run's files say."""

import hashlib
import shutil

from ares.findings.record import render
from ares.paths import REFERENCE, ROOT


def test_the_committed_page_is_the_generated_one():
    assert (ROOT / "docs/reproducibility.md").read_text(encoding="utf-8") == render()


def test_every_published_table_is_there_with_its_hash():
    page = render()
    files = sorted(REFERENCE.iterdir())
    assert len(files) > 10
    for path in files:
        assert f"`{path.name}` | " in page
        assert hashlib.sha256(path.read_bytes()).hexdigest() in page


def test_another_verdict_gives_another_page(tmp_path):
    shutil.copytree(REFERENCE, tmp_path / "other")
    table = tmp_path / "other/findings.csv"
    text = table.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("F2,"))
    table.write_text(text.replace(line, line.replace(",reproduced,", ",contradicted,")), "utf-8")
    assert "| F2 | contradicted |" in render(tmp_path / "other")
    assert "11 findings that are judged: 5 partly, 3 contradicted, 2 reproduced" in render(
        tmp_path / "other"
    )
