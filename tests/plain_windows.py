"""Which cells of a plane a pooling window covers, worked out cell by cell, as the oracle of faster code."""

from maxtunnel.switches.window import Window

# Tiling, overlapping and padded, overlapping with a cut-off last window, and all at once with dilation.
WINDOWS = [Window(), Window(3, 2, 1), Window(3, 2, ceil_mode=True), Window((2, 3), 2, (1, 1), (1, 2))]


def cells_inside(window, size):
    """For each window, row by row: code and (row, column) of each of its cells inside the plane."""
    height, width = window.output_size(size)
    found = []
    for top in range(height):
        for left in range(width):
            cells = {}
            for code in range(window.cells):
                down, right = divmod(code, window.kernel[1])
                row = top * window.stride[0] - window.padding[0] + down * window.dilation[0]
                column = left * window.stride[1] - window.padding[1] + right * window.dilation[1]
                if 0 <= row < size[0] and 0 <= column < size[1]:
                    cells[code] = (row, column)
            found.append(cells)
    return found
