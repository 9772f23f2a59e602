# The figures of the paper and its claims, as studies (networks with probes) and sweeps; included by the Snakefile.
#     snakemake --cores all fig1 --config size=laptop
#     snakemake --cores all figures claims --config size=laptop
# Studies of other learners run in the same way: snakemake --cores all learners_driven --config size=laptop
# What their papers promise, measured: snakemake --cores all headlines --config size=laptop
from hpcspike.commands.claims import SIZES
from hpcspike.spec.load import load
from hpcspike.studies.headlines import HEADLINES
from hpcspike.workflow.studies import plan_study

STUDIES = [
    "fig1", "fig1s1", "fig1s2", "fig2", "fig3", "fig3_heterogeneity", "fig3s1", "fig3s2", "fig3s3", "fig4", "fig5"
]  # fmt: skip
LEARNER_STUDIES = ["learners_driven", "learners_damage", "learners_memory", "learners_xor"]  # not of the paper
ALL_STUDIES = [*STUDIES, *LEARNER_STUDIES, *HEADLINES]
SWEEPS = ["fig4_maps", "fig6", "fig6_size", "fig7", "capacity_amplitude", "capacity_degree", "map_rate", "map_lif", "map_dale"]


def wanted(name):
    """Whether this process may run a rule of a sweep: planning those of all others would take seconds."""
    asked = {argument.partition(":")[0] for argument in sys.argv}
    return bool(asked & {"figures", "claims", name}) or any(text.startswith(f"{name}_") for text in asked)


def rule_of(name, part):
    """A rule of a sweep: of its module, or of the workflow itself if that runs this very sweep."""
    return getattr(rules, part if found(f"cluster/config/{name}.yaml") == SWEEP else f"{name}_{part}")


WANTED = list(filter(wanted, SWEEPS))

for SWEEP_NAME in WANTED:
    SWEEP_PREFIX = f"{SWEEP_NAME}_"

    if found(f"cluster/config/{SWEEP_NAME}.yaml") != SWEEP:

        module:
            name:
                SWEEP_NAME
            snakefile:
                "../Snakefile"
            config:
                {**config, "sweep": f"cluster/config/{SWEEP_NAME}.yaml", "networks": [], "paper": False}

        use rule * from SWEEP_NAME as SWEEP_PREFIX*

    rule:
        name:
            SWEEP_NAME
        input:
            rule_of(SWEEP_NAME, "analyse").output,
            rule_of(SWEEP_NAME, "page").output,


@functools.cache
def study(name):
    """A study at the size asked for; read when a job first needs it."""
    try:
        return plan_study(found(f"cluster/config/{name}.yaml"), size=SIZE)
    except HpcspikeError as error:
        raise WorkflowError(str(error)) from None


def study_of(folder):
    """The study whose results go to a folder: the folder is called like the study, with its size."""
    return study(max((name for name in ALL_STUDIES if folder == name or folder.startswith(f"{name}_")), key=len))


def page_of(name):
    """The page of a study, the last of what is made of it."""
    return f"{RESULTS}/{study(name).name}/{study(name).name}.html"


def table_of(name):
    """What a study or sweep leaves for the claims."""
    if name in ALL_STUDIES:
        return f"{RESULTS}/{study(name).name}/table.nc"
    return f"{RESULTS}/{load(found(f'cluster/config/{name}.yaml'), size=SIZE).name}.zarr"


wildcard_constraints:
    study=f"({'|'.join(ALL_STUDIES)})({'|'.join(SIZES)})?",


rule network_of_study:
    output:
        f"{RESULTS}/{{study}}/runs/{{run}}.nc",
    params:
        config=lambda wildcards: study_of(wildcards.study).config,
        size=f"--size {shlex.quote(SIZE)}" if SIZE else "",
        identity=lambda wildcards: study_of(wildcards.study).identities[wildcards.run],
    log:
        f"{RESULTS}/{{study}}/logs/{{run}}.log",
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: attempt * study_of(wildcards.study).memory_mb[wildcards.run],
        runtime=lambda wildcards, attempt: attempt * study_of(wildcards.study).minutes[wildcards.run],
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 {HPCSPIKE} study {params.config:q} {params.size} "
        "--out {RESULTS:q}/{wildcards.study} --only {wildcards.run} 2>&1 | tee {log:q}"


rule study:
    input:
        lambda wildcards: [
            f"{RESULTS}/{wildcards.study}/runs/{run}.nc" for run in study_of(wildcards.study).identities
        ],
    output:
        f"{RESULTS}/{{study}}/study.nc",
        f"{RESULTS}/{{study}}/table.nc",
        f"{RESULTS}/{{study}}/table.csv",
    params:
        config=lambda wildcards: study_of(wildcards.study).config,
        size=f"--size {shlex.quote(SIZE)}" if SIZE else "",
    shell:
        "{HPCSPIKE} study {params.config:q} {params.size} --out {RESULTS:q}/{wildcards.study} --collect"


rule figures_of_study:
    input:
        f"{RESULTS}/{{study}}/study.nc",
    output:
        directory(f"{RESULTS}/{{study}}/figures"),
    shell:
        "{HPCSPIKE} plot {input:q} --out {output:q}"


rule page_of_study:
    input:
        rules.study.output[0],
        rules.figures_of_study.output,
    output:
        paged(f"{RESULTS}/{{study}}/{{study}}.html", "Study {study}", "Everything on one page: figures, numbers, origin"),
    shell:
        "{HPCSPIKE} report {input[0]:q} --figures {input[1]:q} --captions {CAPTIONS:q} --out {output:q}"


for STUDY_NAME in ALL_STUDIES:

    rule:
        name:
            STUDY_NAME
        input:
            lambda wildcards, name=STUDY_NAME: page_of(name),


rule figures:
    input:
        lambda wildcards: [page_of(name) for name in STUDIES],
        [[*rule_of(name, "analyse").output, *rule_of(name, "page").output] for name in WANTED],


rule claims:
    input:
        lambda wildcards: [table_of(name) for name in STUDIES],
        [rule_of(name, "finalize").output for name in WANTED],
    output:
        f"{RESULTS}/claims/claims.md",
        f"{RESULTS}/claims/claims.csv",
        paged(f"{RESULTS}/claims/claims.html", "Claims", "The paper's claims, measured"),
    params:
        results=lambda wildcards: [table_of(name) for name in STUDIES + SWEEPS],
    shell:
        "{HPCSPIKE} claims {params.results:q} --out {RESULTS:q}/claims"


rule headlines:
    input:
        lambda wildcards: [page_of(name) for name in HEADLINES],
        tables=lambda wildcards: [table_of(name) for name in HEADLINES],
    output:
        f"{RESULTS}/headlines/claims.md",
        f"{RESULTS}/headlines/claims.csv",
        paged(f"{RESULTS}/headlines/claims.html", "Claims", "What the papers of the other learners promise, measured"),
    shell:
        "{HPCSPIKE} claims {input.tables:q} --out {RESULTS:q}/headlines"
