"""Names of departments, places and posts as people read them, and times by their clocks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from libs.events.contracts.base import Place
from libs.events.policy import Name, RuleBook
from libs.events.wording import NOTHING, Text

ROLES: Final = {
    "grid-worker": Text("the grid worker of {}", "{}网格员"),
    "specialist": Text("the grid specialist of {}", "{}网格专员"),
    "centre": Text("the command centre of {}", "{}指挥调度中心"),
    "grid": Text("the grid {}", "{}"),
    "community": Text("the community {}", "{}"),
    "street": Text("the street office {}", "{}"),
    "district": Text("the district {}", "{}"),
    "city": Text("the city {}", "{}"),
    "operator": Text("the operator ({})", "系统管理员（{}）"),
    "import": Text("the system {}", "来源系统 {}"),
    "department": Text("{}", "{}"),
}
"""Who acts, by the first part of an actor or a post; the second part names the place."""
CHANNELS: Final = {
    "patrol": Text("a grid worker on patrol", "巡查网格员"),
    "sensor": Text("a sensor", "感知设备"),
    "city-system": Text("another system of the city", "其他业务系统"),
}
SYSTEM: Final = Text("the system", "系统")
RESIDENT: Final = Text("a resident", "居民")


class Names:
    """The names of a rule book (codes without one), and the clocks of a place."""

    def __init__(self, book: RuleBook | None, zone: ZoneInfo | None) -> None:
        self._book = book
        self._zone = zone
        self._areas: dict[str, Name] = {}
        if book is not None:
            self._areas = {grid.code: grid.name for grid in book.grids}
            for street in book.city.streets:
                self._areas |= {street.code: street.name}
                self._areas |= {community.code: community.name for community in street.communities}
            self._areas[book.city.code] = book.city.name

    def who(self, actor: str) -> Text:
        """Who that is, for people."""
        role, _, name = actor.partition(":")
        if role == "channel":
            return CHANNELS.get(name, Text(f"the channel {name}", f"渠道 {name}"))
        if role in {"resident", "reporter"}:
            return RESIDENT
        if role == "department":
            return self.department(name)
        if role not in ROLES:
            return SYSTEM
        area = self._areas.get(name)
        form = ROLES[role]
        return Text(form.en.format(area.en if area else name), form.zh.format(area.zh if area else name))

    def department(self, code: str) -> Text:
        """The department's name."""
        known = self._book.department(code) if self._book else None
        return Text(known.name.en, known.name.zh) if known else Text(code, code)

    def departments(self, codes: Sequence[str]) -> Text:
        """Several of them."""
        names = [self.department(code) for code in codes]
        return Text(", ".join(name.en for name in names), "、".join(name.zh for name in names))

    def category(self, code: str) -> Text:
        """The category's name with its code."""
        known = self._book.category(code) if self._book else None
        return Text(f"{known.name.en} ({code})", f"{known.name.zh}（{code}）") if known else Text(code, code)

    def pause(self, code: str) -> Text:
        """Why a clock stands still."""
        pauses = self._book.pauses if self._book else ()
        known = next((pause.name for pause in pauses if pause.code == code), None)
        return Text(known.en, known.zh) if known else Text(code, code)

    def time(self, moment: datetime) -> str:
        """Day and minute."""
        return f"{moment.astimezone(self._zone) if self._zone else moment:%m-%d %H:%M}"

    def until(self, moment: datetime | None) -> Text:
        """`, until 03-02 12:30`; nothing where there is no limit."""
        return Text(f", until {self.time(moment)}", f"，期限 {self.time(moment)}") if moment else NOTHING

    def where(self, place: Place) -> Text:
        """Where it is, the finest that is known first."""
        areas = [self._areas.get(code) for code in (place.grid, place.community) if code]
        area = next((each for each in areas if each), None)
        parts = [place.address or "", area.en if area else place.community or ""]
        parts_zh = [area.zh if area else place.community or "", place.address or ""]
        return Text(", ".join(filter(None, parts)) or "a place not named", "".join(parts_zh) or "地点不详")


def photos_text(photos: Sequence[str]) -> Text:
    """`, with 2 photos`; nothing without."""
    if not photos:
        return NOTHING
    count = len(photos)
    return Text(f", with {count} photo{'s' if count > 1 else ''}", f"，附照片 {count} 张")


def note_text(note: str) -> Text:
    """What was written with it; nothing where nothing was."""
    return Text(f": {note}", f"：{note}") if note else NOTHING
