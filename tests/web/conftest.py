"""A page that is served, and a browser, for the tests that need them."""

import shutil
from importlib.util import find_spec

import pytest
from screen import PATIENCE, Screen
from web_files import tiny_dense, tiny_vgg

from maxtunnel.data.images import shrink
from maxtunnel.data.photographs import demo_photographs
from tools.load_page import Visitor, served


@pytest.fixture(scope="module")
def cat():
    return shrink(demo_photographs()["chelsea"], 64)


@pytest.fixture(scope="module")
def cup():
    return shrink(demo_photographs()["coffee"], 48)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Address of a page that takes files of up to 2 MB, with networks of files: one imported, one dense."""
    if find_spec("gradio") is None:
        pytest.skip("no Gradio: pip install 'gradio>=6.31,<7'")
    folder = tmp_path_factory.mktemp("network")
    network, dense = folder / "vgg.safetensors", folder / "outlines.safetensors"
    tiny_vgg().save(network)
    tiny_dense().save(dense)
    limits = ("--max-megabytes", "2", "--max-megapixels", "4")
    with served(*limits, "--network", str(network), "--network", str(dense)) as (address, _, lines):
        yield address
        # Nothing went wrong that the page itself did not tell.
        assert "Traceback" not in "".join(lines), "".join(lines)


@pytest.fixture(scope="session")
def visitor(server):
    visitor = Visitor(server, PATIENCE)
    yield visitor
    visitor.http.close()


@pytest.fixture(scope="module")
def browser(server):
    if find_spec("playwright") is None:
        pytest.skip("no Playwright: pip install playwright")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium: the page was not tried in a browser (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", *camera], timeout=1000 * PATIENCE
        )
        yield chromium
        chromium.close()


@pytest.fixture
def open_screen(browser, server):
    """Opens pages in the browser; at the end of the test they are closed, and nothing may have gone wrong."""
    opened = []

    def open_one(**options):
        opened.append(Screen(browser, server, **options))
        return opened[-1]

    yield open_one
    for screen in opened:
        screen.close()


@pytest.fixture(scope="module")
def screen(browser, server):
    """One page for the tests of a file that do not mind what was done before."""
    screen = Screen(browser, server)
    yield screen
    screen.close()
