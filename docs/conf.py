"""The documentation site: `make docs` builds it into build/docs, with warnings as errors and notebooks run.

The reference of commands comes from the command line itself, that of Python from docstrings.
Nothing is asked of another machine, neither while it is built nor by its pages.
"""

import os
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from typer.cli import get_docs_for_click
from typer.main import get_command

import maxtunnel
from maxtunnel.commands.app import app as commands

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/maxtunnel/maxtunnel/blob/main"
# Files of the checkout that pages of the site take in.
TAKEN_IN = {"README.md": "index", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog"}
# Rooms that give out names of their own, beside those of `maxtunnel` itself.
ROOMS = [
    f"maxtunnel.{path.parent.name}"
    for path in sorted((ROOT / "src" / "maxtunnel").glob("*/__init__.py"))
    if "__all__" in path.read_text(encoding="utf-8")
]

project = "maxtunnel"
author = copyright = "The maxtunnel authors"
version = release = maxtunnel.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

# Notebooks are text, and run in every build: at toy size, each within a minute.
nb_execution_mode = os.environ.get("MAXTUNNEL_NOTEBOOKS", "force")
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

# `x` in a docstring is code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Source"]

html_theme = "furo"
html_title = "maxtunnel"
html_static_path = ["_static"]
html_favicon = "_static/icon.svg"
html_css_files = ["site.css"]
html_show_sphinx = False
html_theme_options = {
    "source_repository": "https://github.com/maxtunnel/maxtunnel",
    "source_branch": "main",
    "source_directory": "docs/",
}
# Rows and heads of the documents are cut to fit a terminal; the site has no PDF.
suppress_warnings = ["myst.header"]


def write_reference(app: Sphinx, name: str, source: list[str]) -> None:
    """Append what is generated to the two pages of the reference."""
    if name == "reference/commands":
        command = get_command(commands)
        context = command.make_context("maxtunnel", [], resilient_parsing=True)
        parts = [
            get_docs_for_click(obj=found, ctx=context, indent=1, call_prefix="maxtunnel")
            for found in command.commands.values()
        ]
        source[0] += "\n" + "\n".join(parts)
    elif name == "reference/python":
        source[0] += "".join(_described("maxtunnel", maxtunnel))
        source[0] += "".join(
            part for room in ROOMS for part in _described(room, __import__(room, fromlist=["x"]))
        )


def _described(room: str, module: Any) -> list[str]:
    """Directives for every name that a module gives out; what `maxtunnel` gives out stands there alone."""
    parts = [f"\n## {room}\n"]
    for name in module.__all__:
        if room != "maxtunnel" and getattr(module, name) is getattr(maxtunnel, name, None):
            continue
        found = getattr(module, name)
        kind = "autoclass" if isinstance(found, type) else "autofunction" if callable(found) else "autodata"
        parts.append(f"\n### {name}\n\n```{{eval-rst}}\n.. {kind}:: {room}.{name}\n```\n")
    return parts


def lead_outside(app: Sphinx, document: nodes.document) -> None:
    """Lead links to files that are no page of the site to the page that has them, or to the repository."""
    for link in list(document.findall(addnodes.pending_xref)):
        if link.get("reftype") != "myst" or link["reftarget"] in app.env.found_docs:
            continue
        path, _, head = link["reftarget"].partition("#")
        places = [Path(app.srcdir) / Path(link["refdoc"]).parent, ROOT]
        found = [(place / name).resolve() for place in places for name in (path, f"{path}.md") if path]
        target = next((one for one in found if one.exists() and ROOT in one.parents), None)
        if target is None:
            continue
        name = target.relative_to(ROOT).as_posix()
        if name in TAKEN_IN:
            link.update_all_atts({"refdomain": "doc", "reftarget": TAKEN_IN[name]}, replace=True)
            link["reftargetid"] = link.get("reftargetid") or head or None
        else:
            link.replace_self(nodes.reference("", "", *link.children, refuri=f"{REPOSITORY}/{name}"))


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", write_reference)
    app.connect("doctree-read", lead_outside)
