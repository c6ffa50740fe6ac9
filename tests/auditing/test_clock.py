"""How an audit keeps to its time, told by a clock that only the fake costs of its parts move on."""

import os
import re
import signal
import time

import pytest
import torch
from specimens import convolutions, photographs

from maxtunnel.auditing import AuditConfig, Conclusions, audit
from maxtunnel.auditing.budget import (
    BY_PRIORITY,
    CONTROL,
    COPY,
    EQUALS,
    LEVELS,
    PASSING,
    REDRAWN,
    Budget,
    Course,
    Speed,
)
from maxtunnel.auditing.conclusions import readable_minutes
from maxtunnel.auditing.folders import audit_folder
from maxtunnel.auditing.ledger import EVERY_LEVEL
from maxtunnel.auditing.targets import Target
from maxtunnel.data import folders
from maxtunnel.models.mirrored import MirroredDecoder
from maxtunnel.models.strong import StrongDecoder

pytestmark = pytest.mark.usefixtures("one_thread")


class Clock:
    """`time.monotonic`, moved on by hand."""

    def __init__(self, monkeypatch):
        self.now, self.monkeypatch = 1000.0, monkeypatch
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def charge(self, owner, name, seconds):
        """Let every call of a function take so long: `seconds` of the arguments."""
        function = getattr(owner, name)

        def charged(*args, **kwargs):
            self.now += seconds(*args)
            return function(*args, **kwargs)

        self.monkeypatch.setattr(owner, name, charged)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def slow(clock, step, row=0.0, capture=0.0):
    """A step of a decoder, a row for each photograph, and capturing a photograph take so many seconds."""
    for decoder in (MirroredDecoder, StrongDecoder):
        clock.charge(decoder, "squared_error", lambda *_: step)
        clock.charge(
            decoder,
            "forward",
            lambda _, codes, *__: 0 if torch.is_grad_enabled() else row * len(codes[0]),
        )
    clock.charge(Target, "record", lambda _, images: capture * len(images))


def run(clock, minutes, told=None, **settings):
    began = clock.now
    settings = {"decoder": "mirrored"} | settings
    config = AuditConfig(minutes=float(minutes), images=32, width=4, **settings)
    found = audit(convolutions(3), photographs(64, 16), holdout=photographs(40, 16, seed=1), config=config,
                  on_progress=lambda *what: told is not None and told.append(what))  # fmt: skip
    return found, (clock.now - began) / (60 * minutes)


@pytest.mark.parametrize("minutes", [1, 3, 9])
@pytest.mark.parametrize(("step", "row", "capture"), [(2.0, 0.5, 0.2), (1.0, 0.02, 0.5)])
def test_the_minutes_are_kept(clock, minutes, step, row, capture):
    slow(clock, step, row, capture)
    found, share = run(clock, minutes, least_steps=10)
    assert share < 1.2
    # Every decoder but the first has as many steps, and no fewer than the least; or it is left out, and said.
    known, *others = found.decoders
    assert all(training.steps >= 10 for training in others)
    assert len({training.steps for training in others}) <= 1
    # There is a single level, which the first decoder has read.
    assert EVERY_LEVEL not in {training.name for training in others}
    if len(found.rows) < 9 or found.draws is None:
        assert any(text.startswith("left out") for text in found.left_out)
        assert known.steps >= 1
    else:
        assert share > 0.75
        assert known.steps > others[0].steps


def test_a_model_too_slow_for_its_minutes_gets_no_verdict_but_advice(clock):
    """What a VGG16 at 240 pixels was: 5 seconds a step, in 2 minutes."""
    slow(clock, 5.0, 0.2, 0.3)
    told = []
    found, share = run(clock, 2, told)
    assert share < 1.2
    conclusions = Conclusions(found)
    assert set(conclusions.withheld) == {"verdict", "shares", "levels"}
    assert "No verdict" in conclusions.verdict
    assert "Nothing recognisable" not in conclusions.verdict
    assert found.shares is None
    assert {name for text in found.left_out for name in ("random control", "levels") if name in text} == {
        "random control",
        "levels",
    }
    # 8 decoders of 100 steps at 5 seconds are more than an hour.
    assert 66 < found.enough_minutes < 135
    assert "Give at least" in conclusions.verdict
    notes = [note for phase, _, _, note in told if phase == "plan"]
    assert len(notes) == 1
    assert "a training step here takes 5 s with a mirrored decoder; " in notes[0]
    # It was announced before any training.
    assert [phase for phase, *_ in told].index("plan") < [phase for phase, *_ in told].index(
        "known switches, mirrored decoder"
    )


def test_what_is_announced_as_enough_is_enough(clock):
    slow(clock, 0.5, 0.01, 0.02)
    short, _ = run(clock, 0.5, least_steps=10)
    found, share = run(clock, short.enough_minutes, least_steps=10)
    assert share < 1.2
    assert found.left_out == ()
    assert all(training.steps >= 10 for training in found.decoders)


def test_the_minutes_that_are_enough_are_one_number(clock):
    """Steps that are tried out take longer than those of trainings: caches and allocators warm up."""
    slow(clock, 1.0, 0.01, 0.02)
    tried = iter([8.0] * 6)
    clock.charge(MirroredDecoder, "squared_error", lambda *_: next(tried, 0.0))
    told = []
    found, _ = run(clock, 2, told)
    (announced,) = [note for phase, _, _, note in told if phase == "plan"]
    said = readable_minutes(found.enough_minutes)
    assert f"; {said} are enough for an audit" in announced
    assert f"Give at least {said}." in Conclusions(found).verdict
    assert found.record.seconds_per_step < 2


def test_the_plan_says_in_minutes_what_each_kind_of_decoder_takes(clock):
    slow(clock, 0.05, 0.001, 0.001)
    clock.charge(StrongDecoder, "squared_error", lambda *_: 0.2)
    told = []
    found, _ = run(clock, 0.1, told, decoder="both", least_steps=10)
    (announced,) = [note for phase, _, _, note in told if phase == "plan"]
    alone = readable_minutes(found.enough_minutes)
    assert announced.startswith(
        "a training step here takes 0.05 s with a mirrored decoder, 0.25 s with a strong decoder; "
        f"{alone} are enough for an audit with the mirrored one alone, "
    )
    assert re.search(r"alone, [0-9.]+ \w+ for one with both; with less, parts are left out", announced)


def test_only_photographs_that_the_time_can_use_are_read(clock, tmp_path, photographs_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(
        "from torch import nn\n"
        "build = lambda: nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.MaxPool2d(2))\n"
    )
    for folder in list(photographs_folder.iterdir()):
        for path in list(folder.iterdir()):
            for number in range(60):
                (folder / f"{number}-{path.name}").write_bytes(path.read_bytes())
    slow(clock, 0.4, 0.001, 0.02)
    clock.charge(folders, "_read", lambda *_, **__: 0.05)
    began = clock.now
    config = AuditConfig(minutes=1.5, width=4, decoder="mirrored")
    result, _, _ = audit_folder("model.py:build", photographs_folder, tmp_path / "out", config, size=16)
    assert (clock.now - began) / 90 < 1.2
    # 732 are there; a twelfth of the time reads less than 200.
    assert 140 <= result.images["given"] <= 200
    assert result.images["trained"] == result.images["given"]


@pytest.mark.parametrize("minutes", [2.0, 5.0, 12.0])
def test_mitigations_keep_their_own_minutes(clock, minutes):
    slow(clock, 3.0, 0.01, 0.02)
    found, _ = run(clock, 6, least_steps=5, mitigations=minutes)
    spent = clock.now - 1000.0 - found.seconds
    assert spent < 1.2 * 60 * minutes
    tried = {mitigation.name for mitigation in found.mitigations}
    steps = {training.steps for training in found.decoders if training.name in tried}
    assert len(steps) == 1
    assert min(steps) >= 5
    # All that was not tried is named.
    left_out = [text for text in found.left_out if "mitigations" in text]
    assert len(left_out) == (len(found.mitigations) < 9)


def test_an_interrupted_audit_of_some_minutes_goes_on_with_its_photographs(
    clock, tmp_path, photographs_folder, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(
        "import torch\nfrom torch import nn\ntorch.manual_seed(0)\n"
        "build = lambda: nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.MaxPool2d(2))\n"
    )
    for path in list(photographs_folder.rglob("*.png")):
        for number in range(40):
            (path.parent / f"{number}-{path.name}").write_bytes(path.read_bytes())
    slow(clock, 0.5, 0.001, 0.02)
    clock.charge(folders, "_read", lambda *_, **__: 0.02)

    def press(phase, *_):
        if phase == "random switches":
            os.kill(os.getpid(), signal.SIGINT)

    def once(**settings):
        config = AuditConfig(minutes=2.0, width=4, least_steps=10, decoder="mirrored")
        place = photographs_folder, tmp_path / "out"
        return audit_folder("model.py:build", *place, config, size=16, **settings)[0]

    partial = once(on_progress=press)
    assert partial.interrupted
    # The machine is three times as slow now, and would take other photographs of its own.
    slow(clock, 1.0, 0.001, 0.04)
    whole = once(resume=True)
    assert whole.images == partial.images
    assert whole.rows["known"] == partial.rows["known"]
    assert "random" in whole.rows


def budget(minutes, levels=2, **settings):
    return Budget(AuditConfig(minutes=float(minutes), **settings), time.monotonic(), levels)


def test_experiments_are_left_out_by_their_priority(clock):
    speed = Speed({"mirrored": 1.0}, row=0.001, capture=0.001)
    held = [budget(minutes, decoder="mirrored") for minutes in (1, 4, 8, 15, 17, 19, 40)]
    found = [each.plan(speed, 64).experiments for each in held]
    assert found == [BY_PRIORITY[:count] for count in (0, 1, 2, 3, 4, 5, 5)]
    assert BY_PRIORITY == (CONTROL, LEVELS, EQUALS, COPY, REDRAWN)
    # With enough time, three fifths are for the decoder of known switches, and the others share the rest.
    held = budget(60, decoder="mirrored")
    plan = held.plan(speed, 64)
    assert plan.known == {"mirrored": pytest.approx(0.6 * 0.94 * 3600, rel=0.01)}
    clock.now += plan.known["mirrored"]
    courses = held.courses(plan, speed, "mirrored", "mirrored")
    assert courses.beside == courses.apart
    assert plan.known["mirrored"] == pytest.approx(1.5 * 9 * courses.apart.steps, rel=0.02)
    # That for levels takes the time of two, where there is more than one.
    course = Course("mirrored", 100)
    costs = [budget(60, levels).cost(LEVELS, course, 0, speed) for levels in (1, 2, 3)]
    assert costs == [0, 200, 200]
    assert held.cost(CONTROL, course, 0, speed) == 100


def test_both_kinds_read_where_the_strong_one_has_the_time_to_pass_the_other(clock):
    speed = Speed({"mirrored": 0.05, "strong": 0.25}, row=0.001, capture=0.001)
    plans = {minutes: budget(minutes).plan(speed, 64) for minutes in (1, 2, 4, 12)}
    alone = budget(2, decoder="mirrored").plan(speed, 64)
    # With little time it is as if the mirrored one had been asked for.
    assert plans[2] == alone
    assert set(plans[1].known) == {"mirrored"}
    # With more, nothing is left out for the strong one.
    assert list(plans[12].known) == ["mirrored", "strong"]
    assert plans[12].experiments == BY_PRIORITY
    assert plans[12].known["strong"] >= PASSING * 0.25
    enough = budget(1).strong_minutes(speed)
    assert set(budget(enough).plan(speed, 64).known) == {"mirrored", "strong"}
    assert 4 < enough < 12
    # Whoever asks for one kind gets it, however short the time.
    assert set(budget(1, decoder="strong").plan(speed, 64).known) == {"strong"}
    # What was decided once stays so.
    assert set(budget(2).plan(speed, 64, ("mirrored", "strong")).known) == {"mirrored", "strong"}


def test_each_group_of_decoders_has_the_least_steps_of_its_kind(clock):
    speed = Speed({"mirrored": 0.05, "strong": 0.25}, row=0.001, capture=0.001)
    held = budget(8)
    plan = held.plan(speed, 64)
    clock.now += sum(plan.known.values())
    courses = held.courses(plan, speed, "strong", "mirrored")
    assert (courses.beside.reader, courses.apart.reader) == ("strong", "mirrored")
    assert courses.beside.steps >= 0.9 * 100
    assert courses.apart.steps >= 100
    counts = {CONTROL: 1, LEVELS: 2, EQUALS: 4, COPY: 1, REDRAWN: 1}
    spent = sum(
        counts[each] * courses.of(each).steps * speed.steps[courses.of(each).reader]
        for each in courses.experiments
    )
    assert clock.now - 1000 + spent < 60 * 8


def test_given_steps_take_the_place_of_the_time(clock):
    held = budget(10, steps=100)
    slow = Speed({"mirrored": 1e6, "strong": 1e6}, 1e6, 1e6)
    plan = held.plan(slow, 500)
    assert (held.known_steps("strong"), plan.known) == (100, {"mirrored": None, "strong": None})
    assert (plan.measured, plan.searched, plan.experiments) == (256, 500, BY_PRIORITY)
    courses = held.courses(plan, slow, "strong", "mirrored")
    assert (courses.beside, courses.apart) == (Course("strong", 25), Course("mirrored", 25))
    assert courses.experiments == BY_PRIORITY
    assert not held.over()


def test_rows_are_measured_on_fewer_photographs_where_the_time_is_short(clock):
    # 4 rows, 8 of experiments and 2 for each of 2 levels take an eighth of the time.
    rows = 4 + 1 + 5 + 1 + 1 + 2 * 2
    steps = {"mirrored": 0.01, "strong": 0.01}
    assert budget(10).plan(Speed(steps, 75 / rows / 100.5, 0.0), 1000).measured == 100
    assert budget(10).plan(Speed(steps, 10.0, 0.0), 1000).measured == 16
    assert budget(10).plan(Speed(steps, 10.0, 0.0), 9).measured == 9
