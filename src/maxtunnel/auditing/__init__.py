"""The leak audit: what the pooling switches of any PyTorch model give away, and what helps against it.

The files in order: a `targets` model, found by `loading` its name, gives `samples` of its switches; an
`attacker` trains decoders on them, enters each training in the `ledger` and measures `rows`; `levels`,
`trials` of `mitigations` and the other `experiments` share the time as `budget` says; `outcome` is the result
and `page` the report.
"""

from maxtunnel.auditing.config import AuditConfig
from maxtunnel.auditing.experiments import audit
from maxtunnel.auditing.folders import audit_folder
from maxtunnel.auditing.loading import load_target
from maxtunnel.auditing.outcome import AuditResult
from maxtunnel.auditing.page import write_report
from maxtunnel.auditing.targets import Preprocess, Target
from maxtunnel.auditing.trials import Metric

__all__ = [
    "AuditConfig",
    "AuditResult",
    "Metric",
    "Preprocess",
    "Target",
    "audit",
    "audit_folder",
    "load_target",
    "write_report",
]
