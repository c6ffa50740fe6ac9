"""The server: a socket, a folder for uploads that is emptied, and the page."""

import logging
import os
import signal
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from maxtunnel.web.dense_networks import is_dense, offer_dense
from maxtunnel.web.frame import looks
from maxtunnel.web.gate import Application, Gate
from maxtunnel.web.inputs import Limits
from maxtunnel.web.networks import offer
from maxtunnel.web.page import PHOTOGRAPHS, build
from maxtunnel.web.results import KEEP_SECONDS, Results

MOST_UPLOADED = 2 * 10**9  # bytes of all uploads together; the oldest go first
SWEEP_SECONDS = 10.0
MOST_VISITORS = 500
LOCAL = ("127.0.0.1", "localhost", "::1")


def serve(
    host: str = "127.0.0.1",
    port: int = 7860,
    auth: str | None = None,
    limits: Limits | None = None,
    say: Callable[[str], None] = print,
    networks: Sequence[str | Path] = (),
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        host: address to listen on; with any but the machine's own, others can reach the page.
        port: 0 takes a free one.
        auth: `NAME:PASSWORD` that visitors must give.
        limits: of what is taken in.
        say: is told where the page is, and what to beware of.
        networks: of files, offered beside those that ship (`networks.offer`); those that answer for every
            pixel in a tab of their own (`dense_networks.offer_dense`).

    Raises:
        ValueError: Gradio is not installed, the port is taken, `auth` is no name and password, or a network
            is too large, or called like another.
        FormatError: a network cannot be read.
    """
    limits = limits or Limits()
    pair = None if auth is None else _split(auth)
    if find_spec("gradio") is None:
        raise ValueError("the page needs Gradio: pip install 'gradio>=6.31,<7'")
    dense = [file for file in networks if is_dense(file)]
    offer([file for file in networks if file not in dense])
    offer_dense(dense)
    with _listen(host, port) as listener, _folder() as folder:
        say("Building the page, which takes some seconds")
        application = make(limits, folder, pair)
        shown = f"[{host}]" if ":" in host else host
        say(f"The page is at http://{shown}:{listener.getsockname()[1]} (Ctrl-C stops it)")
        if host not in LOCAL:
            say(_warning(host, pair is not None))
        with _swept(folder):
            _run(application, listener)


def _warning(host: str, protected: bool) -> str:
    if protected:
        return f"Others can reach the page at {host}; their password and photographs travel unencrypted"
    return f"Anyone who reaches this machine at {host} can use the page: ask for a password with `auth`"


def make(limits: Limits, folder: Path, auth: tuple[str, str] | None = None) -> Gate:
    """The page as an ASGI application whose uploads lie in `folder`."""
    # Read when Gradio is imported.
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with warnings.catch_warnings():
        # Of the libraries below Gradio, about each other.
        warnings.simplefilter("ignore", DeprecationWarning)
        import gradio as gr
        from fastapi import FastAPI

        results = Results()
        blocks = build(limits, folder, results)
        application = gr.mount_gradio_app(
            FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
            blocks,
            path="/",
            auth=auth,
            # For the samples; the gate gives nothing out from there.
            allowed_paths=[str(PHOTOGRAPHS)],
            max_file_size=limits.max_bytes,
            show_error=False,
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=False,
            pwa=False,
            **looks(),
        )
    # Gradio keeps what each of so many visitors last saw and set.
    blocks.state_holder.capacity = MOST_VISITORS
    return Gate(application, folder, limits, results)


def _split(auth: str) -> tuple[str, str]:
    name, colon, password = auth.partition(":")
    if not (name and colon and password):
        raise ValueError("`auth` must be NAME:PASSWORD, such as class:tunnel")
    return name, password


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; ValueError where there is none to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such port"
            raise ValueError(f"cannot listen on {host}, port {port} ({reason}): try another `port`") from None
        yield listener


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for uploads, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="maxtunnel-", ignore_cleanup_errors=True) as name:
        # Gradio compares resolved paths, and on some systems the temporary folder is a link.
        yield Path(name).resolve()


@contextmanager
def _swept(folder: Path) -> Iterator[None]:
    """Delete uploads in time; what lies there now, the samples, stays."""
    kept, stop = set(folder.rglob("*")), threading.Event()

    def sweep_often() -> None:
        while not stop.wait(SWEEP_SECONDS):
            sweep(folder, kept, KEEP_SECONDS, MOST_UPLOADED)

    sweeper = threading.Thread(target=sweep_often, daemon=True)
    sweeper.start()
    try:
        yield
    finally:
        stop.set()
        sweeper.join()


def sweep(folder: Path, kept: set[Path], seconds: float, most: int) -> None:
    """Delete files older than `seconds`, and the oldest beyond `most` bytes in all; not those `kept`."""
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and path not in kept:
                found.append((path.stat().st_mtime, path.stat().st_size, path))
        except OSError:
            continue
    left = sum(size for _, size, _ in found)
    for changed, size, path in sorted(found):
        if time.time() - changed > seconds or left > most:
            path.unlink(missing_ok=True)
            left -= size


def _run(application: Application, listener: socket.socket) -> None:
    import uvicorn

    logging.getLogger("httpx").setLevel(logging.WARNING)
    config = uvicorn.Config(
        application, log_level="warning", access_log=False, timeout_graceful_shutdown=2, ws="none",
        server_header=False, limit_concurrency=2000,
    )  # fmt: skip
    # Uvicorn ends in peace, then sends itself the signal again: SIGTERM would leave the uploads behind.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
