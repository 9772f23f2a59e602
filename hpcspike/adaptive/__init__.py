"""Sweeps that choose their points: what is uncertain, which points tell most of it, and the rounds of a store."""
