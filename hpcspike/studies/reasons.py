"""Why a row of the claims does not hold: the assumption, the reading or the size that it fails by, in one sentence."""

from __future__ import annotations

import re
from dataclasses import replace

from hpcspike.studies.claims import Row

REASONS: tuple[tuple[int, str, str], ...] = (
    (
        1,
        r"cued .* rate",
        "Filtered spikes of single trials hold less than one spike at tau_s = 20 ms and follow a rate by 0.7 at most "
        "(0.71 where phi(u) does by 0.95); loops that run on fail to recall besides.",
    ),
    (
        1,
        r"correlation of (trial-averaged filtered|drive with the cued)",
        "Read with loops that run on (protocol.start: running), which train recall from few states: the variants of "
        "random starts stand beside this row.",
    ),
    (
        1,
        r"drive and target, ou,",
        "Read with loops that run on (protocol.start: running): recall from the cue fails in some networks (0.10 to "
        "0.87), where responses that a teacher has started reach 0.72 to 0.85 in all.",
    ),
    (
        1,
        r"population rate .*chaotic",
        "The targets fix it: the recipe of the authors' program asks for 8.8 to 9.5 Hz whatever network "
        "follows it, and the paper does not print its numbers.",
    ),
    (
        4,
        r"periodic",
        "The prediction has no synapse in it, and products of sines with periods from 100 ms are not "
        "slow against tau_s = 20 ms; for slower targets of networks with the same settings it holds.",
    ),
    (
        6,
        r"exponent of tau_s in the clamped sampling error, tau_s",
        "It assumes weights that do not depend on tau_s, but spike noise is the ridge of least squares: "
        "the norm of the weights grows with tau_s (sweep 'errors'), and without it the error falls at "
        "least as steeply.",
    ),
    (
        6,
        r"exponent of N in the (clamped sampling error|norm of the weights$)",
        "It assumes weights of order 1/N. Least squares with spike noise as ridge is expected to give N^-1/4 for OU "
        "targets (without a network -0.1 to -0.3), whose rates have ever more time courses above that noise, and "
        "N^-1/2 only where these are few (row of sines). What is measured is flatter still, and why is open.",
    ),
    (
        6,
        r"exponent of sqrt",
        "The curve is that of a mean field linear in OU processes; phi cuts off their negative half, and "
        "the weights change with tau_s beyond their norm.",
    ),
    (
        8,
        r"fall .*\(share of neurons above 0\.7: (0\.[5-9]|1\.)",
        "A mean over all neurons counts losses that the paper's examples, judged by eye, need not show: more than half "
        "of the neurons still follow their target (in brackets).",
    ),
    (
        8,
        r"fall .*\(share of neurons above 0\.7: 0\.[0-4]",
        "Most neurons no longer follow their target (in brackets): the loss of so many changes the drive of all others "
        "by more than the trained path forgives.",
    ),
    (
        8,
        r"",
        "The loss of so many neurons changes the drive of all others by more than the trained path forgives.",
    ),
    (
        10,
        r"tanh",
        "In training the responses follow their targets from loop to loop, and the weak cue does not bring them back "
        "from random states: its effect on x outlasts its 50 ms by tau = 10 ms only. With a cue of 5 times the "
        "amplitude all networks recall (row of tanh).",
    ),
    (
        11,
        r"correlation of drive and innate",
        "Read with loops that run on (protocol.start: running), recall fails in some networks; the variant of random "
        "starts (conditioned) recalls in all.",
    ),
    (
        11,
        r"phase deviation",
        "It falls with recall (row of its slope), but loops from random states, which bring recall to 0.85 to 0.93 in "
        "all six networks, leave it above half. The paper states neither its formula nor which spike is deleted.",
    ),
    (
        12,
        r"minus 0\.5",
        "Half an auxiliary neuron per recorded one brings most of the gain, with made-up rates as with recorded ones "
        "(study fig5_recordings).",
    ),
    (
        12,
        r"shuffled, recorded",
        "The recorded rates share few time courses: one holds 89 % of their variance over time and two hold 90 %, of "
        "the made-up ones 41 % and seven, so that shuffled synapses bring much the same drive.",
    ),
    (
        14,
        r"exponent of",
        "The law assumes weights that depend neither on tau_s nor, but for 1/N, on N: with weights of least squares "
        "both errors have exponents of their own (claim 6), and the balance moves with those.",
    ),
    (
        14,
        r"best correlation .*(prefactor|exponents) fitted",
        "The optimum is flat and the grid coarse: neighbouring tau_s are 0.2 to 0.4 decades apart, as "
        "far as the error.",
    ),
    (
        14,
        r"paper's",
        "The law has prefactors and exponents of weights of order 1/N that do not depend on tau_s, which "
        "recursive least squares does not keep (claim 6).",
    ),
    (
        16,
        r"rate training: .*best network",
        "Where phi(u) follows in single trials, averages of the spikes of the test trials still miss the target: "
        "N = 300 and loops that run on; not decided by a measurement of its own.",
    ),
    (
        16,
        r"E-I.*best network",
        "With tau_s up to 20 ms these networks of 300 neurons run at 24 to 960 Hz (at 5 ms nearly a spike in every "
        "step) and follow nothing, with slower synapses they learn in part or diverge; no other size or coupling was "
        "tried on this map.",
    ),
    (
        16,
        r"",
        "Size and reading: maps of N = 300 with two networks per cell and loops that run on, "
        "where slow synapses fail to recall in some cells; not decided by a measurement of its own.",
    ),
)
"""Claim, pattern of the measure, and the sentence; the first that fits counts."""


def explained(row: Row) -> Row:
    """The row with its reason, if it does not hold and one is known; one that it has is kept."""
    if row.verdict != "does not hold" or row.why:
        return row
    fitting = (why for claim, pattern, why in REASONS if claim == row.claim and re.search(pattern, row.measure))
    return replace(row, why=next(fitting, ""))
