"""A sweep as a Workflow Run RO-Crate: results, what was run, by which code, in which environment, and by whom."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcspike.errors import DataError, ResourceError
from hpcspike.shipped import shipped_folder

PROFILES = (
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate", "1.0"),
)
FORMATS = {
    ".nc": "application/x-netcdf", ".csv": "text/csv", ".json": "application/json", ".md": "text/markdown",
    ".rst": "text/x-rst", ".yaml": "application/yaml",
}  # fmt: skip
BESIDE_THE_WORKFLOW = (
    "cluster/paper.smk", "cluster/config/*.schema.json", "cluster/report/*.rst", "cluster/profiles/*/config.yaml",
)  # fmt: skip
"""What the Snakefile reads, so that it runs from the crate."""
README = """\
# {title}
{description}

To run it again: `pip install hpcspike[workflow]` in the version that `environment.txt` names, and in this folder
`snakemake --cores all --config sweep=sweep.json`. `data_dictionary.csv` says what every variable is.
"""


@dataclass(frozen=True)
class Origin:
    """What a crate says of a sweep beside its files.

    Attributes
    ----------
    name
        Name of the sweep.
    n_points, n_planned
        Finished and planned points.
    records
        Provenance records of the processes that computed it.
    citation
        What a CITATION.cff says: authors, license, preferred-citation.
    """

    name: str
    n_points: int
    n_planned: int
    records: Sequence[Mapping[str, Any]]
    citation: Mapping[str, Any]


def read_citation(folder: Path) -> tuple[dict[str, Any], Path]:
    """What the CITATION.cff of a folder says, or the one that comes with hpcspike, and which of them it was.

    Raises
    ------
    DataError
        If it is not what such a file is.
    """
    import yaml

    path = folder / "CITATION.cff"
    if not path.is_file():
        path = shipped_folder() / "CITATION.cff"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("authors"), list) or not document["authors"]:
        raise DataError(
            f"{path}: must be a CITATION.cff with 'authors'; see citation-file-format.github.io, or take it away"
        )
    return document, path


def write_crate(files: Mapping[str, str], folder: Path, path: Path, origin: Origin) -> None:
    """Write a crate (extra ``crate``).

    Parameters
    ----------
    files
        Name in the crate -> what it is, of files that lie in ``folder``: results, and ``sweep.json``, what was run.
    folder
        Where they lie; further files are written there.
    path
        Zip file to write.
    origin
        What is known beside them.

    Raises
    ------
    ResourceError
        If rocrate is not installed.
    """
    try:
        from rocrate.model.contextentity import ContextEntity
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise ResourceError("a crate needs rocrate; install it with pip install 'hpcspike[crate]'") from None

    crate = ROCrate(version="1.1")  # the version that the profiles below build on

    def entity(identifier: str, /, **properties: Any) -> Any:
        return crate.add(ContextEntity(crate, identifier, properties=properties))

    people = [_person(entity, author) for author in origin.citation["authors"]]
    root = crate.root_dataset
    described = _describe(root, entity, origin, people)
    crate.root_dataset["conformsTo"] = [
        entity(identifier, **{"@type": "CreativeWork", "name": name, "version": version})
        for identifier, name, version in PROFILES
    ]
    workflow = _add_workflow(crate)
    added = {
        name: crate.add_file(folder / name, name, properties=_about(folder / name, text))
        for name, text in files.items()
    }
    environment = _environment(origin.records)
    (folder / "environment.txt").write_text("".join(f"{line}\n" for line in environment))
    text = "packages that the processes ran with, as 'pip install -r' takes them"
    required = crate.add_file(
        folder / "environment.txt", "environment.txt", properties=_about(folder / "environment.txt", text)
    )
    software = _software(entity, origin, required, people)
    given, made = _parameters(entity)
    workflow["input"], workflow["output"], workflow["softwareRequirements"] = given, made, software
    added["sweep.json"]["exampleOfWork"] = given
    results = [item for name, item in added.items() if name != "sweep.json"]
    added[f"{origin.name}.nc"]["exampleOfWork"] = made
    root["mentions"] = _action(entity, origin, workflow, added["sweep.json"], results, people)
    (folder / ".zenodo.json").write_text(json.dumps(zenodo(origin, described), indent=1) + "\n")
    crate.add_file(
        folder / ".zenodo.json",
        ".zenodo.json",
        properties=_about(folder / ".zenodo.json", "metadata of a deposit on Zenodo"),
    )
    readme = folder / "README.md"
    readme.write_text(README.format(title=root["name"], description=described))
    crate.add_file(readme, "README.md", properties={**_about(readme, "what this is"), "about": root})
    crate.write_zip(path)


def zenodo(origin: Origin, description: str) -> dict[str, Any]:
    """Metadata of a deposit, as Zenodo reads them."""
    creators = []
    for author in origin.citation["authors"]:
        creator = {"name": _name(author, family_first=True)}
        if "orcid" in author:
            creator["orcid"] = str(author["orcid"]).rpartition("/")[2]
        if "affiliation" in author:
            creator["affiliation"] = str(author["affiliation"])
        creators.append(creator)
    document: dict[str, Any] = {
        "title": f"Sweep {origin.name}: {origin.n_points} trained spiking networks",
        "upload_type": "dataset",
        "description": description,
        "creators": creators,
        "license": str(origin.citation.get("license", "MIT")).lower(),
        "keywords": ["spiking neural networks", "recursive least squares", "hpcspike"],
    }
    doi = origin.citation.get("preferred-citation", {}).get("doi")
    if doi:
        document["related_identifiers"] = [{"identifier": doi, "relation": "cites", "scheme": "doi"}]
    return document


# ---- parts -----------------------------------------------------------------------------------------------------------


def _describe(root: Any, entity: Any, origin: Origin, people: list[Any]) -> str:
    """Fill the root dataset; its description."""
    part = "" if origin.n_points == origin.n_planned else f" of {origin.n_planned} planned"
    words = (
        f"Results of the sweep {origin.name} of hpcspike: {origin.n_points}{part} spiking networks trained by its "
        "workflow, with the sweep itself, the code revision, the environment and the provenance of every process."
    )
    licence = str(origin.citation.get("license", "MIT"))
    root["name"] = f"Sweep {origin.name}"
    root["description"] = words
    root["license"] = entity(
        f"https://spdx.org/licenses/{licence}",
        **{"@type": "CreativeWork", "name": licence, "description": f"{licence} licence"},
    )
    root["author"] = _one_or_all(people)
    root["datePublished"] = max(_times(origin.records, "finished") or _times(origin.records, "started"))
    paper = origin.citation.get("preferred-citation", {})
    if paper.get("doi"):
        cited = entity(
            f"https://doi.org/{paper['doi']}",
            **{
                "@type": "ScholarlyArticle", "name": str(paper.get("title", paper["doi"])),
                "author": [_person(entity, author) for author in paper.get("authors", [])],
            },
        )  # fmt: skip
        root["citation"] = cited
    return words


def _add_workflow(crate: Any) -> Any:
    """The Snakefile as the main workflow, and what it reads beside it."""
    import importlib.metadata

    source = shipped_folder()
    for file in sorted(file for pattern in BESIDE_THE_WORKFLOW for file in source.glob(pattern)):
        crate.add_file(file, str(file.relative_to(source)), properties=_about(file, "read by the workflow"))
    try:
        version = importlib.metadata.version("snakemake")
    except importlib.metadata.PackageNotFoundError:
        version = None
    workflow = crate.add_workflow(source / "Snakefile", "Snakefile", main=True, lang="snakemake", lang_version=version)
    workflow["name"] = "Sweep of trained spiking networks"
    workflow["description"] = "From a sweep to figures: snakemake --cores all --config sweep=sweep.json"
    return workflow


def _about(path: Path, text: str) -> dict[str, Any]:
    return {
        "name": path.name,
        "description": text,
        "encodingFormat": FORMATS.get(path.suffix, "text/plain"),
        "contentSize": str(path.stat().st_size),
    }


def _software(entity: Any, origin: Origin, environment: Any, people: list[Any]) -> Any:
    """The package, with the revision that computed the results; several are all named."""
    revisions = sorted({str(record.get("revision", "")) for record in origin.records} - {""})
    versions = sorted({str(record.get("hpcspike", "")) for record in origin.records} - {""})
    return entity(
        "#hpcspike",
        **{
            "@type": "SoftwareApplication",
            "name": "hpcspike",
            "description": "Trains recurrent spiking networks, and computes the points of a sweep",
            "url": "https://doi.org/10.7554/eLife.37124",
            "softwareVersion": ", ".join(versions) or "unknown",
            "identifier": _one_or_all([f"revision {revision}" for revision in revisions]),
            "softwareRequirements": environment,
        },
    )


def _parameters(entity: Any) -> tuple[Any, Any]:
    kinds = {
        "sweep": ("experiment, axes and replicates that were asked for", "https://schema.org/File", True),
        "results": ("parameters, results and provenance of every finished point", "https://schema.org/File", False),
    }
    found = []
    for name, (words, _, required) in kinds.items():
        own = {"valueRequired": True} if required else {}
        found.append(
            entity(
                f"#{name}",
                **{
                    "@type": "FormalParameter", "name": name, "description": words, "additionalType": "File",
                    "conformsTo": {"@id": "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"}, **own,
                },
            )
        )  # fmt: skip
    return found[0], found[1]


def _action(entity: Any, origin: Origin, workflow: Any, sweep: Any, results: list[Any], people: list[Any]) -> Any:
    whole = origin.n_points == origin.n_planned
    hosts = sorted({str(record.get("host", "")) for record in origin.records} - {""})
    ended = {"endTime": max(_times(origin.records, "finished"))} if _times(origin.records, "finished") else {}
    return entity(
        "#run",
        **{
            "@type": "CreateAction",
            "name": f"Run of the sweep {origin.name}",
            "description": f"{origin.n_points} of {origin.n_planned} points in {len(origin.records)} processes on "
            f"{len(hosts)} hosts",
            "instrument": workflow,
            "object": sweep,
            "result": results,
            "agent": _one_or_all(people),
            "startTime": min(_times(origin.records, "started")),
            **ended,
            "actionStatus": {"@id": f"http://schema.org/{'Completed' if whole else 'Failed'}ActionStatus"},
            **({} if whole else {"error": f"{origin.n_planned - origin.n_points} points were not finished"}),
        },
    )


def _one_or_all(items: list[Any]) -> Any:
    """One as it is: readers of the format want no list of one."""
    return items[0] if len(items) == 1 else items


def _times(records: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return [str(record[key]) for record in records if record.get(key)]


def _environment(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Packages and versions of all processes; several versions of one are several lines, marked as remarks."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, version in {**record.get("versions", {}), "python": record.get("python", "")}.items():
            found.setdefault(name, set()).add(str(version))
    lines = []
    for name, versions in sorted(found.items()):
        for version in sorted(versions - {""}):
            mark = "# " if name in ("python", "hpcspike") or len(versions) > 1 else ""
            lines.append(f"{mark}{name}=={version}")
    return lines


def _name(author: Mapping[str, Any], *, family_first: bool = False) -> str:
    if "name" in author:
        return str(author["name"])
    family, given = str(author.get("family-names", "")), str(author.get("given-names", ""))
    return f"{family}, {given}".strip(", ") if family_first else f"{given} {family}".strip()


def _person(entity: Any, author: Mapping[str, Any]) -> Any:
    """A person or, if there is but a name, an organization."""
    name = _name(author)
    identifier = str(author.get("orcid") or author.get("website") or "#" + "-".join(name.lower().split()))
    own = {"givenName": author["given-names"], "familyName": author["family-names"]} if "family-names" in author else {}
    if "affiliation" in author:
        own["affiliation"] = author["affiliation"]
    return entity(identifier, **{"@type": "Person" if own else "Organization", "name": name, **own})
