"""Checks what Whistle hands out for an audit, with nothing but Python: read it, and trust it alone.

    python3 whistle_verify.py EXPORT --key KEY [--witness KEY]... [--checkpoint FILE] [--since FILE]
    python3 whistle_verify.py PROOF.tlog-proof PROOF.entry --key KEY [--witness KEY]...

KEY is a public key, or a file that holds it, which you got from the city by another way than the export.

THE LEAF of an event is the SHA-256 of a byte 0 and of its entry: lines that each end with one line feed,
"whistle-leaf/1", stream, sequence, subject, event id, bytes of the payload; then the payload as it was stored.
THE TREE over all leaves is that of RFC 9162: a node is the SHA-256 of a byte 1 and its two children; the event with
sequence 1 is the first leaf.  THE CHECKPOINT is a signed note (c2sp.org/signed-note and tlog-checkpoint): origin,
number of events, root in base64; an empty line; signatures by Ed25519 (RFC 8032).

AN EXPORT is a folder: export.json (what was asked for), and for each stream a folder of events.jsonl (each event as
stored, a line), leaves.txt (beside each: sequence, form, hash, subject, event id; form base64: the line is
{"base64":"..."}), hashes.txt (of what is not exported, complete subtrees: first-last hash), checkpoint, perhaps
since.txt (the proof that the tree grew since an older checkpoint).  If the events, with the subtrees between them,
lead to the signed root, then they are those that were sealed, at those places.
"""

# As few lines as can be read in one go:
# fmt: off

import argparse
import json
import sys
from base64 import b64decode, b64encode
from datetime import datetime
from hashlib import sha256, sha512
from itertools import zip_longest
from pathlib import Path

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)

class Bad(Exception):
    """What was checked is not what it claims to be."""

def need(holds, text):
    if not holds:
        raise Bad(text)

# Ed25519, RFC 8032, section 5.1; points as (X, Y, Z, T)

def added(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P

def times(number, point):
    result = (0, 1, 1, 0)
    while number:
        result = added(result, point) if number & 1 else result
        point, number = added(point, point), number >> 1
    return result

def point_of(content):
    """The point that 32 bytes encode; None if they encode none, or not in its only spelling."""
    y = int.from_bytes(content, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    x = x if x * x % P == x2 else x * ROOT_OF_MINUS_1 % P
    if len(content) != 32 or y >= P or x * x % P != x2 or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P

BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def is_signed(key, message, signature):
    a, s = point_of(key), int.from_bytes(signature[32:], "little")
    if a is None or len(signature) != 64 or s >= L:
        return False
    k = int.from_bytes(sha512(signature[:32] + key + message).digest(), "little") % L
    x, y, z, _ = added(times(s, BASE), times(k, (P - a[0], a[1], 1, P - a[3])))  # R = S B - k A
    x, y = x * pow(z, P - 2, P) % P, y * pow(z, P - 2, P) % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]

# Keys and checkpoints

def base64_of(text, what):
    content = b64decode(text, validate=True)
    need(b64encode(content).decode() == text, f"{what} is no base64 · 不是有效的 base64")
    return content

def hash_of(text, what):
    content = bytes.fromhex(text.decode())
    need(len(content) == 32 and content.hex().encode() == text, f"{what} is no hash · 不是有效的摘要")
    return content

def key_of(given):
    """Name, key id, kind (1: log, 4: witness) and key."""
    text = given if "+" in given and not Path(given).is_file() else Path(given).read_text(encoding="utf-8")
    name, key_id, content = text.strip().split("+", 2)
    raw = base64_of(content, f"the key {name}")
    fits = sha256(name.encode() + b"\n" + raw).hexdigest()[:8] == key_id
    need(fits and len(raw) == 33 and raw[0] in (1, 4), f"the key {name} is none of Ed25519, or cut · 公钥无效")
    return name, bytes.fromhex(key_id), raw[0], raw[1:]

def checkpoint_of(note, keys):
    """Origin, size and root of a checkpoint that all *keys* signed."""
    text, _, tail = note.decode().rpartition("\n\n")
    text, found = text + "\n", set()
    need(tail.endswith("\n"), "the checkpoint was cut · 检查点被截断")
    for line in tail[:-1].split("\n"):
        dash, signer, content = line.split(" ")
        raw = base64_of(content, f"the signature of {signer}")
        for name, key_id, kind, key in keys:
            if (dash, signer, raw[:4]) == ("\u2014", name, key_id):
                message, signature = text.encode(), raw[4:]
                if kind == 4:  # of a witness: it also says when
                    message = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big") + message
                    signature = signature[8:]
                need(is_signed(key, message, signature), f"the signature of {name} does not fit · 签名不符")
                found.add(name)
    for name, *_ in keys:
        need(name in found, f"the checkpoint is not signed by {name} with this key · 检查点没有该密钥的签名")
    origin, size, root = text.split("\n")[:3]
    need(str(int(size)) == size, "the checkpoint has no size · 检查点没有条数")
    return origin, int(size), base64_of(root, "the root")

# The tree

def node(left, right):
    return sha256(b"\1" + left + right).digest()

class Tree:
    """Leaves and complete subtrees, added from left to right; two of the same width become one."""

    def __init__(self):
        self.end, self.parts = 0, []

    def add(self, width, content):
        need(width & (width - 1) == 0 == self.end % width, f"no subtree of {width} begins behind {self.end} · 证明不符")
        self.end += width
        while self.parts and self.parts[-1][0] == width:
            content, width = node(self.parts.pop()[1], content), 2 * width
        self.parts.append((width, content))

    def root(self):
        root = self.parts[-1][1] if self.parts else sha256(b"").digest()
        for _, content in self.parts[-2::-1]:
            root = node(content, root)
        return root

def roots_through(here, last, start, proof):
    """Two roots to which a proof leads: of the leaves up to *here*, and of all (RFC 9162, 2.1.3.2 and 2.1.4.2)."""
    first = second = start
    for each in proof:
        need(last, "the proof is longer than the tree is high · 证明过长")
        if here & 1 or here == last:
            first, second = node(each, first), node(each, second)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            second = node(second, each)
        here, last = here >> 1, last >> 1
    need(not last, "the proof is shorter than the tree is high · 证明过短")
    return first, second

def check_growth(old, old_root, new, new_root, proof):
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    start, *rest = proof if old & (old - 1) else [old_root, *proof]
    roots = roots_through(here, last, start, rest)
    need(roots == (old_root, new_root), f"the log of {new} did not grow from that of {old}: rewritten · 历史被改写")

# Exports

def events_of(folder, stream, count):
    """Sequence, subject, payload and hash of each event; Bad names the first that is not as listed."""
    before = told = 0
    with (folder / "leaves.txt").open("rb") as leaves, (folder / "events.jsonl").open("rb") as events:
        for line, event in zip_longest(leaves, events, fillvalue=b""):
            told += 1
            parts = line[:-1].split(b" ", 4)
            whole = line.endswith(b"\n") and event.endswith(b"\n") and len(parts) == 5 and parts[0].isdigit()
            need(whole, f"{stream}: cut or changed behind event {before} · 在事件 {before} 之后被截断或改动")
            number, form, listed, subject, event_id = parts
            payload, where = (event[:-1], f"{stream} event {number.decode()} ({subject.decode(errors='replace')})")
            if form != b"json":
                payload = base64_of(payload[11:-2].decode(errors="replace"), where)
                whole = form == b"base64" and event == b'{"base64":"%b"}\n' % b64encode(payload)
                need(whole, f"{where}: not in its form · 格式不符")
            entry = [b"whistle-leaf/1", stream.encode(), number, subject, event_id, b"%d" % len(payload), payload]
            leaf = sha256(b"\0" + b"\n".join(entry)).digest()
            need(leaf.hex().encode() == listed, f"{where}: changed, its hash is another · 内容与摘要不符，被改动")
            need(int(number) > before, f"{where}: doubled, or in the wrong place · 重复或错序")
            before = int(number)
            yield before, subject.decode(), payload, leaf
    need(told == count, f"{stream}: {told} events where export.json says {count} · 事件数不符")

def check_asked(asked, where, subject, payload, versions):
    """Whether an event is one that was asked for, and none of its case is left out before it."""
    what, (kind, case, *rest) = asked["what"], subject.split(".")
    if what == "time":
        start, time, end = (
            datetime.fromisoformat(each.replace("Z", "+00:00"))
            for each in (asked["from"], json.loads(payload)["time"], asked["to"])
        )
        need(start <= time < end, f"{where}: not in the time asked for · 不在所查时段")
    need(what != "case" or case == asked["case"], f"{where}: of another case · 属于其他案件")
    if what in ("case", "department") and kind == "case":
        versions[case] = versions.get(case, 0) + 1
        need(rest[1] == str(versions[case]), f"{where}: number {versions[case]} is missing before it · 案件事件缺失")

def pass_over(tree, passed, end, whole, stream):
    """Add to the tree what is not exported before the leaf *end*."""
    while tree.end < end:
        where = f"{stream} event {tree.end + 1}"
        need(not whole or not whole[0] - 1 <= tree.end < whole[1], f"{where}: missing from a whole stretch · 缺失")
        line = passed.readline()
        place, _, content = line[:-1].partition(b" ")
        first, _, last = place.partition(b"-")
        fits = first == b"%d" % (tree.end + 1) and last.isdigit() and tree.end < int(last) <= end and line[-1:] == b"\n"
        need(fits, f"{where}: neither here nor passed over by the proof, left out · 缺失")
        tree.add(int(last) - tree.end, hash_of(content, f"{where} in hashes.txt"))

def check_stream(folder, asked, part, note, keys):
    """Size and root of the tree in which all events of one stream of an export are."""
    stream, tree, versions, first, sequence = part["stream"], Tree(), {}, 0, 0
    origin, size, root = checkpoint_of(note, keys)
    need((origin, size) == (part["origin"], part["size"]), f"{stream}: a checkpoint of {origin} at {size} · 检查点不符")
    kinds = {"positions": (asked.get("first"), asked.get("last")), "case": None, "department": None, "time": None}
    whole = {**kinds, "everything": (1, size)}[asked["what"]]
    with (folder / "hashes.txt").open("rb") as passed:
        for sequence, subject, payload, leaf in events_of(folder, stream, part["events"]):
            where = f"{stream} event {sequence} ({subject})"
            need(sequence <= size, f"{where}: behind the checkpoint of {size} events · 超出检查点")
            pass_over(tree, passed, sequence - 1, whole, stream)
            tree.add(1, leaf)
            check_asked(asked, where, subject, payload, versions)
            first = first or sequence
        pass_over(tree, passed, size, whole, stream)
        need(not passed.read(1), f"{stream}: the proof holds too much · 证明内容多余")
    need(not whole or (first, sequence) == whole or size == 0, f"{stream}: not the stretch asked for · 区间不符")
    need(tree.root() == root, f"{stream}: not the signed root, changed with hashes, or a fork · 与签名的根不符")
    print(f"{stream}: {part['events']} events, {first} to {sequence} as sealed in {origin} at {size}. 与签名一致。")
    print("  None of them is missing. 其间无缺失。" if whole else "  Others may fit what was asked. 可能另有符合者。")
    return size, root

def check_export(folder, keys, given, since):
    about = json.loads(text := (folder / "export.json").read_bytes().decode())
    need(json.dumps(about, ensure_ascii=False, indent=1) + "\n" == text, "export.json was changed · 导出说明被改动")
    need(about["format"] == "whistle-export/1", "not of the form whistle-export/1 · 不是本格式的导出")
    wanted = {each.partition(b"\n")[0].decode() for each in (given, since) if each}
    need(wanted <= {part["origin"] for part in about["streams"]}, "a checkpoint of another log · 检查点属于其他日志")
    for part in about["streams"]:
        place, of_this = folder / part["stream"], part["origin"].encode() + b"\n"
        note = given if given and given.startswith(of_this) else (place / "checkpoint").read_bytes()
        size, root = check_stream(place, about["asked"], part, note, keys)
        if since and since.startswith(of_this):
            _, old, old_root = checkpoint_of(since, keys[:1])
            need(old < size or (old, old_root) == (size, root), "newer than the export, or forked · 更新，或历史分叉")
            if 0 < old < size:
                said, *proof = (place / "since.txt").read_bytes().split()
                need(said == b"%d" % old, f"no proof since the checkpoint of {old} · 没有自该检查点的证明")
                check_growth(old, old_root, size, root, [hash_of(line, "since.txt") for line in proof])
            print(f"  It grew from the checkpoint of {old} events that you kept. 自留存的检查点起只增未改。")
    print("Not proved: what came later, or that what was recorded is true. 未证明：之后的事件，以及所记内容属实。")

def check_proof(proof, entry, keys):
    head, _, note = proof.read_bytes().partition(b"\n\n")
    kind, *lines = [line for line in head.decode().split("\n") if not line.startswith("extra ")]
    need(kind == "c2sp.org/tlog-proof@v1" and lines, "not of the form c2sp.org/tlog-proof@v1 · 不是本格式的证明")
    origin, size, root = checkpoint_of(note, keys)
    _, stream, sequence, _ = entry.read_bytes().split(b"\n", 3)
    named = f"index {int(sequence) - 1}" == lines[0] and origin.endswith(f"/{stream.decode()}")
    need(named and 0 < int(sequence) <= size, "the entry names another place than the proof · 条目与证明的位置不符")
    hashes = [base64_of(line, "a hash of the proof") for line in lines[1:]]
    leaf = sha256(b"\0" + entry.read_bytes()).digest()
    _, found = roots_through(int(sequence) - 1, size - 1, leaf, hashes)
    need(found == root, "the entry is not in the tree of this checkpoint: changed · 条目不在检查点的树中")
    print(f"{stream.decode()} event {int(sequence)} is as sealed in {origin} at {size}. 与签名一致。")

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", type=Path, help="folder of an export, or a .tlog-proof · 导出文件夹或单条证明")
    parser.add_argument("entry", type=Path, nargs="?", help="the entry of a .tlog-proof · 证明对应的条目")
    parser.add_argument("--key", required=True, help="public key of the log · 日志公钥")
    parser.add_argument("--witness", action="append", default=[], help="who must have signed · 见证方公钥")
    parser.add_argument("--checkpoint", type=Path, help="from elsewhere, not the export's · 另行取得的检查点")
    parser.add_argument("--since", type=Path, help="an older one that you kept · 留存的旧检查点")
    given = parser.parse_args()
    try:
        keys = [key_of(each) for each in [given.key, *given.witness]]
        files = (each and each.read_bytes() for each in (given.checkpoint, given.since))
        check_proof(given.what, given.entry, keys) if given.entry else check_export(given.what, keys, *files)
    except (Bad, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        said = "".join(each if each.isprintable() else "?" for each in f"{type(error).__name__}: {error}")
        sys.exit(f"NOT PROVED · 验证未通过: {said.removeprefix('Bad: ')}")

if __name__ == "__main__":
    main()
