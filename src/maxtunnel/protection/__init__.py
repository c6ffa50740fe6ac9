"""Encoders that tell less: a model fine-tuned so that its pooling switches say little to a strong reader.

The files in order: a `student` runs with gradients and gives its `outputs`, of which distillation keeps
what it can; an `adversary` reads its switches, and the two are trained in a `duel`; `plan` shares out the
time. `measure` says what was gained and lost, by a person's metric and by a fresh reader; `run` does all of
it, with what is `kept` in the folder for one that was interrupted; `outcome` is the result, `conclusions`
puts it in sentences, `page` is the report.
"""

from maxtunnel.protection.config import ProtectionConfig
from maxtunnel.protection.folders import protect_folder
from maxtunnel.protection.outcome import Protection
from maxtunnel.protection.page import write_report
from maxtunnel.protection.run import protect

__all__ = ["Protection", "ProtectionConfig", "protect", "protect_folder", "write_report"]
