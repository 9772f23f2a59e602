"""The excitatory-inhibitory network that respects Dale's law."""

from __future__ import annotations

import math
from typing import Literal

from hpcspike.spec.fields import Section, quantity


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
