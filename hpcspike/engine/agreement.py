"""Ranks that work together were given the same work: compared before it begins, and refused on all if they were not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.engine.communication import World
from hpcspike.errors import ResourceError, SpecError
from hpcspike.identity import canonical, flat
from hpcspike.launcher import ALONE, WAIT_SECONDS, seconds_to_wait
from hpcspike.spec.experiment import Experiment

if TYPE_CHECKING:
    from hpcspike.engine.checkpoint import Checkpoints

_MOST_KEYS = 5
_MOST_LETTERS = 120


def agree_on(world: World, call: str, things: Callable[[], dict[str, Any]]) -> None:
    """Refuse on all ranks what only some of them do, or do otherwise. All ranks must call this together.

    Parameters
    ----------
    world
        The ranks; one alone agrees with itself.
    call
        What is about to be done, as messages name it.
    things
        Gives what must be the same on all ranks, as plain data by name; sections may be nested.

    Raises
    ------
    ResourceError
        If not all ranks have come within the seconds of `hpcspike.launcher.seconds_to_wait`.
    SpecError
        If something differs; it names what, and the values. Whatever ``things`` raises on one rank is raised on all.
    """
    if world.size == 1:
        return
    seconds = seconds_to_wait()
    if not world.meet(seconds):
        raise ResourceError(
            f"{call}: waited {seconds:g} s for the other ranks, and not all have come: one has ended, failed or does "
            f"something else; all {world.size} ranks must make the same call. If one only takes longer, set "
            f"{WAIT_SECONDS} to more seconds (0: wait for ever)"
        )
    own = {"command": call} | flat(world.agree(things))
    texts = {key: json.dumps(value, default=str, ensure_ascii=False) for key, value in own.items()}
    digests = world.gather(hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).digest())
    if len(set(digests)) > 1:
        raise SpecError(_difference(world.gather(texts)))


def _difference(ranks: list[dict[str, str]]) -> str:
    """The message: every key that differs, and its value on rank 0 and on the first rank that has another."""
    keys = [key for key in dict.fromkeys(key for rank in ranks for key in rank) if len({r.get(key) for r in ranks}) > 1]
    if "command" in keys:
        keys = ["command"]  # the rest cannot be the same
    parts = []
    for key in keys[:_MOST_KEYS]:
        other = next(number for number, rank in enumerate(ranks) if rank.get(key) != ranks[0].get(key))
        parts.append(f"{key}: rank 0 has {_shown(ranks[0], key)}, rank {other} has {_shown(ranks[other], key)}")
    more = f"; and {len(keys) - _MOST_KEYS} more" if len(keys) > _MOST_KEYS else ""
    return (
        f"the ranks work on one network together, but were given different work: {'; '.join(parts)}{more}. Give all "
        f"{len(ranks)} the same; for one network per process, set {ALONE}=1 for all processes, or start them without "
        "mpiexec (in Python: world=hpcspike.engine.communication.World())"
    )


def _shown(rank: dict[str, str], key: str) -> str:
    text = rank.get(key, "none")
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 4]} ..."


def same_experiment(experiment: Experiment) -> dict[str, Any]:
    """What must be the same of an experiment: its name and canonical form, in which files and code count by content."""
    return {"name": experiment.name, **canonical(experiment)}


def same_checkpoints(checkpoints: Checkpoints | None) -> dict[str, Any]:
    """What must be the same of where and when states are saved; the clock is that of rank 0."""
    if checkpoints is None:
        return {"checkpoint": None}
    names = ("every_loops", "every_minutes", "time_limit_minutes", "stop_after_steps", "at_end")
    cadence = {f"checkpoint {name.replace('_', ' ')}": getattr(checkpoints, name) for name in names}
    return {"checkpoint": str(Path(checkpoints.folder).absolute()), **cadence}


def same_program() -> dict[str, Any]:
    """What must be the same of the code and of where it runs: version, sources, libraries, working folder."""
    from hpcspike.provenance import package_version, package_versions

    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for source in sorted(package.rglob("*.py")):
        digest.update(source.read_bytes())
    versions = {f"version of {name}": version for name, version in package_versions().items()}
    sources = {"version of hpcspike": package_version(), "sources of hpcspike": f"sha256:{digest.hexdigest()[:16]}"}
    return {**sources, **versions, "working folder": str(Path.cwd())}
