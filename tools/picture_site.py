"""Pictures of the page without a server for the README, by Playwright and Debian's Chromium.

    python tools/picture_site.py SITE docs/images

where `maxtunnel site SITE` wrote SITE, writes site-wide.webp (both readers, and the lab below them) and
site-narrow.webp (on a phone, light and dark).
"""

import functools
import http.server
import io
import shutil
import sys
import threading
from pathlib import Path

from picture_page import joined
from PIL import Image
from playwright.sync_api import sync_playwright

PATIENCE = 240_000


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def open_page(browser, address, width, height, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1.5
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.wait_for_selector("body[data-shown]")
    return page


def shoot(page):
    page.wait_for_timeout(1000)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def both_readers(page):
    page.locator("#ask-strong").click()
    page.locator("#by-strong canvas").first.wait_for()


def lab(page):
    page.get_by_role("tab", name="Switch lab").click()
    page.locator("#lab .told", has_text="RMSE").wait_for()
    page.locator("#brush").select_option("5")
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.75 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.75 * box["height"], steps=12)
    page.mouse.up()
    page.locator("#share-3").fill("30")
    page.locator("#lab .told", has_text="level 3 2").wait_for()


def main(site, folder):
    handler = functools.partial(Handler, directory=str(site))
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        sync_playwright() as playwright,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"], timeout=PATIENCE
        )
        wide = open_page(browser, address, 1160, 1120, "light")
        both_readers(wide)
        wide.evaluate("() => scrollTo(0, 0)")
        first = shoot(wide)
        lab(wide)
        wide.locator("[role=tablist]").evaluate("element => element.scrollIntoView()")
        joined([first, shoot(wide)], 6, True).save(folder / "site-wide.webp", quality=55, method=6)
        phones = []
        for scheme, tab in (("light", "Rebuild"), ("dark", "Switch lab"), ("dark", "Transplant")):
            phone = open_page(browser, address, 390, 844, scheme)
            if tab == "Switch lab":
                lab(phone)
            phone.get_by_role("tab", name=tab).click()
            phone.locator("[role=tablist]").evaluate("element => element.scrollIntoView()")
            phones.append(shoot(phone))
        joined(phones, 12, False).save(folder / "site-narrow.webp", quality=65, method=6)
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
