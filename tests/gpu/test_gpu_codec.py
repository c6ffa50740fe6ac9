"""Switch files of codes that lie on a GPU."""

import pytest
import torch

from maxtunnel.codec import dumps, loads, stored_bits
from maxtunnel.codec.coders import is_fast
from maxtunnel.data.images import to_float
from maxtunnel.switches.codes import SwitchCode, SwitchLevel
from maxtunnel.switches.pooling import pool
from maxtunnel.switches.window import Window
from maxtunnel.zoo.names import load

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("coding", ["packed", "entropy"])
def test_files_are_the_same_bytes_as_from_the_cpu(device, pieces, coding):
    # Without a compiler coding takes milliseconds a code.
    images, network = (
        to_float(pieces[:2, :, :32, :32] if is_fast() else pieces[:1, :, :16, :16]),
        load("8-8-8"),
    )
    code = network.encode(images)
    expected = dumps(code, network, coding)
    network.to(device)
    assert dumps(code.to(device), network, coding) == expected
    read = loads(expected)
    assert read == code.to(device)
    assert network.decode(read).device.type == device.type
    torch.testing.assert_close(network.decode(read), network.decode(code.to(device)), rtol=0, atol=2e-5)


def test_codes_of_any_window_are_written_from_a_gpu(device):
    x, window = torch.randn(1, 3, 12, 12), Window(3, 2, 1)
    _, codes = pool(x, window)
    code = SwitchCode((SwitchLevel(codes, window, (12, 12)),), (12, 12))
    assert dumps(code.to(device)) == dumps(code)
    assert float(stored_bits(code.to(device))) == float(stored_bits(code))
    assert code.to(device).entropy_bits == pytest.approx(code.entropy_bits)


def test_codes_that_are_wrong_are_refused_on_a_gpu(device):
    codes = torch.full((1, 2, 4, 4), 7, dtype=torch.uint8, device=device)
    with pytest.raises(ValueError, match="code is 7"):
        dumps(SwitchCode((SwitchLevel(codes, Window(), (8, 8)),), (8, 8)))
