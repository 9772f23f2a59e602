"""The paper's scaling of the two errors (Eq 3)."""

from __future__ import annotations

import math

from hpcspike.checks import number


def tracking_scale(tau_syn_ms: float, tau_corr_ms: float) -> float:
    """eps_track = tau_s / (4 pi tau_c), the prefactor as printed in Methods.

    Parameters
    ----------
    tau_syn_ms
        Synaptic decay time tau_s in ms.
    tau_corr_ms
        Correlation time tau_c of the targets in ms.
    """
    number("tau_syn_ms", tau_syn_ms, above=0.0, unit="ms")
    if not (isinstance(tau_corr_ms, float) and math.isnan(tau_corr_ms)):  # targets of another kind have none
        number("tau_corr_ms", tau_corr_ms, above=0.0, unit="ms")
    return tau_syn_ms / (4.0 * math.pi * tau_corr_ms)  # Eq 3: tracking


def lag_scale(tau_syn_ms: float, tau_corr_ms: float) -> float:
    """rms lag over s.d. of an OU process behind a synaptic filter, sqrt(x / (1 + x)) with x = tau_s / tau_c.

    It is that of a mean field that is linear in such processes, whatever the weights: what the paper's eps_track
    (`tracking_scale`) is the leading order of at small x, as a ratio of spectra, is here an rms over the whole path.

    Parameters
    ----------
    tau_syn_ms
        Synaptic decay time tau_s in ms.
    tau_corr_ms
        Correlation time tau_c of the targets in ms.
    """
    ratio = 4.0 * math.pi * tracking_scale(tau_syn_ms, tau_corr_ms)
    return math.sqrt(ratio / (1.0 + ratio))


def sampling_scale(n_neurons: int, tau_syn_ms: float, tau_ms: float) -> float:
    """eps_sample = 1 / sqrt(N tau_s / tau), tau_s in units of the membrane time constant tau.

    Parameters
    ----------
    n_neurons
        Number of neurons N.
    tau_syn_ms
        Synaptic decay time tau_s in ms.
    tau_ms
        Membrane time constant tau in ms.
    """
    number("n_neurons", n_neurons, above=0)
    number("tau_syn_ms", tau_syn_ms, above=0.0, unit="ms")
    number("tau_ms", tau_ms, above=0.0, unit="ms")
    return 1.0 / math.sqrt(n_neurons * tau_syn_ms / tau_ms)  # Eq 3: sampling
