"""Appraisal schemes (考核办法) as data: what is counted, what it is worth, and what is lost or won with it.

A scheme is a list of items.  Each item takes named measures (counts of cases, mostly), and says by one of a few
declared forms how they become marks.  There is no programming in it, so whoever reads the file reads the rule:

    - {code: in-time, name: {zh: 按期结案率, en: In time}, form: share, points: 30,
       numerator: closed_in_time, denominator: due, when_nothing: left_out}

Numbers are exact: what is written in the file is what is reckoned with.
"""

from libs.events.appraisal.items import (
    AnyItem,
    Band,
    Bands,
    Bonus,
    Counting,
    Given,
    Item,
    Penalty,
    PerCase,
    Rated,
    Scored,
    Share,
    Steps,
    WhenNothing,
    measures_of,
    names_in,
    sums_of,
)
from libs.events.appraisal.measures import MEASURES, Bilingual, Sum, Term
from libs.events.appraisal.schemes import (
    Appraisal,
    Averaging,
    Grade,
    Needed,
    Period,
    Rounding,
    Scheme,
    Subject,
    SumOf,
    Ties,
    Total,
    Upward,
)

__all__ = [
    "MEASURES",
    "AnyItem",
    "Appraisal",
    "Averaging",
    "Band",
    "Bands",
    "Bilingual",
    "Bonus",
    "Counting",
    "Given",
    "Grade",
    "Item",
    "Needed",
    "Penalty",
    "PerCase",
    "Period",
    "Rated",
    "Rounding",
    "Scheme",
    "Scored",
    "Share",
    "Steps",
    "Subject",
    "Sum",
    "SumOf",
    "Term",
    "Ties",
    "Total",
    "Upward",
    "WhenNothing",
    "measures_of",
    "names_in",
    "sums_of",
]
