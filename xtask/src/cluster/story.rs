//! What is done with the cluster, and what must come of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::kubectl::wait_until;
use super::node::{NAME, Node};
use super::workload::{self, ACCOUNT, CRON_JOB, DEPLOYMENT, NAMESPACE, OWN_NAMESPACE};
use super::{helm, images, progress};
use crate::http;
use crate::run::root;
use crate::test::Tally;

/// How long rows and pods may take on a busy machine.
const SOON: Duration = Duration::from_secs(90);
/// As long as the next start of a CronJob, its pod and its end take.
const NEXT_JOB: Duration = Duration::from_secs(180);
const SELECTOR: &str = "app.kubernetes.io/name=observer";
const METRICS: ([u8; 4], u16) = ([127, 0, 0, 1], 9464);

/// Names that a row has of a pod.
const NAMES: &str = "k8s_cluster_name, k8s_node_name, k8s_namespace_name, k8s_pod_name, k8s_pod_uid, k8s_container_name, \
    k8s_workload_kind, k8s_workload_name, k8s_service_account, container_id, container_image_name, container_image_digest, \
    policy_verdict, policy_id, visibility, gen_ai_request_model";

/// From the empty cluster to the empty cluster. An error: it cannot go on.
pub(super) fn tell(node: &Node, tally: &mut Tally) -> Result<()> {
    workload::prepare(node)?;
    let mut values = helm::values();
    helm::apply(&node.kubectl, "install", &values)?;
    tally.note("the DaemonSet runs on the node", agent(node).map(|_| ()));
    tally.note("observer doctor in the pod", doctor(node));
    tally.note(
        "the service account has its two rights and no other",
        rights(node),
    );
    workload::start(node)?;
    let start = now();
    tally.note(
        "a call of a Deployment has all names",
        names_of_the_deployment(node, start),
    );
    tally.note("its connection has them, too", names_of_a_connection(node, start));
    tally.note("a call of a CronJob has its names", names_of_the_job(node, start));
    tally.note("the inventory names the node", inventory(node));
    tally.note("containers of one image share their probes", shared_probes(node));
    tally.note(
        "without rights the daemon goes on, and says so",
        without_rights(node),
    );
    values["policy"] = json!(
        "id: lab\nversion: '2'\ndefault: unsanctioned\nrules: [{id: shop, verdict: sanctioned, namespace: [shop]}]\n"
    );
    helm::apply(&node.kubectl, "upgrade", &values)?;
    tally.note(
        "after the upgrade rows have names and the new policy",
        upgraded(node, now()),
    );
    let since = now();
    helm::apply(&node.kubectl, "upgrade", &helm::least(&values))?;
    tally.note(
        "with the least rights and a network of its own rows are the same",
        least(node, since),
    );
    tally.note("no connection is said to be without a probe", probes(node));
    tally.note("the API server takes the plain manifests", manifests(node));
    tally.note("one chain through all of it, verified", verified(node));
    workload::stop(&node.kubectl)?;
    helm::uninstall(&node.kubectl)?;
    tally.note("nothing of the chart is left", nothing_is_left(node));
    tally.note("keys and chain stay on the node", state_stays(node));
    tally.note("evidence is whole after the end", verified(node));
    Ok(())
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs())
}

/// The pod of the DaemonSet that is ready; there is exactly one.
fn agent(node: &Node) -> Result<String> {
    wait_until("one pod of the DaemonSet, ready", SOON, || {
        let pods = node
            .kubectl
            .items(&["get", "pods", "-n", OWN_NAMESPACE, "-l", SELECTOR])?;
        let [pod] = pods.as_slice() else {
            bail!("{} pods", pods.len());
        };
        let status = &pod["status"]["containerStatuses"][0];
        ensure!(status["ready"] == true, "not ready: {}", status["state"]);
        Ok(pod["metadata"]["name"].as_str().map(str::to_owned))
    })
}

fn doctor(node: &Node) -> Result<()> {
    let pod = agent(node)?;
    let config = "/etc/observer/config/observer.yaml";
    let command = [
        "exec",
        "-n",
        OWN_NAMESPACE,
        &pod,
        "--",
        "observer",
        "doctor",
        "--config",
        config,
    ];
    let said = node.kubectl.text(&command)?;
    ensure!(
        said.contains("names of pods"),
        "nothing about names of pods: {said}"
    );
    Ok(())
}

fn rights(node: &Node) -> Result<()> {
    let account = format!("--as=system:serviceaccount:{OWN_NAMESPACE}:observer");
    for (verb, what, wanted) in [
        ("list", "pods", true),
        ("watch", "pods", true),
        ("get", "pods", false),
        ("delete", "pods", false),
        ("list", "secrets", false),
        ("list", "nodes", false),
    ] {
        // The answer "no" is also its exit code.
        let said = node
            .kubectl
            .text(&["auth", "can-i", verb, what, "--all-namespaces", &account]);
        ensure!(said.is_ok() == wanted, "{verb} {what}: {said:?}");
    }
    Ok(())
}

/// The pod that the Deployment runs, as the API server describes it.
fn caller(node: &Node) -> Result<Value> {
    let selector = format!("app={DEPLOYMENT}");
    wait_until("the caller runs", SOON, || {
        let mut pods = node
            .kubectl
            .items(&["get", "pods", "-n", NAMESPACE, "-l", &selector])?;
        let running = |pod: &Value| !pod["status"]["containerStatuses"][0]["state"]["running"].is_null();
        Ok(pods.pop().filter(running))
    })
}

/// The id of its container, without the runtime.
fn container(pod: &Value) -> Result<&str> {
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str();
    id.and_then(|id| id.split("//").nth(1)).context("no container id")
}

/// The newest call of a container since then.
fn call_of(node: &Node, container: &str, condition: &str, since: u64) -> Result<Value> {
    wait_until(&format!("a call with {condition}"), SOON, || {
        let condition = format!("container_id = '{container}' AND {condition}");
        node.store.newest("interactions", NAMES, &condition, since)
    })
}

fn names_of_the_deployment(node: &Node, since: u64) -> Result<()> {
    let pod = caller(node)?;
    let row = call_of(node, container(&pod)?, "k8s_container_name != ''", since)?;
    let digest = pod["status"]["containerStatuses"][0]["imageID"]
        .as_str()
        .unwrap_or_default();
    let digest = digest.rfind("sha256:").and_then(|at| digest.get(at..));
    compare(
        &row,
        &[
            ("k8s_cluster_name", "lab"),
            ("k8s_node_name", NAME),
            ("k8s_namespace_name", NAMESPACE),
            (
                "k8s_pod_name",
                pod["metadata"]["name"].as_str().unwrap_or_default(),
            ),
            ("k8s_pod_uid", pod["metadata"]["uid"].as_str().unwrap_or_default()),
            ("k8s_container_name", "app"),
            ("k8s_workload_kind", "Deployment"),
            ("k8s_workload_name", DEPLOYMENT),
            ("k8s_service_account", ACCOUNT),
            ("container_image_name", images::CLIENT),
            ("container_image_digest", digest.unwrap_or_default()),
            ("policy_verdict", "unknown"),
            ("visibility", "decoded"),
            ("gen_ai_request_model", "gpt-4o-mini"),
        ],
    )
}

/// What a row must say.
fn compare(row: &Value, wanted: &[(&str, &str)]) -> Result<()> {
    let wrong: Vec<String> = wanted
        .iter()
        .filter(|(name, value)| row[*name] != *value)
        .map(|(name, value)| format!("{name} is {}, not \"{value}\"", row[*name]))
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

fn names_of_a_connection(node: &Node, since: u64) -> Result<()> {
    let pod = caller(node)?;
    let columns = "k8s_namespace_name, k8s_workload_name, server_address, visibility";
    let condition = format!(
        "container_id = '{}' AND container_image_digest != '' AND exchanges_decoded > 0",
        container(&pod)?
    );
    let row = wait_until("a connection of the caller", SOON, || {
        node.store.newest("connections", columns, &condition, since)
    })?;
    compare(
        &row,
        &[
            ("k8s_namespace_name", NAMESPACE),
            ("k8s_workload_name", DEPLOYMENT),
            ("server_address", "api.openai.com"),
            ("visibility", "decoded"),
        ],
    )
}

/// A job of a moment: its pod is found by the uid in the path of its control group, whether the container is known or not.
fn names_of_the_job(node: &Node, since: u64) -> Result<()> {
    let row = wait_until("a call of the CronJob", NEXT_JOB, || {
        let condition = format!("k8s_workload_name = '{CRON_JOB}'");
        node.store.newest("interactions", NAMES, &condition, since)
    })?;
    compare(
        &row,
        &[
            ("k8s_workload_kind", "CronJob"),
            ("k8s_namespace_name", NAMESPACE),
            ("k8s_service_account", ACCOUNT),
        ],
    )
}

fn inventory(node: &Node) -> Result<()> {
    let id = std::fs::read_to_string("/etc/machine-id").context("/etc/machine-id")?;
    let sql = "SELECT source, host_id, k8s_node_name, in_scope FROM ai_evidence.host_inventory ORDER BY observed_at";
    let rows = wait_until("a row of the inventory", NEXT_JOB, || {
        let rows = node.store.query(sql)?;
        Ok((!rows.is_empty()).then_some(rows))
    })?;
    ensure!(rows.len() == 1, "{} rows", rows.len());
    ensure!(rows[0]["in_scope"] == true, "{}", rows[0]);
    compare(
        &rows[0],
        &[
            ("source", "kubernetes/lab"),
            ("host_id", id.trim()),
            ("k8s_node_name", NAME),
        ],
    )
}

/// Three containers of the image have called, each with its own overlay mount over the same layers. The node has such a library, too.
fn shared_probes(node: &Node) -> Result<()> {
    let sql = "SELECT uniqExact(container_id) AS containers FROM ai_evidence.v_interactions WHERE k8s_namespace_name = 'shop'";
    wait_until("calls of three containers", NEXT_JOB, || {
        let rows = node.store.query(sql)?;
        Ok(rows[0]["containers"].as_u64().filter(|number| *number >= 3))
    })?;
    let log = node.kubectl.text(&["logs", "-n", OWN_NAMESPACE, &agent(node)?])?;
    let attached = |line: &&str| line.contains("attached to TLS library") && line.contains("/libssl.so.3\"");
    let times = log.lines().filter(attached).count();
    ensure!((1..=2).contains(&times), "attached to libssl.so.3 {times} times");
    Ok(())
}

/// The binding of the role goes and the agent starts anew: it may not list pods then.
fn without_rights(node: &Node) -> Result<()> {
    let binding = format!("{}-{OWN_NAMESPACE}", OWN_NAMESPACE);
    node.kubectl.text(&["delete", "clusterrolebinding", &binding])?;
    let before = agent(node)?;
    node.kubectl.text(&[
        "delete",
        "pod",
        "-n",
        OWN_NAMESPACE,
        &before,
        "--request-timeout=90s",
    ])?;
    let pod = wait_until("a new pod", SOON, || {
        let pod = agent(node)?;
        Ok((pod != before).then_some(pod))
    })?;
    let since = now();
    let (status, metrics) = http::get(METRICS.into(), "/metrics")?;
    let metrics = String::from_utf8_lossy(&metrics);
    ensure!(
        status == 200 && metrics.contains("observer_kubernetes_api{state=\"denied\"} 1"),
        "the metric does not say denied"
    );
    let log = node.kubectl.text(&["logs", "-n", OWN_NAMESPACE, &pod])?;
    ensure!(
        log.contains("names of pods are not known"),
        "the log does not say it: {log}"
    );
    let caller = caller(node)?;
    let row = call_of(node, container(&caller)?, "k8s_pod_name = ''", since)?;
    compare(
        &row,
        &[
            (
                "k8s_pod_uid",
                caller["metadata"]["uid"].as_str().unwrap_or_default(),
            ),
            ("k8s_namespace_name", ""),
            ("k8s_workload_name", ""),
            ("k8s_service_account", ""),
            ("container_image_name", ""),
            ("visibility", "decoded"),
        ],
    )
}

fn upgraded(node: &Node, since: u64) -> Result<()> {
    agent(node)?;
    let caller = caller(node)?;
    let row = call_of(
        node,
        container(&caller)?,
        "policy_id = 'lab' AND k8s_container_name != ''",
        since,
    )?;
    compare(
        &row,
        &[
            ("k8s_workload_name", DEPLOYMENT),
            ("container_image_name", images::CLIENT),
            ("policy_verdict", "sanctioned"),
        ],
    )
}

/// Four capabilities, and no network of the host: then the pod's name is the host's.
fn least(node: &Node, since: u64) -> Result<()> {
    let own = agent(node)?;
    let caller = caller(node)?;
    let condition = format!("host_name = '{own}'");
    let row = call_of(node, container(&caller)?, &condition, since)?;
    compare(
        &row,
        &[
            ("k8s_workload_name", DEPLOYMENT),
            ("k8s_container_name", "app"),
            ("container_image_name", images::CLIENT),
            ("visibility", "decoded"),
        ],
    )?;
    ensure!(
        http::get(METRICS.into(), "/healthz").is_err(),
        "it still listens on the node"
    );
    Ok(())
}

/// curl can always be read: one that ended too soon, or came before its library was known, is `attached_late`.
fn probes(node: &Node) -> Result<()> {
    let sql = "SELECT opaque_reason, count() AS rows FROM ai_evidence.v_connections WHERE server_address = 'api.openai.com' \
               AND k8s_pod_uid != '' GROUP BY opaque_reason ORDER BY rows DESC";
    let rows = node.store.query(sql)?;
    let named = |reason: &str| rows.iter().find(|row| row["opaque_reason"] == reason);
    progress(&format!(
        "connections of pods by reason: {}",
        Value::from(rows.clone())
    ));
    ensure!(named("").is_some(), "none was decoded");
    ensure!(named("no_probe").is_none(), "some are `no_probe`");
    Ok(())
}

/// The same objects without Helm, as a dry run of the server.
fn manifests(node: &Node) -> Result<()> {
    let folder = root().join("deploy/kubernetes");
    let said = node
        .kubectl
        .text(&["apply", "--dry-run=server", "-k", &folder.to_string_lossy()])?;
    ensure!(said.contains("daemonset.apps/"), "no DaemonSet: {said}");
    Ok(())
}

/// All that is stored, by the auditor's own command.
fn verified(node: &Node) -> Result<()> {
    wait_until("observer verify finds nothing", SOON, || {
        node.store
            .review(&["verify", "--from", "1d", "--format", "json"])
            .map(Some)
    })
    .map(|_| ())
}

fn nothing_is_left(node: &Node) -> Result<()> {
    let kinds = "daemonsets,cronjobs,jobs,pods,configmaps,secrets,serviceaccounts,services,networkpolicies,clusterroles,clusterrolebindings";
    wait_until("no object of the release", SOON, || {
        let left = node
            .kubectl
            .items(&["get", kinds, "-A", "-l", "app.kubernetes.io/instance=observer"])?;
        let names: Vec<&str> = left
            .iter()
            .filter_map(|object| object["metadata"]["name"].as_str())
            .collect();
        ensure!(names.is_empty(), "left: {}", names.join(", "));
        let history = node
            .kubectl
            .items(&["get", "secrets", "-n", OWN_NAMESPACE, "-l", "owner=helm"])?;
        ensure!(history.is_empty(), "Helm keeps {} secrets", history.len());
        Ok(Some(()))
    })?;
    ensure!(
        http::get(METRICS.into(), "/healthz").is_err(),
        "the daemon still answers"
    );
    Ok(())
}

/// What the docs say of an uninstall: the host path outlives it.
fn state_stays(node: &Node) -> Result<()> {
    let state = node.var_lib().join("observer");
    for name in ["keys", "chain/head.json"] {
        ensure!(state.join(name).exists(), "{name} is gone");
    }
    Ok(())
}
