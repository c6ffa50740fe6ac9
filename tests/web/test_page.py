"""The page as it is served: in a real browser where Chromium is here, and against hostile requests."""

import io
import json
import re
import shutil
import zipfile
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
import torch
from PIL import Image

from maxtunnel.codec import loads
from maxtunnel.data.images import read_image, to_float, to_uint8
from maxtunnel.zoo.names import load, shipped
from tools.load_page import API, Visitor, named, served

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(find_spec("gradio") is None, reason="no Gradio: pip install 'maxtunnel[web]'"),
]
PHOTOGRAPHS = Path(__file__).parents[2] / "src" / "maxtunnel" / "data" / "photographs"
SECONDS = 30
WORDS = "was sent|were sent"


@pytest.fixture(scope="module")
def server():
    """Address and process of a page that takes files of up to 2 MB."""
    with served("--max-megabytes", "2", "--max-megapixels", "4") as (address, _, lines):
        yield address
        # Nothing went wrong that the page itself did not tell.
        assert "Traceback" not in "".join(lines), "".join(lines)


@pytest.fixture(scope="module")
def visitor(server):
    visitor = Visitor(server)
    yield visitor
    visitor.http.close()


def encoded(size, kind="PNG"):
    """The cat at this (width, height), as a file."""
    file = io.BytesIO()
    Image.open(PHOTOGRAPHS / "chelsea.jpg").resize(size).save(file, kind)
    return file.getvalue()


def bomb():
    """16.8 million pixels in 16 kB."""
    file = io.BytesIO()
    Image.new("L", (4097, 4097)).save(file, "PNG", optimize=True)
    return file.getvalue()


def archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr("cat.jpg", encoded((32, 32), "JPEG"))
    return file.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
BAD = {
    "bomb.png": (bomb(), "4097x4097 pixels"),
    "truncated.jpg": (encoded((256, 256), "JPEG")[:3000], "cut short"),
    "picture.svg": (SVG, "is no image"),
    "svg.png": (SVG, "is no image"),
    "archive.jpg": (archive(), "is no image"),
    "empty.png": (b"", "is empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_photographs_are_refused_in_words_and_the_next_one_works(visitor, name):
    data, reason = BAD[name]
    html = visitor.reconstruct(visitor.upload(name, data), "8-8-8", 128)
    assert 'role="alert"' in html
    assert f"{name} " in html
    assert reason in html
    assert "mt-compare" in visitor.reconstruct(visitor.upload("cat.png", encoded((40, 30))), "8-8-8", 128)


def test_bad_switch_files_are_refused_in_words(visitor):
    for name, data in (
        ("archive.mxt", archive()),
        ("cat.mxt", encoded((8, 8))),
        ("end.mxt", b"\x89MXT\r\n\x1a\n"),
    ):
        html = visitor.ask("switch-file", "change", [visitor.upload(name, data), None, "8-8-8", 128])
        assert 'role="alert"' in html
        assert f"{name} is" in html


@pytest.mark.parametrize("announced", [True, False])
def test_oversize_files_are_refused_in_words_and_leave_nothing(server, visitor, announced):
    big = b'--x\r\nContent-Disposition: form-data; name="files"; filename="big.png"\r\n\r\n' + bytes(
        3_000_000
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    body = big if announced else iter([big[:1_500_000], big[1_500_000:], b"\r\n--x--\r\n"])
    folder = Path(visitor.upload("cat.png", encoded((8, 8)))["path"]).parents[1]
    before = sorted(folder.rglob("*"))
    answer = httpx.post(f"{server}/{API}/upload", content=body, headers=headers, timeout=SECONDS)
    assert answer.status_code == (413 if announced else 411)
    assert not announced or "exceeds the maximum allowed size of 2 MB" in answer.text
    assert sum(path.stat().st_size for path in folder.rglob("*") if path not in before) == 0
    assert "mt-compare" in visitor.reconstruct(visitor.upload("cat.png", encoded((41, 30))), "8-8-8", 128)


@pytest.mark.parametrize(
    "path",
    [
        f"/{API}/file=/etc/passwd",
        f"/{API}/file=../../../../etc/passwd",
        f"/{API}/file=%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        f"/{API}/file={PHOTOGRAPHS}/chelsea.jpg",
        f"/{API}/file=https://example.com/",
        f"/{API}/file=pyproject.toml",
        f"/{API}/file//etc/passwd",
        "/file=/etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2f..%2f..%2f..%2fetc/passwd",
        f"/{API}/proxy=https://example.com/",
        f"/{API}/openapi.json",
        f"/{API}/vibe-code",
        f"/{API}/stream/a/b/c/playlist.m3u8",
        f"/{API}/custom_component/a/b/c/d",
        "/monitoring/summary",
        "/docs",
        "/result/",
        "/result/0000000000000000000000000000000000000000",
    ],
)
def test_no_path_of_the_server_is_readable(server, path):
    answer = httpx.get(server + path, timeout=SECONDS)
    assert 400 <= answer.status_code < 500
    assert "root:" not in answer.text
    assert "[project]" not in answer.text


@pytest.mark.parametrize(
    "path", ["run/predict", "api/predict", "call/lambda", "process_recording", "vibe-edit/"]
)
def test_functions_answer_to_the_page_alone(server, path):
    answer = httpx.post(f"{server}/{API}/{path}", json={"data": [], "fn_index": 0}, timeout=SECONDS)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "https://example.com/cat.png", str(PHOTOGRAPHS), 3]
)
def test_messages_name_only_uploads(visitor, path):
    with pytest.raises(httpx.HTTPStatusError) as error:
        visitor.reconstruct(named(path), "8-8-8", 128)
    assert error.value.response.status_code == 400
    assert re.search(WORDS, error.value.response.json()["detail"])
    nested = {"a": [{"b": named("/etc/passwd")}]}
    with pytest.raises(httpx.HTTPStatusError):
        visitor.reconstruct(nested, "8-8-8", 128)


def test_odd_messages_do_no_harm(server, visitor):
    join = f"{server}/{API}/queue/join"
    for body, status in ((b"{", 400), (b"[" * 100_000, 400), (b" " * 300_000, 413)):
        assert httpx.post(join, content=body, timeout=SECONDS).status_code == status
    sent = visitor.upload("../../evil.png", encoded((20, 20)))
    assert ".." not in sent["path"]
    for network, side in (("/etc/passwd", 128), ("8-8-8", 10**9), ("8-8-8", "x"), (None, None)):
        assert 'role="alert"' in visitor.reconstruct(sent, network, side)
    assert "mt-hint" in visitor.reconstruct(None, "8-8-8", 128)


def test_a_result_is_given_out_as_what_it_is(server, visitor):
    html = visitor.reconstruct(visitor.upload("cat.png", encoded((33, 21))), "8-8-8", 128)
    address = re.search(r'href="(/result/[^"]+)"', html)[1]
    answer = httpx.get(server + address)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert read_image(io.BytesIO(answer.content)).shape == (3, 21, 33)


def test_others_are_warned_of_and_a_password_is_asked_for():
    options = ("--host", "0.0.0.0", "--auth", "class:tunnel")
    with served(*options) as (address, _, lines), httpx.Client(base_url=address, timeout=SECONDS) as client:
        assert client.get("/config").status_code == 401
        assert client.post(f"{API}/upload", files={"files": ("a.png", b"x")}).status_code == 401
        assert client.post("login", data={"username": "class", "password": "x"}).status_code == 400
        assert client.post("login", data={"username": "class", "password": "tunnel"}).status_code == 200
        assert client.get("/config").status_code == 200
        sent = client.post(f"{API}/upload", files={"files": ("a.png", b"x")}).json()[0]
        assert Path(sent).exists()
    assert "unencrypted" in "".join(lines)
    # Stopped, it takes the uploads with it.
    assert not Path(sent).parents[1].exists()


# In a browser.


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
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *camera])
        yield chromium
        chromium.close()


class Screen:
    """A page in a browser, and what went wrong there."""

    def __init__(self, browser, server, **options):
        self.server = server
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(SECONDS * 1000)
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
        file = {"name": name, "mimeType": "image/png", "buffer": data}
        clear = self.page.locator(f"{selector} button[aria-label='Remove Image']")
        if clear.count():
            clear.first.click()
        self.page.locator(f"{selector} input[type=file]").first.set_input_files(file)

    def told(self, text):
        self.page.wait_for_function(
            "text => document.querySelector('#reconstruction').innerText.includes(text)", arg=text
        )

    def open(self, tab, selector):
        self.page.get_by_role("tab", name=tab).click()
        self.page.wait_for_selector(selector)

    def close(self):
        self.context.close()
        assert self.wrong == []


@pytest.fixture(scope="module")
def screen(browser, server):
    screen = Screen(browser, server)
    yield screen
    screen.close()


def rebuilt(name, data):
    return to_uint8(load(name).reconstruct(to_float(read_image(io.BytesIO(data)))[None])[0])


def test_a_sample_is_rebuilt_when_the_page_opens(screen):
    assert "switch" in screen.page.locator(".mt-head").inner_text()
    data = (PHOTOGRAPHS / "chelsea.jpg").read_bytes()
    assert torch.equal(screen.pixels("#reconstruction .mt-left"), read_image(io.BytesIO(data)))
    assert torch.equal(screen.pixels("#reconstruction .mt-right"), rebuilt("16-16-16", data))


def test_an_uploaded_photograph_comes_back_as_the_library_gives_it(screen):
    page, data = screen.page, encoded((150, 100))
    screen.send("mine.png", data)
    screen.told("mine.png, 150×100, through 16-16-16")
    assert torch.equal(screen.pixels("#reconstruction .mt-right"), rebuilt("16-16-16", data))
    page.locator("#network input").click()
    page.get_by_role("option", name="8-8-8").first.click()
    screen.told("through 8-8-8")
    assert torch.equal(screen.pixels("#reconstruction .mt-right"), rebuilt("8-8-8", data))
    page.locator("#side").get_by_label("128", exact=True).check()
    screen.told("mine.png, 128×85")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the switches").click()
    switches = download.value.path().read_bytes()
    assert download.value.suggested_filename == "mine-8-8-8.mxt"
    small = screen.pixels("#reconstruction .mt-left")
    assert loads(switches) == load("8-8-8").encode(to_float(small)[None])
    picture = screen.pixels("#reconstruction .mt-right")
    page.locator("#switch-file input[type=file]").set_input_files(
        {"name": "mine.mxt", "mimeType": "application/octet-stream", "buffer": switches}
    )
    screen.told("rebuilt by 8-8-8 from")
    assert torch.equal(screen.pixels("#reconstruction .mt-decoded"), picture)
    # Without the switch file it is the photograph's turn again.
    page.locator("#switch-file button[aria-label='Clear']").click()
    screen.told("mine.png, 128×85")


def test_samples_camera_and_clipboard_are_taken(screen, browser, server):
    screen.page.locator(".mt-inputs").get_by_role("button", name="coffee").click()
    screen.told("coffee.jpg")
    own = Screen(browser, server, permissions=["camera", "clipboard-read", "clipboard-write"])
    own.page.locator("#photograph button[aria-label='Remove Image']").click()
    own.told("Drop a photograph")
    own.page.locator("#photograph button[aria-label='Paste from clipboard']").first.wait_for()
    own.page.evaluate(
        "async (url) => { const png = await (await fetch(url)).blob();"
        " await navigator.clipboard.write([new ClipboardItem({'image/png': png})]); }",
        own.page.locator(".mt-way img").first.get_attribute("src"),
    )
    own.page.locator("#photograph button[aria-label='Paste from clipboard']").first.click()
    own.told("192×192")
    own.page.locator("#photograph button[aria-label='Remove Image']").click()
    own.page.locator("#photograph button[aria-label='Capture from camera']").first.click()
    own.page.get_by_text("Click to Access Webcam").click()
    own.page.wait_for_function("() => document.querySelector('#photograph video')?.readyState >= 2")
    own.page.locator("#photograph button[aria-label='capture photo']").click()
    own.page.wait_for_selector("#reconstruction .mt-compare")
    own.close()


def test_every_control_of_the_lab_changes_the_picture(screen):
    page, result = screen.page, "#lab .mt-lab-result"
    screen.open("Switch lab", result)
    for level in (1, 2, 3):
        choices = page.locator(f"#change-{level}")
        for label in ("fixed", "random", "shuffled", "from B", "flip p", "keep"):
            screen.changed(result, lambda c=choices, t=label: c.get_by_label(t).check())
        share = page.locator(f"#share-{level} input[type=range]")
        # Moving a share takes it into use.
        screen.changed(result, lambda s=share: s.fill("0.6"))
        assert choices.get_by_label("flip p").is_checked()
    screen.changed(result, lambda: page.locator("#seed input[type=range]").fill("5"))
    screen.changed(result, lambda: page.get_by_role("button", name="Back to A alone").click())
    assert page.locator("#change-2").get_by_label("keep").is_checked()
    alone = screen.pixels(result)
    screen.changed(result, lambda: page.get_by_role("button", name="Transplant").click())
    assert page.locator("#what").get_by_label("features of B").is_checked()
    screen.changed(result, lambda: screen.send("other.png", encoded((64, 64)), "#second"))
    screen.changed(result, lambda: page.locator("#what").get_by_label("constant").check())
    assert torch.equal(screen.pixels(result), alone)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_result_stays_in_sight_of_every_level(browser, server, width):
    screen = Screen(browser, server, viewport={"width": width, "height": 800})
    page, result = screen.page, "#lab .mt-lab-result"
    screen.open("Switch lab", result)
    screen.changed(result, lambda: page.locator("#change-3").get_by_label("random").check())
    page.locator("#change-3").evaluate("choices => choices.scrollIntoView({block: 'center'})")
    on_top = "box => document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).className"
    assert "mt-lab-result" in page.evaluate(on_top, page.locator(result).bounding_box())
    assert page.locator("#lab").bounding_box()["y"] == 0
    page.locator("#change-1").get_by_label("random").focus()
    below = page.locator("#lab").bounding_box()
    assert page.locator("#change-1 input").first.bounding_box()["y"] > below["y"] + below["height"]
    screen.close()


def test_inside_follows_channel_network_and_photograph(screen):
    page, first = screen.page, "#inside .mt-pixels"
    screen.open("Inside", first)
    assert page.locator("#inside figure").count() == 3 + 10 + 4
    screen.changed(first, lambda: page.locator("#channel input[type=range]").fill("4"))
    screen.changed(first, lambda: page.locator(".mt-inputs").get_by_role("button", name="rocket").click())
    # What was changed while another tab was open is there when one comes back.
    page.get_by_role("tab", name="Reconstruct").click()
    screen.told("rocket.jpg")


def test_the_table_is_sorted_by_any_column(screen):
    page = screen.page
    screen.open("Table II", ".mt-table")
    rows = page.locator(".mt-table tbody tr")
    shown = [row.split("\t")[0] for row in rows.all_inner_texts()]
    assert shown == [name.removesuffix("-pretrained") for name in shipped()]
    errors = [float(cell) for cell in page.locator(".mt-table .mt-best").all_inner_texts()]
    head = page.locator(".mt-table thead button", has_text=re.compile("^RMSE$"))
    for reverse in (False, True):
        head.focus()
        page.keyboard.press("Enter")
        now = [float(cell) for cell in page.locator(".mt-table .mt-best").all_inner_texts()]
        assert now == sorted(errors, reverse=reverse)


def test_a_bad_upload_shows_words_and_the_page_goes_on(browser, server):
    screen = Screen(browser, server)
    screen.send("broken.png", encoded((60, 60))[:900])
    screen.page.wait_for_selector("#reconstruction [role=alert]")
    assert "broken.png is cut short" in screen.page.locator("#reconstruction").inner_text()
    # Too large is told before it is sent, or by the server.
    screen.send("big.png", bytes(2_100_000))
    screen.page.get_by_text(re.compile("maximum allowed size")).first.wait_for()
    screen.send("fine.png", encoded((60, 50)))
    screen.told("fine.png, 60×50")
    # The browser itself complains of pictures that it cannot show, and of what was refused.
    screen.wrong = [line for line in screen.wrong if "413" not in line and "maximum" not in line]
    screen.close()


def test_the_keyboard_moves_everything(browser, server):
    screen = Screen(browser, server)
    page = screen.page
    page.get_by_label("How much of original").focus()
    before = page.locator(".mt-compare > i").bounding_box()["x"]
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert page.locator(".mt-compare > i").bounding_box()["x"] > before + 10
    page.get_by_role("tab", name="Reconstruct").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#lab .mt-lab-result")
    page.locator("#change-1").get_by_label("keep").focus()
    page.keyboard.press("Tab")
    screen.changed("#lab .mt-lab-result", lambda: page.keyboard.press("Space"))
    # Where the keyboard is can be seen, on Gradio's controls too.
    outline = "() => getComputedStyle(document.activeElement).outlineStyle"
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate(outline) != "none"
    page.locator("#network input").focus()
    assert page.evaluate(outline) != "none"
    screen.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(browser, server, scheme):
    screen = Screen(browser, server, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = screen.page
    tabs = {"Reconstruct": ".mt-compare", "Switch lab": ".mt-lab-result", "Inside": ".mt-pixels"}
    for tab, selector in (tabs | {"Table II": ".mt-table"}).items():
        screen.open(tab, f".tabitem >> {selector}")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    paper, ink = page.evaluate(
        "() => [getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('h1')).color]"
    )
    light, dark = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (paper, ink))
    assert (light > dark) == (scheme == "light")
    screen.close()


def test_the_page_loads_nothing_from_elsewhere(server):
    html = httpx.get(server, timeout=SECONDS).text
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"'](https?:)?//", html)
    assert loaded == []
    assert json.loads(httpx.get(f"{server}/config", timeout=SECONDS).text)["analytics_enabled"] is False
