"""Which combinations of the axes' values a sweep takes, where it does not take all of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator

from hpcspike.spec.fields import Section, quantity, whole_number
from hpcspike.spec.yaml_text import shown

if TYPE_CHECKING:
    import numpy as np

MOST_SAMPLED = 1_000_000
"""Most combinations of a design."""


class _Drawn(Section):
    points: int = whole_number(ge=1, le=MOST_SAMPLED, doc="Number of combinations.")
    seed: int = whole_number(0, ge=0, le=2**63 - 1, doc="Of the draw; it has nothing to do with the networks' seed.")


class RandomDesign(_Drawn):
    """Combinations drawn at random, none twice. More points add to those that fewer points give."""

    kind: Literal["random"] = "random"

    def chosen(self, lengths: list[int]) -> np.ndarray:
        """(points, axes) positions along every axis."""
        import numpy as np

        total = math.prod(lengths)
        if self.points > total:
            raise ValueError(f"sampling.points = {self.points:,}: the axes have {total:,} combinations only")
        source = _source(self.seed)
        found: dict[tuple[int, ...], None] = {}
        while len(found) < self.points:
            drawn = (source.random((4096, len(lengths))) * lengths).astype(np.int64)
            found.update(dict.fromkeys(map(tuple, drawn.tolist())))
        return np.array(list(found)[: self.points], dtype=np.int64)


class LatinHypercube(_Drawn):
    """Combinations that spread evenly along every axis: of as many parts of equal length, each is met once.

    An axis of fewer values than there are points meets each of its values about equally often.
    """

    kind: Literal["latin_hypercube"] = "latin_hypercube"

    def chosen(self, lengths: list[int]) -> np.ndarray:
        """(points, axes) positions along every axis."""
        import numpy as np

        source = _source(self.seed)
        columns = []
        for length in lengths:
            part = np.argsort(source.random(self.points), kind="stable")
            columns.append(((part + source.random(self.points)) / self.points * length).astype(np.int64))
        found = np.stack(columns, axis=1)
        repeated = self.points - len(np.unique(found, axis=0))
        if repeated:
            raise ValueError(
                f"sampling.points = {self.points:,}: {repeated:,} combinations would be drawn twice; take fewer "
                "points, or axes of more values"
            )
        return found


class Zipped(Section):
    """The first values of all axes together, the second ones together, and so on."""

    kind: Literal["zipped"] = "zipped"

    def chosen(self, lengths: list[int]) -> np.ndarray:
        """(points, axes) positions along every axis."""
        if len(set(lengths)) > 1:
            raise ValueError(
                f"zipped axes need equally many values, but have {', '.join(map(str, lengths))}; values that belong "
                "together stand at the same place"
            )
        import numpy as np

        return np.repeat(np.arange(lengths[0], dtype=np.int64)[:, None], len(lengths), axis=1)


class OneAtATime(Section):
    """Every axis by itself, while the others stay at a base point."""

    kind: Literal["one_at_a_time"] = "one_at_a_time"
    base: dict[str, Any] = quantity(doc="Value of every axis at the base point, one of its values.")

    def positions(self, axes: dict[str, list[Any]]) -> list[int]:
        """Where the base point lies along every axis."""
        if set(self.base) != set(axes):
            raise ValueError(f"sampling.base must give a value for each of {', '.join(axes)}")
        for key, values in axes.items():
            if self.base[key] not in values:
                raise ValueError(f"sampling.base.{key} = {shown(self.base[key])}: must be one of the axis's values")
        return [values.index(self.base[key]) for key, values in axes.items()]

    @staticmethod
    def around(base: list[int], lengths: list[int]) -> np.ndarray:
        """(points, axes) positions: the base point, then every axis in turn."""
        import numpy as np

        found = [list(base)]
        for axis, length in enumerate(lengths):
            found += [[*base[:axis], at, *base[axis + 1 :]] for at in range(length) if at != base[axis]]
        return np.array(found, dtype=np.int64)


Sampling = Annotated[RandomDesign | LatinHypercube | Zipped | OneAtATime, Discriminator("kind")]


def combinations(sampling: Sampling, axes: dict[str, list[Any]]) -> np.ndarray:
    """(points, axes) positions of the values that a design combines.

    Parameters
    ----------
    sampling
        The design.
    axes
        Values of every axis.

    Raises
    ------
    ValueError
        If the axes do not allow it.
    """
    if not axes:
        raise ValueError(
            f"sampling.kind = {sampling.kind}: a design needs at least one axis; give axes or leave it out"
        )
    lengths = [len(values) for values in axes.values()]
    if isinstance(sampling, OneAtATime):
        return sampling.around(sampling.positions(axes), lengths)
    return sampling.chosen(lengths)


def _source(seed: int) -> np.random.Generator:
    import numpy as np

    return np.random.Generator(np.random.Philox(key=np.array([seed, 0], dtype=np.uint64)))
