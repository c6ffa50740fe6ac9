"""GPUs of a cluster: the parts that take them go to the node that has them, and are told where it has none.

Ray hands out what a node declares, so no GPU is needed.
"""

import pytest

from maxtunnel.scale.cluster import start_engine

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # Ray's own, as in test_cluster.py.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning:ray"),
]


@pytest.fixture(scope="module")
def spread(cluster):
    with start_engine("ray", cluster.address, gpus=0.5) as engine:
        yield engine


def test_a_node_whose_pytorch_can_use_none_is_named(spread):
    with pytest.raises(ValueError, match=r"^`gpus` is 0.5, and PyTorch on .* can use none: install[^\n]*$"):
        list(spread(len, ["part"]))


def looking():
    """A work that finds out about its worker, where PyTorch believes in GPUs.

    Made in a function, as workers cannot import this file.
    """

    class Look:
        def __call__(self, part):
            import os

            import ray

            return (
                part,
                os.environ["CUDA_VISIBLE_DEVICES"],
                ray.get_runtime_context().get_node_id(),
                os.getpid(),
            )

        def __reduce__(self):
            return pretend, ()

    def pretend():
        import torch

        torch.cuda.is_available = lambda: True
        return Look()

    return Look()


def test_parts_with_a_gpu_go_to_the_node_that_has_it_and_their_process_is_kept(spread):
    (node,) = (found["NodeID"] for found in ray.nodes() if found["Resources"].get("GPU"))
    found = sorted(row for _, row in spread(looking(), range(6), whole_node=True))
    assert [row[:3] for row in found] == [(part, "0", node) for part in range(6)]
    assert len({process for *_, process in found}) == 1
