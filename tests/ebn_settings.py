"""Settings of balanced networks that several test modules train."""

from __future__ import annotations

from typing import Any

BOURDOUKAN: dict[str, Any] = {"kind": "ebn_bourdoukan", "passes": 60}

BISTABLE: dict[str, Any] = {
    "kind": "ebn_alemi", "passes": 40, "basis": "tanh", "basis_scale": 3.0, "decoder_scale": 0.03,
    "feedback_per_s": 100.0,
    "feedback_last_per_s": 25.0, "slow_rate": 300.0, "voltage_noise": 0.01,
}  # fmt: skip
