"""What the programs in PyTorch share: filtered spikes and readouts, one pass forward and one there and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch  # type: ignore[import-not-found]
from turns import processor_seconds, take_turns  # type: ignore[import-not-found]

KAPPA = math.exp(-1.0 / 20.0)
"""Decay of the filter in a step of 1 ms."""


class Filtered(torch.nn.Module):  # type: ignore[misc]
    """Linear readouts of low-passed spikes."""

    def __init__(self, cells: torch.nn.Module, case: dict[str, Any]) -> None:
        super().__init__()
        self.cells, self.out = cells, torch.nn.Linear(case["n_neurons"], case["n_outputs"], bias=False)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Readouts (steps, B, d) and spikes (steps, B, N)."""
        spikes = self.cells(inputs)
        trace, found = torch.zeros_like(spikes[0]), []
        for one in spikes:
            trace = KAPPA * trace + (1.0 - KAPPA) * one
            found.append(trace)
        return self.out(torch.stack(found)), spikes


def measured(version: str, network: torch.nn.Module, case: dict[str, Any]) -> None:
    """Take turns: seconds of computation ``forward`` and of ``both``, and the ``share`` of steps with a spike."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as XLA does: gradients that fade take no longer than others
    torch.manual_seed(case["seed"])
    shape = case["steps"], case["batch"]
    inputs = (torch.rand(*shape, case["n_inputs"]) < 0.05).float()
    wanted = torch.randn(*shape, case["n_outputs"])

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return network(inputs)[1]

    def both() -> None:
        network.zero_grad()
        ((network(inputs)[0] - wanted) ** 2).mean().backward()

    calls: dict[str, Callable[[], Any]] = {"forward": forward, "both": both}
    share = float(forward().mean())

    def turn() -> dict[str, float]:
        return {name: processor_seconds(call) for name, call in calls.items()} | {"share": share}

    take_turns(f"{version}, PyTorch {torch.__version__}", 0, turn)
