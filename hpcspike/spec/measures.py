"""How a trained network is judged, while it is trained and afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hpcspike.spec.fields import GrownSection, n_steps, quantity, whole_number

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


def averaged_steps(steps_per_sample: int, grid_ms: float) -> int:
    """Steps between the values that a moving mean is of: 1 ms, or as near to that as divides the sampling interval."""
    most = max(1, steps_per_sample // max(1, round(grid_ms)))
    return next(step for step in range(most, 0, -1) if steps_per_sample % step == 0)


def why_not_smoothed(measures: Measures, *, grid_ms: float, step_ms: float, duration_ms: float) -> str | None:
    """What makes the moving mean of tests in training meaningless in a window of so many ms, or None."""
    asked = measures.smoothing_ms
    apart = averaged_steps(n_steps(grid_ms, step_ms), grid_ms) * step_ms
    if asked == 0.0 or 2.0 * apart * (1.0 - 1e-9) <= asked <= duration_ms * (1.0 + 1e-9):
        return None
    why = (
        f"is longer than the trained window of {duration_ms:g} ms, over which its mean would hardly vary"
        if asked > duration_ms
        else f"has no effect: drives are averaged over values {apart:g} ms apart"
    )
    return (
        f"measures.smoothing_ms = {asked:g} ms {why}; choose {2.0 * apart:g} to {duration_ms:g} ms, or 0: the drive at "
        "the sample"
    )
