"""The version of hpcspike that runs."""

from __future__ import annotations


def package_version() -> str:
    """Version of hpcspike."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("hpcspike")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0+unknown"
