"""From an experiment to its result: learner, fit, evaluation, Dataset; the same road for every learner."""
