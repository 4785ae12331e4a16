"""What a case of the benchmark has found: repeated figures, the floor of the same run beside them, and the target.

Numbers only: nothing here measures or prints.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Target:
    """What is asked of a result. `of` is "ratio", "median", or the name of a figure in `Result.also`."""

    of: str
    at_most: float

    def __str__(self) -> str:
        return f"{self.of} ≤ {self.at_most:g}"


@dataclass(frozen=True)
class Result:
    """One line of the table. `samples` and `floor_samples` are in `unit`; there may be no floor."""

    id: str
    what: str
    unit: str
    samples: Sequence[float]
    floor_what: str = ""
    floor_samples: Sequence[float] = ()
    targets: tuple[Target, ...] = ()
    also: dict[str, float] = field(default_factory=dict)  # other figures of the case, the unit in the name

    @property
    def median(self) -> float:
        return median(self.samples)

    @property
    def floor(self) -> float | None:
        return median(self.floor_samples) if self.floor_samples else None

    @property
    def ratio(self) -> float | None:
        return self.median / self.floor if self.floor else None

    def meets(self, target: Target) -> bool:
        reached = {"ratio": self.ratio, "median": self.median}.get(target.of, self.also.get(target.of))
        return reached is not None and reached <= target.at_most

    def as_json(self) -> dict:
        """The form of `make bench OUT=…`; figures are rounded to what can be told apart."""
        facts = {
            "id": self.id,
            "what": self.what,
            "unit": self.unit,
            "median": rounded(self.median),
            "min": rounded(min(self.samples)),
            "max": rounded(max(self.samples)),
            "floor": rounded(self.floor),
            "ratio": rounded(self.ratio),
            "n": len(self.samples),
        }
        return facts | ({"also": {name: rounded(figure) for name, figure in self.also.items()}} if self.also else {})


def rounded(figure: float | None) -> float | None:
    """Four significant digits: more would be noise."""
    return None if figure is None else float(f"{figure:.4g}")
