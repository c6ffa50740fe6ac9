"""The page in a browser, from a server of files, under a path of its own."""

import functools
import http.server
import shutil
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

PATIENCE = 240_000  # milliseconds
_PACKAGE = Path(__file__).parents[2] / "node_modules" / "onnxruntime-web"


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Address of the page with 8-8-8, in a folder of the server as a project page has it."""
    from maxtunnel.site.build import build_site

    root = tmp_path_factory.mktemp("served")
    try:
        build_site(root / "some" / "page", _PACKAGE if _PACKAGE.is_dir() else None, ["8-8-8"])
    except ValueError as error:
        if "npm" not in str(error):
            raise
        pytest.skip(f"no onnxruntime-web: {error}")
    handler = functools.partial(_Handler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/some/page/"
        server.shutdown()


@pytest.fixture(scope="session")
def chromium():
    if find_spec("playwright") is None:
        pytest.skip("no Playwright: pip install playwright")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium: the page was not tried in a browser (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page(chromium, site):
    """The page, once it shows a photograph; at the end nothing may have gone wrong or left the origin."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page, wrong = context.new_page(), []
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda told: wrong.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    allowed = (site, "data:", f"blob:{site.removesuffix('/some/page/')}")
    context.on(
        "request",
        lambda request: (
            None if request.url.startswith(allowed) else wrong.append(f"request to {request.url}")
        ),
    )
    page.goto(site)
    page.wait_for_selector("body[data-shown]")
    yield page
    assert wrong == []
    context.close()
