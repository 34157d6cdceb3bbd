"""What the answers of a witness mean."""

import pytest

from libs.events.ledger.notes import Checkpoint, Signer
from services.ledger.witnessing.protocol import (
    Contradicted,
    Cosigned,
    Elsewhere,
    NotHeard,
    answer_of,
    request_of,
)
from services.ledger.witnessing.witnesses import witnesses_of
from tests.support.witness import Witness

SIGNER = Signer("city.example", bytes(32))
NOTE = SIGNER.sign(Checkpoint("city.example/CASES", 8, bytes(32)))


def test_a_request_reads_as_the_format_says() -> None:
    assert request_of(3, [bytes(32)], NOTE).startswith(
        b"old 3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\ncity.example/CASES\n8\n"
    )
    assert request_of(0, [], NOTE) == b"old 0\n\n" + NOTE.encode()


def test_a_signature_counts_only_if_it_is_the_witness_own_and_fits() -> None:
    witness, other = Witness(SIGNER.verifier), Witness(SIGNER.verifier, seed=bytes(32))
    _, _, body = witness.add_checkpoint(request_of(0, [], NOTE))
    found = answer_of(200, body, NOTE, witness.verifier, old=0, size=8)
    assert isinstance(found, Cosigned)
    assert [each.name for each in found.signatures] == [witness.name]
    later = SIGNER.sign(Checkpoint("city.example/CASES", 9, bytes(32)))
    for note, verifier, said in (
        (NOTE, other.verifier, body),
        (later, witness.verifier, body),
        (NOTE, witness.verifier, b"yes"),
        (NOTE, witness.verifier, b""),
        (NOTE, witness.verifier, b"\xff\n"),
    ):
        assert isinstance(answer_of(200, said, note, verifier, old=0, size=8), NotHeard)


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (409, b"3\n", Elsewhere(3)),
        (409, b"8\n", Elsewhere(8)),
        (409, b"9\n", Contradicted("it saw 9 events, and only 8 are signed here")),
        (409, b"5\n", Contradicted("it saw another tree of 5 events")),
    ],
)
def test_a_conflict_names_what_it_saw(status: int, body: bytes, meaning: object) -> None:
    assert answer_of(status, body, NOTE, Witness(SIGNER.verifier).verifier, old=5, size=8) == meaning


@pytest.mark.parametrize(
    ("status", "body"), [(409, b"many"), (409, b""), (500, b"oh"), (404, b""), (403, b"x")]
)
def test_what_says_nothing_is_asked_again(status: int, body: bytes) -> None:
    answer = answer_of(status, body, NOTE, Witness(SIGNER.verifier).verifier, old=5, size=8)
    assert isinstance(answer, NotHeard)


def test_a_tree_that_does_not_grow_from_what_it_saw_is_a_fork() -> None:
    answer = answer_of(422, b"no", NOTE, Witness(SIGNER.verifier).verifier, old=5, size=8)
    assert isinstance(answer, Contradicted)


def test_witnesses_are_named_by_key_and_address() -> None:
    key = str(Witness(SIGNER.verifier).verifier)
    [found] = witnesses_of(f" {key} https://witness.example/w/ ,")
    assert (found.verifier.name, found.url) == ("witness.example", "https://witness.example/w")
    assert witnesses_of("") == ()


@pytest.mark.parametrize("text", ["x https://a", "KEY", "KEY ftp://a", "KEY https://a, KEY https://b"])
def test_what_names_no_witness_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"witness|key"):
        witnesses_of(text.replace("KEY", str(Witness(SIGNER.verifier).verifier)))
