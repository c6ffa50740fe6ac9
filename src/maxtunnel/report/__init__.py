"""What people look at: HTML pages, plots inside them, and sheets of pictures.

`html` writes elements, tables and whole pages, `svg` plots, `pictures` turns tensors into files and into
pictures inside a page, and `sheet` sets pictures under each other. The audit, the report on the paper and the
tabs of `maxtunnel serve` are written with them. `report.css` is the look that all reports share; `audit.css`
and `paper.css` are what the two reports add to it.
"""
