"""How a trained network is judged, while it is trained and afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hpcspike.spec.fields import GrownSection, quantity, whole_number

if TYPE_CHECKING:
    from hpcspike.spec.experiment import Training
    from hpcspike.spec.learners import LearnerSection


class Measures(GrownSection):
    """How a trained network is judged."""

    later_keys: ClassVar[tuple[str, ...]] = ("test_every_loops", "smoothing_ms")

    n_test_trials: int = whole_number(3, ge=1, le=100_000, doc="Test trials from random initial conditions.")
    n_clamped_trials: int = whole_number(3, ge=1, le=100_000, doc="Initial conditions of the clamped error split.")
    learned_correlation: float = quantity(0.7, gt=-1, lt=1, doc="At least this mean correlation counts as learned.")
    silent_rate_hz: float = quantity(0.1, unit="Hz", ge=0, doc="A network below this population rate is silent.")
    diverged_drive: float = quantity(1e6, gt=0, doc="A drive beyond this size counts as diverged.")
    fast_time_ms: float = quantity(
        20.0, unit="ms", gt=0, doc="Cut-off 1 / (2 pi x) between slow and fast power in the spectral index."
    )
    quasi_static: bool = quantity(
        False, paper="Fig 4i", doc="Also correlate the drive with its quasi-static prediction (theta neurons only)."
    )
    test_every_loops: int | None = whole_number(
        None,
        ge=1,
        le=1_000_000,
        doc="While training, test after every so many loops of each target set and after the last one: n_test_trials "
        "from fresh states of their own, plasticity off; null: never.",
    )
    smoothing_ms: float = quantity(
        0.0,
        unit="ms",
        ge=0,
        doc="Tests while training correlate the drive's moving mean over so long, centred at each sample of the target "
        "and cut at the ends of the window; 0: the drive at the sample.",
    )


def why_untested(training: Training, measures: Measures | None, learner: LearnerSection | None = None) -> str | None:
    """What forbids tests in training (measures, None: there are none), or what shall follow from them; or None."""
    every = None if measures is None else measures.test_every_loops
    if every is not None and learner is not None and learner.kind != "rls":
        return (
            f"measures.test_every_loops = {every} is for learner.kind = rls; learner.kind = {learner.kind} is tested "
            "after training only: leave it out"
        )
    for key, asked in (
        ("keep = best", training.keep == "best"),
        (f"patience = {training.patience}", training.patience),
    ):
        if asked and every is None:
            return (
                f"training.{key} goes by tests in training, but there are none; give measures.test_every_loops, for "
                "example 5, or leave it out"
            )
    if measures is not None and measures.smoothing_ms > 0.0:
        for forbidden, why in (
            (every is None, "there are no tests while training; give measures.test_every_loops, for example 5"),
            (training.variable == "rate", "it is of drives, but training.variable = rate; leave it out"),
        ):
            if forbidden:
                return f"measures.smoothing_ms = {measures.smoothing_ms:g} ms: {why}"
    return None
