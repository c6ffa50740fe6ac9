"""A page without a server: static files that rebuild photographs in the browser.

`runtime` finds onnxruntime-web, `parts` exports the networks for it, `measured` makes Table II and the
frontier of the package's own numbers, and `build` writes all of it into a folder, with what is in `page`.
"""
