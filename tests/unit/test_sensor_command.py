"""`./whistle sensor` for servers elsewhere: what it writes, what it says, and what it refuses."""

import json
from pathlib import Path

import pytest

from cli.commands import sensor
from cli.commands.sensor import TOKEN_CHARACTERS_MAX, add, revoke
from cli.departments.errors import NoSuchKey
from cli.output import UsageError


@pytest.fixture(autouse=True)
def logs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command has its process to itself and sets where logs go; here that would last for the tests that follow."""
    monkeypatch.setattr(sensor, "quiet_logs", lambda: None)


def test_a_sensor_comes_and_goes_in_the_files_of_servers_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, accounts = tmp_path / "departments.json", tmp_path / "accounts.conf"
    add("level 7", keys, accounts)
    said = capsys.readouterr()
    assert "topic: sensor/level_207/report" in said.out
    assert "lay it down at each server" in said.err
    assert 'user: "sensor-level_207", password: $WHISTLE_PASSWORD_SENSOR_LEVEL_207' in accounts.read_text()
    since = json.loads(keys.read_text())["sensors"]["level 7"]
    add("level 7", keys, accounts)
    assert json.loads(keys.read_text())["sensors"]["level 7"] == since, "repeating it changes nothing"
    capsys.readouterr()
    revoke("level 7", keys, accounts)
    assert "lay it down at each server" in capsys.readouterr().err
    assert "sensor-level_207" not in accounts.read_text()
    with pytest.raises(NoSuchKey, match="sensor list"):
        revoke("level 7", keys, accounts)


@pytest.mark.parametrize("name", ["", "a" * (TOKEN_CHARACTERS_MAX + 1), "水" * 12])
def test_a_name_that_no_user_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="传感器名称"):
        add(name, tmp_path / "departments.json", tmp_path / "accounts.conf")
    assert not any(tmp_path.iterdir())
