"""Who asks: somebody in particular, with the posts that are theirs, or nobody in particular."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Final

from libs.events.access.roles import ROLE_OF, TABLE, Role

POST_CHARACTERS_MAX: Final = 100
POSTS_MAX: Final = 100
"""What one person or system may be at once."""
_POST: Final = re.compile(r"[a-z-]+:\S(.*\S)?")
_PRINCIPAL_BYTES: Final = 16


@dataclass(frozen=True)
class Actor:
    """Who asks."""

    principal: str | None
    """The person or system behind the posts, by a pseudonym that stays; None: nobody in particular."""
    posts: tuple[str, ...] = ()
    """Such as `centre:hebin`, `department:water`: what they may speak as."""

    @cached_property
    def roles(self) -> frozenset[Role]:
        """What their posts make of them."""
        return frozenset({Role.ANYBODY, *(role_of(post) for post in self.posts)})

    def may(self, verb: str) -> bool:
        """Whether one of their roles may do that."""
        return bool(self.roles & TABLE[verb].roles)

    def posts_for(self, verb: str) -> tuple[str, ...]:
        """Those of their posts that may do that."""
        return tuple(post for post in self.posts if role_of(post) in TABLE[verb].roles)

    def is_department(self, code: str) -> bool:
        """Whether they may speak for that department."""
        return f"department:{code}" in self.posts


NOBODY: Final = Actor(None)
"""Whoever did not sign in."""


def is_post(text: str) -> bool:
    """Whether *text* is a post of a kind that gives a role."""
    return (
        len(text) <= POST_CHARACTERS_MAX
        and _POST.fullmatch(text) is not None
        and "\0" not in text
        and text.partition(":")[0] in ROLE_OF
    )


def role_of(post: str) -> Role:
    """The role of a post for which `is_post` holds."""
    return ROLE_OF[post.partition(":")[0]]


def posts_in(texts: Iterable[object]) -> tuple[str, ...]:
    """The posts among *texts*, at most POSTS_MAX; whatever else somebody's token lists is none of ours."""
    posts = dict.fromkeys(text for text in texts if isinstance(text, str) and is_post(text))
    return tuple(posts)[:POSTS_MAX]


def pseudonym(issuer: str, subject: str) -> str:
    """The principal behind a token: always the same for one person at one issuer, and not their name."""
    digest = blake2b(f"{issuer}\0{subject}".encode(), digest_size=_PRINCIPAL_BYTES).hexdigest()
    return f"oidc:{digest}"
