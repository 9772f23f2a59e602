"""Every parameter has one name, one symbol and one unit, wherever it is written."""

from __future__ import annotations

import pytest
import xarray as xr

from hpcspike.figures.style import label, valued
from hpcspike.notation import NAMES, html, letters, name_of, tex, units_of
from hpcspike.report.words import heading, spoken, symbol, written


@pytest.mark.parametrize(
    ("key", "axis", "legend", "page"),
    [
        ("tau_syn_ms", r"synaptic decay time $\tau_s$ (ms)", r"$\tau_s$ = 30 ms", "τ<sub>s</sub> = 30 ms"),
        ("ridge", r"ridge $\lambda$", r"ridge $\lambda$ = 30", "ridge λ = 30"),
        ("n_loops", "training loops", "training loops = 30", "training loops = 30"),
        ("update_interval_ms", r"interval between updates $\Delta t$ (ms)",
         r"interval between updates $\Delta t$ = 30 ms", "interval between updates Δt = 30 ms"),
        ("settle_ms", "settle (ms)", "settle = 30 ms", "settle = 30 ms"),
    ],
)  # fmt: skip
def test_axes_legends_and_pages_agree(key: str, axis: str, legend: str, page: str) -> None:
    docstring = {"units": units_of(key) or "1", "long_name": "A sentence from a schema; P(0) = I / x."}
    array = xr.DataArray([30.0], dims=(key,), name=key, attrs=docstring)
    assert label(array) == axis
    assert valued(key, 30.0, attrs=docstring) == legend
    assert str(written(array, 30.0)) == page


def test_pages_speak_symbols_without_markup() -> None:
    array = xr.DataArray(0.0, name="tau_corr_ms", attrs={"units": "ms"})
    assert spoken(array, 2.0) == "τc = 2 ms"
    assert str(heading(array)) == "τ<sub>c</sub> (ms)"
    assert str(symbol("a<b")) == "a&lt;b"


def test_a_result_is_called_by_its_long_name() -> None:
    rate = xr.DataArray([1.0], dims=("point",), name="rate", attrs={"units": "Hz", "long_name": "population rate"})
    assert label(rate) == "population rate (Hz)"


def test_keys_that_name_their_section_are_told_apart() -> None:
    assert name_of("stimulus.duration_ms").words == name_of("stimulus_duration_ms").words == "length of the cue"
    assert name_of("duration_ms").words == "length of the window"
    assert name_of("targets.amplitude").words == "amplitude of the targets"


def test_no_two_parameters_share_their_words_and_every_symbol_is_written_in_all_ways() -> None:
    assert len({name.words for name in NAMES.values()}) == len(NAMES)
    for name in NAMES.values():
        if name.symbol:
            assert "_" not in letters(name.symbol) + html(name.symbol)
            assert tex(name.symbol).count("$") == 2
