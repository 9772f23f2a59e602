"""What compiled code holds of a simulation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Live(NamedTuple):
    """Arrays and numbers of a `hpcspike.engine.simulation.Simulation` for compiled code.

    Names are those of `hpcspike.engine.step_kernels.run_own_steps`, but for: jumps and exchange_seconds are ``jump``
    and ``seconds`` there, separate is ``readout`` there (empty if it is the drive), and readout is w.r with the weights
    of the moment in any case.
    """

    bounds: np.ndarray
    first: int
    model: int
    step: float
    decays: np.ndarray
    jumps: np.ndarray
    sizes: np.ndarray
    static_decay: float
    static_jump: float
    border: int
    inhibitory_decay: float
    inhibitory_jump: float
    state: np.ndarray
    parameters: np.ndarray
    plastic_drive: np.ndarray
    static_drive: np.ndarray
    inhibitory_drive: np.ndarray
    readout: np.ndarray
    separate: np.ndarray
    filtered: np.ndarray
    trace: np.ndarray
    no_clamp: np.ndarray
    no_record: np.ndarray
    increment: np.ndarray
    received: np.ndarray
    forced: np.ndarray
    spikes: np.ndarray
    everyone: np.ndarray
    address: int
    kind: int
    world: int
    send: np.ndarray
    receive: np.ndarray
    exchange_seconds: np.ndarray
    plastic_begin: np.ndarray
    plastic_row: np.ndarray
    plastic_synapse: np.ndarray
    weight: np.ndarray
    static_begin: np.ndarray
    static_row: np.ndarray
    static_weight: np.ndarray
    row_start: np.ndarray
    events: np.ndarray
    n_events: np.ndarray
    late_plastic: int
    late_static: int
    together: int
    n_neurons: int
    waiting: np.ndarray
    arrived: np.ndarray
    flight: np.ndarray
    n_flight: np.ndarray
    passed: np.ndarray
