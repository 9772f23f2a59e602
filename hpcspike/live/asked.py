"""What a test of a network is asked for: the arguments, checked once, and how a result says them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import xarray as xr

from hpcspike.checks import shown, whole_number
from hpcspike.live.selection import Selection


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """The arguments of `hpcspike.live.network.Network.test`.

    Raises
    ------
    SpecError
        If trials, first_trial or seed are no such numbers; the others are checked by the network, which knows its size.
    """

    trials: int
    first_trial: int
    target_set: int | None
    seed: int | None
    beyond_ms: float
    stimulus: Any
    silence: Selection
    clamp: Mapping[Any, Any] | None
    noise: float | Mapping[str, float]
    delete_spike: int | None
    add_spike: tuple[Any, float] | None

    def __post_init__(self) -> None:
        whole_number("trials", self.trials, least=1)
        whole_number("first_trial", self.first_trial)
        if self.seed is not None:
            whole_number("seed", self.seed)

    @property
    def numbers(self) -> range:
        """Numbers of the trials."""
        return range(self.first_trial, self.first_trial + self.trials)

    def attributes(self) -> dict[str, str]:
        """The attribute ``conditions``: what differs from a plain test, arrays by their shape; and ``plasticity``."""
        said: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0):
                continue
            plain = isinstance(value, (int, float, str, bool)) or (
                isinstance(value, (list, tuple)) and all(isinstance(one, (int, float, str)) for one in value)
            )
            said[field.name] = value if plain else _brief(value)
        return {"conditions": json.dumps(said), "plasticity": "off"}


def _brief(value: Any) -> str:
    if isinstance(value, xr.DataArray):
        return f"DataArray of {', '.join(f'{name} {size}' for name, size in value.sizes.items())}"
    return shown(value)
