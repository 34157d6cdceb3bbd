"""Whom a sealed value is about, as far as it says so itself: a pseudonym.  For whoever only compares, without a key."""

from typing import Final

SEALED: Final = "sealed.v1"


def who(sealed: str | None) -> str | None:
    """The person of a sealed value; of another text the text itself.

    Two values of one person with the same words are two texts: compare people, not texts.
    """
    prefix, _, rest = (sealed or "").partition(f"{SEALED}.")
    person, dot, _ = rest.partition(".")
    return person if not prefix and person and dot else sealed
