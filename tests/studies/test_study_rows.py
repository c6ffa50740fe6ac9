"""What a study keeps, and whom its folder refuses."""

import json
import signal
from dataclasses import dataclass

import pytest

from maxtunnel.studies.rows import Rows, do_missing, kept_settings
from maxtunnel.support.files import FormatError
from maxtunnel.support.progress import Stopped


@dataclass(frozen=True)
class Asked:
    steps: int
    sizes: tuple[int, ...] = (3, 4)
    data: str = "a hash"
    images: int | None = None


@dataclass(frozen=True)
class Found:
    value: float


def rows(folder, steps=5, study="toys", **others):
    return Rows(folder / "study", study, Asked(steps, **others), Found)


def test_a_row_is_kept(tmp_path):
    assert rows(tmp_path).get("a") is None
    rows(tmp_path).keep("a", Found(0.1))
    assert rows(tmp_path).get("a") == Found(0.1)
    assert rows(tmp_path).get("b") is None


def test_a_folder_of_other_settings_is_refused(tmp_path):
    rows(tmp_path)
    with pytest.raises(ValueError, match="holds runs with `steps` 5, not 6: give another folder"):
        rows(tmp_path, steps=6)
    # The hash changes with the number of images, which is what was given.
    with pytest.raises(ValueError, match="holds runs with `images` the default, not 6: give another folder"):
        rows(tmp_path, data="another", images=6)
    with pytest.raises(ValueError, match="of other images: give another folder, or the same images, as many"):
        rows(tmp_path, data="another")
    with pytest.raises(ValueError, match="holds the study toys, not others"):
        rows(tmp_path, study="others")
    # What a newer version decides besides was decided otherwise, or not at all, before.
    path = tmp_path / "study" / "study.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"settings": {"steps": 5, "sizes": [3, 4], "colour": "red"}}))
    with pytest.raises(ValueError, match="`colour` red, not the default"):
        rows(tmp_path)


def test_what_is_settled_is_told(tmp_path):
    assert kept_settings(tmp_path / "study") is None
    rows(tmp_path)
    settings = {"steps": 5, "sizes": [3, 4], "data": "a hash", "images": None}
    assert kept_settings(tmp_path / "study") == {"study": "toys", "settings": settings}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"study": "toys"}', '{"settings": {}}'])
def test_a_damaged_record_is_refused(tmp_path, text):
    rows(tmp_path)
    (tmp_path / "study" / "study.json").write_text(text)
    with pytest.raises(FormatError, match=r"study\.json"):
        rows(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"value": "x"}', '{"value": 1, "other": 2}'])
def test_a_damaged_row_is_named(tmp_path, text):
    found = rows(tmp_path)
    found.keep("a", Found(1.0))
    (tmp_path / "study" / "runs" / "a.json").write_text(text)
    with pytest.raises(FormatError, match=r"a\.json .* delete it to run it again"):
        found.get("a")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "study").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        rows(tmp_path)


def test_a_run_that_another_process_ends_meanwhile_leaves_no_lock(tmp_path, monkeypatch):
    one = rows(tmp_path)
    # It ends between the first look and the lock.
    looks = iter([None, Found(1.0)])
    monkeypatch.setattr(one, "get", lambda name: next(looks))
    with one.claim("a") as mine:
        assert not mine
    assert list((tmp_path / "study" / "runs").iterdir()) == []


def test_a_run_is_one_process_s_at_a_time(tmp_path):
    with rows(tmp_path).claim("a") as mine:
        assert mine
        # A lock belongs to the open file, so a second one here is as another process's.
        with rows(tmp_path).claim("a") as also_mine, rows(tmp_path).claim("b") as another:
            assert (also_mine, another) == (False, True)
        rows(tmp_path).keep("a", Found(1.0))
    with rows(tmp_path).claim("a") as again:
        assert not again
    assert not list((tmp_path / "study" / "runs").glob("a.lock"))


def test_a_run_that_fails_can_be_claimed_again(tmp_path):
    with pytest.raises(ZeroDivisionError), rows(tmp_path).claim("a"):
        raise ZeroDivisionError
    with rows(tmp_path).claim("a") as mine:
        assert mine


@dataclass(frozen=True)
class Run:
    name: str


RUNS = tuple(map(Run, "abc"))


def test_what_is_missing_is_done_in_order(tmp_path):
    kept, told, done = rows(tmp_path), [], []
    kept.keep("b", Found(2.0))

    def do(run, stop):
        done.append(run.name)
        if run.name != "c":
            kept.keep(run.name, Found(1.0))

    do_missing(RUNS, lambda run: kept, do, lambda *news: told.append(news))
    assert done == ["a", "c"]
    assert told == [
        ("networks", 0, 3, "a"), ("networks", 1, 3, "b"), ("networks", 2, 3, "c"), ("networks", 3, 3, ""),
    ]  # fmt: skip
    assert kept.sorted_out(RUNS) == ((Found(1.0), Found(2.0)), ("c",))


def test_a_study_that_is_stopped_says_what_it_has(tmp_path):
    kept = rows(tmp_path)

    def do(run, stop):
        assert not stop()
        if run.name == "b":
            signal.raise_signal(signal.SIGINT)
            assert stop()
            return
        kept.keep(run.name, Found(1.0))

    with pytest.raises(Stopped, match=r"stopped; 1 of 3 readers are kept in .*study: give the same command"):
        do_missing(RUNS, lambda run: kept, do, lambda *news: None, "readers")
    assert kept.sorted_out(RUNS) == ((Found(1.0),), ("b", "c"))


def test_a_network_that_somebody_deleted_is_named(tmp_path):
    kept = rows(tmp_path)
    with pytest.raises(FormatError, match=r"a\.safetensors is missing: delete .*a\.json to train it again"):
        kept.find_network("a")
    kept.network("a").write_bytes(b"")
    assert kept.find_network("a") == kept.network("a")
    kept.keep_picture("a", b"pixels")
    assert kept.picture("a").read_bytes() == b"pixels"
