"""Forward and backward through a recurrent network of leaky neurons in snnTorch, not compiled, one thread."""

from __future__ import annotations

import snntorch  # type: ignore[import-not-found]
import torch  # type: ignore[import-not-found]
from torch_gradient import Filtered, measured  # type: ignore[import-not-found]
from turns import asked_for  # type: ignore[import-not-found]


class Cells(torch.nn.Module):  # type: ignore[misc]
    """Every neuron connected with all."""

    def __init__(self, n_inputs: int, n_neurons: int) -> None:
        super().__init__()
        self.into = torch.nn.Linear(n_inputs, n_neurons, bias=False)
        self.cell = snntorch.RLeaky(
            beta=0.95, linear_features=n_neurons, threshold=0.5, spike_grad=snntorch.surrogate.triangular()
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Spikes (steps, B, N)."""
        currents, (spikes, potential) = self.into(inputs), self.cell.reset_mem()
        found = []
        for current in currents:
            spikes, potential = self.cell(current, spikes, potential)
            found.append(spikes)
        return torch.stack(found)


case = asked_for()
measured(f"{snntorch.__version__}", Filtered(Cells(case["n_inputs"], case["n_neurons"]), case), case)
