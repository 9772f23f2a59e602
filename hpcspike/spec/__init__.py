"""What an experiment and a sweep are: validated models with units, ranges, defaults and the paper's sections."""

from hpcspike.spec.experiment import Experiment
from hpcspike.spec.load import load, validate_sweep
from hpcspike.spec.sweep import Sweep
from hpcspike.spec.validation import validate_experiment

__all__ = ["Experiment", "Sweep", "load", "validate_experiment", "validate_sweep"]
