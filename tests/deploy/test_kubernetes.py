"""The manifests: taken by Kubernetes, hardened, and in agreement with one another."""

import ipaddress
import re
import shutil
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it carries no types
import pytest
import yaml

from libs.events.settings import variable
from services.intake.attachments.settings import AttachmentSettings

from .manifests import (
    ROOT,
    SERVICES,
    WITH_TABLES,
    Object,
    kubernetes_container,
    kustomize,
    label,
    named,
    of_kind,
    pod_of,
    workloads,
)

# The oldest and the newest release that the manifests are for.
KUBERNETES_VERSIONS = ("1.31", "1.37")
OWN_IMAGE = "whistle:0.1.0"
# What an operator has to provide, as docs/operate.md lists it.
SECRETS = {
    "nats-passwords": {"passwords.conf"},
    "postgres": {"postgres"},
    "whistle-provision": {
        "provision",
        "provision-bus",
        "keys",
        "persons",
        "postgres.dsn",
        "whistle_intake",
        "whistle_dispatch",
        "whistle_evaluation",
        "whistle_notify",
        "whistle_vault_sealer",
        "whistle_vault_opener",
        "whistle_vault_keeper",
        "vault-master",
        "vault-index",
    },
    "whistle-intake": {
        "nats-password",
        "bus-password",
        "postgres-dsn",
        "tracking-secret",
        "vault-dsn",
        "vault-index",
    },
    "whistle-dispatch": {"nats-password", "postgres-dsn", "bus-password"},
    "whistle-evaluation": {"nats-password", "postgres-dsn"},
    "whistle-notify": {"nats-password", "postgres-dsn", "vault-dsn", "vault-master"},
    "whistle-ledger": {"nats-password", "ledger-key"},
}


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("rendered", ["base", "trial"])
def test_every_object_is_valid(rendered: str, version: str, request: pytest.FixtureRequest) -> None:
    """Strict: a field that Kubernetes does not know is an error too, not dropped in silence."""
    objects: list[Object] = request.getfixturevalue(rendered)
    assert objects
    for each in objects:
        try:
            kubernetes_validate.validate(each, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{label(each)}: {'.'.join(map(str, error.path))}: {error.message}")


def test_strict_validation_sees_an_unknown_field(base: list[Object]) -> None:
    """The validator itself is looked at: one that lets everything pass would keep the test above green."""
    wrong = {**base[0], "specification": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSIONS[-1], strict=True)


def test_every_manifest_is_used() -> None:
    """A file that no kustomization names is deployed by nobody."""
    for folder in (ROOT / "deploy/k8s").rglob("kustomization.yaml"):
        listed = yaml.safe_load(folder.read_text(encoding="utf-8"))
        patches = [patch["path"] for patch in listed.get("patches", ()) if "path" in patch]
        names = {Path(each).name for each in (*listed["resources"], *patches)}
        files = {each.name for each in folder.parent.glob("*.yaml")} - {"kustomization.yaml"}
        assert files <= names, f"{folder.parent}: {files - names}"


def test_every_object_lives_in_the_namespace_and_says_what_it_belongs_to(trial: list[Object]) -> None:
    """Labels as app.kubernetes.io recommends them, on objects and on pods."""
    for each in trial:
        if each["kind"] != "Namespace":
            assert each["metadata"]["namespace"] == "whistle", label(each)
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "whistle", label(each)
    for workload in workloads(trial):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert {"app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/part-of"} <= set(
            labels
        )


def test_the_base_holds_no_secret(base: list[Object]) -> None:
    """Secrets come from outside: an overlay or the city's own store."""
    assert not of_kind(base, "Secret")


def test_no_secret_stands_in_clear(trial: list[Object], deploy_copy: Path) -> None:
    """None of the passwords is found anywhere but in Secret objects, and none is put into an environment."""
    secrets = [path.read_text() for path in (deploy_copy / "k8s/overlays/trial/secrets").iterdir()]
    rest = yaml.safe_dump([each for each in trial if each["kind"] != "Secret"])
    assert len(secrets) > len(SERVICES)
    assert not [secret for secret in secrets if secret in rest]
    for workload in workloads(trial):
        for name in kubernetes_container(workload, trial).environment:
            assert not name.endswith(("PASSWORD", "SECRET", "DSN")), (
                f"{label(workload)}: {name} belongs in a file"
            )


def test_the_secrets_are_those_documented(trial: list[Object]) -> None:
    """What is mounted, what the trial overlay makes and what the guide lists are one and the same."""
    made = {each["metadata"]["name"]: set(each["data"]) for each in of_kind(trial, "Secret")}
    assert made == SECRETS
    mounted = {
        volume["secret"]["secretName"]
        for workload in workloads(trial)
        for volume in pod_of(workload).get("volumes", ())
        if "secret" in volume
    }
    assert mounted == set(SECRETS)
    guide = (ROOT / "docs/operate.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in guide.splitlines() if line.startswith("| `")]
    listed = {row[1].strip(" `"): set(re.findall(r"`([^`]+)`", row[2])) for row in rows}
    assert {name: listed.get(name) for name in SECRETS} == SECRETS


def test_images_are_pinned(trial: list[Object]) -> None:
    """A tag that moves would make two restarts of one version differ."""
    for workload in workloads(trial):
        image = kubernetes_container(workload, trial).image
        name, _, tag = image.rpartition(":")
        assert name, f"{label(workload)}: {image} has no tag"
        assert tag[0].isdigit(), f"{label(workload)}: {image}"


def test_pods_are_hardened(trial: list[Object]) -> None:
    """The restricted Pod Security Standard, a read-only root, and no token of the cluster."""
    for workload in workloads(trial):
        pod = pod_of(workload)
        assert pod["automountServiceAccountToken"] is False, label(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True, label(workload)
        assert pod["securityContext"]["runAsUser"] > 0, label(workload)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, label(workload)
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, label(workload)


def test_pods_are_bounded(trial: list[Object]) -> None:
    """Every container has requests and limits, memory the same in both; every scratch volume has a size."""
    for workload in workloads(trial):
        for container in pod_of(workload)["containers"]:
            resources = container["resources"]
            assert set(resources["requests"]) == set(resources["limits"]) == {"cpu", "memory"}, label(
                workload
            )
            assert resources["requests"]["memory"] == resources["limits"]["memory"], label(workload)
        for volume in pod_of(workload).get("volumes", ()):
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"], label(workload)


def test_selectors_find_their_pods_and_nobody_elses(trial: list[Object]) -> None:
    """Services, disruption budgets and workloads each select exactly one workload's pods."""
    pods = {label(each): each["spec"]["template"]["metadata"]["labels"] for each in workloads(trial)}
    for each in of_kind(trial, "Service", "PodDisruptionBudget", "Deployment", "StatefulSet"):
        selector = each["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        found = [name for name, labels in pods.items() if wanted.items() <= labels.items()]
        assert len(found) == 1, f"{label(each)} selects {found}"


def test_services_point_to_ports_that_pods_have(trial: list[Object]) -> None:
    """A target port is a name, and the pods behind the Service declare it."""
    for each in of_kind(trial, "Service"):
        (workload,) = [
            one
            for one in workloads(trial)
            if each["spec"]["selector"].items() <= one["spec"]["template"]["metadata"]["labels"].items()
        ]
        declared = {port["name"] for port in pod_of(workload)["containers"][0]["ports"]}
        assert {port["targetPort"] for port in each["spec"]["ports"]} <= declared, label(each)


def test_each_service_is_replicated_and_keeps_running_through_a_drain(base: list[Object]) -> None:
    """Two replicas, spread; never fewer while it is updated; at most one away while nodes are drained."""
    for service in WITH_TABLES:
        deployment = named(base, "Deployment", f"whistle-{service}")
        budget = named(base, "PodDisruptionBudget", f"whistle-{service}")
        assert deployment["spec"]["replicas"] >= 2
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        assert budget["spec"]["maxUnavailable"] == 1
        for spread in pod_of(deployment)["topologySpreadConstraints"]:
            assert spread["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] == service


def test_the_ledger_is_alone_with_its_volume(base: list[Object]) -> None:
    """The old one ends before the new one begins: a volume that is mounted by one cannot be handed over."""
    ledger = named(base, "Deployment", "whistle-ledger")
    assert ledger["spec"]["replicas"] == 1
    assert ledger["spec"]["strategy"] == {"type": "Recreate"}
    [volume] = [each for each in pod_of(ledger)["volumes"] if "persistentVolumeClaim" in each]
    claim = named(base, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    assert claim["metadata"]["name"] == "whistle-ledger"
    (container,) = pod_of(ledger)["containers"]
    [mounted] = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == volume["name"]]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["WHISTLE_LEDGER_STORE"].startswith(f"{mounted}/")
    assert "WHISTLE_POSTGRES_DSN_FILE" not in environment


def test_the_log_survives_what_kubernetes_does_to_it(base: list[Object]) -> None:
    """Three servers on three machines, at most one away, a slow farewell, volumes that outlive the set."""
    nats = named(base, "StatefulSet", "nats")
    pod = pod_of(nats)
    assert nats["spec"]["replicas"] == 3
    assert named(base, "PodDisruptionBudget", "nats")["spec"]["maxUnavailable"] == 1
    (apart,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    (container,) = pod["containers"]
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert "--cluster_advertise=$(WHISTLE_SERVER_NAME).nats:6222" in container["args"]
    taken_away = (
        "--cluster=",
        "--cluster_listen=",
        "--user=",
        "--auth=",
    )  # with them goes the routes' password
    assert not [each for each in container["args"] if each.startswith(taken_away)]
    assert nats["spec"]["serviceName"] == "nats"
    assert "ldm" in container["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert pod["terminationGracePeriodSeconds"] > 35  # lame_duck_duration and its grace period in nats.conf
    assert nats["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain",
        "whenScaled": "Retain",
    }


@pytest.mark.parametrize("rendered", ["base", "trial"])
def test_go_memory_limit_is_below_the_limit_of_the_container(
    rendered: str, request: pytest.FixtureRequest
) -> None:
    """About four fifths: at 100 % the kernel kills before the collector tries."""
    objects: list[Object] = request.getfixturevalue(rendered)
    nats = named(objects, "StatefulSet", "nats")
    (container,) = pod_of(nats)["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    share = _mebibytes(environment["GOMEMLIMIT"]) / _mebibytes(container["resources"]["limits"]["memory"])
    assert 0.7 < share < 0.85


def test_prometheus_finds_the_metrics(base: list[Object]) -> None:
    """The annotations name the container's own port."""
    for service in SERVICES:
        deployment = named(base, "Deployment", f"whistle-{service}")
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        (port,) = pod_of(deployment)["containers"][0]["ports"]
        assert annotations == {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(port["containerPort"]),
            "prometheus.io/path": "/metrics",
        }


# Who must reach what, and nothing else may: (from, to, port).
MAY_TALK = {
    ("whistle-intake", "nats", 4222),
    ("whistle-dispatch", "nats", 4222),
    ("whistle-evaluation", "nats", 4222),
    ("whistle-notify", "nats", 4222),
    ("whistle-ledger", "nats", 4222),
    ("provision", "nats", 4222),
    ("nats", "nats", 6222),
    ("whistle-intake", "postgres", 5432),
    ("whistle-dispatch", "postgres", 5432),
    ("whistle-evaluation", "postgres", 5432),
    ("whistle-notify", "postgres", 5432),
    ("provision", "postgres", 5432),
}


def test_network_policies_open_what_is_needed_and_no_more(trial: list[Object]) -> None:
    """The policies are evaluated, as a network plugin would, for each pair of workloads and each port."""
    denied = named(trial, "NetworkPolicy", "default-deny")["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    pods = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in workloads(trial)
    }
    ports = {4222, 6222, 8222, 5432, 8080}
    policies = [each["spec"] for each in of_kind(trial, "NetworkPolicy")]
    open_ways = {
        (source, target, port)
        for source, source_labels in pods.items()
        for target, target_labels in pods.items()
        for port in ports
        if _allows(policies, "egress", "to", source_labels, target_labels, port)
        and _allows(policies, "ingress", "from", target_labels, source_labels, port)
    }
    assert open_ways == MAY_TALK


def test_no_policy_opens_a_way_to_everybody(trial: list[Object]) -> None:
    """Each rule names whom it is for, and no address range is the whole internet."""
    for policy in of_kind(trial, "NetworkPolicy"):
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, ()):
                assert rule[peers], label(policy)
                assert rule["ports"], label(policy)
                for peer in rule[peers]:
                    assert all(peer.values()), f"{label(policy)}: an empty selector selects everything"
                    block = peer.get("ipBlock", {}).get("cidr")
                    assert block is None or ipaddress.ip_network(block).prefixlen > 0, label(policy)


def _allows(
    policies: list[Object], direction: str, peers: str, own: dict[str, str], other: dict[str, str], port: int
) -> bool:
    return any(
        _selects(policy["podSelector"], own)
        and any(_number(each["port"]) == port for each in rule["ports"])
        and any("podSelector" in peer and _selects(peer["podSelector"], other) for peer in rule[peers])
        for policy in policies
        for rule in policy.get(direction, ())
    )


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def _number(port: Any) -> int:
    return 8080 if port == "http" else int(port)


def _mebibytes(text: str) -> float:
    for unit, factor in (("MiB", 1.0), ("Mi", 1.0), ("Gi", 1024.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise AssertionError(f"not a size in binary units: {text}")


@pytest.fixture(scope="module")
def with_doors(deploy_copy: Path) -> list[Object]:
    """The trial with the doors for sensors and browsers."""
    trial = deploy_copy / "k8s/overlays/trial"
    overlay = trial.with_name("with-doors")
    shutil.copytree(trial, overlay)
    file = overlay / "kustomization.yaml"
    wanted = yaml.safe_load(file.read_text(encoding="utf-8"))
    wanted["components"].append("../../doors")
    file.write_text(yaml.safe_dump(wanted), encoding="utf-8")
    return kustomize(overlay)


def test_doors_are_closed_until_an_overlay_opens_them(trial: list[Object], with_doors: list[Object]) -> None:
    """One component brings configuration, ports and the way through the network; the server takes what it says."""
    assert not re.search(r"^(mqtt|websocket)", _doors(trial), re.MULTILINE)
    assert re.findall(r"^(mqtt|websocket) \{ port: (\d+)", _doors(with_doors), re.MULTILINE) == [
        ("mqtt", "1883"),
        ("websocket", "8480"),
    ]
    (container,) = pod_of(named(with_doors, "StatefulSet", "nats"))["containers"]
    assert {1883, 8480} < {port["containerPort"] for port in container["ports"]}
    policy = named(with_doors, "NetworkPolicy", "nats-doors")
    (way,) = policy["spec"]["ingress"]
    assert way["from"] == [{"namespaceSelector": {"matchLabels": {"whistle/is-gateway": "true"}}}]
    for each in with_doors:
        kubernetes_validate.validate(each, KUBERNETES_VERSIONS[0], strict=True)


@pytest.mark.parametrize(
    ("component", "policy", "ports"),
    [("notices", "notify-out", {443, 465, 587}), ("witnesses", "ledger-out", {443})],
)
def test_whoever_calls_others_is_let_out_by_a_component_and_to_what_is_public(
    deploy_copy: Path, component: str, policy: str, ports: set[int]
) -> None:
    trial = deploy_copy / "k8s/overlays/trial"
    overlay = trial.with_name(f"with-{component}")
    shutil.copytree(trial, overlay)
    file = overlay / "kustomization.yaml"
    wanted = yaml.safe_load(file.read_text(encoding="utf-8"))
    wanted["components"].append(f"../../{component}")
    file.write_text(yaml.safe_dump(wanted), encoding="utf-8")
    (rule,) = named(kustomize(overlay), "NetworkPolicy", policy)["spec"]["egress"]
    assert {each["port"] for each in rule["ports"]} == ports
    closed = [ipaddress.ip_network(each) for each in rule["to"][0]["ipBlock"]["except"]]
    for own in ("10.1.2.3", "172.20.0.1", "192.168.0.1", "169.254.169.254", "127.0.0.1"):
        assert any(ipaddress.ip_address(own) in network for network in closed), own


def test_pictures_go_to_a_bucket_by_a_component(deploy_copy: Path) -> None:
    """What the component and the overlay give is what intake reads."""
    trial = deploy_copy / "k8s/overlays/trial"
    overlay = trial.with_name("with-photos")
    shutil.copytree(trial, overlay)
    (overlay / "s3").write_text("s3-for-tests")
    file = overlay / "kustomization.yaml"
    wanted = yaml.safe_load(file.read_text(encoding="utf-8"))
    wanted["components"].append("../../photos")
    said = ["PHOTOS_AT=s3://photos/a", "S3_ENDPOINT=https://s3.example", "S3_ACCESS_KEY=k"]
    wanted["configMapGenerator"] = [
        {"name": "whistle-photos", "literals": [f"WHISTLE_{each}" for each in said]}
    ]
    [secret] = [each for each in wanted["secretGenerator"] if each["name"] == "whistle-intake"]
    secret["files"].append("s3-secret-key=s3")
    file.write_text(yaml.safe_dump(wanted), encoding="utf-8")
    objects = kustomize(overlay)
    (container,) = pod_of(named(objects, "Deployment", "whistle-intake"))["containers"]
    [source] = container["envFrom"]
    given = set(named(objects, "ConfigMap", source["configMapRef"]["name"])["data"])
    assert given < {variable(name) for name in AttachmentSettings.model_fields}
    [path] = [each["value"] for each in container["env"] if each["name"] == "WHISTLE_S3_SECRET_KEY_FILE"]
    assert Path(path).name in named(objects, "Secret", "whistle-intake")["data"]
    (rule,) = named(objects, "NetworkPolicy", "intake-out")["spec"]["egress"]
    assert [each["port"] for each in rule["ports"]] == [443]
    for each in objects:
        kubernetes_validate.validate(each, KUBERNETES_VERSIONS[0], strict=True)


def _doors(objects: list[Object]) -> str:
    return str(named(objects, "ConfigMap", "nats-config")["data"]["doors.conf"])
