"""What happened, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counts:
    """What happened in how many interleavings."""

    interleavings: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    uploads_left: int = 0
    notes: set[str] = field(default_factory=set)

    def add(self, other: Counts) -> None:
        self.interleavings += other.interleavings
        self.steps += other.steps
        self.answers += other.answers
        self.kills += other.kills
        self.violations += other.violations
        self.uploads_left += other.uploads_left
        self.notes |= other.notes
