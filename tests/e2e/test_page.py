"""The page in a real browser: what an operator sees, presses and reads."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from watcher import samples

webdriver = pytest.importorskip("selenium.webdriver")
By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
StaleElementReferenceException = pytest.importorskip(
    "selenium.common.exceptions"
).StaleElementReferenceException
ROOT = Path(__file__).parents[2]
DEADLINE = 90.0
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    (CHROMIUM is None or DRIVER is None) and "CI" not in os.environ, reason="no Chromium here"
)
CONFIG = """\
state: ./var
http: {{listen: '127.0.0.1:{port}'{token}}}
folders:
  - name: cad
    input: ./drop
    output: ./ready
    failed: ./failed
    settle: 100ms
    scan_every: 1s
    rules:
      - name: slow
        match: "*.slow"
        script: ./slow.py
        retries: 0
      - name: pictures
        match: "*.png"
        process: pass
      - name: models
        match: "*.stl"
        process: convert_file
        params: {{extension: glb}}
        retries: 0
"""
SLOW = """\
import pathlib, time

def main(pc, params):
    pc.progress_set_total(4)
    pc.progress_next("reading the assembly")
    pc.progress_next("meshing")
    while not pathlib.Path({gate!r}).exists():
        time.sleep(0.05)
    (pathlib.Path(pc.get_output_dir()) / "done.txt").write_text("x")
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def until(condition):
    """Wait for it; a part that was exchanged while it was read is read again."""
    end = time.monotonic() + DEADLINE
    while True:
        with suppress(StaleElementReferenceException):
            if found := condition():
                return found
        assert time.monotonic() < end
        threading.Event().wait(0.1)


class Running:
    def __init__(self, place, *, token=""):
        self.place, self.port = place, free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        (place / "drop").mkdir(parents=True)
        (place / "token").write_text("s3cret")
        (place / "slow.py").write_text(SLOW.format(gate=str(place / "gate")))
        given = ", token_file: ./token" if token else ""
        (place / "watcher.yaml").write_text(CONFIG.format(port=self.port, token=given))
        self.log = (place / "log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "watcher", "run"], cwd=place, stdout=self.log, stderr=self.log
        )
        until(lambda: "root.online" in (place / "log").read_text())

    def stop(self):
        (self.place / "gate").touch()
        self.process.terminate()
        try:
            assert self.process.wait(DEADLINE) == 0
        finally:
            self.process.kill()
            self.log.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    one = Running(tmp_path_factory.mktemp("studio"))
    yield one
    one.stop()


def browsing(*, script=True, scheme="light", size=(1400, 1000)):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    options.add_argument(f"--window-size={size[0]},{size[1]}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not script:
        prefs = {"profile.managed_default_content_settings.javascript": 2}
        options.add_experimental_option("prefs", prefs)
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    return driver


@pytest.fixture(scope="module")
def browser():
    driver = browsing()
    yield driver
    driver.quit()


def text_of(browser, part):
    return browser.find_element(By.ID, f"part-{part}").text


def complaints(browser):
    return [row["message"] for row in browser.get_log("browser") if row["level"] == "SEVERE"]


def progress(browser):
    bar = browser.find_element(By.CSS_SELECTOR, "#part-work progress")
    return bar.accessible_name, float(bar.get_attribute("value")) > 0


def pressed(browser, name):
    button = browser.find_element(By.CSS_SELECTOR, f"button[aria-label='{name}']")
    assert button.accessible_name == name
    button.send_keys(Keys.ENTER)
    return True


def followed(browser, name):
    browser.find_element(By.LINK_TEXT, name).click()
    return True


def listed(browser):
    return [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "tbody th")]


def test_it_lives_shows_why_and_tries_again(running, browser):
    browser.get(running.base)
    until(lambda: "All is well" in text_of(browser, "health"))
    assert "Nothing has failed" in text_of(browser, "failed")
    drop = running.place / "drop"
    (drop / "picture <b>.png").write_bytes(dict(samples.files())["vase/vase.png"])
    (drop / "broken.stl").write_text("solid x\nfacet normal 0 0 1\n")
    (drop / "assembly.slow").write_text("x")
    # nothing is loaded again: all of it comes by itself
    until(lambda: "broken.stl" in text_of(browser, "failed"))
    until(lambda: "meshing" in text_of(browser, "work"))
    until(lambda: progress(browser) == ("slow of assembly.slow", True))
    until(lambda: "picture <b>.png" in text_of(browser, "delivered"))
    picture = "const i = document.querySelector('#part-delivered img'); i.scrollIntoView();"
    until(lambda: browser.execute_script(picture + "return i.naturalWidth"))
    until(lambda: "1 delivered, 1 failed" in text_of(browser, "timeline"))

    # by keyboard: the button has a name and sends the file again
    until(lambda: pressed(browser, "Retry broken.stl"))
    until(lambda: "1 delivered, 2 failed" in text_of(browser, "timeline"))

    until(lambda: followed(browser, "broken.stl"))
    until(lambda: "Arrival 2: failed" in browser.find_element(By.ID, "main").text)
    assert "Arrival 1: failed" in browser.find_element(By.ID, "main").text
    assert complaints(browser) == []


def test_the_list_is_searched_and_filtered(running, browser):
    browser.get(running.base)
    box = browser.find_element(By.ID, "q")
    assert box.accessible_name == "Search files"
    box.send_keys("PICTURE")
    box.submit()
    until(lambda: "/files?q=PICTURE" in browser.current_url)
    until(lambda: listed(browser) == ["picture <b>.png"])
    browser.get(f"{running.base}/files?state=failed&folder=cad")
    assert set(listed(browser)) == {"broken.stl"}
    assert complaints(browser) == []


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", (1400, 1000)), ("dark", (1400, 1000)), ("light", (380, 900))]
)
def test_nothing_runs_over_and_all_is_read_without_javascript(running, scheme, size, tmp_path):
    driver = browsing(script=False, scheme=scheme, size=size)
    try:
        driver.get(running.base)
        assert "cad" in text_of(driver, "folders")
        width = "return [document.documentElement.scrollWidth, window.innerWidth]"
        wide, room = driver.execute_script(width)
        assert wide <= room
        assert contrast(driver, "body") >= 7
        driver.save_screenshot(str(tmp_path / "page.png"))
        assert (tmp_path / "page.png").stat().st_size > 10_000
    finally:
        driver.quit()


def contrast(driver, selector):
    """The contrast ratio of text and ground by WCAG 2.2."""
    colors = driver.execute_script(
        "const s = getComputedStyle(document.querySelector(arguments[0]));"
        "return [s.color, s.backgroundColor]",
        selector,
    )
    lights = sorted(luminance(color) for color in colors)
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(color):
    parts = [int(one) / 255 for one in color[color.index("(") + 1 : -1].split(",")[:3]]
    low = 0.04045
    red, green, blue = (c / 12.92 if c <= low else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_control_has_a_name(running):
    still = browsing(script=False)
    try:
        for path in ("/", "/files"):
            still.get(running.base + path)
            controls = still.find_elements(By.CSS_SELECTOR, "a, button, input, select, progress")
            seen = [one for one in controls if one.get_attribute("type") != "hidden"]
            assert len(seen) > 5
            assert all(one.accessible_name for one in seen), path
    finally:
        still.quit()


def test_a_token_is_asked_for_once(tmp_path, browser):
    one = Running(tmp_path / "locked", token="yes")  # noqa: S106  (a word, no token)
    try:
        browser.get(one.base)
        assert browser.current_url.endswith("/login")
        box = browser.find_element(By.ID, "token")
        box.send_keys("wrong")
        box.submit()
        until(lambda: "That is not the token" in browser.page_source)
        box = browser.find_element(By.ID, "token")
        box.send_keys("s3cret")
        box.submit()
        until(lambda: browser.find_elements(By.ID, "part-health"))
        cookie = browser.get_cookie("watcher_session")
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        until(lambda: browser.find_element(By.ID, "fresh").text == "· live")
        browser.find_element(By.XPATH, "//button[text()='Sign out']").click()
        until(lambda: browser.current_url.endswith("/login"))
    finally:
        browser.get("about:blank")
        one.stop()
