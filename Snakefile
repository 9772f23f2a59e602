# A sweep from plan to figures, and a few single networks beside it. Every job is one hpcspike command; the jobs of a sweep
# are batches of points. Settings: cluster/config/workflow.schema.json, for example
#     snakemake --cores all --config sweep=cluster/config/fig7.yaml size=smoke
import functools
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version, validate

from hpcspike.errors import HpcspikeError
from hpcspike.report.captions import caption_file, caption_of
from hpcspike.shipped import config_file
from hpcspike.spec.load import read_document
from hpcspike.sweep.records import workflow_lock
from hpcspike.workflow.ending import tell_end
from hpcspike.workflow.sweeps import check_settings, networks_beside, plan_jobs, plan_networks, sweep_figures

min_version("9.27") # modules whose name is computed
SETTINGS = "cluster/config/workflow.schema.json"
if Path("workflow.yaml").is_file(): # settings of this folder, such as 'hpcspike init' writes; --config goes first

    configfile: "workflow.yaml"


try:
    check_settings(config, Path(workflow.basedir) / SETTINGS)
    BESIDE = networks_beside(config)
except HpcspikeError as error:
    raise WorkflowError(str(error)) from None
validate(config, SETTINGS)

# the interpreter that runs this file: an environment need not be activated
HPCSPIKE = f"{shlex.quote(sys.executable)} -m hpcspike"
MPIEXEC = shlex.quote(str(Path(sys.prefix) / "bin" / "mpiexec"))
RESULTS = config["results"]
SIZE = config["size"] or None


def found(path):
    """A config as given, or beside the Snakefile when the workflow runs in another folder, or a named experiment."""
    beside = Path(workflow.basedir) / path
    return str(beside if beside.exists() and not Path(path).exists() else config_file(Path(path)))


try:
    SWEEP = found(config["sweep"])
    JOBS = plan_jobs(
        SWEEP, size=SIZE, results=RESULTS, mend=workflow.is_main_process, equal_needs=config["equal_needs"]
    )
    NETWORKS = plan_networks(map(found, BESIDE), sweep=JOBS.sweep.name)
    document = read_document(Path(SWEEP), size=SIZE)
except HpcspikeError as error:
    raise WorkflowError(str(error)) from None
validate(document, "cluster/config/sweep.schema.json", set_default=False)

STORE = JOBS.store
OUTPUT = f"{RESULTS}/{JOBS.sweep.name}"
CAPTIONS = Path(workflow.basedir) / "cluster" / "report"
NETWORK_FIGURES = ("samples", "raster", "training", "error_split")
RECEIPTS = f"{STORE}.receipts"
PLANNED = f"{RECEIPTS}/plan.json"
# not params: other options must not make batches that are done run again
BATCH_OPTIONS = f"--save-minutes {config['save_minutes']}"
if config["keep_states"]:
    BATCH_OPTIONS += f" --keep-states {shlex.quote(config['keep_states'])}"
# the sweep that the user gives names the code: that is consent
RUN_USER_CODE = "--run-user-code" if JOBS.runs_user_code else ""
BATCH_OPTIONS += f" {RUN_USER_CODE}"
if config["log"]:
    BATCH_OPTIONS += f" --log {shlex.quote(config['log'])}"
HELD = []


onstart:
    # released by the system when this process ends, however it ends
    try:
        HELD.append(workflow_lock(STORE))
    except HpcspikeError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    tell_end(config["at_end"], JOBS, outcome="done")


onerror:
    tell_end(config["at_end"], JOBS, outcome="failed")


def figures_of_sweep():
    """Names of the figures; none in the Snakemake of a single batch, which would spend seconds on finding them."""
    only = workflow.dag_settings and workflow.dag_settings.allowed_rules  # none where nothing is to be run
    return [] if only and set(only) <= {"batch", "mpi_batch"} else sweep_figures(JOBS.sweep, STORE)


def drawn(folder, names, category):
    """Figures for the report, in their order, each with its heading and caption."""
    files = []
    for number, name in enumerate(names, start=2):
        marks = {"category": category, "labels": {"result": f"{number:02d} {caption_of(CAPTIONS, name).heading}"}}
        if text := caption_file(CAPTIONS, name):
            marks["caption"] = str(text)
        files += [report(f"{folder}/{name}.png", **marks)]
    return files


def paged(path, category, heading):
    """A page of HTML for the report, first of its category."""
    return report(path, category=category, labels={"result": f"01 {heading}"}, caption=str(CAPTIONS / "page.rst"))


FIGURES = figures_of_sweep()


report: "cluster/report/workflow.rst"


wildcard_constraints:
    network="|".join(map(re.escape, NETWORKS)) or "none",


localrules: all, plan, choose, finalize


def round_by_round(_):
    """Of an adaptive sweep: the first round that is not chosen yet, or the end; Snakemake asks again when it is there."""
    if not JOBS.adaptive:
        return []
    number = 0
    while not JOBS.round(number) or not JOBS.round(number)["ended"]:
        checkpoints.choose.get(round=f"{number:04d}")
        number += 1
    return checkpoints.choose.get(round=f"{number:04d}").output


def receipts(_):
    """What the batches leave that are known by now, so that those of a round start while the next one is chosen."""
    return [file for known in JOBS.rounds() for file in JOBS.receipts_of(known)] if JOBS.adaptive else JOBS.receipts


rule all:
    default_target: True
    input:
        # asked for by name: an intermediate file that is missing is made only if what follows from it is not there
        [] if JOBS.adaptive else PLANNED,
        round_by_round,
        receipts,
        f"{RECEIPTS}/finalized.json",
        f"{OUTPUT}/tables",
        f"{OUTPUT}/{JOBS.sweep.name}.html",
        [f"{RESULTS}/{name}/{name}.html" for name in NETWORKS],


# The store itself is never an output: Snakemake deletes the outputs of failed jobs. Receipts, written last, stand for it.
rule plan:
    output:
        PLANNED,
    params:
        sweep=JOBS.identity, # a changed sweep runs this again, which refuses the old store and names the difference
        size=f"--size {shlex.quote(SIZE)}" if SIZE else "",
    shell:
        "{HPCSPIKE} plan {SWEEP:q} {params.size} --store {STORE:q} --create --receipt {output:q}"


# A round of an adaptive sweep: its points are added to the store, or the receipt says why no more follow.
checkpoint choose:
    input:
        # ancient: a round that is there is not chosen anew
        lambda wildcards: ancient(JOBS.round_needs(int(wildcards.round))),
    output:
        f"{RECEIPTS}/round-{{round}}.json",
    wildcard_constraints:
        round="[0-9]+" if JOBS.adaptive else "none",
    params:
        sweep=JOBS.identity, # another budget or accuracy: what is there is found again, and more rounds may follow
        size=f"--size {shlex.quote(SIZE)}" if SIZE else "",
    priority: 1 # before batches of the round before: workers shall not wait for it
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 {HPCSPIKE} plan {SWEEP:q} {params.size} --store {STORE:q} --create "
        "--round $((10#{wildcards.round})) --receipt {output:q}"


rule batch:
    input:
        # ancient: a store that was there already needs no point computed anew
        [] if JOBS.adaptive else ancient(PLANNED),
    output:
        f"{RECEIPTS}/batch-{{batch}}.json",
    wildcard_constraints:
        batch=JOBS.numbers(mpi=False),
    log:
        f"{OUTPUT}/logs/batch-{{batch}}.log",
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: JOBS.memory(int(wildcards.batch), attempt=attempt),
        runtime=lambda wildcards, attempt: JOBS.minutes(int(wildcards.batch), attempt=attempt),
        killed_at_runtime=0, # 1 in the profile of a scheduler that ends jobs whose time is up
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "
        "{HPCSPIKE} run-batch {STORE:q} --batch {wildcards.batch} {BATCH_OPTIONS} "
        "--time-limit $(({resources.runtime} * {resources.killed_at_runtime})) 2>&1 | tee {log:q}"


# Points above batching.mpi_minutes: alone in their batch, each trained by several ranks.
rule mpi_batch:
    input:
        ancient(PLANNED),
    output:
        f"{RECEIPTS}/batch-{{batch}}.json",
    wildcard_constraints:
        batch=JOBS.numbers(mpi=True),
    log:
        f"{OUTPUT}/logs/batch-{{batch}}.log",
    threads: lambda wildcards: JOBS.ranks(int(wildcards.batch))
    resources:
        mpi=MPIEXEC,
        tasks=lambda wildcards: JOBS.ranks(int(wildcards.batch)),
        cpus_per_task=1,
        mem_mb=lambda wildcards, attempt: JOBS.memory(int(wildcards.batch), attempt=attempt),
        # a scheduler counts memory on each node, and ranks may lie on several
        mem_mb_per_cpu=lambda wildcards, attempt: JOBS.memory_per_rank(int(wildcards.batch), attempt=attempt),
        runtime=lambda wildcards, attempt: JOBS.minutes(int(wildcards.batch), attempt=attempt),
        killed_at_runtime=0,
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 {resources.mpi} -n {resources.tasks} "
        "{HPCSPIKE} run-batch {STORE:q} --batch {wildcards.batch} {BATCH_OPTIONS} "
        "--time-limit $(({resources.runtime} * {resources.killed_at_runtime})) 2>&1 | tee {log:q}"


rule finalize:
    input:
        round_by_round,
        receipts,
        [] if JOBS.adaptive else PLANNED, # when a sweep has grown, this makes the batches that are new run
    output:
        f"{RECEIPTS}/finalized.json",
    shell:
        "{HPCSPIKE} finalize {STORE:q}"


rule analyse:
    input:
        rules.finalize.output,
    output:
        directory(f"{OUTPUT}/tables"),
    shell:
        "{HPCSPIKE} analyse {STORE:q} --out {output:q}"


rule draw:
    input:
        rules.finalize.output,
    output:
        drawn(f"{OUTPUT}/figures", FIGURES, f"Sweep {JOBS.sweep.name}"),
    params:
        folder=f"{OUTPUT}/figures",
    shell:
        "{HPCSPIKE} plot {STORE:q} --out {params.folder:q}"


rule page:
    input:
        rules.finalize.output,
        rules.draw.output,
    output:
        paged(f"{OUTPUT}/{JOBS.sweep.name}.html", f"Sweep {JOBS.sweep.name}", "Everything on one page: map, networks, origin"),
    params:
        figures=f"{OUTPUT}/figures",
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 {HPCSPIKE} report {STORE:q} "
        "--figures {params.figures:q} --captions {CAPTIONS:q} --retrain-below 1 {RUN_USER_CODE} --out {output:q}"


rule train:
    output:
        f"{RESULTS}/{{network}}.nc",
    params:
        config=lambda wildcards: NETWORKS[wildcards.network].config,
        experiment=lambda wildcards: NETWORKS[wildcards.network].identity,
    log:
        f"{RESULTS}/{{network}}/logs/train.log",
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "
        "{HPCSPIKE} train {params.config:q} --out {output:q} 2>&1 | tee {log:q}"


rule network_figures:
    input:
        rules.train.output,
    output:
        drawn(f"{RESULTS}/{{network}}/figures", NETWORK_FIGURES, "Trained network {network}"),
    params:
        folder=f"{RESULTS}/{{network}}/figures",
    shell:
        "{HPCSPIKE} plot {input:q} --out {params.folder:q}"


rule network_page:
    input:
        rules.train.output,
        rules.network_figures.output,
    output:
        paged(f"{RESULTS}/{{network}}/{{network}}.html", "Trained network {network}", "Everything on one page: figures, numbers, origin"),
    params:
        figures=f"{RESULTS}/{{network}}/figures",
    shell:
        "{HPCSPIKE} report {input[0]:q} --figures {params.figures:q} --captions {CAPTIONS:q} --out {output:q}"


if config["paper"]:

    include: "cluster/paper.smk"
