"""The built site, served on this machine, and a headless Chromium that can reach nothing else."""

import functools
import http.server
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # the builder

NO_BROWSER = (
    "no Chromium with its driver was found, and so the pages were not looked at; "
    "on Debian: apt-get install chromium chromium-driver"
)


@pytest.fixture(scope="session")
def site():
    """Folder of the built site."""
    folder = HERE.parent / "_build" / "html"
    if not (folder / "index.html").exists():
        pytest.fail("the site is not built: run 'make site' first.")
    return folder


@pytest.fixture(scope="session")
def address(site):
    """Where the site is served: a port of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """Chromium with the network blocked; without one the test is skipped, or fails where CI asked for it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    program = shutil.which("chromedriver")
    if browser is None or program is None:
        if os.environ.get("GROUNDUP_BROWSER") == "required":
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(program))
    chromium.set_page_load_timeout(60)
    yield chromium
    chromium.quit()


class Reader:
    """Somebody with a screen of a given size, in the light or in the dark."""

    def __init__(self, driver, address):
        self.driver, self.address = driver, address

    def open(self, page, *, width=1280, height=900, dark=False):
        """Load a page, and wait until its mathematics is set and its fonts are there."""
        command = self.driver.execute_cdp_cmd
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        command("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        command("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get("about:blank")  # else a new anchor on the same page would not load it anew
        self.driver.get(f"{self.address}/{page}")
        self.wait(
            "const math = document.querySelectorAll('.math').length;"
            "return !math || document.querySelectorAll('mjx-container').length >= math"
        )
        self.driver.execute_async_script(
            "const done = arguments[0]; document.fonts.ready.then(() => requestAnimationFrame(() => done()))"
        )

    def wait(self, script, *arguments, seconds=30):
        """Wait until a script returns something true; returns it."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, seconds, poll_frequency=0.1).until(
            lambda driver: driver.execute_script(script, *arguments),
            message=f"{self.driver.current_url}: still waiting for: {script}",
        )

    def ask(self, script, *arguments):
        """What a script returns in the page."""
        return self.driver.execute_script(script, *arguments)


@pytest.fixture
def reader(driver, address):
    return Reader(driver, address)
