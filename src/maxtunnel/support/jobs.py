"""Folders in which a job keeps the parts that it has done, so that one that was stopped goes on."""

import json
import re

from maxtunnel.support.places import Place

# What begins with an underscore is no data to those who read all that is in a folder.
JOB = "_job.json"


def open_job(folder: Place, fingerprint: str, own: re.Pattern[str]) -> dict[str, int]:
    """The files that the same job has left in a folder, by their names, with their sizes.

    Args:
        folder: made if it is missing.
        fingerprint: of all that decides what is made.
        own: matches the names of a job's files.

    Raises:
        ValueError: the folder holds something else, or what another job has left.
    """
    there = folder.files()
    if there and JOB not in there:
        raise ValueError(f"{folder} is there already, and nothing can go on from it: name a new folder")
    job = json.dumps({"fingerprint": fingerprint}).encode()
    if JOB not in there:
        (folder / JOB).write_bytes(job)
    elif (folder / JOB).read_bytes() != job:
        raise ValueError(
            f"{folder} holds what was made of other photographs, or with another network or other settings: "
            "name a new folder, or delete it"
        )
    return {name: size for name, (size, _) in there.items() if own.fullmatch(name)}
