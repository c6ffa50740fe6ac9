"""The leak audit: what the pooling switches of any PyTorch model give away, and what helps against it.

The files in order: a `targets` model, found by `loading` its name, gives `samples` of its switches; an
`attacker` trains decoders on them, keeps each on the `shelf`, enters its training in the `ledger` and
measures `rows`; the `contest` of two kinds of `readers` says which reads more; `levels`, the other
`experiments` and `trials` of `mitigations` share the time as `budget` says, by the `speed` measured;
`refining` moves what was rebuilt through the model; `run` does all of it. `outcome` is the result;
`conclusions` says, by its `controls`, what may be concluded; `page` is the report, of which `learning` shows
the trainings.
"""

from maxtunnel.auditing.conclusions import Conclusions
from maxtunnel.auditing.config import AuditConfig
from maxtunnel.auditing.folders import audit_folder
from maxtunnel.auditing.loading import load_target
from maxtunnel.auditing.outcome import AuditResult
from maxtunnel.auditing.page import write_report
from maxtunnel.auditing.run import audit
from maxtunnel.auditing.scores import Metric
from maxtunnel.auditing.targets import Preprocess, Target

__all__ = [
    "AuditConfig",
    "AuditResult",
    "Conclusions",
    "Metric",
    "Preprocess",
    "Target",
    "audit",
    "audit_folder",
    "load_target",
    "write_report",
]
