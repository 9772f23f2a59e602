"""``hpcspike schema``: what may stand in a config."""

from __future__ import annotations

import argparse
import json

from hpcspike.spec.schema import experiment_schema, field_table, sweep_schema


def run(arguments: argparse.Namespace) -> int:
    """Print a schema or the table of fields."""
    if arguments.table:
        print(field_table())
        return 0
    schema = experiment_schema() if arguments.kind == "experiment" else sweep_schema()
    print(json.dumps(schema, indent=1))
    return 0
