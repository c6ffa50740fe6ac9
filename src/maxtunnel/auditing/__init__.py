"""The leak audit: what the pooling switches of any PyTorch model give away, and what helps against it.

`targets` names models; `samples` captures photographs once; `decoder` mirrors the captured levels; `attacker`
trains and measures decoders on changed switches (`changes`); `experiments` puts them in order;
`mitigations` retrains against counter-measures; `outcome` is what comes out, and `report` the page.
"""

from maxtunnel.auditing.experiments import Config, audit
from maxtunnel.auditing.outcome import AuditResult
from maxtunnel.auditing.targets import Target, load_target

__all__ = ["AuditResult", "Config", "Target", "audit", "load_target"]
