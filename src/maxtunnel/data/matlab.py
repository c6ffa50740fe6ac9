"""MATLAB's files, as SciPy reads them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maxtunnel.support.files import FormatError, one_line


@contextmanager
def reading_matlab(path: Path) -> Iterator[None]:
    """SciPy's reader answers damage with nearly any exception: a FormatError instead."""
    try:
        yield
    except FormatError:
        raise
    except ImportError:
        raise ValueError(f"{path} is read by SciPy: pip install scipy") from None
    except Exception as error:
        reason = one_line(error)
        raise FormatError(
            f"{path} is cut short, damaged or of another kind ({reason}): get it again"
        ) from error
