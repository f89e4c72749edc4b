//! What runs in the cluster beside Observer: a Deployment that calls an AI service all the time, and a CronJob that does it once.

use anyhow::Result;
use serde_json::{Value, json};

use super::images;
use super::kubectl::Kubectl;
use super::node::{ADDRESS, ENDPOINT_PORT, Node};

/// Where the callers are, and their service account.
pub(super) const NAMESPACE: &str = "shop";
pub(super) const ACCOUNT: &str = "shopper";
pub(super) const DEPLOYMENT: &str = "assistant";
pub(super) const CRON_JOB: &str = "nightly";
/// Where Observer is.
pub(super) const OWN_NAMESPACE: &str = "observer";

/// Namespace and secret that the chart's reader makes before the chart is installed.
pub(super) fn prepare(node: &Node) -> Result<()> {
    let labels = json!({"pod-security.kubernetes.io/enforce": "privileged"});
    node.kubectl.apply(&[
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OWN_NAMESPACE, "labels": labels}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store", "namespace": OWN_NAMESPACE},
            "stringData": {"password": node.store.password()}}),
    ])
}

/// The callers.
pub(super) fn start(node: &Node) -> Result<()> {
    let named = |name: &str| json!({"name": name, "namespace": NAMESPACE});
    let forever = format!("while :; do {}; sleep 2; done", call());
    let labels = json!({"app": DEPLOYMENT});
    let job = json!({"metadata": {}, "spec": pod(&call(), "Never")});
    node.kubectl.apply(&[
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named(ACCOUNT)}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named("authority"), "data": {"ca.pem": node.authority()?}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named(DEPLOYMENT), "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod(&forever, "Always")}}}),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": named(CRON_JOB), "spec": {
            "schedule": "* * * * *", "jobTemplate": {"spec": {"template": job}}}}),
    ])
}

/// The callers' namespace goes, with all in it.
pub(super) fn stop(kubectl: &Kubectl) -> Result<()> {
    kubectl
        .text(&[
            "delete",
            "namespace",
            NAMESPACE,
            "--timeout=60s",
            "--request-timeout=90s",
        ])
        .map(|_| ())
}

fn pod(script: &str, restart: &str) -> Value {
    json!({
        "serviceAccountName": ACCOUNT, "restartPolicy": restart, "terminationGracePeriodSeconds": 0,
        "containers": [{
            "name": "app", "image": images::CLIENT, "imagePullPolicy": "Never", "command": ["sh", "-c", script],
            "volumeMounts": [{"name": "authority", "mountPath": "/authority"}]}],
        "volumes": [{"name": "authority", "configMap": {"name": "authority"}}],
    })
}

/// A call by curl, which reaches the endpoint by its own option: the name, and so SNI and `Host`, stay.
fn call() -> String {
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]});
    format!(
        "curl --silent --show-error --output /dev/null --max-time 20 --cacert /authority/ca.pem \
         --connect-to ::{ADDRESS}:{ENDPOINT_PORT} --header 'Content-Type: application/json' --data '{body}' \
         https://api.openai.com/v1/chat/completions"
    )
}
