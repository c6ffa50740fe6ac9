"""Folders in which a job keeps the parts that it has done, so that one that was stopped goes on."""

import json
import re

from maxtunnel.support.places import Place

JOB = "job.json"


def open_job(folder: Place, fingerprint: str, own: re.Pattern[str]) -> dict[str, int]:
    """The files that the same job has left in a folder, by their names, with their sizes.

    Args:
        folder: made if it is missing. What another job has left is deleted.
        fingerprint: of all that decides what is made.
        own: matches the names of a job's files.

    Raises:
        ValueError: the folder holds something else.
    """
    there = folder.files()
    if there and JOB not in there:
        raise ValueError(f"{folder} is there already, and nothing can go on from it: name a new folder")
    job = json.dumps({"fingerprint": fingerprint}).encode()
    mine = {name: size for name, (size, _) in there.items() if own.fullmatch(name)}
    if JOB in there and (folder / JOB).read_bytes() == job:
        return mine
    for name in mine:
        (folder / name).delete()
    (folder / JOB).write_bytes(job)
    return {}
