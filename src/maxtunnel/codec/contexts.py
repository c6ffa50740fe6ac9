"""What the adaptive model looks at: contexts as lists of codes near the one to come.

It serves any window and any encoder. For every context it counts what followed it, and a mixer, which learns
as it goes, weighs the predictions (the scheme of Mahoney's PAQ).
"""

import numpy as np

SLOTS = 1 << 16  # counters a context; more contexts than that share them
LIMIT = 250  # decisions after which a counter's rate of change stays
MOST = 1 << 24  # bound on a mixing weight

# Each read is (source, row, column): source 0 is the own channel, 1 and 2 the peers of `choose_peers`.
# The last reads of a context are those that still count where contexts must share counters.
_OWN = {
    "W": (0, 0, -1),
    "N": (0, -1, 0),
    "NW": (0, -1, -1),
    "NE": (0, -1, 1),
    "WW": (0, 0, -2),
    "NN": (0, -2, 0),
}
_PEERS = {
    f"{name}{peer}": (peer, row, column)
    for peer in (1, 2)
    for name, row, column in (("C", 0, 0), ("E", 0, 1), ("S", 1, 0), ("W", 0, -1), ("N", -1, 0))
}
READS = tuple(
    tuple((_OWN | _PEERS)[name] for name in context.split())
    for context in (
        "W N",
        "NE NW W N",
        "NN WW NE NW W N",
        "C1 W N",
        "C2 C1",
        "C2 C1 W N",
        "W1 N1 E1 S1 C1",
        "E1 S1 C1 W N",
        "E2 S2 C2 W N",
        "E2 S2 C2 E1 S1 C1",
    )
)


def reads_array() -> np.ndarray:
    """`READS` as codec.cpp takes them: int8, (contexts, 6, 3), unused ones -1."""
    array = np.full((len(READS), 6, 3), -1, np.int8)
    for row, context in zip(array, READS, strict=True):
        row[: len(context)] = context
    return array


def choose_peers(codes: np.ndarray, cells: int) -> np.ndarray:
    """For each channel the two earlier ones, within 255, that tell most about it; int32 (c, 2), -1 for none.

    By mutual information of codes at the same place. The choice is written to the file, so that it need not
    be repeated exactly.
    """
    channels = codes.shape[1]
    if cells <= 16:
        information = _mutual_information(codes, cells)
    else:
        information = np.broadcast_to(np.arange(channels), (channels, channels))
    peers = np.full((channels, 2), -1, np.int32)
    for channel in range(1, channels):
        first = max(0, channel - 255)
        best = first + np.argsort(-information[channel, first:channel], kind="stable")[:2]
        peers[channel, : len(best)] = best
    return peers


def _mutual_information(codes: np.ndarray, cells: int) -> np.ndarray:
    places = codes.swapaxes(0, 1).reshape(codes.shape[1], -1)
    places = places[:, :: max(1, places.shape[1] // 16384)]
    one_hot = (places[:, None] == np.arange(cells)[:, None]).reshape(-1, places.shape[1]).astype(np.float32)
    joint = (one_hot @ one_hot.T).reshape(len(places), cells, len(places), cells).swapaxes(1, 2) + 0.1
    joint /= joint.sum((2, 3), keepdims=True)
    independent = joint.sum(2, keepdims=True) * joint.sum(3, keepdims=True)
    return (joint * np.log(joint / independent)).sum((2, 3))
