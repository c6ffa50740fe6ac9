"""What each training and each timing imports: for the process that those of a test are forked from."""

import maxtunnel.benchmark.ways  # noqa: F401
from maxtunnel.training.engine import _import_fabric

_import_fabric()
