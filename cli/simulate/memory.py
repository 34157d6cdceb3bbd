"""What the agents did and were told, each for itself: log and scoreboard are held against it at the end."""

from collections import Counter
from dataclasses import dataclass, field

from cli.demo.deeds import Deeds


@dataclass(slots=True)
class Memory:
    """One run's memory."""

    tracking: dict[str, str] = field(default_factory=dict)
    """The acknowledged reports: case id to tracking number."""
    deeds: Deeds = field(default_factory=Deeds)
    stars: dict[str, list[int]] = field(default_factory=dict)
    """What reporters gave, by the department that they rated; the key is empty where none was named."""
    rated: set[str] = field(default_factory=set)
    """Cases whose reporter has rated; each does once, whatever comes after."""
    escalations_heard: Counter[str] = field(default_factory=Counter)
    """By reason, as departments heard of them."""
    warnings_heard: int = 0
    closings_heard: int = 0
    points_passed: dict[str, set[str]] = field(default_factory=dict)
    """By patrol order, the points at which a worker checked in."""
    finds: dict[str, set[str]] = field(default_factory=dict)
    """By patrol order, the cases that its worker found."""
