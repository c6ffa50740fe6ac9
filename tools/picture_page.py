"""Pictures of the page for the README, by Playwright and Debian's Chromium.

    python tools/picture_page.py docs/images

writes page-wide.webp (Reconstruct, and the lab's transplant below it) and page-narrow.webp (on a phone, light
and dark).
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from tools.load_page import served


def open_page(browser, address, width, height, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1.5
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#reconstruction .mt-compare")
    page.wait_for_timeout(1000)
    return page


def shoot(page):
    page.wait_for_timeout(500)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def transplant(page):
    page.get_by_role("tab", name="Switch lab").click()
    page.wait_for_selector("#lab .mt-lab-result")
    before = page.locator("#lab .mt-lab-result").get_attribute("src")
    page.get_by_role("button", name="Transplant").click()
    page.wait_for_function(
        "before => document.querySelector('#lab .mt-lab-result').getAttribute('src') !== before", arg=before
    )


def joined(pictures, gap, down):
    """Pictures under each other, or side by side, a grey line between them."""
    width = max(p.width for p in pictures) if down else sum(p.width + gap for p in pictures) - gap
    height = sum(p.height + gap for p in pictures) - gap if down else max(p.height for p in pictures)
    whole, at = Image.new("RGB", (width, height), "#999999"), 0
    for picture in pictures:
        whole.paste(picture, (0, at) if down else (at, 0))
        at += (picture.height if down else picture.width) + gap
    return whole


def main(folder):
    with served() as (address, *_), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"], timeout=120_000
        )
        wide = open_page(browser, address, 1280, 900, "light")
        first = shoot(wide)
        transplant(wide)
        joined([first, shoot(wide)], 6, True).save(folder / "page-wide.webp", quality=60, method=6)
        phones = []
        for scheme, tab, selector in (
            ("light", "Reconstruct", ".mt-compare"),
            ("dark", "Switch lab", "#lab .mt-lab-result"),
            ("dark", "Inside", "#inside .mt-legend"),
        ):
            phone = open_page(browser, address, 390, 844, scheme)
            phone.get_by_role("tab", name=tab).click()
            phone.wait_for_selector(selector)
            if tab == "Switch lab":
                transplant(phone)
            phone.get_by_role("tab", name=tab).evaluate("element => element.scrollIntoView()")
            phones.append(shoot(phone))
        joined(phones, 12, False).save(folder / "page-narrow.webp", quality=72, method=6)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
