"""Renders the Helm chart with the real Helm library, for several values, and validates it strictly against the schemas of
Kubernetes 1.25 to the newest bundled. Compares the plain manifests with the chart. `cargo xtask chart` runs it.

Usage: check.py CHART MANIFEST [--write]
"""

import json
import pathlib
import re
import sys

import helm_python as helm
import kubernetes_validate
import kubernetes_validate.utils
import yaml

OLDEST = (1, 25)

# What a reader may set: name, values, and for wrong ones the words that the refusal must have.
GOOD = {
    "defaults": {},
    "policy, rules, secrets": {
        "policy": "version: '1'\ndefault: unsanctioned\nrules: []\n",
        "rules": {"acme.yaml": "version: '1'\nrules: []\n"},
        "store": {"url": "https://ch.example:8443", "passwordSecret": {"name": "ch"}, "caSecret": {"name": "ca"}},
        "config": {"seal": {"interval_seconds": 60}},
        "imagePullSecrets": ["pull"],
    },
    "a fleet": {
        "register": "version: '1'\nentries: []\n",
        "catalog": {"house.yaml": "version: '1'\nproviders: []\n"},
        "rules": {"acme.yaml": "version: '1'\nrules: []\n"},
        "store": {"url": "https://ch.example:8443", "passwordSecret": {"name": "ch"}},
        "config": {
            "store": {"batch_seconds": 10, "batch_rows": 1000000, "buffer_bytes": "64MiB", "retention": {"records_days": 200}},
            "catalog": {"extra_hosts": [{"host": "llm.corp.example", "provider": "openai"}]},
            "rules": {"disable": ["email_address"]},
            "spool": {"max_bytes": 4294967296},
        },
    },
    "empty blocks": {"config": {"store": None, "catalog": None, "rules": None, "alerts": None}, "hostNetwork": False, "networkPolicy": {"enabled": True}},
    "least privilege": {"capabilities": ["BPF", "PERFMON", "SYS_PTRACE"]},
    "exposed metrics": {"metrics": {"expose": True, "serviceMonitor": {"enabled": True, "labels": {"release": "p"}}}},
    "own network": {"hostNetwork": False, "networkPolicy": {"enabled": True}},
    "alerts from its own network": {
        "hostNetwork": False,
        "networkPolicy": {"enabled": True},
        "config": {"alerts": {"to": "udp://[2001:db8::7]:5514"}},
    },
    "inventory": {
        "kubernetes": {"cluster": "prod"},
        "inventory": {"enabled": True, "passwordSecret": {"name": "inv"}, "exclude": ["kubernetes.io/os=windows", "spot"]},
        "store": {"url": "https://ch.example:8443", "caSecret": {"name": "ca"}},
    },
    "without the API server": {"kubernetes": {"api": "off", "cluster": "prod"}},
}
BAD = {
    "unknown value": ({"imgae": {}}, "imgae"),
    "capability that is not needed": ({"capabilities": ["BPF", "PERFMON", "SYS_PTRACE", "SYS_BOOT"]}, "capabilities"),
    "a needed capability is missing": ({"capabilities": ["BPF"]}, "capabilities"),
    "url without scheme": ({"store": {"url": "clickhouse:8123"}}, "url"),
    "an address of the API server": ({"kubernetes": {"api": "https://10.0.0.1"}}, "api"),
    "inventory of a cluster without a name": ({"inventory": {"enabled": True}}, "kubernetes.cluster"),
    "a schedule that is none": ({"inventory": {"schedule": "daily"}}, "schedule"),
    "the chart's own key": ({"config": {"log": {"level": "debug"}}}, "config"),
    "the chart's own key of a block": ({"config": {"store": {"url": "x"}}}, "store"),
    "rule packs that are nowhere": ({"config": {"rules": {"files": ["/x.yaml"]}}}, "rules"),
    "catalogue files that are nowhere": ({"config": {"catalog": {"files": ["/x.yaml"]}}}, "catalog"),
    "a file name that is a path": ({"catalog": {"../x.yaml": ""}}, "../x.yaml"),
    "monitor without way": ({"metrics": {"serviceMonitor": {"enabled": True}}}, "metrics.expose"),
    "policy on the host's network": ({"networkPolicy": {"enabled": True}}, "hostNetwork"),
}


def versions():
    """Versions whose schemas are bundled, from OLDEST on."""
    found = {tuple(map(int, version.split(".")[:2])) for version in kubernetes_validate.utils.all_versions()}
    return sorted(version for version in found if version >= OLDEST)


def merged(base, over):
    out = dict(base)
    for key, value in over.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) and out[key] else value
    return out


def documents(chart, values):
    """Rendered manifests by file, as text."""
    full = merged(chart.values, values)
    chart.validate_schema(full)
    files = chart.render(full, name="observer", namespace="observer")
    return {name: text for name, text in sorted(files.items()) if name.endswith(".yaml") and text.strip()}


class Once(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, as the daemon does."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.YAMLError(f"twice in one mapping: {keys}")
        return super().construct_mapping(node, deep)


def check(condition, message):
    if not condition:
        print(f"chart: {message}", file=sys.stderr)
        sys.exit(1)


def look_inside(name, items):
    """What must hold whatever the values are."""
    daemon_set = next(i for i in items if i["kind"] == "DaemonSet")
    pod = daemon_set["spec"]["template"]["spec"]
    container = pod["containers"][0]
    security = container["securityContext"]
    check(pod["hostPID"] is True, f"{name}: hostPID")
    check("privileged" not in security, f"{name}: privileged")
    check(security["capabilities"]["drop"] == ["ALL"], f"{name}: capabilities are not dropped")
    check(security["readOnlyRootFilesystem"] is True, f"{name}: root file system")
    volumes = {v["name"] for v in pod["volumes"]}
    mounts = {m["name"] for m in container["volumeMounts"]}
    check(volumes == mounts, f"{name}: volumes {volumes} and mounts {mounts}")
    data = next(i for i in items if i["kind"] == "ConfigMap" and "inventory" not in i["metadata"]["name"])["data"]
    config = yaml.load(data["observer.yaml"], Once)
    check(config["store"]["url"].startswith("http"), f"{name}: configuration")
    policy = config.get("policy", {})
    named = config.get("rules", {}).get("files", []) + config.get("catalog", {}).get("files", [])
    named += [policy[key] for key in ("file", "register") if key in policy]
    check({f"/etc/observer/config/{file}" for file in data if file != "observer.yaml"} == set(named), f"{name}: files {sorted(data)}, named {named}")
    look_at_rights(name, items, pod, config["kubernetes"]["api"] == "auto")
    return config


def look_at_rights(name, items, pod, asks):
    """A token and the two rights where the API server is asked; neither where it is not. The node's name in any case."""
    check(pod["automountServiceAccountToken"] is asks, f"{name}: token")
    roles = [i for i in items if i["kind"] == "ClusterRole"]
    rules = [rule for role in roles for rule in role["rules"]]
    pods, nodes = ({"apiGroups": [""], "resources": [what], "verbs": verbs} for what, verbs in (("pods", ["list", "watch"]), ("nodes", ["list"])))
    job = next((i for i in items if i["kind"] == "CronJob"), None)
    wanted = [nodes] * (job is not None) + [pods] * asks
    check(rules == wanted, f"{name}: rights {rules}")
    accounts = {(i["metadata"]["name"], i["metadata"]["namespace"]) for i in items if i["kind"] == "ServiceAccount"}
    for binding in (i for i in items if i["kind"] == "ClusterRoleBinding"):
        check(binding["roleRef"]["name"] in {role["metadata"]["name"] for role in roles}, f"{name}: role of a binding")
        check({(s["name"], s["namespace"]) for s in binding["subjects"]} <= accounts, f"{name}: subject of a binding")
    if job:
        look_at_job(name, items, job["spec"]["jobTemplate"]["spec"]["template"])
    node = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    check(node in pod["containers"][0]["env"], f"{name}: name of the node")


def look_at_job(name, items, template):
    """The inventory is written apart from the agents: by nobody that the DaemonSet or its Service selects, and without a capability."""
    selector = next(i for i in items if i["kind"] == "DaemonSet")["spec"]["selector"]["matchLabels"]
    check(not selector.items() <= template["metadata"]["labels"].items(), f"{name}: the DaemonSet selects the job's pods")
    pod = template["spec"]
    check(pod["serviceAccountName"].endswith("-inventory"), f"{name}: service account of the job")
    security = pod["containers"][0]["securityContext"]
    check(security["capabilities"] == {"drop": ["ALL"]}, f"{name}: capabilities of the job")
    check({v["name"] for v in pod["volumes"]} == {m["name"] for m in pod["containers"][0]["volumeMounts"]}, f"{name}: volumes of the job")
    text = next(i for i in items if i["kind"] == "ConfigMap" and i["metadata"]["name"] == pod["serviceAccountName"])["data"]["observer.yaml"]
    check(yaml.safe_load(text)["kubernetes"]["cluster"] == "prod", f"{name}: configuration of the job")


def look_at_fleet(config):
    """What the reader says of a block that the chart writes, too, stands beside the chart's part."""
    store = config["store"]
    asked = {"batch_seconds": 10, "batch_rows": 1000000, "buffer_bytes": "64MiB", "retention": {"records_days": 200}}
    check({key: store[key] for key in asked} == asked, f"a fleet: store {store}")
    check(store["password_file"] == "/etc/observer/password/password", f"a fleet: store {store}")
    check(config["rules"] == {"files": ["/etc/observer/config/rules-acme.yaml"], "disable": ["email_address"]}, f"a fleet: {config['rules']}")
    hosts = [{"host": "llm.corp.example", "provider": "openai"}]
    check(config["catalog"] == {"files": ["/etc/observer/config/catalog-house.yaml"], "extra_hosts": hosts}, f"a fleet: {config['catalog']}")
    check(config["policy"] == {"register": "/etc/observer/config/register.yaml"}, f"a fleet: {config['policy']}")
    check(config["spool"] == {"max_bytes": 4294967296}, f"a fleet: {config['spool']}")


def look_at_network(rendered):
    """Alerts get out where a network policy stands, and nothing more than they."""
    ports = {}
    for name in ("own network", "alerts from its own network"):
        policy = next(i for i in rendered[name] if i["kind"] == "NetworkPolicy")
        ports[name] = [(p["port"], p["protocol"]) for p in policy["spec"]["egress"][0]["ports"]]
    more = [port for port in ports["alerts from its own network"] if port not in ports["own network"]]
    check(more == [(5514, "UDP")], f"ports that alerts add: {more}")


def look_at_metrics(items):
    """The rules of deploy/prometheus ask for job="observer": the operator takes the job from this label of the Service."""
    monitor = next(i for i in items if i["kind"] == "ServiceMonitor")
    service = next(i for i in items if i["kind"] == "Service")
    check(service["metadata"]["labels"].get(monitor["spec"].get("jobLabel")) == "observer", "job of the metrics")


def look_at_restarts(chart):
    """What the daemon reads again by itself starts no new pods; all else does."""
    def checksum(values):
        items = (yaml.safe_load(text) for text in documents(chart, values).values() if "kind: DaemonSet" in text)
        return next(items)["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    base = {"policy": "a", "register": "a", "rules": {"a.yaml": "a"}, "catalog": {"a.yaml": "a"}}
    for key, is_same in (("policy", True), ("register", True), ("rules", False), ("catalog", False), ("config", False)):
        other = {"config": {"seal": {"interval_seconds": 60}}}.get(key, {"a.yaml": "b"} if key in ("rules", "catalog") else "b")
        check((checksum(base) == checksum({**base, key: other})) is is_same, f"checksum and {key}")
    check(checksum({}) != checksum({"policy": "a"}), "checksum and the first policy")


def look_at_capabilities(deploy, items):
    """Chart, unit, Compose and the commands by hand grant the same."""
    pod = next(i for i in items if i["kind"] == "DaemonSet")["spec"]["template"]["spec"]
    granted = pod["containers"][0]["securityContext"]["capabilities"]["add"]
    unit = (deploy / "systemd/observer.service").read_text()
    compose = yaml.safe_load((deploy / "compose/compose.yaml").read_text())["services"]["observer"]["cap_add"]
    bound = re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.M)[1].split()
    check(bound == [f"CAP_{name}" for name in granted], f"capabilities of the unit {bound}, of the chart {granted}")
    check(compose == granted, f"capabilities of Compose {compose}, of the chart {granted}")
    for file in ("Dockerfile", "../docs/install.md"):
        check(f"--cap-add {','.join(granted)} " in (deploy / file).read_text().replace("\n", " "), f"capabilities in {file} are not {granted}")


def main():
    chart_path, manifest_path = sys.argv[1], pathlib.Path(sys.argv[2])
    chart = helm.Chart.load(chart_path)
    known = versions()
    check(len(known) >= 8, f"only the schemas {known} are bundled")
    configs, rendered = {}, {}
    for name, values in GOOD.items():
        texts = documents(chart, values)
        items = [item for text in texts.values() for item in yaml.safe_load_all(text) if item]
        for item in items:
            if item["apiVersion"].startswith("monitoring.coreos.com"):
                continue  # a custom resource: no schema is bundled
            for major, minor in known:
                kubernetes_validate.validate(item, f"{major}.{minor}", strict=True)
        configs[name], rendered[name] = look_inside(name, items), items
        if name == "defaults":
            whole = "".join(f"---\n{text.strip()}\n" for text in texts.values())
    look_at_fleet(configs["a fleet"])
    look_at_network(rendered)
    look_at_metrics(rendered["exposed metrics"])
    look_at_restarts(chart)
    look_at_capabilities(pathlib.Path(chart_path).parents[1], rendered["defaults"])
    for name, (values, word) in BAD.items():
        try:
            documents(chart, values)
        except helm.HelmError as error:
            check(word in str(error), f"{name}: refused without the word {word}: {error}")
        else:
            check(False, f"{name}: not refused")
    head = "# Written by `cargo xtask chart` from deploy/helm/observer with its default values. Do not edit.\n"
    if "--write" in sys.argv:
        manifest_path.write_text(head + whole)
    check(manifest_path.exists() and manifest_path.read_text() == head + whole, f"{manifest_path} is not up to date: cargo xtask chart")
    print(json.dumps({"values": len(GOOD), "refused": len(BAD), "versions": [f"{a}.{b}" for a, b in known], "configs": configs}))


main()
