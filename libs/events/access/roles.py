"""The one table that says which role may do what over HTTP.  `docs/access.md` is rendered from it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Role(StrEnum):
    """What somebody is, as far as permission goes."""

    ANYBODY = "anybody"
    GRID_WORKER = "grid-worker"
    SPECIALIST = "specialist"
    CENTRE = "centre"
    COMMUNITY = "community"
    DEPARTMENT = "department"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"
    INTEGRATOR = "integrator"


NAMES: Final[Mapping[Role, tuple[str, str]]] = {
    Role.ANYBODY: ("anybody, without signing in", "任何人，无需登录"),
    Role.GRID_WORKER: ("grid worker, informant", "网格员、网格信息员"),
    Role.SPECIALIST: ("grid specialist", "网格专员"),
    Role.CENTRE: ("command centre of a street, district or city", "街道、区、市指挥调度中心"),
    Role.COMMUNITY: ("community", "社区"),
    Role.DEPARTMENT: ("department", "职能部门"),
    Role.AUDITOR: ("auditor", "审计员"),
    Role.ADMINISTRATOR: ("administrator of this installation", "系统管理员"),
    Role.INTEGRATOR: ("system of somebody else", "外部系统"),
}
"""What each role is called, in English and Chinese."""

ROLE_OF: Final[Mapping[str, Role]] = {
    "grid-worker": Role.GRID_WORKER,
    "informant": Role.GRID_WORKER,
    "grid": Role.GRID_WORKER,
    "specialist": Role.SPECIALIST,
    "centre": Role.CENTRE,
    "street": Role.CENTRE,
    "district": Role.CENTRE,
    "city": Role.CENTRE,
    "community": Role.COMMUNITY,
    "department": Role.DEPARTMENT,
    "auditor": Role.AUDITOR,
    "administrator": Role.ADMINISTRATOR,
    "operator": Role.ADMINISTRATOR,
    "integrator": Role.INTEGRATOR,
}
"""The role that a post gives to who holds it, by the kind of the post: `centre` of `centre:hebin`."""


class Right(NamedTuple):
    """What a verb is, and who may do it."""

    what: str
    what_zh: str
    roles: frozenset[Role]
    note: str = ""
    note_zh: str = ""

    @property
    def is_public(self) -> bool:
        """Whether nobody has to sign in for it."""
        return Role.ANYBODY in self.roles


def _right(what: str, what_zh: str, *roles: Role, note: tuple[str, str] = ("", "")) -> Right:
    return Right(what, what_zh, frozenset(roles), *note)


_OWN_DEPARTMENT: Final = ("a department: its own alone", "部门仅限本部门")
_OWN_PLACE: Final = ("in cases of the post's own place", "仅限本岗位辖区内的案件")
_ON_THE_SPOT: Final = (Role.SPECIALIST, Role.COMMUNITY, Role.CENTRE)
_WATCHES: Final = (Role.AUDITOR, Role.ADMINISTRATOR)
_OFFICES: Final = (Role.GRID_WORKER, *_ON_THE_SPOT, Role.DEPARTMENT, *_WATCHES)

TABLE: Final[Mapping[str, Right]] = {
    # Everybody, and who speaks for others.
    "report": _right("report a problem", "上报问题", Role.ANYBODY),
    "report-trusted": _right(
        "report through a channel that the rule book trusts",
        "通过可信渠道上报",
        Role.GRID_WORKER,
        Role.INTEGRATOR,
        Role.ADMINISTRATOR,
    ),
    "report-by-key": _right(
        "report over Open311, with an API key",
        "通过 Open311 上报，需 API 密钥",
        Role.INTEGRATOR,
        Role.GRID_WORKER,
        Role.ADMINISTRATOR,
    ),
    "see-requests": _right(
        "see over Open311 what is public of all cases", "通过 Open311 查看公开的案件信息", Role.ANYBODY
    ),
    "track": _right("see where a case stands, by its tracking number", "凭查询码查看进展", Role.ANYBODY),
    "rate": _right("rate how a case ended, by its tracking number", "凭查询码评价", Role.ANYBODY),
    "attach": _right("send a picture", "上传图片", Role.ANYBODY),
    "see-photo": _right("see a picture, by its address", "凭地址查看图片", Role.ANYBODY),
    "see-photo-origin": _right(
        "see when and where a picture was taken, if its sender agreed", "查看图片的拍摄时间和地点", *_OFFICES
    ),
    "see-figures": _right("read the public figures", "查看公开数据", Role.ANYBODY),
    # Reports that wait.
    "see-waiting": _right(
        "see which reports wait for a specialist", "查看待核实的上报", *_ON_THE_SPOT, *_WATCHES
    ),
    "file": _right("file a report as a case", "立案", *_ON_THE_SPOT, note=_OWN_PLACE),
    "reject": _right("reject a report", "不予立案", *_ON_THE_SPOT, note=_OWN_PLACE),
    "merge": _right("join a report to a case", "并案", *_ON_THE_SPOT, note=_OWN_PLACE),
    "adopt": _right("take over an imported case", "接管导入案件", *_ON_THE_SPOT, Role.ADMINISTRATOR),
    # Departments.
    "see-queue": _right(
        "see a department's queue",
        "查看部门待办",
        Role.DEPARTMENT,
        Role.CENTRE,
        *_WATCHES,
        note=_OWN_DEPARTMENT,
    ),
    "accept": _right("sign for a case", "签收", Role.DEPARTMENT, note=_OWN_DEPARTMENT),
    "decline": _right("return a case", "退回", Role.DEPARTMENT, note=_OWN_DEPARTMENT),
    "report-in": _right("report in after a whistle", "报到", Role.DEPARTMENT, note=_OWN_DEPARTMENT),
    "progress": _right("note progress", "反馈进展", Role.DEPARTMENT, note=_OWN_DEPARTMENT),
    "extend": _right("ask for more time", "申请延期", Role.DEPARTMENT, note=_OWN_DEPARTMENT),
    "handle": _right("report a case as handled", "处置完毕", Role.DEPARTMENT, note=_OWN_DEPARTMENT),
    "place-unit": _right("say where a unit is", "上报单元位置", Role.DEPARTMENT, note=_OWN_DEPARTMENT),
    "see-units": _right(
        "see a department's units",
        "查看部门单元",
        Role.DEPARTMENT,
        Role.CENTRE,
        *_WATCHES,
        note=_OWN_DEPARTMENT,
    ),
    # The command centre.
    "see-centre": _right("see what waits for whom", "查看待处理事项", *_ON_THE_SPOT, *_WATCHES),
    "assign": _right("assign a case by hand", "指派", Role.CENTRE, note=_OWN_PLACE),
    "recall": _right("take a case back from its department", "收回", Role.CENTRE, note=_OWN_PLACE),
    "escalate": _right("pass a case up", "升级", *_ON_THE_SPOT, note=_OWN_PLACE),
    "grant": _right("grant more time", "批准延期", Role.CENTRE, note=_OWN_PLACE),
    "refuse": _right("refuse more time", "不批准延期", Role.CENTRE, note=_OWN_PLACE),
    "pause": _right("stop the clock of a case", "暂停计时", Role.CENTRE, note=_OWN_PLACE),
    "resume": _right("let the clock run again", "恢复计时", Role.CENTRE, note=_OWN_PLACE),
    "acknowledge": _right(
        "acknowledge a case of the fast lane", "受理快速通道案件", Role.CENTRE, note=_OWN_PLACE
    ),
    "whistle": _right("blow the whistle", "吹哨", Role.COMMUNITY, Role.CENTRE, note=_OWN_PLACE),
    # Patrols.
    "order-patrols": _right("order patrols", "下达巡查任务", Role.CENTRE, Role.ADMINISTRATOR),
    "patrol": _right(
        "check in, note a find, end a patrol",
        "巡查打卡、登记发现、结束巡查",
        Role.GRID_WORKER,
        note=("on the orders of the worker's own place", "仅限本人辖区的任务"),
    ),
    "see-patrols": _right("see patrols", "查看巡查", Role.GRID_WORKER, *_ON_THE_SPOT, *_WATCHES),
    # Looking at what was handled, and how it ends.
    "see-to-verify": _right(
        "see what waits to be verified", "查看待核查案件", Role.GRID_WORKER, *_ON_THE_SPOT, *_WATCHES
    ),
    "verify": _right("find a handling good", "核查通过", Role.GRID_WORKER, *_ON_THE_SPOT, note=_OWN_PLACE),
    "return": _right("send a handling back", "返工", Role.GRID_WORKER, *_ON_THE_SPOT, note=_OWN_PLACE),
    "close": _right("close a case by hand", "手工结案", *_ON_THE_SPOT, note=_OWN_PLACE),
    "reopen": _right("take a closed case up again", "重新立案", *_ON_THE_SPOT, note=_OWN_PLACE),
    "score": _right("score a department", "评价部门", Role.COMMUNITY),
    "see-case": _right("see one case, by its case id", "按案件编号查看案件", *_OFFICES),
    "see-cases-behind": _right("see which cases stand behind a figure", "查看数据所含案件", *_OFFICES),
    "see-imported": _right("see imported cases that are open", "查看未结的导入案件", Role.CENTRE, *_WATCHES),
    "see-contact": _right(
        "see how to reach whoever reported a case; each look is written down",
        "查看上报人联系方式，每次查看均有记录",
        *_ON_THE_SPOT,
        note=_OWN_PLACE,
    ),
    # Those who are told.
    "webhooks": _right(
        "subscribe to events by webhook, see and repeat its deliveries",
        "订阅事件推送，查看、重发推送",
        Role.INTEGRATOR,
        Role.ADMINISTRATOR,
        note=("one's own alone; an administrator: all", "仅限自己的订阅；系统管理员可见全部"),
    ),
    "wish": _right(
        "say how one wants to be told of one's report, by its tracking number",
        "凭查询码设置通知方式",
        Role.ANYBODY,
    ),
    "see-notices": _right("see who was told what, and whether it arrived", "查看通知及送达情况", *_WATCHES),
    "retry-notices": _right("have a notice sent again", "重发通知", Role.ADMINISTRATOR),
    # Proofs.
    "see-proofs": _right(
        "read checkpoints and hashes of the sealed log, which prove and tell nothing",
        "查看日志的签名检查点和哈希",
        Role.ANYBODY,
    ),
    # This installation.
    "see-parked": _right("see parked cases", "查看被搁置的案件", *_WATCHES),
    "retry-parked": _right("take a parked case up again", "重试被搁置的案件", Role.ADMINISTRATOR),
    "dismiss-parked": _right("pass over the event of a parked case", "跳过被搁置的事件", Role.ADMINISTRATOR),
}
"""By the name of the verb.  A route names its verb with `may(...)`; a test looks at every route of every service."""
