"""The plot of Table II: what stands beside its marks can be read."""

import itertools
import re

from maxtunnel.web import table
from maxtunnel.zoo.names import list_shipped

_TEXT = r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)"[^>]*>(.*?)<'
HEIGHT, WIDTH = 13.0, 7.2  # of a sign at the most, in pixels


def boxes():
    """Left, top, right and bottom of each network's name in the plot."""
    drawn, found = table.show(), {}
    for x, y, anchor, name in re.findall(_TEXT, drawn):
        width = WIDTH * len(name)
        left = float(x) - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        found[name] = (left, float(y) - HEIGHT, left + width, float(y))
    return {entry.name: found[entry.name] for entry in list_shipped() if entry.name in found}


def test_no_name_lies_on_another():
    found = boxes()
    assert {"8-8-8", "2-2-2-learned", "8-8-8-learned", "16-16-16-learned"} <= found.keys()
    for (one, a), (other, b) in itertools.combinations(found.items(), 2):
        apart = a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
        assert apart, f"{one} lies on {other}"


def test_no_name_of_a_learned_encoder_lies_on_a_diamond():
    drawn = table.show()
    marks = [tuple(map(float, place)) for place in re.findall(r"rotate\(45 ([\d.]+) ([\d.]+)\)", drawn)]
    assert len(marks) >= 8
    for name, (left, top, right, bottom) in boxes().items():
        if name.endswith("-learned"):
            for x, y in marks:
                assert not (left - 5 < x < right + 5 and top - 5 < y < bottom + 5), (name, x, y)
