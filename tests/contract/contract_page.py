"""The page about the contracts: one HTML file, without scripts and without anything from elsewhere."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 3rem; border-bottom: 1px solid #d0d7de; }
h3 { margin-top: 2rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; background: #f3f5f7; border-radius: 4px; }
code { padding: 1px 4px; }
pre { padding: .75rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 4px 8px; border-bottom: 1px solid #e3e7eb; }
summary { cursor: pointer; color: #0550ae; }
@media (prefers-color-scheme: dark) {
  body { background: #14171a; color: #d8dee4; }
  code, pre { background: #22272c; }
  a, summary { color: #6cb6ff; }
}
"""


def page(document: dict[str, Any]) -> str:
    """The whole page of an AsyncAPI document."""
    info = document["info"]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])}</h1>",
        f"<p>{_prose(info['description'])}</p>",
        f'<p><a href="asyncapi.json">AsyncAPI 3 (asyncapi.json)</a> · version {escape(info["version"])}</p>',
        "<h2>Channels · 通道</h2>",
        *(_channel(channel) for channel in document["channels"].values()),
        "<h2>Messages · 消息</h2>",
        *(_message(name, each, document) for name, each in document["components"]["messages"].items()),
        "<h2>Refusals · 拒绝代码</h2>",
        _refusals(document["x-refusals"]),
        "<h2>Schemas · 数据结构</h2>",
        *(_schema(name, each) for name, each in document["components"]["schemas"].items()),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _prose(text: str) -> str:
    """A text with `code` in it."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if odd % 2 else part for odd, part in enumerate(parts))


def _channel(channel: dict[str, Any]) -> str:
    address = escape(channel["address"] or "(reply)")
    links = ", ".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in channel["messages"])
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{_prose(each['description'])}</td></tr>"
        for name, each in channel.get("parameters", {}).items()
    )
    table = f"<table>{rows}</table>" if rows else ""
    return (
        f"<h3><code>{address}</code></h3><p>{escape(channel['title'])}</p>"
        f"<p>{_prose(channel['description'])}</p>{table}<p>{links}</p>"
    )


def _message(name: str, message: dict[str, Any], document: dict[str, Any]) -> str:
    examples = "".join(
        f"<details><summary>Example · 示例: {escape(each['name'])}</summary>"
        f"<pre>{escape(json.dumps(each['payload'], ensure_ascii=False, indent=2))}</pre></details>"
        for each in message["examples"]
    )
    is_described = name in document["components"]["schemas"]
    data = f'<p>data: <a href="#schema-{escape(name)}">{escape(name)}</a></p>' if is_described else ""
    return (
        f'<h3 id="{escape(name)}"><code>{escape(name)}</code> {escape(message["title"])}</h3>'
        f"<p>{_prose(message['summary'])}</p>{data}{examples}"
    )


def _refusals(refusals: list[dict[str, str]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['code'])}</code></td><td>{escape(each['reason'])}</td>"
        f"<td>{escape(each['reason_zh'])}</td></tr>"
        for each in refusals
    )
    return f"<p>In acts that were refused, and in answers · 操作与应答中的代码</p><table>{rows}</table>"


def _schema(name: str, schema: dict[str, Any]) -> str:
    head = f'<h3 id="schema-{escape(name)}"><code>{escape(name)}</code></h3>'
    told = f"<p>{_prose(schema.get('description', ''))}</p>{_deprecation(schema)}"
    if "properties" not in schema:
        return f"{head}{told}<p>{_kind(schema)}</p>"
    return f"{head}{told}<table>{''.join(_rows(schema))}</table>"


def _deprecation(schema: dict[str, Any]) -> str:
    """Until when, and what instead, for what goes."""
    if "x-deprecation" not in schema:
        return ""
    ends = schema["x-deprecation"]
    return (
        f"<p><strong>Deprecated · 即将停用</strong>: until {escape(ends['until'])}, then "
        f'<a href="#schema-{escape(ends["instead"])}">{escape(ends["instead"])}</a></p>'
    )


def _rows(schema: dict[str, Any]) -> Iterator[str]:
    yield "<tr><th>field · 字段</th><th>type · 类型</th><th></th><th>meaning · 含义</th></tr>"
    for name, field in schema["properties"].items():
        need = "required · 必填" if name in schema.get("required", ()) else "optional · 可选"
        meaning = _prose(field.get("description", ""))
        yield f"<tr><td><code>{escape(name)}</code></td><td>{_kind(field)}</td><td>{need}</td><td>{meaning}</td></tr>"


def _kind(field: dict[str, Any]) -> str:
    """The type of a field, in a few words."""
    if "$ref" in field:
        name = escape(field["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if "const" in field:
        return f"<code>{escape(json.dumps(field['const']))}</code>"
    if "enum" in field:
        return " ".join(f"<code>{escape(str(each))}</code>" for each in field["enum"])
    if "items" in field:
        return f"list of {_kind(field['items'])}"
    if "anyOf" in field:
        return " or ".join(_kind(each) for each in field["anyOf"])
    kinds = field.get("type", "any")
    words = kinds if isinstance(kinds, str) else " or ".join(kinds)
    bounds = [f"{key} {field[key]}" for key in _BOUNDS if key in field]
    return escape(" · ".join([field.get("format", words), *bounds]))


_BOUNDS: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
)
