"""The page in a real browser: Python's numbers, hostile traces as text, the width of a phone."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from ares.method.tensors import pad_rows
from ares.method.thresholds import batch_quantile
from ares.method.windows import count_hwe, hwe_mask, window_entropy
from ares.traces.page import COLOURS, LEVELS, ink_on, shade
from ares.traces.read import traces_of
from tests.browser import browser, complaints, contrast, desktop, phone  # noqa: F401 - a fixture
from tests.traces.conftest import WORDS, analysed, made_up

CHOICES = {" wait": -0.5, " so": -1.0, ".": -4.0}


@pytest.fixture(scope="module")
def lines():
    lines = made_up(40, seed=3, prompt="How long is the side?", gold="12")
    lines[1] = {
        **{key: lines[1][key] for key in ("id", "sample", "benchmark", "correct", "difficulty")},
        "tokens": [" wait", " so", "\n", " the", " angle", "."],
        "top_logprobs": [CHOICES] * 3 + [{" the": -0.001, " a": -7.0}] * 3,
        "prompt": "A question",
    }
    return lines


@pytest.fixture(scope="module")
def page(tmp_path_factory, lines):
    return address(tmp_path_factory.mktemp("page"), *lines)


def address(folder, *lines, window: int = 4) -> str:
    """Of the page of some traces, made by the command."""
    return (analysed(folder, *lines, options=["--window", str(window)]) / "index.html").as_uri()


@pytest.fixture
def opened(browser, page):  # noqa: F811
    desktop(browser)
    load(browser, page)
    yield browser
    assert complaints(browser) == []


def load(browser, page):  # noqa: F811
    complaints(browser)
    browser.get(page)
    WebDriverWait(browser, 20).until(
        lambda b: b.execute_script("return document.documentElement.dataset.ready") == "true"
    )


def find(browser, selector):  # noqa: F811
    return browser.find_element(By.CSS_SELECTOR, selector)


def every(browser, selector):  # noqa: F811
    return browser.find_elements(By.CSS_SELECTOR, selector)


def texts(browser, selector) -> list[str]:  # noqa: F811
    return [element.text for element in every(browser, selector)]


def move(browser, slider: str, value: float) -> None:  # noqa: F811
    """Move a slider and wait until the page has been computed again."""
    browser.execute_async_script(
        """const [id, value, done] = arguments;
        const slider = document.getElementById(id);
        slider.value = value;
        slider.dispatchEvent(new Event("input"));
        requestAnimationFrame(() => requestAnimationFrame(() => done()));""",
        slider,
        value,
    )


def number(browser, element: str) -> float:  # noqa: F811
    return float(find(browser, f"#{element}").get_attribute("data-value"))


def counts(browser) -> list[int]:  # noqa: F811
    return list(map(int, texts(browser, "#list .count")))


@pytest.fixture(scope="module")
def entropies(page, lines):
    """Entropies as the page has them, rounded to thousandths."""
    rows = [next(traces_of(line)).entropy.astype(float).round(3).tolist() for line in lines]
    return [row for row in rows if row]


@pytest.mark.parametrize("window", [1, 4, 7, 32])
def test_sliders_compute_what_python_computes(opened, entropies, window):
    entropy_BT, mask_BT = pad_rows(entropies, dtype=torch.float64)
    window_BT = window_entropy(entropy_BT, mask_BT, window)
    move(opened, "window", window)
    for percentile in (50, 73.3, 95, 99.9):
        move(opened, "percentile", percentile)
        theta = batch_quantile(window_BT, mask_BT, percentile / 100)
        assert number(opened, "theta") == theta  # to the last bit
        hwe_BT = hwe_mask(window_BT, theta)
        assert number(opened, "hwe") == int(hwe_BT.sum())
        assert counts(opened) == [0, *count_hwe(hwe_BT).tolist()]


def test_triggers_are_counted_as_in_python(opened, lines, entropies):
    entropy_BT, mask_BT = pad_rows(entropies, dtype=torch.float64)
    window_BT = window_entropy(entropy_BT, mask_BT, 4)
    hwe_BT = hwe_mask(window_BT, batch_quantile(window_BT, mask_BT, 0.95))
    rows = [[t in (" wait", " so") for t in line["tokens"]] for line in lines if line["tokens"]]
    trigger_BT, _ = pad_rows(rows, dtype=torch.bool)
    validated = int((hwe_BT & trigger_BT).sum())
    assert number(opened, "validated") == validated > 0
    find(opened, "#only-triggers").click()
    assert sum(counts(opened)) == validated
    find(opened, "#reset").click()
    assert sum(counts(opened)) == int(hwe_BT.sum())


def test_a_trace_is_read_token_by_token_and_marks_follow_the_threshold(opened, lines, entropies):
    every(opened, "#list button")[1].click()
    spans = every(opened, "#text span")
    assert [span.get_property("textContent") for span in spans] == lines[1]["tokens"]
    assert (find(opened, "#name").text, find(opened, "#prompt").text) == ("q0#1", "A question")
    facts = find(opened, "#facts").text
    verdict = "right" if lines[1]["correct"] else "wrong"
    assert "easy" in facts and "6 tokens" in facts and verdict in facts
    assert re.search(r"\bh[1-9]", spans[0].get_attribute("class"))
    for window, percentile in ((1, 50), (2, 80), (4, 95)):
        move(opened, "window", window)
        move(opened, "percentile", percentile)
        theta, row = number(opened, "theta"), entropies[0]
        expected = [
            t + window <= len(row) and np.mean(row[t : t + window]) >= theta
            for t in range(len(row))
        ]
        marks = ["hwe" in s.get_attribute("class").split() for s in every(opened, "#text span")]
        assert marks == expected


def test_the_card_tells_about_a_token_by_mouse_and_by_keyboard(opened):
    def press(key: str) -> str:
        opened.switch_to.active_element.send_keys(key)
        return find(opened, "#card").text

    every(opened, "#list button")[1].click()
    find(opened, "#text span").click()
    card = find(opened, "#card").text
    assert "wait" in card and "1 of 6" in card and "reasoning trigger: contrast" in card
    assert "60.7 %" in card and "36.8 %" in card  # exp(-0.5), exp(-1)
    assert "2 of 6" in press(Keys.ARROW_RIGHT)
    last = press(Keys.END)
    assert "6 of 6" in last and "runs over the end" in last
    press(Keys.ESCAPE)
    assert not find(opened, "#card").is_displayed()


def test_keys_go_to_the_next_hwe_token(opened):
    move(opened, "percentile", 60)
    every(opened, "#list button")[5].click()
    opened.execute_script("document.getElementById('text').focus()")
    marked = [span.get_attribute("data-t") for span in every(opened, "#text span.hwe")]
    for key, expected in zip("nnnp", [*marked[:3], marked[1]], strict=True):
        opened.switch_to.active_element.send_keys(key)
        assert opened.switch_to.active_element.get_attribute("data-t") == expected


def test_filters_narrow_the_list(opened, lines):
    def names(chosen) -> list[str]:
        return [f"{line['id']}#{line['sample']}" for line in chosen]

    assert texts(opened, "#list .id") == names(lines)
    hard = [line for line in lines if line["difficulty"] == "hard"]
    find(opened, "#difficulty").send_keys("hard")
    assert texts(opened, "#list .id") == names(hard)
    right = names([line for line in hard if line["correct"]])
    find(opened, "#verdict").send_keys("right")
    assert texts(opened, "#list .id") == right
    find(opened, "#search").send_keys(right[0][:2])
    listed = texts(opened, "#list .id")
    assert listed and set(listed) <= set(right)
    assert f"{len(listed)} of {len(lines)}" in find(opened, "#shown").text


HOSTILE = [
    "</script><script>window.flag=1</script>",
    "<img src=x onerror='window.flag=1;alert(1)'>",
    "<svg onload=alert(1)>",
    "<!--<script>",
    "javascript:alert(1)",
    "<style>*{display:none}</style>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "@@DATA@@",
    "\u202eevil\u202c",
    "\u0000",
    "\ud800",
    "'\"`${window.flag=1}",
]


def test_hostile_traces_are_text(browser, tmp_path):  # noqa: F811
    line = {
        **dict.fromkeys(("id", "benchmark", "prompt", "extracted", "gold"), "".join(HOSTILE)),
        "finish": "".join(HOSTILE),
        "correct": True,
        "difficulty": "easy",
        "tokens": HOSTILE,
        "top_logprobs": [{HOSTILE[n - 1]: -1.0, token: -0.7} for n, token in enumerate(HOSTILE)],
    }
    desktop(browser)
    load(browser, address(tmp_path, line, {**line, "benchmark": "other"}, window=1))
    for span in every(browser, "#text span"):
        browser.execute_script("arguments[0].click()", span)
    assert browser.execute_script("return window.flag === undefined")
    foreign = "return document.querySelectorAll('img:not(.figure), #text svg').length"
    assert browser.execute_script(foreign) == 0
    assert browser.execute_script("return document.scripts.length") == 2
    shown = browser.execute_script("return document.getElementById('text').textContent")
    assert HOSTILE[0] in shown and "@@DATA@@" in shown
    assert "‹U+202E›evil‹U+202C›" in shown and "␀" in shown and "\ufffd" in shown
    assert "\u202e" not in browser.execute_script("return document.body.innerText")
    assert find(browser, "#name").text.startswith(HOSTILE[0])
    # An alert would make the next command fail; a refused script would be in the console.
    assert complaints(browser) == []


def test_the_policy_refuses_what_the_page_does_not_name(browser, page):  # noqa: F811
    load(browser, page)
    browser.execute_script(
        """const script = document.createElement("script");
        script.textContent = "window.flag = 1";
        document.body.append(script);"""
    )
    assert browser.execute_script("return window.flag === undefined")
    assert "script-src" in " ".join(complaints(browser))


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_has_nothing_to_scroll_sideways(browser, page, tmp_path, width):  # noqa: F811
    long = {
        "id": "x" * 400,
        "tokens": ["y" * 900, " z"],
        "entropy": [1.0, 1.0],
        "prompt": "w" * 900,
    }
    phone(browser, width)
    for shown in (page, address(tmp_path, long, window=1)):
        load(browser, shown)
        browser.execute_script("[...document.querySelectorAll('#list button')].at(-1).click()")
        browser.execute_script("document.querySelector('#text span').click()")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        box = find(browser, "#card").rect
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
    desktop(browser)


def test_controls_have_names_and_the_theme_turns(opened):
    for control in every(opened, "button, input, select:not([hidden]), summary"):
        assert control.accessible_name, control.get_attribute("outerHTML")
    colour = "return getComputedStyle(document.body).backgroundColor"
    before = opened.execute_script(colour)
    find(opened, "#theme").click()
    assert before != opened.execute_script(colour)


@pytest.mark.parametrize("theme", COLOURS)
def test_text_can_be_read_on_every_colour(theme):
    colours = [shade(COLOURS[theme], number / (LEVELS - 1)) for number in range(LEVELS)]
    assert all(contrast(ink_on(colour), colour) >= 4.5 for colour in colours)
    from_page = [contrast(colours[0], colour) for colour in colours]
    assert (np.diff(from_page) > 0).all()  # lightness tells the order, whatever the eye sees of hue


def test_the_page_stands_alone(page):
    text = Path(page.removeprefix("file://")).read_text(encoding="utf-8")
    head = text.split("<script type=")[0]
    found = re.findall(r"(?:src|href|url)[=(][^ >]*", head)
    assert found[0] == 'href="#text"' and len(found) == 3
    assert all(source.startswith('src="data:image/png;base64,iVBOR') for source in found[1:])
    assert "@@" not in text and WORDS[0] in text
