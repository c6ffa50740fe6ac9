"""The log of a run, whatever was left of it."""

import pytest

from maxtunnel.training.log import Log

HEAD = b"step,loss,rmse,learning_rate,images_per_second\r\n"
ROWS = b"50,1.5,0.2,0.01,80\r\n100,1.25,0.1,0.02,81\r\n"


@pytest.mark.parametrize(
    "left", [b"", b"1", b"150,", b"150,1.0,0.1,0.02", b"\x00" * 30, b"\r\n\r\n", b"150,a,b,c,d\r\n"]
)
def test_what_a_power_cut_left_of_a_row_is_dropped(tmp_path, left):
    path = tmp_path / "metrics.csv"
    path.write_bytes(HEAD + ROWS + left)
    log = Log(tmp_path, 100, "rmse")
    log.row(150, 1.0, 0.1, 0.02, 82.0)
    log.close()
    assert path.read_bytes() == HEAD + ROWS + b"150,1,0.1,0.02,82\r\n"


def test_rows_after_the_step_that_is_resumed_are_dropped(tmp_path):
    (tmp_path / "metrics.csv").write_bytes(HEAD + ROWS)
    Log(tmp_path, 50, "rmse").close()
    assert (tmp_path / "metrics.csv").read_bytes() == HEAD + ROWS.split(b"100,")[0]
