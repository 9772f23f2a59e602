"""Sweeps: from axes to points, batches, one results store and its status."""
