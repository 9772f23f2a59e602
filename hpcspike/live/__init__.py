"""Trained networks that run again: test trials under conditions, other synapses and settings, further training.

`hpcspike.live_network` opens a network from its file alone.
"""
