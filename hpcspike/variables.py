"""Registry of every variable hpcspike writes: dimensions, dtype, unit and meaning, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Variable:
    """One variable of a Dataset."""

    dims: tuple[str, ...]
    dtype: str
    units: str
    long_name: str
    fill: Any = float("nan")
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes to attach to the array."""
        return {"units": self.units, "long_name": self.long_name, **self.extra}


STATUS = ("learned", "sampling", "tracking", "diverged", "silent")
"""Meaning of the integer ``status``: the index in this tuple."""

_status = {"flag_values": list(range(len(STATUS))), "flag_meanings": " ".join(STATUS)}

POINT_PARAMETERS = {
    "tau_syn_ms": Variable(("point",), "float64", "ms", "synaptic decay time tau_s"),
    "tau_corr_ms": Variable(("point",), "float64", "ms", "correlation time of the targets tau_c"),
    "duration_ms": Variable(("point",), "float64", "ms", "length of the trained window T"),
    "n_neurons": Variable(("point",), "int64", "1", "number of neurons N", fill=0),
    "replicate": Variable(("point",), "int64", "1", "independent repetition", fill=0),
    "seed": Variable(("point",), "int64", "1", "seed of every random stream", fill=0),
}
"""Coordinates along ``point`` that every sweep has; other swept fields join them under their own name."""

POINT_RESULTS = {
    "correlation": Variable(
        ("point",), "float64", "1", "mean Pearson correlation of response and target, single test trials"
    ),
    "correlation_sd": Variable(("point",), "float64", "1", "s.d. over neurons of the correlation"),
    "correlation_trial_mean": Variable(
        ("point",), "float64", "1", "mean Pearson correlation of the trial-averaged response and target"
    ),
    "population_rate": Variable(("point",), "float64", "Hz", "mean firing rate in the trained window"),
    "trial_sd": Variable(("point",), "float64", "1", "trial-to-trial s.d. of the response over the target's s.d."),
    "residual_after_averaging": Variable(
        ("point",), "float64", "1", "rms error of the trial-averaged response over the target's s.d."
    ),
    "fast_share_response": Variable(("point",), "float64", "1", "share of fast power in the response"),
    "fast_share_target": Variable(("point",), "float64", "1", "share of fast power in the target"),
    "spectral_index": Variable(
        ("point",), "float64", "1", "log ratio of fast shares: positive sampling, negative tracking"
    ),
    "sampling_error": Variable(("point",), "float64", "1", "clamped sampling error over the target's s.d."),
    "tracking_error": Variable(("point",), "float64", "1", "clamped tracking error over the target's s.d."),
    "quasi_static_residual": Variable(("point",), "float64", "1", "rms of W phi(f) - f over the target's s.d."),
    "tracking_theory": Variable(("point",), "float64", "1", "eps_track = tau_s / (4 pi tau_c), paper Eq 3"),
    "sampling_theory": Variable(("point",), "float64", "1", "eps_sample = 1 / sqrt(N tau_s / tau), paper Eq 3"),
    "status": Variable(("point",), "int8", "1", "what the network became", fill=-1, extra=_status),
    "diverged_loop": Variable(("point",), "int32", "1", "loop in which the network diverged, -1 if it did not", -1),
    "curve_correlation": Variable(("point", "loop"), "float64", "1", "correlation during each training loop"),
    "curve_rate": Variable(("point", "loop"), "float64", "Hz", "population rate during each training loop"),
    "curve_weight_change": Variable(
        ("point", "loop"), "float64", "1", "Frobenius norm of the loop's weight change over that of the reference"
    ),
}

POINT_PROVENANCE = {
    "wall_seconds": Variable(("point",), "float64", "s", "wall time of the point"),
    "peak_memory": Variable(("point",), "float64", "MiB", "peak resident memory of the process"),
    "n_ranks": Variable(("point",), "int32", "1", "MPI ranks", 0),
    "n_threads": Variable(("point",), "int32", "1", "threads per rank", 0),
    "run": Variable(("point",), "int32", "1", "index into the provenance records of the sweep", -1),
    "done": Variable(("point",), "uint8", "1", "1 once every variable of the point is written", 0),
}
