"""Build the documentation site: ``python cluster/site/build.py [FOLDER] [--full]`` (needs the extra ``site``).

Guide, tutorial, mistakes and the reference from the docstrings, with a search that works without a network. It goes to
``results/site/``; begin with ``index.html``. The tutorial is executed, in small (a minute) or, with ``--full``, at full
size. A warning ends it with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def build(folder: Path, *, full: bool = False) -> int:
    """Build the site into a folder; the exit code of Sphinx, which is 0 if it had nothing to warn of."""
    from sphinx.cmd.build import main

    # the tutorial runs programs of this environment
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", "")])
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # figures become part of the pages
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as quick:
        if full:
            os.environ.pop("HPCSPIKE_TUTORIAL_QUICK", None)
        else:
            os.environ["HPCSPIKE_TUTORIAL_QUICK"] = quick
        options = ["-b", "html", "-W", "--keep-going", "-q", "-c", str(HERE), "-d", str(Path(quick) / "doctrees")]
        code = main([*options, str(HERE.parent), str(folder)])
    first = folder / "index.html"
    if not code:
        first.write_text(
            '<!doctype html><meta http-equiv="refresh" content="0; url=site/index.html"><title>hpcspike</title>\n'
        )
    return code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default="results/site", help="(default: results/site)")
    parser.add_argument("--full", action="store_true", help="execute the tutorial at full size")
    given = parser.parse_args()
    ended = build(Path(given.folder), full=given.full)
    if not ended:
        print(f"begin with {Path(given.folder) / 'index.html'}")
    sys.exit(ended)
