"""The page: rebuild a photograph, change its switches, look inside the network, compare networks.

One file a tab: `reconstruct`, `lab`, `inside`, `dense` and `table` compute, and write what they found as
HTML. `inputs`, `bounds` and `uploads` check what comes from a visitor, `networks` and `dense_networks` know
which networks there are, `nearness` how near a picture comes to a photograph, `answers` calls the tabs,
`page` has the controls and `wiring` ties them to answers, `gate` and `messages` say what may be asked of the
server, `results` keeps pictures, and `serving` starts it all. Gradio is imported when the page is served.
"""

from maxtunnel.web.inputs import Limits as Limits
from maxtunnel.web.serving import serve as serve
