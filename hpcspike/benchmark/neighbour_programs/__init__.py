"""Programs that simulate one balanced network, each in a simulator and a process of its own.

They run by their paths in environments in which hpcspike may be missing, and import nothing from here but `turns`. What
network it is comes as JSON, see `hpcspike.benchmark.neighbours.Network`.
"""
