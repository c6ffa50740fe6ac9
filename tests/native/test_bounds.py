"""Native code stays in its memory, also when it reads hostile bytes: tests/tools/check_bounds.py, shortly."""

import pytest

from tools.check_bounds import build, has_sanitizer, run


@pytest.mark.parametrize(("name", "arguments"), [("planar_bounds", ()), ("codec_bounds", (20, 0))])
def test_it_stays_in_its_memory(tmp_path, name, arguments):
    if not has_sanitizer(tmp_path):
        pytest.skip("no compiler here with an address sanitizer")
    done = run(build(name, tmp_path), *arguments)
    assert done.returncode == 0, done.stderr[:2000] + done.stdout
