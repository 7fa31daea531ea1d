"""A real browser for tests of pages: headless Chromium, with a profile of its own and no network.

A test that needs it is skipped where there is none, but fails where the variable CI is set.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.colors import to_rgb
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions"),
    *("--disable-dev-shm-usage", "--window-size=1400,900", "--lang=en-US"),
)


def start(profile: Path) -> webdriver.Chrome:
    """Start the browser; skips the test (or fails it, on CI) where there is none."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        why = "no Chromium with chromedriver here (Debian: apt install chromium chromium-driver)"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser for the tests of a module; every test opens its own page."""
    driver = start(tmp_path_factory.mktemp("browser-profile"))
    try:
        yield driver
    finally:
        driver.quit()


def phone(browser: webdriver.Chrome, width: int = 390, height: int = 844) -> None:
    """Give the page the size of a phone, until `desktop`."""
    size = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def desktop(browser: webdriver.Chrome) -> None:
    """Give the page the size of the window again."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the console has to say since the last call: errors, refused scripts, failed loads."""
    return [entry["message"] for entry in browser.get_log("browser")]


def contrast(*colours: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2)."""
    linear = (
        [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        for colour in colours
    )
    dark, light = sorted(
        0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in linear
    )
    return (light + 0.05) / (dark + 0.05)
