"""`put`, `take` and which windows last, one cell after the other: the oracle of versions without a loop."""

import torch


def places(codes, window, size):
    """For each code its window (n, c, row, column) and its cell in the plane, if it has one."""
    for n, c, row, column in torch.cartesian_prod(*map(torch.arange, codes.shape)).view(-1, 4).tolist():
        down, right = divmod(int(codes[n, c, row, column]), window.kernel[1])
        y = row * window.stride[0] - window.padding[0] + down * window.dilation[0]
        x = column * window.stride[1] - window.padding[1] + right * window.dilation[1]
        inside = down < window.kernel[0] and 0 <= y < size[0] and 0 <= x < size[1]
        yield (n, c, row, column), (n, c, y, x) if inside else None


def put(values, codes, window, size):
    plane = torch.zeros(*codes.shape[:2], *size, dtype=torch.float64)
    for window_at, cell in places(codes, window, size):
        if cell:
            plane[cell] += values[window_at].double()
    return plane


def take(plane, codes, window):
    values = torch.zeros(codes.shape, dtype=torch.float64)
    for window_at, cell in places(codes, window, plane.shape[-2:]):
        if cell:
            values[window_at] = plane[cell].double()
    return values


def lasting(codes, window, size):
    last = {cell: window_at for window_at, cell in places(codes, window, size) if cell}
    stays = torch.zeros(codes.shape, dtype=torch.bool)
    for window_at in last.values():
        stays[window_at] = True
    return stays
