"""Read models of evaluation: `rows.py`, `marks.py`, `patrols.py` are what is kept, `applying.py` moves it.

`scoreboard.py`, `measures.py`, `standing.py` ask it.
"""

from services.evaluation.views.applying import MODEL
from services.evaluation.views.rows import CaseRow, advance, assignment_of, undone_of
from services.evaluation.views.scoreboard import Score, scoreboard
from services.evaluation.views.seen import By, Span

__all__ = [
    "MODEL",
    "By",
    "CaseRow",
    "Score",
    "Span",
    "advance",
    "assignment_of",
    "scoreboard",
    "undone_of",
]
