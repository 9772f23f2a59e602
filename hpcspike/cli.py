"""The command line: parses, hands over to a command, and turns errors into a message and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

from hpcspike.arguments import (
    HelpWithFields,
    Parser,
    Version,
    as_typed,
    checkpoint_arguments,
    config_arguments,
    count,
    log_argument,
    mebibytes,
    minutes_or_0,
    positive,
    store_argument,
    threads_argument,
    user_code_argument,
)

DESCRIPTION = """\
Train recurrent spiking networks to follow target patterns, sweep their parameters, and see where they learn and why
they fail elsewhere. Times are in ms, rates in Hz, memory in MiB, unless a unit is named."""

EPILOG = """\
exit codes: 0 done, 2 bad input or a step that could not be finished (the message says what to do), 75 stopped as asked
with its state saved (the same command goes on), 3 'show' or 'compare' found other numbers, 1 a bug.
A whole sweep with its figures: snakemake --cores all --config sweep=CONFIG size=SIZE"""

ON_RANKS = frozenset({"train", "run_batch"})
"""Commands that ranks carry out together."""
ONLY_SAY = frozenset({"plan", "status", "verify", "schema"})
"""Commands that may run on every rank, since they write nothing of their own accord."""

_Raw = argparse.RawDescriptionHelpFormatter


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from hpcspike.environment import prepare_environment
    from hpcspike.errors import INTERRUPTED, HpcspikeError
    from hpcspike.launcher import launched_rank, let_first_speak, refuse_ranks
    from hpcspike.paths import resolve_arguments
    from hpcspike.printing import drop_output, let_all_letters_be_printed, printed_to_the_end

    let_all_letters_be_printed()
    module = ""
    try:
        with printed_to_the_end():
            arguments = _parse(argv)
            module = arguments.module
            if module not in ON_RANKS | ONLY_SAY:
                refuse_ranks(module.replace("_", "-"))
            try:
                resolve_arguments(arguments)
            except HpcspikeError as error:  # the same on all ranks
                if launched_rank():
                    let_first_speak()
                    return error.exit_code
                raise
            prepare_environment(module)
            return int(importlib.import_module(f"hpcspike.commands.{module}").run(arguments) or 0)
    except HpcspikeError as error:
        print(f"hpcspike: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        words = stop.args[0] if stop.args else INTERRUPTED.get(module, "interrupted")
        print(f"hpcspike: {words}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        drop_output()  # the reader has gone: say nothing at exit
        return 141


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; of several MPI ranks only the first shows help or what is wrong with them."""
    from hpcspike.launcher import launched_rank, let_first_speak

    if launched_rank() == 0:
        return build_parser().parse_args(argv)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        try:
            return build_parser().parse_args(argv)
        except SystemExit as end:
            if end.code:
                let_first_speak()
            raise


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; ``module`` is where a command lives below ``hpcspike.commands``."""
    parser = Parser("hpcspike", description=DESCRIPTION, epilog=EPILOG, formatter_class=_Raw)
    parser.add_argument("--version", action=Version, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    sweeps = (_plan, _run_batch, _finalize, _status, _analyse, _show, _test, _compare, _export, _verify, _upgrade)
    for add in (_init, _train, *sweeps, _study, _claims, _plot, _report, _recordings, _import, _bench, _schema):
        add(commands)
    return parser


def _init(commands: _Commands) -> None:
    parser = commands.add_parser(
        "init",
        help="make a folder with the workflow, the named experiments, the guide and the tutorial",
        description="Make a folder in which 'snakemake --cores 2' runs: workflow, profiles, named experiments, guide\n"
        "and tutorial. Nothing is ever overwritten.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="init")
    parser.add_argument("folder", metavar="DIR", help="folder to make")
    parser.add_argument(
        "--example", choices=("sweep", "alm", "mpi"), default="sweep",
        help="what the workflow there does by itself: map where networks learn (sweep, the default), train recorded "
        "rates (alm), or spread every network over MPI ranks (mpi)",
    )  # fmt: skip


def _train(commands: _Commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train one network and write its drive, spikes, weights, learning curve and measures",
        description="Train one network and write one Dataset that xarray opens.\n"
        "mpiexec -n R hpcspike train ... spreads it over R ranks; the result is the same to the last bit.",
        formatter_class=_Raw,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action=HelpWithFields, help="show this help with all fields, and exit")
    parser.set_defaults(module="train")
    config_arguments(parser, "experiment", optional=True)
    parser.add_argument("--out", required=True, metavar="PATH", help="file to write, ending in .zarr or .nc")
    on = parser.add_argument_group("a trained network", "in place of CONFIG; --set changes its settings")
    on.add_argument("--from", dest="source", metavar="NET", help="go on with what 'hpcspike train' wrote")
    on.add_argument("--loops", type=positive, metavar="K", help="further loops per target set (passes)")
    on.add_argument(
        "--states", metavar="DIR", help="its saved state (of --checkpoint), which holds the matrices P; "
        "default: begun anew, and the first loops undo a "
        "part of what was learned",
    )  # fmt: skip
    user_code_argument(on)
    threads_argument(parser)
    checkpoint_arguments(parser)
    log_argument(parser)


def _test(commands: _Commands) -> None:
    parser = commands.add_parser(
        "test",
        help="run test trials of a trained network, also with silent neurons, another stimulus or noise",
        description="Run test trials of a network that 'hpcspike train' wrote, plasticity off. Without other\n"
        "conditions it says whether they equal those in the file bit for bit (exit code 3 if not).",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="test")
    parser.add_argument("store", metavar="NET", help="what 'hpcspike train' or 'hpcspike show --dataset' wrote")
    parser.add_argument("--trials", type=positive, default=3, metavar="K", help="number of trials (default: 3)")
    parser.add_argument("--first-trial", type=count, default=0, metavar="K", help="number of the first (default: 0)")
    parser.add_argument("--seed", type=count, metavar="K", help="begin from the states of another seed")
    parser.add_argument("--beyond", default="0", metavar="MS", help="record so many ms more")
    parser.add_argument(
        "--silence", metavar="WHO",
        help="neurons that do not spike: 3,17 or a share as 0.1, a group as inhibitory, or the name of a recorded unit "
        "(unit:7 or neuron:7 where a unit is named 7)",
    )  # fmt: skip
    parser.add_argument(
        "--stimulus", metavar="FILE", help="in place of the cue: .npy of (neuron,) or (time, neuron); or a number"
    )
    parser.add_argument("--noise", default="0", metavar="SD", help="s.d. of white input in a trial")
    parser.add_argument("--out", metavar="PATH", help="write the trials, ending in .zarr or .nc")
    user_code_argument(parser)


def _plan(commands: _Commands) -> None:
    parser = commands.add_parser(
        "plan",
        help="print points, batches, memory and predicted minutes of a sweep; with --create make its store",
        description="Say what a sweep, a study or one experiment will cost before anything runs.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="plan")
    config_arguments(parser, "sweep, study or experiment")
    parser.add_argument("--store", metavar="PATH", help="store of the sweep (default: results/NAME.zarr)")
    parser.add_argument("--create", action="store_true", help="make the store, with all points and no results")
    parser.add_argument(
        "--memory", type=mebibytes, metavar="MIB", help="memory per process in MiB (default: what is free here now)"
    )
    parser.add_argument("--receipt", metavar="PATH", help="write a receipt here once the store is there")
    parser.add_argument(
        "--round", type=count, metavar="K",
        help="with --create, of an adaptive sweep: this round, chosen if it is not there (default: the next one)",
    )  # fmt: skip
    parser.add_argument(
        "--ranks", type=positive, default=1, metavar="R", help="predict one experiment on R MPI ranks too (default: 1)"
    )


def _run_batch(commands: _Commands) -> None:
    parser = commands.add_parser(
        "run-batch",
        help="compute the missing points of one batch",
        description="Compute the points of one batch that are not done yet, and write each as soon as it is finished.\n"
        "mpiexec -n R hpcspike run-batch ... spreads every point over R ranks; the results are the same.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="run_batch")
    store_argument(parser)
    parser.add_argument("--batch", type=count, required=True, metavar="K", help="which batch, counted from 0")
    threads_argument(parser)
    parser.add_argument(
        "--save-minutes", type=minutes_or_0, default=5.0, metavar="MINUTES",
        help="save the state of longer points this often, 0: never (default: 5)",
    )  # fmt: skip
    parser.add_argument(
        "--keep-states", metavar="DIR", help="keep the state of every point there, so that loops can be added later"
    )
    parser.add_argument(
        "--time-limit", type=minutes_or_0, metavar="MINUTES",
        help="save and stop (exit code 75) before so much time is up, 0: no limit (default)",
    )  # fmt: skip
    log_argument(parser)
    user_code_argument(parser)


def _finalize(commands: _Commands) -> None:
    parser = commands.add_parser(
        "finalize",
        help="check that all points of a sweep are done",
        description="Check that all points are done, remove what killed processes left, and write the last receipt.",
    )
    parser.set_defaults(module="finalize")
    store_argument(parser)


def _status(commands: _Commands) -> None:
    parser = commands.add_parser(
        "status",
        help="say how far a sweep is, or a training whose state is saved",
        description="Say how many points are done, what became of them, which failed, and the predicted time left. Of\n"
        "a folder of 'hpcspike train --checkpoint': how far that training is, and which states are there.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="status")
    parser.add_argument(
        "store", metavar="STORE", help="store of a sweep, for example results/fig6.zarr, or folder of saved states"
    )
    parser.add_argument(
        "--watch", nargs="?", type=positive, const=5, metavar="SECONDS",
        help="show it again every so many seconds (default: 5) until nothing is left to do",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument(
        "--html", metavar="PAGE",
        help="write a page with the map as far as it is; with --watch the page is written and loads itself again",
    )  # fmt: skip


def _analyse(commands: _Commands) -> None:
    parser = commands.add_parser(
        "analyse",
        help="write the tables of a sweep",
        description="Write every analysis that the sweep's axes allow, each as netCDF (.nc) and as a table (.csv).",
    )
    parser.set_defaults(module="analyse")
    store_argument(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the tables")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="compute on a cluster of dask, for example tcp://node7:8786 (default: threads of this process)",
    )  # fmt: skip


def _show(commands: _Commands) -> None:
    parser = commands.add_parser(
        "show",
        help="train one point of a sweep again and draw everything about it",
        description="Train one point of a sweep again, say whether its numbers equal those of the sweep bit for bit,\n"
        "and draw target against response, raster, learning curve, spectrum and error split.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="show")
    store_argument(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--point", type=count, metavar="K",
        help="number of the point: the coordinate 'point' of hpcspike.open_sweep and of exports, as in messages",
    )  # fmt: skip
    which.add_argument(
        "--where", type=as_typed, nargs="+", default=[], metavar="KEY=VALUE",
        help="values of its parameters, for example synapse.tau_syn_ms=20 replicate=0",
    )  # fmt: skip
    parser.add_argument("--out", metavar="PNG", help="figure to write (default: results/NAME_point_K.png)")
    parser.add_argument("--dataset", metavar="PATH", help="write the network too, ending in .zarr or .nc")
    parser.add_argument(
        "--states", metavar="DIR", help="folder of 'run-batch --keep-states': load the point's state from there"
    )
    parser.add_argument("--dpi", type=positive, default=150, help="resolution in dots per inch (default: 150)")
    threads_argument(parser)
    user_code_argument(parser)


def _compare(commands: _Commands) -> None:
    parser = commands.add_parser(
        "compare",
        help="say which points and variables of two sweeps, or of two trained networks, differ",
        description="Compare two sweeps, or two trained networks, value by value: what differs, and by how much.\n"
        "Points are matched by their parameters. Exit code 0: equal, 3: not equal, 2: cannot be compared.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="compare")
    what = "store of a sweep, its export (.nc), or what 'hpcspike train' wrote"
    parser.add_argument("a", metavar="A", help=what)
    parser.add_argument("b", metavar="B", help="what is compared with it")
    parser.add_argument("--out", metavar="PNG", help="figure to write: scores against each other, and what differs")
    parser.add_argument("--json", action="store_true", help="print what differs as JSON")
    parser.add_argument("--dpi", type=positive, default=150, help="resolution in dots per inch (default: 150)")


def _plot(commands: _Commands) -> None:
    parser = commands.add_parser(
        "plot",
        help="draw the figures of a sweep, a study or one trained network",
        description="Draw every figure that a sweep's axes, a study or one trained network allow, as PNG.",
    )
    parser.set_defaults(module="plot")
    parser.add_argument("store", metavar="STORE", help="store of a sweep, study.nc, or what 'hpcspike train' wrote")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the figures")
    parser.add_argument("--dpi", type=positive, default=150, help="resolution in dots per inch (default: 150)")


def _report(commands: _Commands) -> None:
    parser = commands.add_parser(
        "report",
        help="write one page of HTML about a sweep, a study or one trained network",
        description="Write one file of HTML that holds all it shows: figures with captions, every network of a sweep\n"
        "with its learning curve and the command that draws it, and where the numbers come from.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="report")
    parser.add_argument("store", metavar="STORE", help="store of a sweep, study.nc, or what 'hpcspike train' wrote")
    parser.add_argument("--out", required=True, metavar="HTML", help="file to write, ending in .html")
    parser.add_argument("--figures", metavar="DIR", help="folder of figures from 'hpcspike plot' (default: drawn anew)")
    parser.add_argument("--captions", metavar="DIR", help="folder of captions, such as cluster/report (default: none)")
    parser.add_argument(
        "--retrain-below", type=minutes_or_0, default=0.0, metavar="MINUTES",
        help="train the best, median and worst network of a sweep again, if they took less than so long, and show "
        "them (default: 0, none)",
    )  # fmt: skip
    user_code_argument(parser)


def _recordings(commands: _Commands) -> None:
    parser = commands.add_parser(
        "recordings",
        help="say what is understood of a file of recordings, and print an experiment that trains it",
        description="Say what is understood of a file of recorded rates, drives or spikes (units, samples, times,\n"
        "rates, trials), as comments, and print an experiment that trains it: 'hpcspike recordings FILE > mine.yaml'.\n"
        "Several files, or a file with several conditions, become conditions of one network, each with its own cue.\n"
        "Where a file can be read in several ways, each is shown with the key that chooses it (exit code 2).",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="recordings")
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="netCDF, zarr, CSV, TSV, NPY, NPZ, MATLAB (.mat), NWB or JLD2 file; several: one condition each",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="keys",
        help="a key of 'targets', for example unit=Hz or 'condition={side: left}'; may be given several times",
    )


def _import(commands: _Commands) -> None:
    parser = commands.add_parser(
        "import",
        help="make a network that TrainSpikingNet.jl trained one that runs here",
        description="Read a folder in which TrainSpikingNet.jl, or a program before it, keeps a trained network, run\n"
        "its test trials, and write it like what 'hpcspike train' writes. What is not as it was there is listed.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="import_network")
    parser.add_argument("folder", metavar="FOLDER", help="folder of .jld or .jld2 files")
    parser.add_argument("--out", required=True, metavar="PATH", help="network to write, ending in .zarr or .nc")
    parser.add_argument(
        "--targets", choices=("total", "drive"),
        help="whether targets are the total input, constant input included (older programs), or not; needed where "
        "neurons have constant input",
    )  # fmt: skip
    parser.add_argument("--trials", type=positive, default=3, metavar="K", help="test trials to run (default: 3)")


def _bench(commands: _Commands) -> None:
    parser = commands.add_parser(
        "bench",
        help="measure the learning engines against each other on this machine",
        description=(
            "Time weight updates and whole trainings with the textbook and with the fast engine, each comparison in a "
            "process of its own (about 4 minutes, 3 GiB)."
        ),
    )
    parser.set_defaults(module="bench")
    parser.add_argument("--quick", action="store_true", help="two small networks only (under half a minute)")
    parser.add_argument(
        "--sizes", nargs="+", metavar="N,K", help="neurons and plastic inputs of each, for example 500,150"
    )
    parser.add_argument(
        "--intervals", nargs="+", type=positive, metavar="MS", help="update intervals in ms (default: 2 10)"
    )
    parser.add_argument("--dtypes", nargs="+", choices=("float64", "float32"), help="precisions (default: both)")
    parser.add_argument(
        "--rows", type=positive, metavar="R", help="measure at most R of the N neurons (default: 384 MiB of P)"
    )
    parser.add_argument(
        "--seconds", type=positive, metavar="S", help="time for the slowest variant of a row (default: 2)"
    )
    parser.add_argument("--no-trainings", action="store_true", help="leave the whole trainings out")
    parser.add_argument(
        "--neighbours",
        action="store_true",
        help="instead simulate one balanced network here, in NEST and in Brian2, where they are installed",
    )
    parser.add_argument(
        "--gradient",
        action="store_true",
        help="instead time passes of gradient learners beside the products of matrices in them, snnTorch and Norse",
    )
    parser.add_argument("--json", metavar="PATH", help="write everything measured here, too")
    parser.add_argument(
        "--markdown", metavar="JSON", help="measure nothing, print the tables of the guide from this file"
    )
    parser.add_argument(
        "--history", metavar="CSV", help="measure nothing, print the runs kept in this file, and what became slower"
    )
    parser.add_argument("--add", metavar="JSON", help="with --history: add the run in this file first")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # a single measurement, in this process


def _study(commands: _Commands) -> None:
    parser = commands.add_parser(
        "study",
        help="train and probe the networks of a study, such as those of a figure of the paper",
        description="Train every variant of a study as often as it has replicates, probe the networks, and write them\n"
        "as one tree (OUT/study.nc) with a table of their numbers (OUT/table.csv). What is there is not done again.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="study")
    config_arguments(parser, "study")
    parser.add_argument("--out", metavar="DIR", help="folder of the results (default: results/NAME)")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only", metavar="VARIANT_REPLICATE", help="train this network only, such as drive_0")
    only.add_argument("--collect", action="store_true", help="train none, only write the tree and the table")
    threads_argument(parser)


def _claims(commands: _Commands) -> None:
    parser = commands.add_parser(
        "claims",
        help="hold the results of studies and sweeps against the claims of the papers",
        description="Measure the claims of Kim & Chow (2018), and of the papers of the other learners, in the results\n"
        "at hand, and write claims.md, claims.csv and a copy of the numbers they come from. Given those copies\n"
        "it writes the same page again.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="claims")
    parser.add_argument(
        "results", nargs="+", metavar="RESULT", help="table.nc of a study, store of a sweep, or a copy written by this"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to")


def _export(commands: _Commands) -> None:
    parser = commands.add_parser(
        "export",
        help="write the finished points of a sweep, or the spikes of one network, to one file to share",
        description="Write the finished points of a sweep with a data dictionary: as netCDF, or as a zip file of\n"
        "netCDF and CSV with the sweep and the provenance of every point; a name that ends in crate.zip makes that\n"
        "an RO-Crate. Of one network that 'hpcspike train' or 'hpcspike show --dataset' wrote: its spikes and trials\n"
        "as NWB, which Neo reads too; or as a program that runs its test trials in Brian2 (.py, and .npz beside it);\n"
        "or as a folder of SONATA (a name without a suffix) with a program that runs them in NEST.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="export")
    parser.add_argument("store", metavar="STORE", help="store of a sweep, or Dataset of one network")
    parser.add_argument(
        "out",
        metavar="OUT",
        help="file to write: .nc or .zip of a sweep; of a network .nwb, .py for Brian2, .nir, .csv of recorded units, "
        "or a new folder for SONATA",
    )


def _verify(commands: _Commands) -> None:
    parser = commands.add_parser(
        "verify",
        help="check that every byte of a store is the one that was written",
        description="Check metadata, every chunk, provenance records and receipts of a store against their checksums,\n"
        "and say what is damaged or missing and how it is mended. Exit code 0: nothing, 2: something.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="verify")
    parser.add_argument("path", metavar="STORE", help="store of a sweep, for example results/fig6.zarr")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def _upgrade(commands: _Commands) -> None:
    parser = commands.add_parser(
        "upgrade",
        help="bring the store of an older version up to date",
        description="Give a store of an older version the checksums it does not have, in place. What is up to date is\n"
        "left alone; a run that was interrupted is gone on with by the same command.",
        formatter_class=_Raw,
    )
    parser.set_defaults(module="upgrade")
    store_argument(parser)


def _schema(commands: _Commands) -> None:
    parser = commands.add_parser(
        "schema",
        help="print the JSON schema of experiments, sweeps or studies, or a table of all fields",
        description="Print the JSON schema of experiment, sweep or study files, or all fields with unit and range.",
    )
    parser.set_defaults(module="schema")
    kinds = ("experiment", "sweep", "study")
    parser.add_argument("kind", nargs="?", choices=kinds, default="sweep", help="(default: sweep)")
    parser.add_argument("--table", action="store_true", help="print a table of the experiment's fields instead")


_Commands = argparse._SubParsersAction
