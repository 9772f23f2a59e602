"""The end of a workflow, told to whoever waits for it: by mail, a webhook, or what else a command can do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict

from hpcspike.errors import HpcspikeError
from hpcspike.workflow.sweeps import Jobs

_SECONDS = 60.0


def tell_end(command: str, jobs: Jobs, *, outcome: str) -> None:
    """Run a user's command with the state of the sweep as its input, JSON; a failure of it is said, and no more.

    Parameters
    ----------
    command
        For the shell; empty: nothing is run.
    jobs
        Of the sweep.
    outcome
        ``done`` or ``failed``, for the variable HPCSPIKE_OUTCOME; HPCSPIKE_SWEEP and HPCSPIKE_STORE are set, too.
    """
    if not command:
        return
    from hpcspike.sweep.status import sweep_status  # with zarr, which no other process of a workflow needs here

    try:
        state = asdict(sweep_status(jobs.store))
    except HpcspikeError as error:  # it ended before there was a store
        state = {"error": str(error)}
    own = {"HPCSPIKE_OUTCOME": outcome, "HPCSPIKE_SWEEP": jobs.sweep.name, "HPCSPIKE_STORE": str(jobs.store)}
    text = json.dumps({"outcome": outcome, **state}, indent=1) + "\n"
    try:
        subprocess.run(
            command, shell=True, input=text, text=True, env={**os.environ, **own}, timeout=_SECONDS, check=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        print(f"hpcspike: at_end: {error}", file=sys.stderr)
