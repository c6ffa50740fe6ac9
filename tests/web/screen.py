"""The page in a browser: what it shows, and what went wrong there.

A test waits for what it wants to see, as long as a very busy machine takes for it, and not for a time: how
quick the machine is decides nothing.
"""

import io
import time

import torch

from maxtunnel.data.images import read_image

PATIENCE = 240  # seconds


class Screen:
    """A page in a browser, opened and ready.

    Args:
        browser: of Playwright.
        server: address of the page.
        options: of the browser's context, such as `viewport`.
    """

    def __init__(self, browser, server, **options):
        self.server = server
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.wrong = []
        self.page.on("console", lambda told: self.complains(told) if told.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.leaves(request.url))
        # The first message tells that the page listens; what is clicked before that is lost.
        with self.page.expect_response(lambda answer: "queue/join" in answer.url):
            self.page.goto(server)
        self.page.wait_for_selector("#reconstruction .mt-compare")

    def complains(self, told):
        self.wrong.append(f"{told.text} ({told.location.get('url', '')})")

    def leaves(self, url):
        if not url.startswith((self.server, "data:", "blob:")):
            self.wrong.append(f"request to {url}")

    def pixels(self, selector):
        """The picture that an `img` shows, as it was sent."""
        source = self.page.locator(selector).first.get_attribute("src")
        url = source if source.startswith("data:") else self.server + source
        data = self.page.evaluate(
            "async (url) => [...new Uint8Array(await (await fetch(url)).arrayBuffer())]", url
        )
        return read_image(io.BytesIO(bytes(data)))

    def shows(self, selector, pixels):
        """Wait until an `img` shows exactly this picture."""
        until = time.monotonic() + PATIENCE
        while not torch.equal(self.pixels(selector), pixels):
            assert time.monotonic() < until, f"{selector} never showed the picture that was expected"
            self.page.wait_for_timeout(200)

    def changed(self, selector, act):
        """Do something, and wait until this picture is another one."""
        image = self.page.locator(selector).first
        before = image.get_attribute("src")
        act()
        self.page.wait_for_function(
            "([selector, before]) => { const image = document.querySelector(selector);"
            " return image && image.getAttribute('src') !== before && image.complete; }",
            arg=[selector, before],
        )

    def send(self, name, data, selector="#photograph"):
        """Choose a file."""
        file = {"name": name, "mimeType": "image/png", "buffer": data}
        clear = self.page.locator(f"{selector} button[aria-label='Remove Image']")
        if clear.count():
            clear.first.click()
        self.page.locator(f"{selector} input[type=file]").first.set_input_files(file)

    def told(self, text):
        """Wait until the first tab says this, and is done with its answer.

        Gradio's client closes its stream of answers after the last one, and may miss what is asked for while
        it does: no person is so quick.
        """
        self.page.wait_for_function(
            "text => { const tab = document.querySelector('#reconstruction');"
            " const status = tab.querySelector('[data-testid=status-tracker]');"
            " return tab.innerText.includes(text) && (!status || status.classList.contains('hide')); }",
            arg=text,
        )

    def holds(self, condition, argument=None):
        """Wait until a condition in JavaScript holds."""
        self.page.wait_for_function(condition, arg=argument)

    def resize(self, width, height):
        """Give the page this size on the screen."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.holds("([width, height]) => innerWidth === width && innerHeight === height", [width, height])

    def open(self, tab, selector):
        """Open a tab, and wait for what is in it."""
        self.page.get_by_role("tab", name=tab).click()
        self.page.wait_for_selector(selector)

    def close(self):
        """Close the page; nothing may have gone wrong."""
        self.context.close()
        assert self.wrong == []
