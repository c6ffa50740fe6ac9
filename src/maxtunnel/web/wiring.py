"""Which control of the page makes which function answer, and when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from maxtunnel.web.answers import CONCURRENT

# Gradio tells no types: its blocks and controls, and the methods that tie a function to an event of theirs.
Component = Any
Event = Callable[..., Component]


def put(event: Event, value: str, target: Component) -> Component:
    """At an event, give a control or a state a value, without waiting for answers; what is to happen then."""
    return event(
        partial(str, value), None, target, concurrency_limit=None, api_visibility="private",
        show_progress="hidden",
    )  # fmt: skip


def answer_at(
    events: Sequence[Event], answer: Callable[..., object], inputs: Sequence[Component], result: Component
) -> None:
    """Answer at events, a few answers at a time; `answer` is given values as they were sent, unchecked."""
    for event in events:
        event(
            answer, list(inputs), result, preprocess=False, trigger_mode="always_last",
            show_progress="minimal", api_visibility="private", concurrency_id="network",
            concurrency_limit=CONCURRENT,
        )  # fmt: skip


@dataclass(frozen=True)
class Wiring:
    """What all tabs share.

    Attributes:
        photograph: the control that holds photograph A.
        model: the control that holds the name of the network.
        opened: the state that holds the name of the tab that is open.
    """

    photograph: Component
    model: Component
    opened: Component

    def answer_always(
        self,
        answer: Callable[..., str],
        controls: Sequence[Component],
        events: Sequence[Event],
        result: Component,
    ) -> None:
        """Answer to photograph, network and `events`: for the tab with which the page opens."""
        events = [self.photograph.change, self.model.change, *events]
        answer_at(events, answer, [self.photograph, self.model, *controls], result)

    def answer_to(
        self, answer: Callable[..., str], file: Component, controls: Sequence[Component], result: Component
    ) -> None:
        """Answer when another file is chosen, which may be none."""
        answer_at([file.change], answer, [file, self.photograph, self.model, *controls], result)

    def answer_while_open(
        self,
        name: str,
        tab: Component,
        answer: Callable[..., str],
        controls: Sequence[Component],
        events: Sequence[Event],
        result: Component,
    ) -> None:
        """Answer when the tab is opened, to `events`, and while it is open to photograph and network."""
        import gradio as gr

        def answer_if_open(opened: object, *values: object) -> object:
            return answer(*values) if opened == name else gr.skip()

        inputs = [self.photograph, self.model, *controls]
        shared = [self.photograph.change, self.model.change]
        answer_at(events, answer, inputs, result)
        answer_at(shared, answer_if_open, [self.opened, *inputs], result)
        answer_at([put(tab.select, name, self.opened).then], answer, inputs, result)
