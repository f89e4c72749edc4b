//! Which pod a container belongs to: the table that rows are named by. Pure.

use std::{collections::HashMap, sync::Arc};

/// Most pods of a node; the kubelet's own limit is 110 as a rule, and 500 where somebody raised it.
const MAX_PODS: usize = 2_048;
/// Most containers of one pod, those that ran before included.
const MAX_CONTAINERS: usize = 64;
/// The last rows of a pod come after its end.
const KEEP_NS: u64 = 60_000_000_000;

/// Names of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodNames {
    /// Its uid.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Deployment, StatefulSet, DaemonSet, CronJob, Job, ...; `Pod` for one that belongs to nothing.
    pub workload_kind: String,
    /// Name of that.
    pub workload: String,
    /// Its service account; empty where the API server names none.
    pub service_account: String,
}

/// Names of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerNames {
    /// Its name in the pod.
    pub name: String,
    /// Reference of its image as the pod asks for it.
    pub image: String,
    /// `sha256:…` of the image that runs; empty where it is not known.
    pub digest: String,
}

/// A pod with its containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its uid.
    pub uid: String,
    /// What its control groups carry instead, for a pod that the kubelet started from a file.
    pub config_hash: Option<String>,
    /// Its names.
    pub names: Arc<PodNames>,
    /// Ids of containers, with their names.
    pub containers: Vec<(String, ContainerNames)>,
}

/// What the watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A pod is new or has changed.
    Pod(Box<Pod>),
    /// The pod with this uid is gone.
    Gone(String),
    /// These are all: any other one is gone.
    All(Vec<String>),
}

#[derive(Debug)]
struct Entry {
    pod: Pod,
    /// When it went, CLOCK_BOOTTIME, ns.
    gone_ns: Option<u64>,
}

/// The cluster that this node belongs to, with the pods of this node.
#[derive(Debug, Default)]
pub struct Cluster {
    name: String,
    node: String,
    pods: HashMap<String, Entry>,
    /// Uid of the pod, by id of a container.
    owners: HashMap<String, String>,
    /// Uid of the pod, by hash of the file from which the kubelet started it.
    hashes: HashMap<String, String>,
    refused: u64,
}

/// Where a process runs, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Where<'a> {
    /// Name of the cluster; empty where nobody gave it one.
    pub cluster: &'a str,
    /// Name of the node; empty where it is not known.
    pub node: &'a str,
    /// The pod.
    pub pod: Option<&'a Arc<PodNames>>,
    /// The container in it.
    pub container: Option<&'a ContainerNames>,
}

impl Cluster {
    /// The cluster of this name and this node of it; empty names are not known.
    pub fn new(name: &str, node: &str) -> Self {
        Self {
            name: name.to_owned(),
            node: node.to_owned(),
            ..Self::default()
        }
    }

    /// Pods that are known.
    pub fn len(&self) -> usize {
        self.pods.values().filter(|entry| entry.gone_ns.is_none()).count()
    }

    /// Whether no pod is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes of pods that found no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes what the watch tells, at this time (CLOCK_BOOTTIME, ns).
    pub fn take(&mut self, change: Change, now_ns: u64) {
        match change {
            Change::Pod(pod) => self.put(*pod),
            Change::Gone(uid) => {
                if let Some(entry) = self.pods.get_mut(&uid) {
                    entry.gone_ns.get_or_insert(now_ns);
                }
            }
            Change::All(uids) => {
                let uids: std::collections::HashSet<String> = uids.into_iter().collect();
                for (uid, entry) in &mut self.pods {
                    if !uids.contains(uid) {
                        entry.gone_ns.get_or_insert(now_ns);
                    }
                }
            }
        }
        self.forget(now_ns);
    }

    fn put(&mut self, mut pod: Pod) {
        if self.pods.len() >= MAX_PODS && !self.pods.contains_key(&pod.uid) {
            self.refused += 1;
            return;
        }
        // A container that ran before is not in the newest status any more, and its last rows may still come.
        if let Some(old) = self.pods.remove(&pod.uid) {
            for (id, _) in &old.pod.containers {
                self.owners.remove(id);
            }
            self.hashes.retain(|_, uid| *uid != pod.uid);
            for (id, names) in old.pod.containers {
                if !pod.containers.iter().any(|(known, _)| *known == id) {
                    pod.containers.push((id, names));
                }
            }
        }
        pod.containers.truncate(MAX_CONTAINERS);
        let ids = pod.containers.iter().map(|(id, _)| id);
        self.owners.extend(ids.map(|id| (id.clone(), pod.uid.clone())));
        // It is the first one's while that is there: whoever may make pods can have them say what he likes.
        let lives = |uid: &String| self.pods.get(uid).is_some_and(|entry| entry.gone_ns.is_none());
        let is_free = |hash: &&String| !self.hashes.get(*hash).is_some_and(lives);
        if let Some(hash) = pod.config_hash.as_ref().filter(is_free) {
            self.hashes.insert(hash.clone(), pod.uid.clone());
        }
        self.pods.insert(pod.uid.clone(), Entry { pod, gone_ns: None });
    }

    fn forget(&mut self, now_ns: u64) {
        let is_over = |entry: &Entry| {
            entry
                .gone_ns
                .is_some_and(|gone| now_ns.saturating_sub(gone) > KEEP_NS)
        };
        if !self.pods.values().any(is_over) {
            return;
        }
        self.pods.retain(|_, entry| !is_over(entry));
        self.owners.retain(|_, uid| self.pods.contains_key(uid));
        self.hashes.retain(|_, uid| self.pods.contains_key(uid));
    }

    /// Where a process runs whose control group names this container and, where the kubelet writes it there, this pod (`pod_keys` of its
    /// identity). A pod is known by it before the API server has heard of the container.
    pub fn find(&self, (container_id, pod_uid): (&str, &str)) -> Where<'_> {
        let pod = |uid: &String| self.pods.get(uid);
        let entry = self
            .owners
            .get(container_id)
            .and_then(pod)
            .or_else(|| self.pods.get(pod_uid))
            .or_else(|| self.hashes.get(pod_uid).and_then(pod));
        let containers = entry
            .map(|entry| entry.pod.containers.as_slice())
            .unwrap_or_default();
        Where {
            cluster: &self.name,
            node: &self.node,
            pod: entry.map(|entry| &entry.pod.names),
            container: containers
                .iter()
                .find(|(id, _)| id == container_id)
                .map(|(_, names)| names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, containers: &[&str]) -> Change {
        let named = |id: &&str| {
            let names = ContainerNames {
                name: format!("c-{id}"),
                ..ContainerNames::default()
            };
            ((*id).to_owned(), names)
        };
        Change::Pod(Box::new(Pod {
            uid: uid.to_owned(),
            config_hash: (uid == "static").then(|| "hash".to_owned()),
            names: Arc::new(PodNames {
                uid: uid.to_owned(),
                pod: format!("p-{uid}"),
                ..PodNames::default()
            }),
            containers: containers.iter().map(named).collect(),
        }))
    }

    fn found(cluster: &Cluster, container: &str, uid: &str) -> (Option<String>, Option<String>) {
        let place = cluster.find((container, uid));
        (
            place.pod.map(|p| p.pod.clone()),
            place.container.map(|c| c.name.clone()),
        )
    }

    fn is(pod: &str, container: Option<&str>) -> (Option<String>, Option<String>) {
        (Some(pod.to_owned()), container.map(str::to_owned))
    }

    #[test]
    fn a_container_is_found_by_its_id_and_its_pod_by_the_uid_before_that() {
        let mut cluster = Cluster::new("prod", "n-1");
        assert_eq!(found(&cluster, "x", "a"), (None, None));
        cluster.take(pod("a", &[]), 0);
        assert_eq!(found(&cluster, "x", "a"), is("p-a", None));
        assert_eq!(found(&cluster, "x", ""), (None, None), "nothing is nobody's id");
        cluster.take(pod("a", &["x"]), 1);
        assert_eq!(found(&cluster, "x", ""), is("p-a", Some("c-x")));
        cluster.take(pod("static", &[]), 1);
        assert_eq!(found(&cluster, "y", "hash"), is("p-static", None));
        assert_eq!(
            (cluster.find(("", "")).cluster, cluster.find(("", "")).node),
            ("prod", "n-1")
        );
    }

    #[test]
    fn a_pod_that_says_it_is_another_one_takes_none_of_its_processes() {
        let says = |uid: &str, hash: &str| {
            let Change::Pod(mut liar) = pod(uid, &[]) else {
                unreachable!()
            };
            liar.config_hash = Some(hash.to_owned());
            Change::Pod(liar)
        };
        let mut cluster = Cluster::default();
        cluster.take(pod("a", &["x"]), 0);
        cluster.take(pod("static", &[]), 0);
        for hash in ["x", "a", "hash"] {
            cluster.take(says("liar", hash), 0);
            assert_eq!(found(&cluster, "x", "a"), is("p-a", Some("c-x")), "{hash}");
            assert_eq!(found(&cluster, "x", ""), is("p-a", Some("c-x")), "{hash}");
            assert_eq!(found(&cluster, "y", "hash"), is("p-static", None), "{hash}");
        }
        cluster.take(Change::Gone("static".into()), 1);
        cluster.take(says("new", "hash"), 1);
        assert_eq!(
            found(&cluster, "y", "hash"),
            is("p-new", None),
            "the same file, started anew"
        );
    }

    #[test]
    fn a_container_that_ran_before_and_a_pod_that_is_gone_are_kept_for_their_last_rows() {
        let mut cluster = Cluster::default();
        cluster.take(pod("a", &["x"]), 0);
        cluster.take(pod("a", &["y"]), 0);
        assert_eq!(found(&cluster, "x", ""), is("p-a", Some("c-x")));
        cluster.take(Change::Gone("a".into()), 5);
        assert_eq!(
            (found(&cluster, "y", ""), cluster.len()),
            (is("p-a", Some("c-y")), 0)
        );
        cluster.take(Change::Gone("nobody".into()), 5 + KEEP_NS);
        assert_eq!(found(&cluster, "y", "a"), is("p-a", Some("c-y")));
        cluster.take(Change::Gone("nobody".into()), 6 + KEEP_NS);
        assert_eq!(found(&cluster, "y", "a"), (None, None));
        assert!(cluster.owners.is_empty() && cluster.pods.is_empty());
    }

    #[test]
    fn what_a_new_list_does_not_name_is_gone_and_what_it_names_is_not() {
        let mut cluster = Cluster::default();
        for uid in ["a", "b"] {
            cluster.take(pod(uid, &[uid]), 0);
        }
        cluster.take(Change::All(vec!["b".into()]), 1);
        cluster.take(Change::All(vec!["b".into()]), 2 + KEEP_NS);
        assert_eq!(
            (found(&cluster, "a", "a"), found(&cluster, "b", "")),
            ((None, None), is("p-b", Some("c-b")))
        );
    }

    #[test]
    fn the_table_is_bounded() {
        let mut cluster = Cluster::default();
        for n in 0..MAX_PODS + 10 {
            cluster.take(pod(&format!("u{n}"), &[]), 0);
        }
        assert_eq!((cluster.len(), cluster.refused()), (MAX_PODS, 10));
        let ids: Vec<String> = (0..3 * MAX_CONTAINERS).map(|n| format!("i{n}")).collect();
        for id in &ids {
            cluster.take(pod("u1", &[id]), 0);
        }
        assert!(cluster.owners.len() <= MAX_CONTAINERS);
        assert_eq!(
            found(&cluster, &ids[ids.len() - 1], "").1,
            Some(format!("c-{}", ids[ids.len() - 1]))
        );
    }
}
