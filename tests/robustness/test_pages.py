"""Pages with hostile text in a real browser: nothing runs, nothing is fetched, all of it is shown.

The findings page and its notebooks have such a test of their own in tests/findings.
"""

from __future__ import annotations

import json
import re

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from ares.cli import main
from ares.paths import ROOT
from tests.browser import browser, complaints, desktop  # noqa: F401 - a fixture

OWN = "window.__owned=1"
HOSTILE = [
    f"<script>{OWN}</script>",
    f"</script><script>{OWN}</script>",
    f"<img src=x onerror={OWN}>",
    f"<svg/onload={OWN}>",
    f'"><img src=x onerror="{OWN}">',
    f"' onmouseover='{OWN}' x='",
    f'" onfocus="{OWN}" autofocus="',
    f'<a href="javascript:{OWN}">click</a>',
    f"javascript:{OWN}",
    f"<iframe srcdoc='<script>parent.{OWN}</script>'></iframe>",
    f"<base href=http://127.0.0.1:9/><script src=http://127.0.0.1:9/{OWN}></script>",
    "<link rel=stylesheet href=http://127.0.0.1:9/x.css>",
    "</style><style>body{background:url(http://127.0.0.1:9/x)}#text{display:none}</style>",
    "red;background:url(http://127.0.0.1:9/x)",
    "<!--",
    "--><script>" + OWN + "</script>",
    "<!--<script>",
    "<![CDATA[",
    "&lt;script&gt;&#x3c;script&#x3e;",
    "\\u003cscript\\u003e",
    "line\u2028separator\u2029s",
    "${" + OWN + "}",
    "{{ 7*7 }}{% raw %}@@SCRIPT@@@@DATA@@",
    "__proto__",
    "constructor",
    "<math><mtext><table><mglyph><style><img src=x onerror=" + OWN + ">",
    "<template><script>" + OWN + "</script></template>",
    "<form action=http://127.0.0.1:9/><button>x</button></form>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "<plaintext>",
    "\u0000\u0008\x1b[2J",
    "\u202eright to left\u202c",
    "a\nword\u2029of lines",  # could not be laid out in the cloud of words
]
#: Signs that the page shows by their names.
NAMED = str.maketrans(
    {"\0": "␀", "\b": "␈", "\x1b": "␛", "\u202e": "‹U+202E›", "\u202c": "‹U+202C›"}
)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """Address of a page of traces with every hostile text at every place of a trace."""
    folder = tmp_path_factory.mktemp("hostile")
    lines = []
    for number, text in enumerate(HOSTILE):
        rivals = {HOSTILE[number - 1]: -1.0, HOSTILE[number - 2]: -2.5}
        tops = [{token: -0.7, **rivals} for token in HOSTILE]
        fields = ("id", "benchmark", "prompt", "extracted", "gold", "finish")
        everywhere = dict.fromkeys(fields, text)
        verdict = {"correct": number % 2, "difficulty": "easy"}
        lines.append({**everywhere, **verdict, "tokens": HOSTILE, "top_logprobs": tops})
    path = folder / "<img src=x onerror=window.__owned=1>.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert main(["analyze", str(path), "--out", str(folder / "out"), "--window", "1"]) == 0
    return (folder / "out" / "index.html").as_uri()


@pytest.mark.slow
def test_hostile_traces_are_shown_and_do_nothing(browser, page):  # noqa: F811
    desktop(browser)
    complaints(browser)
    browser.get(page)
    WebDriverWait(browser, 30).until(
        lambda b: b.execute_script("return document.documentElement.dataset.ready") == "true"
    )
    for number, text in enumerate(HOSTILE):
        browser.execute_script(f"document.querySelectorAll('#list button')[{number}].click()")
        content = browser.execute_script(
            """return ["name", "prompt", "answer"].map(
                (id) => document.getElementById(id).textContent)"""
        )
        assert all(text.translate(NAMED) in part for part in content), text
    tokens = browser.execute_script(
        "return Array.from(document.querySelectorAll('#text span'), (span) => span.textContent)"
    )
    assert tokens == [text.translate(NAMED) for text in HOSTILE]
    # Read everything there is to read: cards, search, filters, sliders.
    browser.execute_script(
        """for (const span of document.querySelectorAll("#text span")) span.click();
        for (const id of ["benchmark", "difficulty", "verdict", "order"])
            for (const option of document.getElementById(id).options) {
                document.getElementById(id).value = option.value;
                document.getElementById(id).dispatchEvent(new Event("change"));
            }
        document.getElementById("search").value = "<script>";
        document.getElementById("search").dispatchEvent(new Event("input"));"""
    )
    assert browser.execute_script("return window.__owned === undefined")
    assert browser.execute_script("return document.scripts.length") == 2
    foreign = "img, iframe, base, link, form, a[href^=javascript], [onerror], [onload], template"
    assert browser.find_elements(By.CSS_SELECTOR, foreign) == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.current_url == page
    # A dialog would have made a command fail; what the policy refuses would be in the console.
    assert complaints(browser) == []


@pytest.mark.parametrize(
    "template", sorted((ROOT / "ares").rglob("*.html")), ids=lambda path: path.name
)
def test_every_page_has_a_policy(template):
    """Nothing is allowed but what a page names; scripts and styles only by their hashes."""
    found = re.search(
        r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', template.read_text("utf-8")
    )
    assert found is not None
    assert "default-src 'none'" in found[1] and "base-uri 'none'" in found[1]
    assert "unsafe-eval" not in found[1] and "http:" not in found[1] and "*" not in found[1]
    script = re.search(r"script-src ([^;]*)", found[1])
    assert script is None or "unsafe-inline" not in script[1]
