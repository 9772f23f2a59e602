"""Tasks of learners that take input: digits pixel by pixel, an input to be given back, functions and goals to find."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from hpcspike.spec.fields import TargetsSection, is_multiple, quantity, whole_number

PIXEL_LEVELS = 16
"""Grey levels of digits that are watched, if the experiment does not say."""


class InputTargets(TargetsSection):
    """What such tasks have in common: one target set, no offset, samples of 1 ms (but of navigation), new trials."""

    any_grid: ClassVar[bool] = False
    """Whether targets.grid_ms is free."""
    parts: ClassVar[str | None] = None
    """From which keys the length of a trial follows, in words; None: targets.duration_ms is free."""

    def length_ms(self) -> float | None:
        """The length of a trial (ms), if it follows from other keys."""
        return None

    @model_validator(mode="before")
    @classmethod
    def _length_follows(cls, given: Any) -> Any:
        if cls.parts is None or not isinstance(given, dict) or "duration_ms" in given:
            return given
        try:  # whatever is wrong with the other keys is said of them
            found = cls.model_construct(**given).length_ms()
        except (TypeError, ValueError, OverflowError):
            return given
        return given if found is None or not found > 0 else {**given, "duration_ms": float(found)}

    @model_validator(mode="after")
    def _one_set(self) -> Self:
        if self.n_sets != 1 or self.offset != "none" or (self.grid_ms != 1.0 and not self.any_grid):
            grid = ("", "") if self.any_grid else (" and a grid of 1 ms", ", grid_ms: 1")
            raise ValueError(
                f"targets.n_sets = {self.n_sets}, targets.offset = {self.offset}, targets.grid_ms = {self.grid_ms:g}: "
                f"targets.kind = {self.kind} has one set, no offset{grid[0]}; choose n_sets: 1, "  # type: ignore[attr-defined]
                f"offset: none{grid[1]}"
            )
        found = self.length_ms()
        if found is not None and found != self.duration_ms:
            raise ValueError(
                f"targets.duration_ms = {self.duration_ms:g} ms: follows from {self.parts}, which give {found:g} ms; "
                "leave it out"
            )
        if not is_multiple(self.duration_ms, self.grid_ms):
            raise ValueError(
                f"targets.duration_ms = {self.duration_ms:g} ms: must be whole steps of targets.grid_ms = "
                f"{self.grid_ms:g} ms"
            )
        return self


class DigitsTargets(InputTargets):
    """Which digit was shown, pixel by pixel; the score is the share of wrong answers (10 classes).

    The input is that of `hpcspike.learners.sequential_digits`: crossings of grey levels, then a cue for two rows' time.
    """

    parts: ClassVar[str | None] = "targets.rows and targets.ms_per_pixel"

    kind: Literal["digits"]
    path: str | None = quantity(
        None,
        doc="Images: a folder with the four files of MNIST (IDX, also .gz), or an .npz with x_train, y_train, x_test, "
        "y_test; default: the digits of 8 x 8 pixels that come with scikit-learn.",
    )
    rows: int = whole_number(8, ge=2, le=1000, doc="Rows of an image, and pixels in a row: 8, and 28 of MNIST.")
    ms_per_pixel: int = whole_number(2, unit="ms", ge=1, le=1000, doc="How long a pixel is shown.")
    n_levels: int = whole_number(
        PIXEL_LEVELS, ge=1, le=1000, doc="Grey levels, each with an input for crossings upwards and one downwards."
    )

    def length_ms(self) -> float:
        """Image and cue (ms)."""
        return float((self.rows + 2) * self.rows * self.ms_per_pixel)


class AutoencoderTargets(InputTargets):
    """The input itself, low-passed: sums of harmonics with new phases and strengths in every trial.

    The input is that of `hpcspike.learners.gradient_tasks.autoencoder`; the score is the squared error over the power.
    """

    kind: Literal["autoencoder"]
    duration_ms: float = quantity(600.0, unit="ms", gt=0, doc="Length of a trial.")
    n_channels: int = whole_number(2, ge=1, le=64, doc="Inputs, and readouts.")
    period_ms: float = quantity(1200.0, unit="ms", gt=0, doc="Period of the first harmonic.")
    n_harmonics: int = whole_number(5, ge=1, le=1000, doc="Harmonics of an input.")
    tau_ms: float = quantity(10.0, unit="ms", gt=0, doc="Time constant of the filter; its first five go unscored.")
    amplitude: float = quantity(1.0, gt=0, doc="Root mean square of an input.")

    @model_validator(mode="after")
    def _something_is_scored(self) -> AutoencoderTargets:
        if self.duration_ms <= 5.0 * self.tau_ms:
            raise ValueError(
                f"targets.duration_ms = {self.duration_ms:g} ms: must be longer than five times targets.tau_ms = "
                f"{self.tau_ms:g} ms, which go unscored"
            )
        return self


class FunctionsTargets(InputTargets):
    """Learning to learn: in every trial another function of two numbers is to be found out from examples.

    An example shows two numbers and the value that was right in the example before; the task is that of
    `hpcspike.learners.functions`, the score is the squared error over the power of the target.
    """

    parts: ClassVar[str | None] = "targets.n_examples and targets.example_ms"

    kind: Literal["functions"]
    n_examples: int = whole_number(100, ge=2, le=100_000, doc="Examples of a function in a trial.")
    example_ms: int = whole_number(10, unit="ms", ge=2, le=10_000, doc="Length of an example, the last half is scored.")
    n_hidden: int = whole_number(10, ge=1, le=1000, doc="Units of the random networks that the functions are.")

    def length_ms(self) -> float:
        """All examples (ms)."""
        return float(self.n_examples * self.example_ms)


class NavigationTargets(InputTargets):
    """Moving to a goal in the unit square, which is another in every trial; the score is goals per second.

    At the goal a network is set to a random place away from it, and the goal stays. The task is that of
    `hpcspike.learners.navigation`; networks learn it by policy gradient (`hpcspike.learners.policy`).
    """

    any_grid: ClassVar[bool] = True

    kind: Literal["navigation"]
    duration_ms: float = quantity(500.0, unit="ms", gt=0, doc="Length of a trial.")
    grid_ms: float = quantity(5.0, unit="ms", gt=0, doc="Time of one action.")
    radius: float = quantity(0.15, gt=0, le=0.4, doc="Distance from the goal within which it is reached.")
    stride: float = quantity(0.1, gt=0, le=1, doc="Distance moved by one action.")
    n_fields: int = whole_number(5, ge=2, le=32, doc="Place fields along a side of the square.")
    n_places: int | None = whole_number(
        None, ge=1, le=1000, doc="Goals are at one of so many places on a circle around the middle; default: anywhere."
    )
    horizon_ms: float = quantity(
        100.0, unit="ms", gt=0, doc="How far ahead goals count: the time constant of discount."
    )
