"""Each setting of the process that a person's code may change is afterwards as it was."""

import os
import random
import sys
import warnings

import numpy as np
import pytest
import torch

from maxtunnel.switches.guard import keeping_state


def read_all():
    """What may be changed, in a form that compares."""
    return {
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "autocast": [torch.is_autocast_enabled(device) for device in ("cpu", "cuda")],
        "convolutions": torch.backends.cudnn.conv.fp32_precision,
        "products": torch.backends.cuda.matmul.fp32_precision,
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "errors": np.geterr(),
        "filters": list(warnings.filters),
        "path": sys.path[:],
        "folder": os.getcwd(),
    }


held = []


def enter_inference_mode():
    # Kept, or it would be left at once.
    held.append(torch.inference_mode())
    held[-1].__enter__()


CHANGES = {
    "grad": lambda: torch.set_grad_enabled(False),
    "inference": enter_inference_mode,
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "python": random.random,
    "numpy": np.random.rand,
    "torch": lambda: torch.manual_seed(7),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "warn only": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "autocast": lambda: [torch.set_autocast_enabled(device, True) for device in ("cpu", "cuda")],
    "convolutions": lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    "products": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "cudnn": lambda: setattr(torch.backends.cudnn, "benchmark", not torch.backends.cudnn.benchmark),
    "errors": lambda: np.seterr(all="raise"),
    "filters": lambda: warnings.simplefilter("ignore"),
    "path": lambda: sys.path.insert(0, "elsewhere"),
    "folder": lambda: os.chdir("/"),
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_every_setting_is_restored(name, fails):
    before = read_all()
    try:
        with keeping_state():
            CHANGES[name]()
            assert read_all()[name] != before[name]
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert read_all() == before
    # What was made inside is no obstacle to training afterwards.
    weight = torch.ones(2, requires_grad=True)
    (2 * weight).sum().backward()
    assert weight.grad.tolist() == [2, 2]


def test_their_defaults_are_in_force_the_next_time():
    theirs = {}
    before = read_all()
    with keeping_state(theirs):
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_grad_enabled(False)
        sys.path.insert(0, "elsewhere")
        os.chdir("/")
    assert read_all() == before
    with keeping_state(theirs):
        assert torch.zeros(2).dtype == torch.float64
        assert torch.zeros(2).is_meta
        assert (sys.path[0], os.getcwd()) == ("elsewhere", "/")
        # The grad mode is no default that a model was made with.
        assert torch.is_grad_enabled()
    assert read_all() == before


def test_the_modes_of_the_caller_hold_inside():
    with torch.inference_mode():
        with keeping_state():
            assert torch.is_inference_mode_enabled()
        assert torch.is_inference_mode_enabled()
    with torch.no_grad(), keeping_state():
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
