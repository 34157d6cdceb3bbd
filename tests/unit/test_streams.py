"""What is declared of streams and consumers, and how a difference is told."""

from datetime import timedelta
from typing import Any

import pytest

from cli.embedded.rooms import BYTES_MAX
from libs.events import streams
from libs.events.errors import NotProvisioned
from libs.events.streams import Consumer, Stream
from libs.events.subjects import DEPARTMENTS

LOG = {each.name: each.config for each in streams.log_streams(3)}
EVIDENCE = ("CASES", "POLICY", "NOTICES", "PARKED", "PERSONS")


def test_the_log_keeps_everything_for_ever_uncompressed_on_disk() -> None:
    assert set(EVIDENCE) <= set(LOG)
    for config in (LOG[name] for name in EVIDENCE):
        assert (config["storage"], config["compression"], config["num_replicas"]) == ("file", "none", 3)
        assert config["deny_delete"] is config["deny_purge"] is True
        assert (config["max_age"], config["max_msgs"], config["max_bytes"]) == (0, -1, -1)
        assert config["max_msgs_per_subject"] == -1
        assert config["retention"] == "limits"
        assert config["allow_rollup_hdrs"] is False
    assert LOG["CASES"]["allow_atomic"] is True


def test_where_units_are_is_kept_for_a_day_and_only_the_newest() -> None:
    units = LOG["KV_UNITS"]
    assert units["subjects"] == ["$KV.UNITS.>"]
    assert units["max_msgs_per_subject"] == 1
    assert units["max_age"] == streams.UNIT_AGE_DAYS_MAX * 86_400 * 10**9
    assert (units["max_msg_size"], units["allow_direct"]) == (streams.UNIT_BYTES_MAX, True)


def test_pictures_come_in_whole_and_only_those_that_nobody_spoke_of_run_out() -> None:
    photos, uploads = LOG["OBJ_PHOTOS"], LOG["OBJ_UPLOADS"]
    assert photos["subjects"] == ["$O.PHOTOS.C.>", "$O.PHOTOS.M.>"]
    for store in (photos, uploads):
        assert store["allow_atomic"] is store["deny_delete"] is True
        assert store["discard"] == "new"
        assert "deny_purge" not in store, "what must not be kept can be erased by the break-glass user"
    assert (photos["max_age"], photos["max_bytes"], photos["allow_rollup_hdrs"]) == (0, -1, False)
    assert uploads["max_age"] == streams.UPLOAD_AGE_DAYS_MAX * 86_400 * 10**9
    assert "max_bytes" not in uploads, "services take any"
    made = {each.name: each.config for each in streams.log_streams(1, uploads_bytes_max=7)}
    assert (made["OBJ_UPLOADS"]["max_bytes"], made["OBJ_PHOTOS"]["max_bytes"]) == (7, -1)


def test_timers_are_no_evidence_and_go_by_themselves() -> None:
    timers = LOG["TIMERS"]
    assert timers["allow_msg_schedules"] is timers["allow_msg_ttl"] is timers["allow_rollup_hdrs"] is True
    assert timers["max_msgs_per_subject"] == 1
    assert "deny_delete" not in timers
    assert not any(config.get("allow_msg_schedules") for name, config in LOG.items() if name != "TIMERS")


def test_what_is_due_has_one_consumer() -> None:
    [consumer] = streams.timer_consumers()
    assert (consumer.stream, consumer.name) == ("TIMERS", "dispatch-timers")
    assert consumer.config["filter_subject"] == "timer.due.*.*"


def test_departments_get_only_what_names_them_and_not_for_ever() -> None:
    departments, _ = streams.bus_streams(1)
    [source] = departments.config["sources"]
    assert [transform["src"] for transform in source["subject_transforms"]] == ["case.*.*.*.*"]
    assert departments.config["max_age"] == streams.DEPARTMENT_AGE_DAYS_MAX * 86_400 * 10**9
    assert departments.config["discard"] == "old"
    assert departments.config["subjects"] == ["dept.*.refused.*"]


def test_acts_wait_until_they_are_done_and_one_department_fills_only_its_own() -> None:
    _, acts = streams.bus_streams(3)
    assert (acts.config["retention"], acts.config["discard"]) == ("workqueue", "new")
    assert acts.config["discard_new_per_subject"] is True
    assert acts.config["max_msgs_per_subject"] == streams.ACTS_WAITING_MAX
    assert acts.config["subject_transform"] == {"src": "act.*.*", "dest": "act.{{wildcard(1)}}"}
    assert acts.config["max_age"] == 0, "what waits is not forgotten"


def test_what_sensors_report_waits_until_intake_has_taken_it() -> None:
    [sensed], [consumer] = streams.sensed_streams(1), streams.sensed_consumers()
    assert (sensed.config["retention"], sensed.config["max_age"]) == ("workqueue", 0)
    assert sensed.config["max_msgs_per_subject"] == streams.SENSED_WAITING_MAX
    assert (consumer.stream, consumer.name) == ("SENSED", "intake-sensed")


def test_acts_have_one_consumer() -> None:
    [consumer] = streams.act_consumers()
    assert (consumer.stream, consumer.name) == ("ACTS", "dispatch-acts")
    assert "filter_subject" not in consumer.config


def test_a_department_has_a_consumer_of_its_own_subjects() -> None:
    [consumer] = streams.department_consumers(["No Q"])
    assert (consumer.stream, consumer.name) == ("DEPARTMENTS", "No_20Q")
    assert consumer.config["filter_subject"] == "dept.No_20Q.>"


def test_a_service_has_one_consumer_of_the_whole_log() -> None:
    [consumer] = streams.service_consumers(["dispatch"])
    assert (consumer.stream, consumer.name, consumer.config["durable_name"]) == (
        "CASES",
        "dispatch",
        "dispatch",
    )
    assert "filter_subject" not in consumer.config
    assert (consumer.config["ack_policy"], consumer.config["max_deliver"]) == ("explicit", -1)


@pytest.mark.parametrize(
    "wanted",
    [
        *streams.log_streams(1),
        *streams.bus_streams(1),
        *streams.service_consumers(["x"]),
        *streams.timer_consumers(),
        *streams.act_consumers(),
        *streams.sensed_streams(1),
        *streams.sensed_consumers(),
    ],
)
def test_every_declared_setting_is_compared_and_named(wanted: Stream | Consumer) -> None:
    streams.compare(wanted, {**wanted.config, "metadata": {"added": "by the server"}})
    for key, value in wanted.config.items():
        different: dict[str, Any] = {**wanted.config, key: f"not {value}"}
        with pytest.raises(NotProvisioned, match=f"{wanted.name}.* differs: {key} is"):
            streams.compare(wanted, different)


def test_a_switch_that_the_server_leaves_out_is_off() -> None:
    cases = streams.log_streams(1)[0]
    without = {key: value for key, value in cases.config.items() if key != "allow_rollup_hdrs"}
    streams.compare(cases, without)
    with pytest.raises(NotProvisioned, match="deny_delete is False, declared is True"):
        streams.compare(cases, {key: value for key, value in without.items() if key != "deny_delete"})


def test_a_log_of_older_software_may_send_nothing_on_but_nothing_else() -> None:
    cases = streams.log_streams(1)[0]
    streams.compare(cases, {key: value for key, value in cases.config.items() if key != "republish"})
    with pytest.raises(NotProvisioned, match="republish is"):
        streams.compare(cases, {**cases.config, "republish": {"src": ">", "dest": "everywhere.>"}})
    with pytest.raises(NotProvisioned, match="subjects is None"):
        streams.compare(cases, {key: value for key, value in cases.config.items() if key != "subjects"})


@pytest.mark.parametrize(
    ("declared", "actual", "agrees"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"b": 2}, False),
        ({"a": {"b": 1}}, {"a": None}, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ([{"a": 1}], [{"a": 1, "b": 2}], True),
        ([], None, False),
    ],
)
def test_the_server_may_add_and_never_change(declared: object, actual: object, agrees: bool) -> None:
    wanted = Stream("S", {"sources": declared})
    if agrees:
        streams.compare(wanted, {"sources": actual})
    else:
        with pytest.raises(NotProvisioned, match="stream S differs: sources is"):
            streams.compare(wanted, {"sources": actual})


def test_a_department_that_was_away_for_weeks_finds_everything_that_was_said_to_it() -> None:
    departments = next(each for each in streams.bus_streams(1) if each.name == DEPARTMENTS)
    assert departments.config["max_age"] >= timedelta(days=60).total_seconds() * 1_000_000_000
    assert (departments.config["max_msgs"], departments.config["max_bytes"]) == (-1, -1)
    [consumer] = streams.department_consumers(["water"])
    assert "inactive_threshold" not in consumer.config, "its place would be forgotten"
    assert (consumer.config["deliver_policy"], consumer.config["max_deliver"]) == ("all", -1)


@pytest.mark.parametrize(
    ("pending", "end", "unfinished"),
    [(0, 10, 3), (2, 10, 3), (0, 8, 1), (0, 0, 1), (5, 10, 6)],
    ids=["not counted yet", "counted", "all delivered", "nobody knows the end", "more came meanwhile"],
)
def test_what_a_consumer_has_not_finished(pending: int, end: int, unfinished: int) -> None:
    told = {"num_pending": pending, "num_ack_pending": 1, "delivered": {"stream_seq": 8}}
    assert streams.unfinished(told, end) == unfinished


def test_a_room_keeps_what_nobody_has_taken_and_then_takes_no_more() -> None:
    room = streams.room_stream("new system", 3, {"first": "1"}).config
    assert room["subjects"] == ["replay.new_20system.>"]
    assert (room["retention"], room["discard"], room["max_age"]) == ("workqueue", "new", 0)
    assert (room["max_msgs"], room["max_bytes"]) == (
        streams.ROOM_WAITING_EVENTS_MAX,
        streams.ROOM_WAITING_BYTES_MAX,
    )
    assert 3 * room["max_bytes"] <= BYTES_MAX, "three copies fit into the room's account"
    assert room["metadata"] == {"first": "1"}
    assert streams.room_consumer().config["ack_policy"] == "explicit"
