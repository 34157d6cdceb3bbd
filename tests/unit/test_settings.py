"""Settings come from the environment or from files, and what is wrong is said by name, without its value."""

from pathlib import Path

import pytest

from libs.events.settings import EXIT_WRONG_SETTINGS, DatabaseSettings, HttpSettings, ServiceSettings, read

RIGHT = {
    "WHISTLE_NATS_URL": "nats://127.0.0.1:4222, nats://127.0.0.1:4223",
    "WHISTLE_NATS_USER": "intake",
    "WHISTLE_NATS_PASSWORD": "hush-nats",
    "WHISTLE_POSTGRES_DSN": "postgresql://whistle_intake:hush-db@127.0.0.1:5432/whistle",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        read(ServiceSettings)
    assert end.value.code == EXIT_WRONG_SETTINGS
    return capsys.readouterr().err


@pytest.mark.usefixtures("environment")
def test_a_service_needs_four_variables_and_has_a_default_for_the_rest() -> None:
    settings = read(ServiceSettings)
    assert settings.nats_url == "nats://127.0.0.1:4222, nats://127.0.0.1:4223"
    assert settings.nats_password.get_secret_value() == "hush-nats"
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8080)
    assert (settings.otlp_endpoint, settings.log_format) == ("", "auto")
    assert (settings.lag_events_max, settings.batch_messages_max) == (10_000, 500)


@pytest.mark.usefixtures("environment")
def test_secrets_are_not_printed() -> None:
    assert "hush" not in repr(read(ServiceSettings))


def test_an_empty_variable_counts_as_not_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WHISTLE_HTTP_PORT", "")
    assert read(HttpSettings).http_port == 8080


def test_a_secret_may_stand_in_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.delenv("WHISTLE_NATS_PASSWORD")
    (tmp_path / "nats").write_text("from a file\n")
    environment.setenv("WHISTLE_NATS_PASSWORD_FILE", str(tmp_path / "nats"))
    assert read(ServiceSettings).nats_password.get_secret_value() == "from a file"


def test_a_secret_file_that_is_missing_is_named(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv("WHISTLE_NATS_PASSWORD")
    environment.setenv("WHISTLE_NATS_PASSWORD_FILE", "/nowhere/nats")
    assert "WHISTLE_NATS_PASSWORD_FILE): the file /nowhere/nats cannot be read: No such file" in complaint(
        capsys
    )


def test_a_secret_in_both_places_is_refused(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("WHISTLE_NATS_PASSWORD_FILE", str(tmp_path))
    assert "set one of them" in complaint(capsys)


def test_every_wrong_variable_gets_a_line_with_the_reason_and_without_the_value(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.delenv("WHISTLE_NATS_USER")
    environment.delenv("WHISTLE_NATS_PASSWORD")
    environment.setenv("WHISTLE_NATS_URL", "nats://intake:hush-url@127.0.0.1:4222")
    environment.setenv("WHISTLE_POSTGRES_DSN", "mysql://whistle:hush-db@127.0.0.1/whistle")
    environment.setenv("WHISTLE_HTTP_PORT", "99999")
    environment.setenv("WHISTLE_OTLP_ENDPOINT", "collector:4318")
    text = complaint(capsys)
    lines = dict(line.strip().split(": ", 1) for line in text.splitlines()[1:])
    assert lines["WHISTLE_NATS_USER"] == "is not set"
    assert lines["WHISTLE_NATS_PASSWORD (or WHISTLE_NATS_PASSWORD_FILE)"] == "is not set"
    assert "must hold no user or password" in lines["WHISTLE_NATS_URL"]
    assert lines["WHISTLE_POSTGRES_DSN (or WHISTLE_POSTGRES_DSN_FILE)"] == "must start with postgresql://"
    assert "65535" in lines["WHISTLE_HTTP_PORT"]
    assert lines["WHISTLE_OTLP_ENDPOINT"] == "must start with http:// or https://"
    assert len(lines) == 6
    assert "hush" not in text


def test_every_setting_says_what_it_is() -> None:
    undescribed = [name for name, field in ServiceSettings.model_fields.items() if not field.description]
    assert undescribed == []


def test_a_class_reads_only_what_it_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RIGHT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WHISTLE_POSTGRES_DSN", RIGHT["WHISTLE_POSTGRES_DSN"])
    assert read(DatabaseSettings).postgres_pool_connections_max == 8
