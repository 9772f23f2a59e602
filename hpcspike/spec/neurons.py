"""The table of neuron models: one section each, with what an experiment sets and what the program has to know.

The equations are in `hpcspike.model.neuron_models`, one file per model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, Strict, field_validator, model_validator

from hpcspike.spec.by_neuron import LifByNeuron, extremes
from hpcspike.spec.fields import GrownSection, Section, is_multiple, n_steps, quantity, whole_number

CellType = Literal["RS", "IB", "CH", "FS", "LTS"]
CELL_TYPES: tuple[CellType, ...] = ("RS", "IB", "CH", "FS", "LTS")


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a neuron model before its code is loaded, which takes the compiler.

    Attributes
    ----------
    n_states
        State variables of a neuron; 0: only the code of the model tells (users' models).
    seconds_per_step, seconds_with_delivery
        Seconds to advance one neuron by one step on one core of a server (2025), without and with delivery of spikes:
        what `hpcspike plan` predicts from. Of a new model: run ``hpcspike train`` with and without it and compare.
    unit_of_time
        Unit of the step that the kernel is given: dt / tau, or dt in ms where the equations have no tau.
    state_as_weights
        Whether state and drives have the precision of the weights (``training.dtype``), and not always float64.
        Rounding v and u of integrate-and-fire neurons to float32 is far below the noise of a balanced network, and
        halves the memory that a step moves.
    spikes
        Whether it spikes; if not, it is a rate unit.
    """

    n_states: int
    seconds_per_step: float
    seconds_with_delivery: float
    unit_of_time: Literal["tau", "ms"] = "tau"
    state_as_weights: bool = False
    spikes: bool = True


class ThetaNeuron(Section):
    """Quadratic integrate-and-fire neuron in its theta form (paper Eq 5), advanced by classical Runge-Kutta 4."""

    facts: ClassVar[ModelFacts] = ModelFacts(n_states=1, seconds_per_step=6.0e-9, seconds_with_delivery=1.5e-8)

    model: Literal["theta"] = "theta"
    tau_ms: float = quantity(10.0, unit="ms", gt=0, paper="Eq 4", doc="Membrane time constant; the unit of time of r.")
    step_ms: float = quantity(1.0, unit="ms", gt=0, doc="Integration step dt.")
    bias: float = quantity(0.0, doc="Constant external input I of every neuron.")


class LifNeuron(GrownSection):
    """Leaky integrate-and-fire neuron, tau dv/dt = -v + I + gain u, forward Euler (paper, Fig 3 supplement 2).

    The paper's dv/dt = -(v - I) / tau + u in mV is threshold: -50, reset: -65 and drive_gain: 10 (tau_ms in ms).
    """

    facts: ClassVar[ModelFacts] = ModelFacts(
        n_states=2, seconds_per_step=0.8e-9, seconds_with_delivery=1.5e-9, state_as_weights=True
    )
    later_keys: ClassVar[tuple[str, ...]] = ("by_neuron",)

    model: Literal["lif"]
    tau_ms: float = quantity(10.0, unit="ms", gt=0, paper="1.6", doc="Membrane time constant; the unit of time of r.")
    step_ms: float = quantity(1.0, unit="ms", gt=0, doc="Integration step dt.")
    bias: float = quantity(0.0, doc="Constant external input I of every neuron, in units of v.")
    threshold: float = quantity(1.0, doc="A neuron spikes when v passes this.")
    reset: float = quantity(0.0, doc="v after a spike.")
    refractory_ms: float = quantity(0.0, unit="ms", ge=0, doc="Time after a spike in which v stays at reset.")
    drive_gain: float = quantity(1.0, gt=0, doc="Factor of the synaptic drive u in the membrane equation.")
    by_neuron: LifByNeuron = quantity(LifByNeuron(), doc="What differs between neurons, in place of the keys above.")

    @property
    def refractory_steps(self) -> int:
        """Refractory time in steps."""
        return n_steps(self.refractory_ms, self.step_ms)

    @property
    def neurons_differ(self) -> bool:
        """Whether neurons have values of their own."""
        return self.by_neuron != LifByNeuron()

    @model_validator(mode="after")
    def _reset_below_threshold(self) -> LifNeuron:
        if self.reset >= self.threshold:
            raise ValueError(f"neuron.reset = {self.reset:g} must be below neuron.threshold = {self.threshold:g}")
        own = self.by_neuron
        highest, lowest = extremes(own.reset, self.reset)[1], extremes(own.threshold, self.threshold)[0]
        if highest >= lowest:
            raise ValueError(
                f"neuron.by_neuron: the highest reset of a neuron is {highest:g}, the lowest threshold {lowest:g}; "
                "every reset must be below every threshold"
            )
        return self

    @model_validator(mode="after")
    def _steps_fit(self) -> LifNeuron:
        _euler_is_stable(self.step_ms, self.tau_ms)
        shortest = extremes(self.by_neuron.tau_ms, self.tau_ms)[0]
        if shortest < self.step_ms:
            raise ValueError(
                f"neuron.by_neuron.tau_ms: the shortest of a neuron is {shortest:g} ms; must be at least "
                f"neuron.step_ms = {self.step_ms:g} ms, or forward Euler overshoots"
            )
        if not is_multiple(self.refractory_ms, self.step_ms):
            raise ValueError(
                f"neuron.refractory_ms = {self.refractory_ms:g} ms is not a multiple of neuron.step_ms = "
                f"{self.step_ms:g} ms; choose a multiple of it"
            )
        return self


class IzhikevichNeuron(Section):
    """Izhikevich neurons of several types, dv/dt = 0.04 v^2 + 5 v + 140 - w + I + gain u (paper, Fig 3 supplement 2).

    Neuron i has type ``cell_types[i mod len(cell_types)]``, so that all types are equally frequent whatever N. v takes
    two Euler half-steps, then w a whole one (Izhikevich 2003); v beyond the peak of 30 mV is cut to it before w moves.
    """

    facts: ClassVar[ModelFacts] = ModelFacts(
        n_states=2, seconds_per_step=3.0e-9, seconds_with_delivery=4.0e-9, unit_of_time="ms"
    )

    model: Literal["izhikevich"]
    tau_ms: float = quantity(10.0, unit="ms", gt=0, doc="Unit of time of r; no time constant of the model.")
    step_ms: float = quantity(1.0, unit="ms", gt=0, le=1, doc="Integration step dt.")
    bias: float = quantity(0.0, paper="1.7", doc="Constant external input I of every neuron, in mV / ms.")
    drive_gain: float = quantity(1.0, gt=0, doc="Factor of the synaptic drive u in the membrane equation, mV / ms.")
    cell_types: Annotated[tuple[CellType, ...], Strict(False)] = quantity(
        CELL_TYPES, paper="1.7", doc="Types in turn: RS, IB, CH, FS, LTS.", min_length=1
    )


_Currents = Annotated[tuple[float, ...], Strict(False)]
_LEVELS = {
    "reset": (1, 3),
    "voltage_factor": (2, 4, 5),
    "voltage_jump": (2, 4, 5),
    "spike_threshold_decay": (2, 4, 5),
    "spike_threshold_jump": (2, 4, 5),
    "current_tau_ms": (3, 4, 5),
    "current_factors": (3, 4, 5),
    "current_jumps": (3, 4, 5),
    "voltage_threshold_gain": (5,),
    "voltage_threshold_decay": (5,),
}
"""Keys of a GLIF neuron that not all levels have."""


class GlifNeuron(Section):
    """Generalised leaky integrate-and-fire neuron, C dV/dt = I + gain u + sum_j I_j - (V - E_L) / R, forward Euler.

    Levels of Teeter et al. 2018: 1: V is set to a value after a spike; 2: V keeps a part of its distance to rest, and
    the threshold jumps; 3: as 1 with after-spike currents; 4: as 2 with them; 5: as 4, and the threshold follows V.
    A neuron spikes when V passes Theta = threshold + Theta_s + Theta_v, with dTheta_s/dt = -b_s Theta_s and
    dTheta_v/dt = a_v (V - E_L) - b_v Theta_v.
    """

    facts: ClassVar[ModelFacts] = ModelFacts(
        n_states=7, seconds_per_step=8.0e-9, seconds_with_delivery=1.0e-8, unit_of_time="ms"
    )

    model: Literal["glif"]
    level: int = whole_number(1, ge=1, le=5, doc="Level of the model.")
    tau_ms: float = quantity(10.0, unit="ms", gt=0, doc="Unit of time of r; the model's own is C R.")
    step_ms: float = quantity(1.0, unit="ms", gt=0, doc="Integration step dt.")
    bias: float = quantity(0.0, doc="Constant external input I of every neuron.")
    drive_gain: float = quantity(1.0, gt=0, doc="Factor of the synaptic drive u in the membrane equation.")
    capacitance: float = quantity(10.0, gt=0, doc="C; C R is the membrane time constant in ms.")
    resistance: float = quantity(1.0, gt=0, doc="R.")
    resting_potential: float = quantity(0.0, doc="E_L.")
    threshold: float = quantity(1.0, doc="Threshold without spikes, Theta_inf.")
    refractory_ms: float = quantity(0.0, unit="ms", ge=0, doc="Time after a spike in which nothing of a neuron moves.")
    reset: float = quantity(0.0, doc="V after a spike, levels 1 and 3.")
    voltage_factor: float = quantity(0.0, doc="f_v of V = E_L + f_v (V - E_L) - dV after a spike, levels 2, 4, 5.")
    voltage_jump: float = quantity(0.0, doc="dV of the same.")
    spike_threshold_decay: float = quantity(0.0, unit="1/ms", ge=0, doc="b_s, levels 2, 4, 5.")
    spike_threshold_jump: float = quantity(0.0, doc="What a spike adds to Theta_s, levels 2, 4, 5.")
    current_tau_ms: _Currents = quantity((), unit="ms", max_length=3, doc="Decay times tau_j, levels 3, 4, 5.")
    current_factors: _Currents = quantity((), max_length=3, doc="f_j of I_j = f_j I_j + dI_j after a spike.")
    current_jumps: _Currents = quantity((), max_length=3, doc="dI_j of the same.")
    voltage_threshold_gain: float = quantity(0.0, unit="1/ms", doc="a_v, level 5.")
    voltage_threshold_decay: float = quantity(0.0, unit="1/ms", ge=0, doc="b_v, level 5.")

    @property
    def refractory_steps(self) -> int:
        """Refractory time in steps."""
        return n_steps(self.refractory_ms, self.step_ms)

    @model_validator(mode="after")
    def _only_keys_of_the_level(self) -> GlifNeuron:
        for key, levels in _LEVELS.items():
            if self.level not in levels and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"neuron.{key} has no effect at neuron.level = {self.level}; leave it out, or choose level "
                    f"{' or '.join(map(str, levels))}"
                )
        lengths = [len(getattr(self, key)) for key in ("current_tau_ms", "current_factors", "current_jumps")]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"neuron.current_tau_ms, current_factors and current_jumps have {lengths[0]}, {lengths[1]} and "
                f"{lengths[2]} numbers: must be one of each for every after-spike current"
            )
        if any(tau < self.step_ms for tau in self.current_tau_ms):
            raise ValueError(
                f"neuron.current_tau_ms = {list(self.current_tau_ms)}: must be at least neuron.step_ms = "
                f"{self.step_ms:g} ms each"
            )
        return self

    @model_validator(mode="after")
    def _steps_fit(self) -> GlifNeuron:
        constant = self.capacitance * self.resistance
        if self.step_ms > constant:
            raise ValueError(
                f"neuron.step_ms = {self.step_ms:g} ms is larger than capacitance x resistance = {constant:g} ms, "
                "where forward Euler overshoots; choose a smaller step"
            )
        if not is_multiple(self.refractory_ms, self.step_ms):
            raise ValueError(
                f"neuron.refractory_ms = {self.refractory_ms:g} ms is not a multiple of neuron.step_ms = "
                f"{self.step_ms:g} ms; choose a multiple of it"
            )
        for key in ("spike_threshold_decay", "voltage_threshold_decay"):
            if getattr(self, key) * self.step_ms > 1.0:
                raise ValueError(
                    f"neuron.{key} = {getattr(self, key):g} per ms must be at most 1 / neuron.step_ms = "
                    f"{1.0 / self.step_ms:g} per ms, above which forward Euler overshoots; lower it, or choose a "
                    "smaller step"
                )
        for key in ("resting_potential", "reset") if self.level in _LEVELS["reset"] else ("resting_potential",):
            if getattr(self, key) >= self.threshold:
                raise ValueError(
                    f"neuron.{key} = {getattr(self, key):g} must be below neuron.threshold = {self.threshold:g}"
                )
        return self


class TanhNeuron(Section):
    """Rate unit, tau dx/dt = -x + W r + I with r = tanh(x), exponential Euler (paper, Fig 1 supplement 1).

    There are no spikes and no synaptic filter: what is trained is x, as W z + y with tau dz/dt = -z + r and
    tau dy/dt = -y + I, the counterpart of Eqs 7 and 8.
    """

    facts: ClassVar[ModelFacts] = ModelFacts(
        n_states=1, seconds_per_step=5.0e-8, seconds_with_delivery=6.0e-8, spikes=False
    )

    model: Literal["tanh"]
    tau_ms: float = quantity(10.0, unit="ms", gt=0, paper="1.8", doc="Time constant of x.")
    step_ms: float = quantity(1.0, unit="ms", gt=0, doc="Integration step dt.")
    bias: float = quantity(0.0, doc="Constant external input I of every unit.")

    @model_validator(mode="after")
    def _steps_fit(self) -> TanhNeuron:
        _euler_is_stable(self.step_ms, self.tau_ms)
        return self


class UserNeuron(Section):
    """A neuron model of your own: `hpcspike.neurons` says how to write one."""

    facts: ClassVar[ModelFacts] = ModelFacts(
        n_states=0, seconds_per_step=1.0e-8, seconds_with_delivery=1.5e-8, unit_of_time="ms"
    )

    model: Literal["user"]
    source: str = quantity(
        doc="Where the NeuronModel is: package.module:name, or file.py:name with a path from the YAML file."
    )
    parameters: dict[str, float] = quantity({}, doc="Parameters of the model that differ from its defaults.")
    tau_ms: float = quantity(10.0, unit="ms", gt=0, doc="Unit of time of r.")
    step_ms: float = quantity(1.0, unit="ms", gt=0, doc="Integration step dt.")
    bias: float = quantity(0.0, doc="Constant external input I of every neuron.")

    @field_validator("source")
    @classmethod
    def _names_an_object(cls, source: str) -> str:
        module, _, name = source.rpartition(":")
        if not module or not name.isidentifier():
            raise ValueError("must be package.module:name or file.py:name")
        return source


Neuron = Annotated[
    ThetaNeuron | LifNeuron | IzhikevichNeuron | GlifNeuron | TanhNeuron | UserNeuron, Field(discriminator="model")
]
NEURONS: tuple[type[Section], ...] = get_args(get_args(Neuron)[0])
"""The sections of all models."""


def _euler_is_stable(step_ms: float, tau_ms: float) -> None:
    if step_ms > tau_ms:
        raise ValueError(
            f"neuron.step_ms = {step_ms:g} ms is larger than neuron.tau_ms = {tau_ms:g} ms, where forward Euler "
            "overshoots; choose a smaller step"
        )
