"""The tree of RFC 9162 and the notes of C2SP, against figures that others published, and against each other."""

from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from libs.events.ledger.leaf import Leaf, leaf_of
from libs.events.ledger.merkle import (
    EMPTY_ROOT,
    Hashes,
    Node,
    Peaks,
    ProofInvalid,
    RangeProof,
    check_consistency,
    check_inclusion,
    check_range,
    consistency_proof,
    cover,
    inclusion_proof,
    parent,
    peaks_before,
    range_proof,
    root_of,
)
from libs.events.ledger.notes import (
    Checkpoint,
    NoteInvalid,
    Signature,
    Signer,
    Verifier,
    checked,
    checkpoint_of,
    cosigned_text,
    parsed,
)
from libs.events.ledger.tiles import Tile

# The eight entries with which logs of certificates are tested, and the roots that they are known to give.
ENTRIES: Final = tuple(
    bytes.fromhex(each)
    for each in (
        *("", "00", "10", "2021", "3031", "40414243"),
        *("5051525354555657", "606162636465666768696a6b6c6d6e6f"),
    )
)
ROOTS: Final = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
# The note with which the format was first described.
NOTE: Final = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
NOTE_KEY: Final = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

SIZES = st.integers(1, 70)


def leaves(number: int) -> list[bytes]:
    return [sha256(b"\x00%d" % each).digest() for each in range(number)]


def hashes_over(contents: list[bytes]) -> Hashes:
    def hash_of(node: Node) -> bytes:
        if node.level == 0:
            return contents[node.number]
        return parent(
            hash_of(Node(node.level - 1, 2 * node.number)), hash_of(Node(node.level - 1, 2 * node.number + 1))
        )

    return hash_of


def root_over(contents: list[bytes]) -> bytes:
    """As the RFC defines it (2.1.1): by halves, nothing shared with the code."""
    if len(contents) <= 1:
        return contents[0] if contents else EMPTY_ROOT
    half = 1
    while half * 2 < len(contents):
        half *= 2
    return sha256(b"\x01" + root_over(contents[:half]) + root_over(contents[half:])).digest()


def changed(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


@pytest.mark.parametrize("size", range(1, 9))
def test_published_roots(size: int) -> None:
    contents = [sha256(b"\x00" + entry).digest() for entry in ENTRIES[:size]]
    peaks = Peaks()
    for each in contents:
        peaks.push(each)
    assert peaks.root().hex() == ROOTS[size - 1]
    assert root_of(hashes_over(contents), size).hex() == ROOTS[size - 1]


def test_an_empty_tree_has_the_root_of_nothing() -> None:
    assert Peaks().root() == EMPTY_ROOT == sha256().digest()


@given(SIZES)
def test_a_tree_grows_to_the_root_that_the_definition_gives(size: int) -> None:
    contents, peaks = leaves(size), Peaks()
    for number, each in enumerate(contents):
        peaks.push(each)
        assert peaks.root() == root_over(contents[: number + 1])


@given(SIZES, st.data())
def test_inclusion_is_proved_and_nothing_else_is(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    contents = leaves(size)
    proof, root = inclusion_proof(hashes_over(contents), index, size), root_over(contents)
    check_inclusion(contents[index], index, size, proof, root)
    leaf = contents[index]
    wrong = [
        (changed(leaf), index, size, proof, root),
        (leaf, index, size, proof, changed(root)),
        (leaf, index, size, [*proof, root], root),
        (leaf, size, size, proof, root),
        (leaf, -1, size, proof, root),
        *((leaf, index, size, altered(proof, at), root) for at in range(len(proof))),
        *([(leaf, index, size, proof[:-1], root)] if proof else []),
    ]
    for each in wrong:
        with pytest.raises(ProofInvalid):
            check_inclusion(*each)


def altered(proof: list[bytes], at: int) -> list[bytes]:
    return [*proof[:at], changed(proof[at]), *proof[at + 1 :]]


@given(SIZES, st.data())
def test_growth_is_proved_and_a_forked_history_is_not(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    contents = leaves(size)
    proof = consistency_proof(hashes_over(contents), old, size)
    old_root, root = root_over(contents[:old]), root_over(contents)
    check_consistency(old, old_root, size, root, proof)
    forked = [changed(contents[0]), *contents[1:]]
    cases = [
        (old, root_over(forked[:old]), size, root, proof),
        (old, old_root, size, root_over(forked), proof),
        (old, old_root, size, root, [*proof, root]),
        (size + 1, old_root, size, root, proof),
        *((old, old_root, size, root, altered(proof, at)) for at in range(len(proof))),
        *([(old, old_root, size, root, proof[:-1])] if proof else []),
    ]
    for each in cases:
        with pytest.raises(ProofInvalid):
            check_consistency(*each)


@given(SIZES, st.data())
def test_a_stretch_is_proved_with_nothing_missing_or_added(size: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, size))
    end = data.draw(st.integers(start, size))
    contents = leaves(size)
    root, proof = root_over(contents), range_proof(hashes_over(contents), start, end, size)

    def check(stretch: list[bytes], proof: RangeProof = proof, root: bytes = root) -> None:
        peaks = peaks_before(start, proof)
        for each in stretch:
            peaks.push(each)
        check_range(peaks, size, proof, root)

    stretch = contents[start:end]
    check(stretch)
    wrong = [[*stretch, contents[0]]]
    if len(stretch) > 1:
        wrong += [[stretch[1], stretch[0], *stretch[2:]], stretch[1:], stretch[:-1]]
    for each in wrong:
        with pytest.raises(ProofInvalid):
            check(each)
    with pytest.raises(ProofInvalid):
        check(stretch, root=changed(root))
    with pytest.raises(ProofInvalid):
        check(stretch, proof=RangeProof([*proof.before, root], proof.behind))


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_a_cover_holds_each_leaf_once(start: int, more: int) -> None:
    at = start
    for level, index in cover(start, start + more):
        assert index << level == at
        at += 1 << level
    assert at == start + more


def test_a_subtree_stands_only_where_it_fits() -> None:
    peaks = Peaks()
    peaks.push(bytes(32))
    with pytest.raises(ProofInvalid, match="cannot begin at leaf 1"):
        peaks.push(bytes(32), level=1)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (Tile(1, 1_000, 17), "tile/1/x001/000.p/17"),
        (Tile(2, 999, 1), "tile/2/999.p/1"),
    ],
)
def test_tiles_are_named_as_the_format_says(tile: Tile, path: str) -> None:
    assert tile.path() == path


# Entries


@given(st.binary(max_size=60), st.integers(1, 10**12), st.sampled_from(["", "an-id"]))
def test_an_entry_is_read_back_and_has_one_spelling(payload: bytes, sequence: int, event_id: str) -> None:
    leaf = Leaf("CASES", sequence, "case.x.reported.1", event_id, payload)
    assert leaf_of(leaf.entry()) == leaf
    with pytest.raises(ValueError, match="entry"):
        leaf_of(leaf.entry() + b"x")
    with pytest.raises(ValueError, match="entry"):
        leaf_of(leaf.entry().replace(b"\n%d\n" % sequence, b"\n0%d\n" % sequence, 1))


def test_the_form_of_an_entry_is_the_one_written_down() -> None:
    leaf = Leaf("CASES", 7, "case.x.filed.2", "e-2", b'{"a": 1}')
    assert leaf.entry() == b'whistle-leaf/1\nCASES\n7\ncase.x.filed.2\ne-2\n8\n{"a": 1}'
    assert leaf.hash() == sha256(b"\x00" + leaf.entry()).digest()


def test_each_part_of_an_event_is_in_its_hash() -> None:
    leaf = Leaf("CASES", 7, "case.x.filed.2", "e-2", b"payload")
    others = [
        leaf._replace(stream="CASE"),
        leaf._replace(sequence=8),
        leaf._replace(subject="case.x.filed.2.water"),
        leaf._replace(event_id="e-3"),
        leaf._replace(payload=b"Payload"),
    ]
    assert len({each.hash() for each in (leaf, *others)}) == 6


# Notes


def test_a_published_note_is_checked_and_written_the_same() -> None:
    note, key = parsed(NOTE.encode()), Verifier.of(NOTE_KEY)
    [signature] = note.signatures
    assert key.is_by(signature)
    key.check(note.text, signature)
    assert note.encode().decode() == NOTE
    assert str(key) == NOTE_KEY
    with pytest.raises(NoteInvalid, match="does not fit"):
        key.check(note.text.replace("answer", "Answer"), signature)


SIGNER: Final = Signer("city.example", bytes(range(32)))
CHECKPOINT: Final = Checkpoint("city.example/CASES", 8, bytes.fromhex(ROOTS[7]))


def test_a_checkpoint_is_signed_read_and_checked() -> None:
    note = SIGNER.sign(CHECKPOINT)
    assert note.text == f"city.example/CASES\n8\n{b64encode(CHECKPOINT.root).decode()}\n"
    assert checked(parsed(note.encode()), SIGNER.verifier).checkpoint == CHECKPOINT
    assert SIGNER.sign(CHECKPOINT).encode() == note.encode(), "the same each time"
    assert Signer.of(SIGNER.secret()) == SIGNER
    assert Verifier.of(str(SIGNER.verifier)) == SIGNER.verifier


def test_what_another_key_signed_is_refused() -> None:
    other = Signer("city.example", bytes(32))
    with pytest.raises(NoteInvalid, match=r"no signature of city\.example"):
        checked(other.sign(CHECKPOINT), SIGNER.verifier)


def test_a_witness_says_when() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    witness = Verifier("witness.example", 4, key.public_key().public_bytes_raw())
    note, seconds = SIGNER.sign(CHECKPOINT), 1_795_900_000
    content = seconds.to_bytes(8) + key.sign(cosigned_text(note.text, seconds))
    note = note.with_signatures([Signature(witness.name, witness.key_id, content)])
    [(name, at)] = checked(parsed(note.encode()), SIGNER.verifier, [witness]).witnesses
    assert (name, at) == ("witness.example", datetime.fromtimestamp(seconds, UTC))
    forged = (seconds + 1).to_bytes(8) + content[8:]
    note = SIGNER.sign(CHECKPOINT).with_signatures([Signature(witness.name, witness.key_id, forged)])
    with pytest.raises(NoteInvalid, match=r"witness\.example does not fit"):
        checked(note, SIGNER.verifier, [witness])


@given(st.data())
def test_a_note_of_which_one_byte_is_changed_is_refused(data: st.DataObject) -> None:
    content = bytearray(SIGNER.sign(CHECKPOINT).encode())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(NoteInvalid):
        checked(parsed(bytes(content)), SIGNER.verifier)


@given(st.integers(0, len(SIGNER.sign(CHECKPOINT).encode()) - 1))
def test_a_note_that_is_cut_is_refused(length: int) -> None:
    with pytest.raises(NoteInvalid):
        checked(parsed(SIGNER.sign(CHECKPOINT).encode()[:length]), SIGNER.verifier)


@pytest.mark.parametrize(
    "text", ["city\n1\n", "city\n01\nAAAA\n", "city\n-1\nAAAA\n", "\n1\nAAAA\n", "city\n1\nAAAA\n"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        checkpoint_of(parsed(f"{text}\n\u2014 city AAAAAAA=\n".encode()))


@pytest.mark.parametrize(
    "text", ["", "a+b", "name+00000000+AAAA", NOTE_KEY[:-1], NOTE_KEY.replace("c74f", "c74e")]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        Verifier.of(text)


def test_the_words_about_a_private_key_hold_nothing_of_it() -> None:
    secret = SIGNER.secret()
    for broken in (secret[:-1], secret[:-3] + "AA=", secret.replace("city", "town")):
        with pytest.raises(NoteInvalid) as caught:
            Signer.of(broken)
        assert secret.rpartition("+")[2][:10] not in str(caught.value)
    assert secret.rpartition("+")[2] not in repr(SIGNER)
