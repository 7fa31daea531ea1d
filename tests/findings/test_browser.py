"""The page in a real browser: from a file, on a phone and on a desk, light and dark."""

import shutil

import pytest
from selenium.webdriver.common.by import By

from tests.browser import browser, complaints, contrast, desktop, phone  # noqa: F401 - a fixture

WIDTHS = {"phone": 390, "desktop": 1440}
#: Elements that hang over the right edge, but for those inside a box that scrolls.
OVER_THE_EDGE = """
const inside = e => { for (let p = e.parentElement; p; p = p.parentElement)
  if (getComputedStyle(p).overflowX != 'visible' || getComputedStyle(p).clipPath != 'none')
    return true; return false };
return [...document.querySelectorAll('body *')].filter(e =>
  e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !inside(e)
).map(e => e.outerHTML.slice(0, 80));
"""
#: Text colour and the first background behind it that is not see-through, as #rrggbb.
COLOURS = """
const two = n => (+n).toString(16).padStart(2, '0');
const hex = c => '#' + c.match(/\\d+/g).slice(0, 3).map(two).join('');
const back = e => { for (; e; e = e.parentElement) {
  const c = getComputedStyle(e).backgroundColor;
  if (c != 'rgba(0, 0, 0, 0)') return hex(c) } return '#ffffff' };
const found = new Set();
for (const e of document.querySelectorAll('body *'))
  if ([...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()))
    found.add(hex(getComputedStyle(e).color) + ' ' + back(e));
return [...found];
"""


@pytest.fixture(scope="module")
def moved(page, tmp_path_factory):
    """The page's folder somewhere else, in a path with a space and an umlaut."""
    target = tmp_path_factory.mktemp("moved") / "mein Büro"
    shutil.copytree(page.parent, target)
    return target


def load(browser, file, width: str = "desktop", theme: str = "light") -> None:  # noqa: F811
    """Open a file with all its details unfolded."""
    if width == "phone":
        phone(browser, WIDTHS["phone"])
    else:
        size = {"width": WIDTHS[width], "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    complaints(browser)
    browser.get(file.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("file", ["index.html", "notebooks/02_windows.html"])
def test_nothing_hangs_over_the_edge_and_nothing_complains(browser, moved, file, width):  # noqa: F811
    load(browser, moved / file, width)
    sizes = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    wide, window = browser.execute_script(sizes)
    assert window <= WIDTHS[width] and wide <= window
    assert browser.execute_script(OVER_THE_EDGE) == []
    assert complaints(browser) == []


def test_pictures_are_drawn_nothing_is_fetched_and_hostile_text_does_not_run(browser, moved):  # noqa: F811
    for file in ("index.html", "notebooks/02_windows.html"):
        load(browser, moved / file)
        names = "return performance.getEntriesByType('resource').map(r => r.name)"
        fetched = browser.execute_script(names)
        assert [name for name in fetched if not name.startswith("data:")] == []
        assert browser.execute_script("return window.hit === undefined")
        assert "<script>window.hit" in browser.find_element(By.TAG_NAME, "body").text
        drawn = "return [...document.images].map(image => image.complete && image.naturalWidth)"
        assert {*browser.execute_script(drawn)} == ({700} if file == "index.html" else set())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_can_be_read(browser, moved, theme):  # noqa: F811
    load(browser, moved / "index.html", theme=theme)
    pairs = browser.execute_script(COLOURS)
    assert len(pairs) > 8
    weak = [pair for pair in pairs if contrast(*pair.split()) < 4.5]
    assert weak == []
    desktop(browser)
