"""Numbers of the laws of rate training, which are compiled into kernels."""

PHI_1, PHI_2, MEASURED = range(3)

LEAST_INPUT = 0.01
"""phi_1 has an infinite slope at its threshold: below this input it is trained by the slope that it has there."""
