"""Tasks for gradient descent: what is shown, and what is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from hpcspike.learners.gradient_tasks import autoencoder, delayed_xor, store_recall


def test_store_recall_asks_for_the_bit_of_the_last_store() -> None:
    task = store_recall(seed=3)
    rates = []
    for index in range(40):
        trial = task.sample("train", index)
        shown = trial.stimulus.input.reshape(12, 200, 4, 25).mean(axis=(1, 3)) * 1000.0
        active = shown > 10.0
        stored, asked = None, 0
        for slot in range(12):
            bits = active[slot, :2]
            answer = trial.target[200 * slot : 200 * (slot + 1)]
            scored = trial.scored[200 * slot : 200 * (slot + 1)]
            if active[slot, 3]:
                assert not bits.any()
                assert scored.all()
                assert stored is not None
                assert (answer.argmax(axis=1) == stored).all()
                stored, asked = None, asked + 1
            else:
                assert bits.sum() == 1
                assert not scored.any()
                if active[slot, 2]:
                    assert stored is None
                    stored = int(bits[1])
        assert stored is None
        assert asked >= 1
        rates.append(shown[active].mean())
    assert np.mean(rates) == pytest.approx(50.0, rel=0.05)


def test_the_input_low_passed_is_what_the_autoencoder_wants() -> None:
    task = autoencoder(seed=1, tau_ms=10.0)
    trial = task.sample("test", 3)
    filtered = np.zeros(2)
    path = []
    for x in trial.stimulus.input:
        filtered = filtered + (1.0 - np.exp(-task.grid_ms / 10.0)) * (x - filtered)
        path.append(filtered)
    np.testing.assert_allclose(np.array(path)[trial.scored], trial.target[trial.scored], atol=0.02)


def test_delayed_xor_asks_for_what_was_shown() -> None:
    task = delayed_xor(seed=1)
    answers = []
    for index in range(200):
        trial = task.sample("train", index)
        pulses, go = trial.stimulus.input[:, 0], trial.stimulus.input[:, 1]
        cue = int(np.flatnonzero(go)[0])
        peaks = [v for v in (pulses[:cue].max(), pulses[:cue].min()) if abs(v) > 0.9]
        answer = int(trial.target[trial.scored][0].argmax())
        signs = np.sign(pulses[np.abs(pulses) > 0.95])
        runs = 1 + int((np.diff(np.flatnonzero(np.abs(pulses) > 0.95)) > 10).sum())
        assert trial.scored.sum() == 60
        assert int(np.flatnonzero(trial.scored)[0]) == cue
        assert answer == (2 if runs == 1 else int(signs[0] != signs[-1]))
        assert peaks
        answers.append(answer)
    assert np.bincount(answers).min() > 20
