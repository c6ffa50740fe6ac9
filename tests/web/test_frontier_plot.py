"""The plot of stored bits: every network that ships and both kinds of files, where their numbers say."""

import re

from maxtunnel.web import frontier
from maxtunnel.zoo.names import list_shipped


def test_every_network_that_ships_has_a_mark():
    drawn = frontier.show()
    for entry in list_shipped():
        assert re.search(rf"<title>{re.escape(entry.name)}[ :]", drawn), entry.name


def test_files_are_lines_that_fall():
    lines = re.findall(r'class="mt-line mt-(jpeg|webp)".*? points="([^"]+)"', frontier.show())
    assert {name for name, _ in lines} == {"jpeg", "webp"}
    for _, line in lines:
        places = [tuple(map(float, place.split(","))) for place in line.split(" ")]
        # More bits lie further right, less error further down.
        assert places == sorted(places)
        assert [y for _, y in places] == sorted(y for _, y in places)


def test_what_was_measured_agrees_with_the_networks_own_record():
    points = [
        point for point in frontier.measured().points if point.nominal and "refined" not in point.series
    ]
    found = {point.name.split(" ")[0]: point for point in points}
    for entry in list_shipped():
        assert abs(found[entry.name].rmse - entry.rmse) < 0.002, entry.name


def test_words_say_how_many_photographs():
    assert f"{frontier.measured().images:,} photographs" in frontier.explanation()
