"""Spikes on their way through the synapses, in ascending order of the presynaptic neuron.

Synapses by presynaptic neuron j: those from begin[j] to end[j], with their postsynaptic row (synapses,) uint32, see
`Delivery`; of several threads each has the synapses on rows of its own. In a large network every spike reads memory
that no cache holds; asking for all of it before using any makes delivery two to four times as fast.
"""

from __future__ import annotations

from hpcspike.accelerate import inline_kernel, kernel, prefetch

_LINE = 16  # numbers of 4 bytes in a cache line


@kernel
def order_by_presynaptic(start, presynaptic, out_start, out_row, out_synapse):  # type: ignore[no-untyped-def]
    """Counting sort of row-wise synapses by presynaptic neuron, ascending rows within each; see `Delivery`."""
    for q in range(presynaptic.shape[0]):
        out_start[presynaptic[q] + 1] += 1
    for j in range(out_start.shape[0] - 1):
        out_start[j + 1] += out_start[j]
    place = out_start[:-1].copy()
    for i in range(start.shape[0] - 1):
        for q in range(start[i], start[i + 1]):
            j = presynaptic[q]
            out_row[place[j]] = i
            out_synapse[place[j]] = q
            place[j] += 1


@kernel
def part_by_rows(start, row, bounds, begin):  # type: ignore[no-untyped-def]
    """Where the synapses of every presynaptic neuron on rows from each of bounds (parts + 1,) on begin.

    start (N + 1,): its synapses, row ascending within them; begin (parts + 1, N): the result.
    """
    for j in range(begin.shape[1]):
        place = start[j]
        for part in range(bounds.shape[0] - 1):
            while place < start[j + 1] and row[place] < bounds[part]:
                place += 1
            begin[part, j] = place
        begin[bounds.shape[0] - 1, j] = start[j + 1]


@inline_kernel
def deliver_fixed(everyone, low, total, begin, end, row, weight, size, drive):  # type: ignore[no-untyped-def]
    """drive[row] += size * weight for the synapses of ``everyone[low:total]``; weight in the order of row."""
    size = drive.dtype.type(size)
    for s in range(low, total):
        first, last = begin[everyone[s]], end[everyone[s]]
        # the lines of the next spike are asked for one by one while this one's are used
        ahead = begin[everyone[s + 1]] - first if s + 1 < total else 0
        for line in range(first, last, _LINE):
            prefetch(row, line + ahead)
            prefetch(weight, line + ahead)
            for q in range(line, min(line + _LINE, last)):
                drive[row[q]] += size * weight[q]  # Eq 6: u of fixed synapses


@inline_kernel
def deliver_plastic(  # type: ignore[no-untyped-def]
    everyone, total, begin, end, row, synapse, weight, size, sizes, drive, readout
):  # fmt: skip
    """drive[row] += size * weight[synapse], and the same for readout unless it is empty.

    sizes (n,): that of each row in place of the one of all; empty: there are none.
    """
    size = drive.dtype.type(size)
    for s in range(total):
        for q in range(begin[everyone[s]], end[everyone[s]], _LINE // 2):
            prefetch(synapse, q)
            prefetch(row, q)
    for s in range(total):
        for q in range(begin[everyone[s]], end[everyone[s]]):
            prefetch(weight, synapse[q])
    if sizes.shape[0] > 0:
        for s in range(total):
            for q in range(begin[everyone[s]], end[everyone[s]]):
                change = sizes[row[q]] * weight[synapse[q]]
                drive[row[q]] += change
                if readout.shape[0] > 0:
                    readout[row[q]] += change
    elif readout.shape[0] > 0:
        for s in range(total):
            for q in range(begin[everyone[s]], end[everyone[s]]):
                change = size * weight[synapse[q]]
                drive[row[q]] += change  # Eq 6: with the weights at the spike
                readout[row[q]] += change  # Eq 8: with the weights of the moment
    else:
        for s in range(total):
            for q in range(begin[everyone[s]], end[everyone[s]]):
                drive[row[q]] += size * weight[synapse[q]]  # Eq 6, Eq 8: as each r_j jumps, so does u = W r


@inline_kernel
def list_events(  # type: ignore[no-untyped-def]
    everyone, total, begin, end, row, synapse, trace, row_start, events, n_events
):  # fmt: skip
    """Note in every row which of its inputs spiked for the first time in the interval: those with trace (N,) zero.

    events (synapses,): positions in the row, from row_start[row] on; n_events (n,): how many.
    """
    for s in range(total):
        j = everyone[s]
        if trace[j] == 0.0:
            for q in range(begin[j], end[j]):
                i = row[q]
                events[row_start[i] + n_events[i]] = synapse[q] - row_start[i]
                n_events[i] += 1
