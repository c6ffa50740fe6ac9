"""The page: rebuild a photograph, change its switches, look inside the network, compare networks.

One file a tab: `reconstruct`, `lab`, `inside` and `table` compute and turn what they found into HTML; `page`
has the controls. `inputs` checks what comes from a visitor, `gate` what may be asked of the server, `results`
keeps pictures, and `serving` starts it all. Gradio is imported when the page is served, not before.
"""

from maxtunnel.web.inputs import Limits as Limits
from maxtunnel.web.serving import serve as serve
