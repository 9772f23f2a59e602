"""Tasks that ask for memory or for a code, and are learned by gradient descent: store and recall, XOR, autoencoder."""

from __future__ import annotations

import numpy as np

from hpcspike.learners.tasks import PHASES
from hpcspike.learners.trials import Phase, Stimulus, Task, Trial
from hpcspike.model.random_streams import stream

ZERO, ONE, STORE, RECALL = range(4)
"""The groups of inputs of `store_recall`."""


def store_recall(
    *,
    seed: int,
    replicate: int = 0,
    n_slots: int = 12,
    slot_ms: int = 200,
    n_inputs: int = 100,
    input_rate_hz: float = 50.0,
    probability: float = 1.0 / 7.0,
) -> Task:
    """Keep a bit that comes with a store command until a recall command asks for it (task T4).

    Inputs are four groups of Poisson spike trains, for the bits 0 and 1, store and recall, sampled every ms. A bit is
    shown in every slot but those of recall. After a recall (and at the start) every slot is a store with
    ``probability``, after a store every slot is a recall with it. Every trial asks for at least one answer, and every
    store in it is asked for.
    """

    def sample(phase: Phase, index: int) -> Trial:
        rng = stream(seed, replicate, "task", PHASES[phase], index)
        shown, answers = _slots(rng, n_slots, probability)
        group = np.repeat(np.arange(4), np.diff(np.linspace(0, n_inputs, 5).astype(int)))
        rates = np.repeat(shown, slot_ms, axis=0)
        spikes = np.zeros((n_slots * slot_ms, n_inputs), dtype=bool)
        rows, columns = np.nonzero(rates[:, group])
        spikes[rows, columns] = rng.random(len(rows), dtype=np.float32) < input_rate_hz / 1000.0
        bits = np.repeat(answers, slot_ms)
        target = np.stack([bits == ZERO, bits == ONE], axis=1).astype(np.float64)
        return Trial(Stimulus(index, np.zeros((0, n_inputs), bool), spikes, phase), target, bits >= 0)

    return Task(
        name="store_recall", kind="readout", score="error", grid_ms=1.0, n_samples=n_slots * slot_ms, n_cue_samples=0,
        n_outputs=2, n_inputs=n_inputs, sample=sample,
    )  # fmt: skip


def _slots(rng: np.random.Generator, n_slots: int, probability: float) -> tuple[np.ndarray, np.ndarray]:
    """Which groups are active in every slot (slots, 4) bool, and the answers (slots,): a bit, or -1."""
    while True:
        bits, draws = rng.integers(0, 2, n_slots), rng.random(n_slots)
        commands = np.full(n_slots, -1)
        stored_at = -1
        answers = np.full(n_slots, -1)
        for slot in range(n_slots):
            if draws[slot] >= probability:
                continue
            if stored_at < 0:
                commands[slot], stored_at = STORE, slot
            else:
                commands[slot], answers[slot], stored_at = RECALL, bits[stored_at], -1
        if stored_at >= 0:  # never asked for
            commands[stored_at] = -1
        if (answers >= 0).any():
            break
    shown = np.zeros((n_slots, 4), dtype=bool)
    shown[np.arange(n_slots), bits] = True
    shown[commands == RECALL] = False
    shown[commands == STORE, STORE] = True
    shown[commands == RECALL, RECALL] = True
    return shown, answers


def autoencoder(
    *,
    seed: int,
    replicate: int = 0,
    duration_ms: float = 600.0,
    period_ms: float = 1200.0,
    n_harmonics: int = 5,
    n_channels: int = 2,
    tau_ms: float = 10.0,
    grid_ms: float = 1.0,
    amplitude: float = 1.0,
) -> Task:
    """Give back the input, low-passed with ``tau_ms`` (predictive coding of Huh & Sejnowski 2018).

    Every channel is a sum of the first harmonics of ``period_ms`` with random phases and Gaussian strengths, scaled to
    the root mean square ``amplitude``.
    """
    n_samples = round(duration_ms / grid_ms)
    time = grid_ms * (np.arange(n_samples) + 0.5)
    order = np.arange(1, n_harmonics + 1)[:, None]
    omega = 2.0 * np.pi * order / period_ms

    def sample(phase: Phase, index: int) -> Trial:
        rng = stream(seed, replicate, "task", PHASES[phase], index)
        strength = rng.standard_normal((n_channels, n_harmonics, 1))
        strength *= amplitude * np.sqrt(2.0 / (strength**2).sum(axis=1, keepdims=True))
        angle = omega * time + rng.uniform(0.0, 2.0 * np.pi, (n_channels, n_harmonics, 1))
        given = (strength * np.sin(angle)).sum(axis=1).T
        # low-passed since ever: every harmonic is weakened and delayed
        wanted_angle = angle + 0.5 * grid_ms * omega - np.arctan(omega * tau_ms)
        wanted = (strength / np.sqrt(1.0 + (omega * tau_ms) ** 2) * np.sin(wanted_angle)).sum(axis=1).T
        scored = np.arange(n_samples) * grid_ms >= 5.0 * tau_ms
        return Trial(Stimulus(index, np.zeros((0, n_channels)), given, phase), wanted, scored)

    return Task(
        name="autoencoder", kind="readout", score="nmse", grid_ms=grid_ms, n_samples=n_samples, n_cue_samples=0,
        n_outputs=n_channels, n_inputs=n_channels, sample=sample,
    )  # fmt: skip


def delayed_xor(
    *,
    seed: int,
    replicate: int = 0,
    duration_ms: int = 600,
    pulse_ms: int = 50,
    delay_step_ms: int = 10,
    longest_delay_ms: int = 170,
    null_share: float = 0.2,
    answer_ms: int = 60,
    grid_ms: float = 1.0,
    curriculum_trials: int = 0,
) -> Task:
    """XOR of the signs of two pulses, asked for by a later go cue; "none" if the second pulse is missing.

    Channel 0 carries the pulses, Gaussian bumps of height +1 or -1; channel 1 the go cue, one of height 1. Delays
    between their windows are geometric in steps of ``delay_step_ms``. The answer (0, 1, or none) is judged in the
    first ``answer_ms`` from the onset of the cue. In training the longest delay grows in proportion to the trial's
    number, until trial ``curriculum_trials``.
    """
    n_samples = round(duration_ms / grid_ms)
    n_pulse, n_answer = round(pulse_ms / grid_ms), round(answer_ms / grid_ms)
    bump = np.exp(-0.5 * ((np.arange(n_pulse) + 0.5 - n_pulse / 2) / (n_pulse / 6)) ** 2)
    steps = longest_delay_ms // delay_step_ms

    def delay(rng: np.random.Generator, steps: int) -> int:
        drawn = int(rng.geometric(2.0 / (steps + 1))) if steps else 0
        return round(min(drawn, steps) * delay_step_ms / grid_ms)

    def longest(phase: Phase, index: int) -> int:
        return steps * (index + 1) // curriculum_trials if phase == "train" and index < curriculum_trials else steps

    def sample(phase: Phase, index: int) -> Trial:
        rng = stream(seed, replicate, "task", PHASES[phase], index)
        signs = rng.choice([-1.0, 1.0], size=2)
        null = rng.random() < null_share
        first = round(50.0 / grid_ms)
        at_most = longest(phase, index)
        second = first + n_pulse + delay(rng, at_most)
        go = second + n_pulse + delay(rng, at_most)
        given = np.zeros((n_samples, 2))
        given[first : first + n_pulse, 0] = signs[0] * bump
        if not null:
            given[second : second + n_pulse, 0] = signs[1] * bump
        given[go : go + n_pulse, 1] = bump
        answer = 2 if null else int(signs[0] != signs[1])
        target, scored = np.zeros((n_samples, 3)), np.zeros(n_samples, dtype=bool)
        scored[go : go + n_answer] = True
        target[scored, answer] = 1.0
        return Trial(Stimulus(index, np.zeros((0, 2)), given, phase), target, scored)

    return Task(
        name="delayed_xor", kind="readout", score="error", grid_ms=grid_ms, n_samples=n_samples, n_cue_samples=0,
        n_outputs=3, n_inputs=2, sample=sample,
    )  # fmt: skip
