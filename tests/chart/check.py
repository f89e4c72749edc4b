"""Renders the Helm chart with the real Helm library, for several values, and validates it strictly against the schemas of
Kubernetes 1.25 to the newest bundled. Compares the plain manifests with the chart. `cargo xtask chart` runs it.

Usage: check.py CHART MANIFEST [--write]
"""

import json
import pathlib
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
    "least privilege": {"capabilities": ["BPF", "PERFMON", "SYS_PTRACE"]},
    "exposed metrics": {"metrics": {"expose": True, "serviceMonitor": {"enabled": True, "labels": {"release": "p"}}}},
    "own network": {"hostNetwork": False, "networkPolicy": {"enabled": True}},
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
    "the chart's own key": ({"config": {"store": {"url": "x"}}}, "config"),
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
    config = yaml.safe_load(next(i for i in items if i["kind"] == "ConfigMap" and "inventory" not in i["metadata"]["name"])["data"]["observer.yaml"])
    check(config["store"]["url"].startswith("http"), f"{name}: configuration")
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


def main():
    chart_path, manifest_path = sys.argv[1], pathlib.Path(sys.argv[2])
    chart = helm.Chart.load(chart_path)
    known = versions()
    check(len(known) >= 8, f"only the schemas {known} are bundled")
    configs = {}
    for name, values in GOOD.items():
        texts = documents(chart, values)
        items = [item for text in texts.values() for item in yaml.safe_load_all(text) if item]
        for item in items:
            if item["apiVersion"].startswith("monitoring.coreos.com"):
                continue  # a custom resource: no schema is bundled
            for major, minor in known:
                kubernetes_validate.validate(item, f"{major}.{minor}", strict=True)
        configs[name] = look_inside(name, items)
        if name == "defaults":
            whole = "".join(f"---\n{text.strip()}\n" for text in texts.values())
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
