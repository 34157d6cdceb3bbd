"""The ledger's key as it is made for a deployment, with arithmetic of our own: the one that the service reads."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cli.embedded.errors import StackError
from cli.stack.ledger_key import new_ledger_key
from cli.stack.state import repository
from libs.events.ledger.notes import Signer

from .manifests import script

DEPLOY = repository() / "deploy"
MAKE_SECRETS = script("make_secrets")


@given(st.binary(min_size=32, max_size=32))
def test_the_public_half_is_the_one_of_rfc_8032(seed: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    assert MAKE_SECRETS.public_of(seed) == key.public_key().public_bytes_raw()
    assert Signer.of(MAKE_SECRETS.secret_of("city.example", seed)) == Signer("city.example", seed)


def test_a_deployment_gets_one_key_and_keeps_it(tmp_path: Path) -> None:
    command = [sys.executable, str(DEPLOY / "make_secrets.py"), "--dir", str(tmp_path)]
    subprocess.run([*command, "--ledger-name", "city.example"], check=True, capture_output=True)
    made = (tmp_path / "ledger-key").read_text()
    assert Signer.of(made).name == "city.example"
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "ledger-key").read_text() == made


def test_a_key_of_ones_own_is_called_like_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHISTLE_LEDGER_NAME", raising=False)
    names = {Signer.of(new_ledger_key()).name for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("whistle-") for name in names)
    monkeypatch.setenv("WHISTLE_LEDGER_NAME", "city.example")
    assert Signer.of(new_ledger_key()).name == "city.example"
    monkeypatch.setenv("WHISTLE_LEDGER_NAME", "a city")
    with pytest.raises(StackError, match="no blanks"):
        new_ledger_key()


@pytest.mark.parametrize("name", ["", "a b", "a+b"])
def test_no_name_of_a_key(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        MAKE_SECRETS.secret_of(name, bytes(32))
