//! What is read of a pod: names, and the ids of its containers. Pure.

use std::sync::Arc;

use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::places::{ContainerNames, Pod, PodNames};

/// Most containers of a pod that are taken.
const MAX_CONTAINERS: usize = 64;
/// Longest name that is taken; Kubernetes allows 253.
const MAX_NAME: usize = 253;
/// Longest reference of an image that is taken.
const MAX_IMAGE: usize = 512;

/// A pod as the API server gives it, as far as it is needed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodObject {
    pub(super) metadata: Metadata,
    spec: Option<Spec>,
    status: Option<PodStatus>,
}

/// Metadata of any object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    pub(super) resource_version: Option<String>,
    creation_timestamp: Option<String>,
    labels: Option<Labels>,
    annotations: Option<Annotations>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Debug, Deserialize)]
struct Labels {
    #[serde(rename = "pod-template-hash")]
    template_hash: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Annotations {
    /// Of a pod that the kubelet started from a file: its control groups carry this instead of the uid.
    #[serde(rename = "kubernetes.io/config.hash")]
    config_hash: Option<String>,
    #[serde(rename = "kubernetes.io/config.mirror")]
    config_mirror: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Owner {
    kind: String,
    name: String,
    controller: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    service_account_name: Option<String>,
    containers: Option<Vec<ContainerSpec>>,
    init_containers: Option<Vec<ContainerSpec>>,
    ephemeral_containers: Option<Vec<ContainerSpec>>,
}

#[derive(Debug, Deserialize)]
struct ContainerSpec {
    name: String,
    image: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    #[serde(rename = "containerID")]
    id: Option<String>,
    image: Option<String>,
    #[serde(rename = "imageID")]
    image_id: Option<String>,
    state: Option<States>,
    last_state: Option<States>,
}

#[derive(Debug, Deserialize)]
struct States {
    terminated: Option<Terminated>,
}

#[derive(Debug, Deserialize)]
struct Terminated {
    #[serde(rename = "containerID")]
    id: Option<String>,
}

impl PodObject {
    /// Uid of the pod.
    pub(super) fn uid(&self) -> Option<String> {
        self.metadata.uid.as_deref().and_then(|uid| short(uid, MAX_NAME))
    }

    /// The names; `None` of something without name or uid.
    pub(super) fn read(&self) -> Option<Pod> {
        let of = &self.metadata;
        let name = short(of.name.as_deref()?, MAX_NAME)?;
        let (kind, workload) = self.workload(&name);
        let spec = self.spec.as_ref();
        let account = spec.and_then(|spec| spec.service_account_name.as_deref());
        Some(Pod {
            uid: self.uid()?,
            config_hash: self.config_hash(),
            names: Arc::new(PodNames {
                uid: self.uid()?,
                namespace: short(of.namespace.as_deref()?, MAX_NAME)?,
                pod: name,
                workload_kind: kind,
                workload,
                service_account: account.and_then(|name| short(name, MAX_NAME)).unwrap_or_default(),
            }),
            containers: self.containers(),
        })
    }

    /// Of a pod that the kubelet started from a file (it "belongs" to its node, and mirrors that file) what its control groups are called by: 32
    /// digits. Any pod can carry the annotation.
    fn config_hash(&self) -> Option<String> {
        let owners = self.metadata.owner_references.as_deref().unwrap_or_default();
        let annotations = self.metadata.annotations.as_ref()?;
        let of_node = owners.iter().any(|owner| owner.kind == "Node");
        let hash = annotations.config_hash.as_deref()?;
        let is_hash = hash.len() == 32 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (of_node && annotations.config_mirror.is_some() && is_hash).then(|| hash.to_owned())
    }

    /// Kind and name of what the pod belongs to; a pod that belongs to nothing is its own workload.
    fn workload(&self, pod: &str) -> (String, String) {
        let owners = self.metadata.owner_references.as_deref().unwrap_or_default();
        let owner = owners.iter().find(|owner| owner.controller == Some(true));
        // A pod that the kubelet started from a file "belongs" to its node.
        let Some(owner) = owner.filter(|owner| owner.kind != "Node") else {
            return ("Pod".to_owned(), pod.to_owned());
        };
        let (kind, name) = match owner.kind.as_str() {
            "ReplicaSet" => self.of_replica_set(&owner.name),
            "Job" => self.of_job(&owner.name),
            _ => None,
        }
        .unwrap_or((owner.kind.as_str(), owner.name.as_str()));
        let part = |text: &str| short(text, MAX_NAME).unwrap_or_default();
        (part(kind), part(name))
    }

    /// A Deployment names its sets after itself and the hash of their template, which the pods carry.
    fn of_replica_set<'n>(&self, name: &'n str) -> Option<(&'static str, &'n str)> {
        let hash = self.metadata.labels.as_ref()?.template_hash.as_deref()?;
        let deployment = name.strip_suffix(hash)?.strip_suffix('-')?;
        (!hash.is_empty() && !deployment.is_empty()).then_some(("Deployment", deployment))
    }

    /// A CronJob names its jobs after itself and the minute, since 1970, for which they were planned. That minute must fit the
    /// pod's age, since anybody can end the name of a job with a number.
    fn of_job<'n>(&self, name: &'n str) -> Option<(&'static str, &'n str)> {
        /// A job waits a while, and tries again.
        const LATE_MINUTES: i64 = 7 * 24 * 60;
        let (cron_job, minute) = name.rsplit_once('-')?;
        let minute: i64 = minute.parse().ok()?;
        let created = OffsetDateTime::parse(self.metadata.creation_timestamp.as_deref()?, &Rfc3339).ok()?;
        let late = created.unix_timestamp() / 60 - minute;
        (!cron_job.is_empty() && (0..=LATE_MINUTES).contains(&late)).then_some(("CronJob", cron_job))
    }

    fn containers(&self) -> Vec<(String, ContainerNames)> {
        let Some(status) = &self.status else {
            return Vec::new();
        };
        let lists = [
            &status.container_statuses,
            &status.init_container_statuses,
            &status.ephemeral_container_statuses,
        ];
        let all = lists.into_iter().flatten().flatten();
        let found = all.flat_map(|status| {
            let names = self.names_of(status);
            status.ids().map(move |id| (id, names.clone()))
        });
        found.take(MAX_CONTAINERS).collect()
    }

    fn names_of(&self, status: &ContainerStatus) -> ContainerNames {
        let image = self.wanted_image(&status.name).or(status.image.as_deref());
        ContainerNames {
            name: short(&status.name, MAX_NAME).unwrap_or_default(),
            image: image
                .and_then(|image| short(image, MAX_IMAGE))
                .unwrap_or_default(),
            digest: status.image_id.as_deref().and_then(digest).unwrap_or_default(),
        }
    }

    /// The image as the pod asks for it: what the status says is changed by runtimes, to an id in the worst case.
    fn wanted_image(&self, name: &str) -> Option<&str> {
        let spec = self.spec.as_ref()?;
        let lists = [
            &spec.containers,
            &spec.init_containers,
            &spec.ephemeral_containers,
        ];
        let mut all = lists.into_iter().flatten().flatten();
        all.find(|container| container.name == name)?.image.as_deref()
    }
}

impl ContainerStatus {
    /// Ids of the container that runs, and of the one that ran before it.
    fn ids(&self) -> impl Iterator<Item = String> {
        let ended = |states: &Option<States>| states.as_ref()?.terminated.as_ref()?.id.clone();
        let mut ids: Vec<String> = [self.id.clone(), ended(&self.state), ended(&self.last_state)]
            .into_iter()
            .flatten()
            .filter_map(|id| bare_id(&id))
            .collect();
        ids.dedup();
        ids.into_iter()
    }
}

/// `containerd://<64 digits>` without the runtime.
fn bare_id(id: &str) -> Option<String> {
    let id = id.rsplit("//").next()?;
    (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_owned())
}

/// `sha256:<64 digits>` of `repository@sha256:…`, or of an image that was never in a registry.
fn digest(image_id: &str) -> Option<String> {
    let at = image_id.rfind("sha256:")?;
    let digest = image_id.get(at..)?;
    let digits = digest.strip_prefix("sha256:")?;
    (digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit())).then(|| digest.to_owned())
}

/// A text that may stand in a row; `None` for one that is empty, too long, or has control characters.
fn short(text: &str, max: usize) -> Option<String> {
    let is_fine = !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control);
    is_fine.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(pod: &Value) -> Option<Pod> {
        serde_json::from_value::<PodObject>(pod.clone()).unwrap().read()
    }

    fn pod(owner: &Value, labels: &Value) -> Value {
        json!({"metadata": {
            "name": "web-6d4b75cb6d-x2x9z", "namespace": "shop", "uid": "u-1", "creationTimestamp": "2026-11-29T12:05:30Z",
            "ownerReferences": [{"kind": "X", "name": "other"}, owner], "labels": labels, "annotations": null
        }, "spec": {"serviceAccountName": "web"}})
    }

    fn workload(kind: &str, name: &str, hash: Option<&str>) -> (String, String) {
        let labels = hash.map_or(
            Value::Null,
            |hash| json!({"pod-template-hash": hash, "app": "web"}),
        );
        let owner = json!({"kind": kind, "name": name, "controller": true});
        let names = read(&pod(&owner, &labels)).unwrap().names;
        (names.workload_kind.clone(), names.workload.clone())
    }

    #[test]
    fn workloads_are_found_and_never_guessed() {
        let of = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
        // 2026-11-29T12:05Z is minute 29_932_565.
        let cases = [
            (
                "ReplicaSet",
                "web-6d4b75cb6d",
                Some("6d4b75cb6d"),
                of("Deployment", "web"),
            ),
            (
                "ReplicaSet",
                "web-6d4b75cb6d",
                None,
                of("ReplicaSet", "web-6d4b75cb6d"),
            ),
            ("ReplicaSet", "web", Some("6d4b75cb6d"), of("ReplicaSet", "web")),
            ("ReplicaSet", "-ab", Some("ab"), of("ReplicaSet", "-ab")),
            ("ReplicaSet", "web-", Some(""), of("ReplicaSet", "web-")),
            ("Job", "nightly-29932560", None, of("CronJob", "nightly")),
            ("Job", "nightly-29932566", None, of("Job", "nightly-29932566")),
            ("Job", "report-2026", None, of("Job", "report-2026")),
            ("Job", "report", None, of("Job", "report")),
            ("StatefulSet", "db", None, of("StatefulSet", "db")),
            ("DaemonSet", "log", None, of("DaemonSet", "log")),
            ("Node", "n-1", None, of("Pod", "web-6d4b75cb6d-x2x9z")),
        ];
        for (kind, name, hash, wanted) in cases {
            assert_eq!(workload(kind, name, hash), wanted, "{kind} {name}");
        }
        let own = read(&pod(&json!({"kind": "X", "name": "y"}), &Value::Null)).unwrap();
        assert_eq!(own.names.workload_kind, "Pod");
    }

    #[test]
    fn containers_have_their_ids_of_now_and_before_with_image_and_digest() {
        let (now, before, digest) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
        let mut value = pod(&Value::Null, &Value::Null);
        value["metadata"]["ownerReferences"] = Value::Null;
        value["spec"]["containers"] = json!([{"name": "app", "image": "shop/web:7"}]);
        value["status"] = json!({"containerStatuses": [{
            "name": "app", "containerID": format!("containerd://{now}"), "image": "sha256:ff", "imageID": format!("docker.io/shop/web@sha256:{digest}"),
            "state": {"running": {"startedAt": "x"}}, "lastState": {"terminated": {"containerID": format!("containerd://{before}"), "exitCode": 1}}
        }], "initContainerStatuses": [{"name": "init", "containerID": "", "image": "busybox", "imageID": ""}]});
        let names = ContainerNames {
            name: "app".into(),
            image: "shop/web:7".into(),
            digest: format!("sha256:{digest}"),
        };
        assert_eq!(
            read(&value).unwrap().containers,
            [(now, names.clone()), (before, names)]
        );
    }

    #[test]
    fn only_a_pod_of_its_node_is_found_by_the_hash_of_its_file() {
        let hash = "0123456789abcdef".repeat(2);
        let of = |kind: &str, hash: &str, mirror: Option<&str>| {
            let mut value = pod(
                &json!({"kind": kind, "name": "n-1", "controller": true}),
                &Value::Null,
            );
            value["metadata"]["annotations"] =
                json!({"kubernetes.io/config.hash": hash, "kubernetes.io/config.mirror": mirror});
            read(&value).unwrap().config_hash
        };
        assert_eq!(of("Node", &hash, Some("x")).as_ref(), Some(&hash));
        assert_eq!(of("ReplicaSet", &hash, Some("x")), None);
        assert_eq!(of("Node", &hash, None), None);
        assert_eq!(
            of("Node", &"a".repeat(64), Some("x")),
            None,
            "the id of a container"
        );
        assert_eq!(of("Node", &hash.to_uppercase(), Some("x")), None);
    }

    #[test]
    fn hostile_names_are_no_names() {
        assert!(short("a\u{1b}[31m", 253).is_none() && short(&"x".repeat(254), 253).is_none());
        assert_eq!(bare_id("docker://short"), None);
        assert_eq!(digest("sha256:xyz"), None);
        assert!(read(&json!({"metadata": {"name": "x"}})).is_none());
        let many: Vec<Value> = (0..500)
            .map(|n| json!({"name": "c", "containerID": format!("cri-o://{n:064x}")}))
            .collect();
        let mut value = pod(&json!({"kind": "X", "name": "y"}), &Value::Null);
        value["status"] = json!({"containerStatuses": many});
        assert_eq!(read(&value).unwrap().containers.len(), MAX_CONTAINERS);
    }
}
