"""Forward and backward through a recurrent network in Norse, not compiled, one thread.

Its cells have a current that decays, too, and an adaptation of another form: they are the nearest that it has.
"""

from __future__ import annotations

import norse  # type: ignore[import-not-found]
import torch  # type: ignore[import-not-found]
from norse.torch.module.lif import LIFRecurrentCell  # type: ignore[import-not-found]
from norse.torch.module.lsnn import LSNNRecurrentCell  # type: ignore[import-not-found]
from torch_gradient import Filtered, measured  # type: ignore[import-not-found]
from turns import asked_for  # type: ignore[import-not-found]

INPUT_GAIN = 10.0
"""Without it no neuron would spike."""


class Cells(torch.nn.Module):  # type: ignore[misc]
    """Leaky neurons, or adaptive ones if any are asked for."""

    def __init__(self, n_inputs: int, n_neurons: int, adaptive: bool) -> None:
        super().__init__()
        self.cell = (LSNNRecurrentCell if adaptive else LIFRecurrentCell)(n_inputs, n_neurons)
        with torch.no_grad():
            self.cell.input_weights *= INPUT_GAIN

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Spikes (steps, B, N)."""
        state, found = None, []
        for x in inputs:
            spikes, state = self.cell(x, state)
            found.append(spikes)
        return torch.stack(found)


case = asked_for()
cells = Cells(case["n_inputs"], case["n_neurons"], case["n_adaptive"] > 0)
measured(f"{norse.__version__}", Filtered(cells, case), case)
