"""What is written for the page, with a stand-in for the runtime."""

import json
import re

import pytest

from maxtunnel.site import runtime
from maxtunnel.site.build import build_site
from maxtunnel.site.runtime import FILES, copy_runtime
from maxtunnel.support.files import FormatError


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder that has what is taken of onnxruntime-web."""
    folder = tmp_path_factory.mktemp("onnxruntime-web")
    (folder / "dist").mkdir()
    (folder / "package.json").write_text(json.dumps({"name": "onnxruntime-web", "version": "1.2.3"}))
    for name in FILES:
        (folder / "dist" / name).write_text(name)
    return folder


@pytest.fixture(scope="module")
def built(package, tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    build_site(out, package, ["8-8-8"])
    return out


def test_all_that_the_page_names_is_there(built):
    about = json.loads((built / "networks.json").read_text())
    (network,) = about["networks"]
    assert list(network["decoders"]) == ["mirrored", "strong"]
    parts = [network["encoder"], *network["decoders"].values()]
    for part in [*parts, about["runtime"]]:
        assert (built / part["file"]).stat().st_size == part["bytes"]
    assert (built / network["mean"]["file"]).stat().st_size == 12 * 128 * 128
    html = (built / "index.html").read_text()
    for address in re.findall(r'(?:src|href)="([^"#]+)"', html):
        assert address == "data:," or (built / address).is_file()
    for name in about["photographs"]:
        assert (built / "photographs" / f"{name}.jpg").is_file()
    assert "onnxruntime-web 1.2.3" in html
    licence = (built / "licences" / "onnxruntime-web.txt").read_text()
    assert "MIT License" in licence
    assert f"/v{runtime.VERSION}/" in licence
    assert "musl" in (built / "licences" / "codec.txt").read_text()
    for file in built.glob("licences/*"):
        assert f'href="licences/{file.name}"' in html


def test_no_address_leads_away_and_no_script_stands_in_the_page(built):
    for file in [*built.glob("*.js"), *built.glob("*.css"), built / "index.html"]:
        text = file.read_text()
        assert not re.findall(r"(?:src|href|import|url|fetch)\W{0,3}[\"'(](?:https?:)?//", text), file
        assert not re.findall(r"[\"'(]/\w", text), f"{file} names an address that begins at the root"
    html = (built / "index.html").read_text()
    assert "Content-Security-Policy" in html
    assert not re.findall(r" on\w+=|<script(?![^>]* src=)| style=", html)


def test_numbers_are_those_that_ship(built):
    html = (built / "index.html").read_text()
    assert html.count("<svg viewBox") >= 2
    assert '<th scope="row" data-key="24">8-8-8</th>' in html


def test_what_is_missing_is_said_in_one_line(tmp_path, package, monkeypatch):
    with pytest.raises(
        FormatError, match=r"is not the npm package onnxruntime-web: give its folder \(npm pack"
    ):
        copy_runtime(tmp_path / "out", tmp_path)
    less = tmp_path / "less"
    less.mkdir()
    (less / "package.json").write_text((package / "package.json").read_text())
    with pytest.raises(FormatError, match=r"1\.2\.3 without dist/ort\.wasm\.min\.mjs: give version"):
        copy_runtime(tmp_path / "out", less)
    monkeypatch.setattr(runtime.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="npm is not here to fetch it: give `onnxruntime_web`"):
        copy_runtime(tmp_path / "out")
    with pytest.raises(ValueError, match="`models` has '8-8-8-strong': expected some of 8-8-8"):
        build_site(tmp_path / "site", package, ["8-8-8-strong"])
    with pytest.raises(ValueError, match="`models` names none"):
        build_site(tmp_path / "site", package, [])
    assert not (tmp_path / "site").exists()


def test_another_page_is_spared(tmp_path, package, built):
    mine = tmp_path / "index.html"
    mine.write_text("<title>My page</title>")
    with pytest.raises(
        ValueError, match=r"`out` holds another page, .*index\.html: give a folder of its own"
    ):
        build_site(tmp_path, package, ["8-8-8"])
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    # One of ours is written anew, and what lies beside it stays.
    (built / "CNAME").touch()
    (built / "app.js").write_text("")
    build_site(built, package, ["8-8-8"])
    assert (built / "app.js").stat().st_size
    assert (built / "CNAME").exists()


def test_npm_that_fails_is_said_too(tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho npm error network nowhere >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(runtime.shutil, "which", lambda name: str(npm))
    with pytest.raises(
        ValueError, match=r"npm could not fetch onnxruntime-web \(npm error network nowhere\)"
    ):
        copy_runtime(tmp_path / "out")
