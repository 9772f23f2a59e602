"""``hpcspike schema``: what may stand in a config."""

from __future__ import annotations

import argparse
import json

from hpcspike.spec.schema import experiment_schema, field_table, study_schema, sweep_schema


def run(arguments: argparse.Namespace) -> int:
    """Print a schema or the table of fields."""
    if arguments.table:
        print(field_table())
        return 0
    schemas = {"experiment": experiment_schema, "study": study_schema, "sweep": sweep_schema}
    print(json.dumps(schemas[arguments.kind](), indent=1))
    return 0
