"""Who is connected to whom at the start, and which synapses are plastic."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from hpcspike.spec.fields import GrownSection, Section, quantity, whole_number


class GaussianConnectivity(Section):
    """Sparse Gaussian weights with s.d. sigma / sqrt(N p); the non-zero ones are plastic (paper, Figs 1-3)."""

    kind: Literal["gaussian"]
    probability: float = quantity(0.3, gt=0, le=1, paper="Methods", doc="Connection probability p.")
    sigma: float = quantity(4.0, gt=0, paper="Fig 1", doc="Weight scale sigma.")
    zero_row_sum: bool = quantity(False, paper="Fig 1", doc="Subtract each neuron's mean non-zero weight.")


class ZeroConnectivity(Section):
    """No initial connections; a random mask says which synapses are plastic (paper, Figs 6 and 7)."""

    kind: Literal["zero"]
    probability: float = quantity(0.3, gt=0, le=1, paper="Figs 6, 7", doc="Probability p that a synapse is plastic.")


class BalancedConnectivity(GrownSection):
    """Fixed excitatory and inhibitory background in the balanced regime, plastic synapses beside it.

    Every neuron receives ``static_in_degree`` fixed synapses from each population and ``plastic_in_degree`` plastic
    ones from each; neurons 0 to f N - 1 are excitatory. Weights are in units of u per spike per tau. With
    ``static_degree: out`` every neuron sends twice ``static_in_degree`` fixed synapses to others instead, whatever
    their population, so that in-degrees, and with them rates, differ between neurons.
    """

    later_keys: ClassVar[tuple[str, ...]] = ("static_degree",)

    kind: Literal["balanced"]
    excitatory_fraction: float = quantity(0.5, gt=0, lt=1, doc="Share f of excitatory neurons.")
    static_in_degree: int = whole_number(512, ge=0, doc="Fixed synapses from each population.")
    static_degree: Literal["in", "out"] = quantity(
        "in", doc="Which number of fixed synapses is the same for all neurons: of incoming or of outgoing ones."
    )
    static_ee: float = quantity(0.0, ge=0, doc="Fixed weight onto excitatory from excitatory neurons.")
    static_ei: float = quantity(0.0, le=0, doc="Fixed weight onto excitatory from inhibitory neurons.")
    static_ie: float = quantity(0.0, ge=0, doc="Fixed weight onto inhibitory from excitatory neurons.")
    static_ii: float = quantity(0.0, le=0, doc="Fixed weight onto inhibitory from inhibitory neurons.")
    plastic_in_degree: int = whole_number(45, ge=1, doc="Plastic synapses from each population.")
    plastic_excitatory: float = quantity(0.0, ge=0, doc="Initial plastic weight from excitatory neurons.")
    plastic_inhibitory: float = quantity(0.0, le=0, doc="Initial plastic weight from inhibitory neurons.")
    input_excitatory: float = quantity(0.0, doc="Constant external input of excitatory neurons.")
    input_inhibitory: float = quantity(0.0, doc="Constant external input of inhibitory neurons.")

    def populations(self, n_neurons: int) -> tuple[int, int]:
        """Numbers of excitatory and of inhibitory neurons."""
        excitatory = math.floor(self.excitatory_fraction * n_neurons + 1e-9)  # 0.58 * 100 is less than 58
        return excitatory, n_neurons - excitatory

    def why_impossible(self, n_neurons: int) -> str | None:
        """What forbids a network of this size, or None."""
        smaller = min(self.populations(n_neurons))
        for key in ("static_in_degree", "plastic_in_degree"):
            if getattr(self, key) >= smaller:
                return (
                    f"connectivity.{key} = {getattr(self, key)} does not fit: the smaller population has {smaller} "
                    f"neurons, so at most {smaller - 1} can be drawn; lower it or raise network.n_neurons"
                )
        return None


class DaleConnectivity(Section):
    """Excitatory and inhibitory neurons with fixed in-degrees and weights J and -g J, all plastic (paper, Fig 4).

    Neurons 0 to (1 - f) N - 1 are excitatory, the last f N inhibitory. Every neuron receives p (1 - f) N excitatory and
    p f N inhibitory synapses, from neurons drawn without repeats; numbers that are not whole are rounded.
    """

    kind: Literal["dale"]
    probability: float = quantity(0.1, gt=0, le=1, paper="Fig 4", doc="In-degree over population size, p.")
    inhibitory_fraction: float = quantity(0.2, gt=0, lt=1, paper="Fig 4", doc="Share f of inhibitory neurons.")
    coupling: float = quantity(6.0, gt=0, paper="Fig 4", doc="Excitatory strength J.")
    inhibition: float = quantity(5.0, gt=0, paper="Fig 4", doc="Strength g of inhibition over excitation.")
    weight_scale: Literal["scaled", "raw"] = quantity(
        "scaled",
        paper="2.7, 4.10",
        doc="'scaled': weights J / sqrt(N p) and -g J / sqrt(N p), for which the paper's divisor gives a spectral "
        "radius of 1; 'raw': J and -g J as the text reads.",
    )

    def populations(self, n_neurons: int) -> tuple[int, int]:
        """Numbers of excitatory and of inhibitory neurons."""
        inhibitory = round(self.inhibitory_fraction * n_neurons)
        return n_neurons - inhibitory, inhibitory

    def in_degrees(self, n_neurons: int) -> tuple[int, int]:
        """Excitatory and inhibitory inputs of every neuron."""
        excitatory, inhibitory = self.populations(n_neurons)
        return round(self.probability * excitatory), round(self.probability * inhibitory)

    def weights(self, n_neurons: int) -> tuple[float, float]:
        """Excitatory and inhibitory weight."""
        scale = math.sqrt(n_neurons * self.probability) if self.weight_scale == "scaled" else 1.0
        return self.coupling / scale, -self.inhibition * self.coupling / scale

    def why_impossible(self, n_neurons: int) -> str | None:
        """What forbids a network of this size, or None."""
        names = ("excitatory", "inhibitory")
        for name, size, k in zip(names, self.populations(n_neurons), self.in_degrees(n_neurons), strict=True):
            if not 1 <= k < size:
                return (
                    f"connectivity.probability = {self.probability:g} asks for {k} {name} inputs of every neuron, but "
                    f"of {size} {name} neurons between 1 and {max(size - 1, 0)} can be drawn; change probability, "
                    "inhibitory_fraction or network.n_neurons"
                )
        return None


Connectivity = Annotated[
    GaussianConnectivity | ZeroConnectivity | BalancedConnectivity | DaleConnectivity, Field(discriminator="kind")
]


def why_undrawable(connectivity: Connectivity, n_neurons: int) -> str | None:
    """What forbids to connect so many neurons in this way, or None."""
    if isinstance(connectivity, (BalancedConnectivity, DaleConnectivity)):
        return connectivity.why_impossible(n_neurons)
    return None
