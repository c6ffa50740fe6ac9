"""One cluster for all tests of engines: it takes long to start."""

import os

import pytest


@pytest.fixture(scope="session")
def cluster():
    """Two nodes of one processor each; the second declares a GPU, which Ray then hands out."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Nobody watches its logs, and it does not grow.
    quiet = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1} | quiet)
    nodes.add_node(num_cpus=1, num_gpus=1)
    yield nodes
    nodes.shutdown()
