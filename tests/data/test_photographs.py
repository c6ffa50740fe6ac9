from pathlib import Path

from maxtunnel.data import photographs
from maxtunnel.data.images import to_float


def test_the_demo_photographs_are_small_licensed_and_in_order():
    found = photographs.demo_photographs()
    assert list(found) == ["astronaut", "rocket", "chelsea", "coffee"]
    folder = Path(photographs.__file__).parent
    licences = (folder / "LICENSES.md").read_text()
    for name, image in found.items():
        assert image.shape == (3, 256, 256)
        assert float(to_float(image).std()) > 0.1
        assert f"`{name}.jpg`" in licences
    assert sum(path.stat().st_size for path in folder.glob("*.jpg")) < 400_000
