//! The watch of Observer against this API server.

use std::sync::Arc;
use std::time::Duration;

use observer::kubernetes::{Change, Cluster, Fault, Settings, State, Status, Watcher, nodes, probe};
use tokio::sync::mpsc;

use super::{ApiServer, Twist, node, pod};

const WEB: &str = "0a1b2c3d-1111-2222-3333-444455556666";
const BOT: &str = "0a1b2c3d-1111-2222-3333-444455557777";
const GONE: &str = "0a1b2c3d-1111-2222-3333-444455558888";

/// An API server, a watcher that asks it, and what came out.
struct Bed {
    api: ApiServer,
    status: Arc<Status>,
    changes: mpsc::Receiver<Change>,
    cluster: Cluster,
    _dir: tempfile::TempDir,
}

fn settings(api: &ApiServer) -> Settings {
    Settings {
        url: api.url(),
        token_file: Some(api.token_file()),
        ca_file: Some(api.ca_file()),
        node: "n-1".to_owned(),
    }
}

impl Bed {
    /// Starts the watcher after `prepare`.
    fn start(prepare: impl FnOnce(&ApiServer)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let api = ApiServer::start(dir.path()).unwrap();
        prepare(&api);
        let (sender, changes) = mpsc::channel(16);
        let status = Arc::new(Status::default());
        let watcher = Watcher::new(settings(&api), sender, Arc::clone(&status))
            .with_pauses(Duration::from_millis(20), Duration::from_millis(50));
        tokio::spawn(watcher.run());
        Self {
            api,
            status,
            changes,
            cluster: Cluster::new("lab", "n-1"),
            _dir: dir,
        }
    }

    /// Takes changes until this holds.
    async fn until(&mut self, what: &str, holds: impl Fn(&Cluster, &Status) -> bool) {
        for _ in 0..500 {
            while let Ok(change) = self.changes.try_recv() {
                self.cluster.take(change, 0);
            }
            if holds(&self.cluster, &self.status) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what}: {:?}, {:?}", self.cluster, self.status);
    }

    fn faults(&self, name: &str) -> u64 {
        self.status
            .faults()
            .find(|(fault, _)| *fault == name)
            .map_or(0, |(_, count)| count)
    }

    fn lists(&self) -> usize {
        self.api
            .requests()
            .iter()
            .filter(|r| !r.contains("watch=1") && !r.contains("continue"))
            .count()
    }
}

fn workload(cluster: &Cluster, container: &str) -> Option<String> {
    let place = cluster.find((container, ""));
    place
        .pod
        .map(|pod| format!("{}/{} {}", pod.namespace, pod.workload, pod.workload_kind))
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_a_list_and_of_a_watch_are_known_until_they_are_gone() {
    let (one, two) = ("a".repeat(64), "b".repeat(64));
    let mut bed = Bed::start(|api| api.put_pod(pod("shop", "web", WEB, Some(&one))));
    bed.until("the list", |cluster, _| {
        workload(cluster, &one).as_deref() == Some("shop/web Deployment")
    })
    .await;
    bed.until("the watch", |_, status| status.state() == State::Watching)
        .await;
    bed.api.put_pod(pod("lab", "bot", BOT, None));
    bed.until("a pod before its container", |cluster, _| {
        cluster
            .find((&two, BOT))
            .pod
            .is_some_and(|p| p.service_account == "bot")
    })
    .await;
    bed.api.bookmark();
    bed.api.put_pod(pod("lab", "bot", BOT, Some(&two)));
    bed.until("its container", |cluster, _| {
        cluster
            .find((&two, ""))
            .container
            .is_some_and(|c| c.image == "shop/app:7" && c.digest.len() == 71)
    })
    .await;
    bed.api.remove_pod(WEB);
    bed.until("a pod that is gone", |cluster, _| cluster.len() == 1)
        .await;
    assert_eq!(
        workload(&bed.cluster, &one).as_deref(),
        Some("shop/web Deployment"),
        "for its last rows"
    );
    let first = &bed.api.requests()[0];
    assert!(
        first.contains("fieldSelector=spec.nodeName%3Dn-1") && first.contains("resourceVersion=0"),
        "{first}"
    );
    assert_eq!((bed.lists(), bed.status.skipped()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_cut_in_a_line_goes_on_where_it_was() {
    let id = "a".repeat(64);
    let mut bed = Bed::start(|api| {
        api.twist(Twist::CutLine);
        api.twist(Twist::CutLine);
    });
    bed.until("the watch", |_, status| status.state() == State::Watching)
        .await;
    bed.api.put_pod(pod("shop", "web", WEB, Some(&id)));
    bed.until("the third watch", |cluster, _| workload(cluster, &id).is_some())
        .await;
    bed.until("it goes on", |_, status| status.state() == State::Watching)
        .await;
    assert_eq!((bed.faults("unreachable"), bed.lists()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_forgotten_leads_to_a_new_list_in_pages() {
    let id = "a".repeat(64);
    let mut bed = Bed::start(|api| {
        api.put_pod(pod("shop", "web", WEB, Some(&id)));
        api.put_pod(pod("lab", "bot", BOT, None));
        api.put_stale_pod(pod("lab", "gone", GONE, None));
        api.twist(Twist::Forgotten);
        api.set_page(1);
    });
    bed.until("what the new list does not name is gone", |cluster, status| {
        cluster.len() == 2 && cluster.find(("", GONE)).pod.is_some() && status.state() == State::Watching
    })
    .await;
    let requests = bed.api.requests();
    let pages = requests.iter().filter(|r| r.contains("continue=")).count();
    assert!(pages >= 1 && bed.faults("expired") == 1, "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_and_survived_and_a_new_token_is_used() {
    let id = "a".repeat(64);
    let mut bed = Bed::start(|api| {
        api.put_pod(pod("shop", "web", WEB, Some(&id)));
        api.twist(Twist::Status(403));
        api.twist(Twist::Status(403));
    });
    bed.until("denied", |_, status| status.state() == State::Denied)
        .await;
    bed.until("allowed", |cluster, _| workload(cluster, &id).is_some())
        .await;
    assert_eq!(bed.faults("denied"), 2);
    bed.api.set_token("second").unwrap();
    let nameless = Settings {
        token_file: None,
        ..settings(&bed.api)
    };
    assert_eq!(probe(&nameless).await, Err(Fault::Unauthorized));
    assert_eq!(probe(&settings(&bed.api)).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_api_server_is_told_and_asked_again() {
    let id = "a".repeat(64);
    let mut bed = Bed::start(|api| {
        api.put_pod(pod("shop", "web", WEB, Some(&id)));
        for twist in [Twist::Page, Twist::Status(500), Twist::Status(429)] {
            api.twist(twist);
        }
    });
    bed.until("failing", |_, status| status.state() == State::Failing)
        .await;
    bed.until("in the end", |cluster, _| workload(cluster, &id).is_some())
        .await;
    assert_eq!((bed.faults("nonsense"), bed.faults("refused")), (1, 2));
    let stranger = Settings {
        ca_file: None,
        ..settings(&bed.api)
    };
    assert!(
        matches!(probe(&stranger).await, Err(Fault::Unreachable(why)) if why.contains("certificate")),
        "another authority"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_listed_in_pages_and_a_refusal_is_no_empty_list() {
    let dir = tempfile::tempdir().unwrap();
    let api = ApiServer::start(dir.path()).unwrap();
    let machine = "1".repeat(32);
    api.set_nodes(
        (0..5)
            .map(|n| node(&format!("n-{n}"), &machine, "linux"))
            .collect(),
    );
    api.set_page(2);
    let found = nodes(&settings(&api)).await.unwrap();
    let names: Vec<&str> = found.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["n-0", "n-1", "n-2", "n-3", "n-4"]);
    assert_eq!(
        (found[0].machine_id.as_str(), found[0].created_ms),
        (machine.as_str(), Some(1_793_491_200_000))
    );
    assert_eq!(found[0].labels["kubernetes.io/os"], "linux");
    assert_eq!(api.requests().len(), 3);
    api.twist(Twist::Status(403));
    assert!(matches!(nodes(&settings(&api)).await, Err(Fault::Denied(why)) if why.contains("forbidden")));
    api.set_nodes(vec![serde_json::json!({"metadata": {}})]);
    assert!(
        matches!(nodes(&settings(&api)).await, Err(Fault::Nonsense(_))),
        "nobody is left out in silence"
    );
}
