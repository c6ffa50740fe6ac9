"""Answers to the page's controls: uploads are read, a tab's function is called, its pictures are kept."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from maxtunnel.web import dense, inside, lab, markup, reconstruct
from maxtunnel.web.inputs import Limits
from maxtunnel.web.results import Results
from maxtunnel.web.uploads import Upload, read_upload

CONCURRENT = 2  # answers computed at once; others wait their turn


class Answers:
    """HTML for what a visitor sent, which is checked here and in the tabs: it may be anything.

    Args:
        limits: of uploads.
        folder: where Gradio puts uploads.
        results: where the pictures of answers are kept.
    """

    def __init__(self, limits: Limits, folder: Path, results: Results) -> None:
        self._limits, self._folder, self._results = limits, folder, results
        # Threads of their own: what they free they use again, while among Gradio's forty it would pile up.
        self._workers = ThreadPoolExecutor(CONCURRENT)

    def to_photograph(self, photograph: object, model: object, side: object) -> str:
        """The first tab, for a photograph."""
        return self._compute(
            lambda upload: reconstruct.answer_photograph(upload, model, side, self._limits), photograph
        )

    def to_switch_file(self, file: object, photograph: object, model: object, side: object) -> str:
        """The first tab, for a switch file; without one it is the photograph's turn again."""
        if file is None:
            return self.to_photograph(photograph, model, side)
        return self._compute(
            lambda upload: "" if upload is None else reconstruct.answer_switches(upload, self._limits), file
        )

    def to_lab(
        self,
        first: object,
        model: object,
        second: object,
        decoder: object,
        what: object,
        seed: object,
        *controls: object,
    ) -> str:
        """The second tab; `controls` are a change and a share for each level that the page has."""
        return self._compute(
            lambda a, b: lab.answer(a, b, model, decoder, controls, what, seed, self._limits), first, second
        )

    def to_inside(self, photograph: object, model: object, decoder: object, channel: object) -> str:
        """The third tab."""
        return self._compute(
            lambda upload: inside.answer(upload, model, decoder, channel, self._limits), photograph
        )

    def to_dense(self, photograph: object, _: object, network: object, other: object) -> str:
        """The tab of networks that answer for every pixel; the page's own network has no say in it."""
        return self._compute(lambda upload: dense.answer(upload, network, other, self._limits), photograph)

    @markup.with_notices
    def _compute(self, answer: Callable[..., str], *payloads: object) -> str:
        """An answer for uploads, or what is wrong with them."""
        uploads: list[Upload | None] = [
            read_upload(payload, self._folder, self._limits) for payload in payloads
        ]
        return self._results.lift(self._workers.submit(answer, *uploads).result())
