"""Trained networks that run again: test trials under conditions, other synapses and settings, further training.

`hpcspike.Network` opens a network from its file alone.
"""
