"""The page: rebuild a photograph, change its switches, look inside the network, compare networks.

One file a tab: `reconstruct`, `lab`, `inside` and `table` compute, then lay out; `page` puts them together.
`inputs` checks all that comes from a visitor, `gate` what may be asked of the server, and `serving` starts it.
Gradio is imported when the page is served, not before.
"""

from maxtunnel.web.inputs import Limits as Limits
from maxtunnel.web.serving import serve as serve
