//! Follows the pods of this node (shell): a list, and from its version on a watch. A watch that ends goes on where it was; one whose
//! version is forgotten begins with a new list; a refusal or an outage is tried again, ever less often.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::sync::mpsc;

use super::{
    Api, Change, Fault, Settings, State, Status,
    api::Answer,
    cut::Cutter,
    pod::{Metadata, PodObject},
};

/// No piece of a list may take longer.
const LIST_IDLE: Duration = Duration::from_secs(30);
/// A watch is asked for again after so many seconds, and up to twice as many, so that not all nodes do it at once.
const WATCH_SECONDS: u64 = 300;
/// Pods on a page, where the API server pages.
const PAGE: u32 = 100;
/// Most pods of a list.
const MAX_LISTED: usize = 4_096;
/// A watch that fails so often in a row begins with a new list.
const FAILURES_TO_LIST: u32 = 3;

/// Pauses between attempts.
#[derive(Debug, Clone, Copy)]
struct Pauses {
    /// After the first fault; doubled after each further one.
    first: Duration,
    most: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            most: Duration::from_secs(120),
        }
    }
}

impl Pauses {
    /// Between half of the pause after so many faults and all of it.
    fn after(self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let pause = doubled.min(self.most);
        pause / 2 + pause.mul_f64(f64::from(random()) / f64::from(u32::MAX)) / 2
    }
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    // Without random bytes all nodes ask at the same time, which is no reason not to ask.
    let _ = getrandom::fill(&mut bytes);
    u32::from_ne_bytes(bytes)
}

/// Where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Since {
    /// With a list out of the API server's memory, which costs it little.
    Cached,
    /// With a list of what holds now.
    Fresh,
    /// With a watch from this version on.
    Version(String),
}

/// See the module.
pub struct Watcher {
    settings: Settings,
    changes: mpsc::Sender<Change>,
    status: Arc<Status>,
    pauses: Pauses,
}

impl Watcher {
    /// Tells `changes` about the pods of the node that `settings` name, and `status` how it goes.
    pub fn new(settings: Settings, changes: mpsc::Sender<Change>, status: Arc<Status>) -> Self {
        status.set(State::Starting);
        Self {
            settings,
            changes,
            status,
            pauses: Pauses::default(),
        }
    }

    /// As it is, with other pauses between attempts: after the first fault, and at most.
    pub fn with_pauses(mut self, first: Duration, most: Duration) -> Self {
        self.pauses = Pauses { first, most };
        self
    }

    /// Runs until nobody takes changes any more.
    pub async fn run(self) {
        let (mut since, mut failures) = (Since::Cached, 0u32);
        loop {
            let fault = match self.round(&mut since).await {
                Err(Fault::Stopped) => return,
                // Ended in order, as each watch does. A server that ends it at once is not asked without a pause.
                Ok(()) => None,
                Err(fault) => Some(fault),
            };
            failures = match fault {
                Some(_) if self.status.state() != State::Watching => failures + 1,
                _ => 1,
            };
            if let Some(fault) = fault {
                if fault == Fault::Expired || failures.is_multiple_of(FAILURES_TO_LIST) {
                    since = Since::Fresh;
                }
                self.tell(&fault);
            }
            tokio::select! {
                () = tokio::time::sleep(self.pauses.after(failures)) => {}
                () = self.changes.closed() => return,
            }
        }
    }

    fn tell(&self, fault: &Fault) {
        if !self.status.fault(fault) {
            return;
        }
        let advice = match fault {
            Fault::Denied(_) => {
                "let the service account list and watch pods (rbac.yaml of the chart), or set kubernetes.api: off"
            }
            Fault::Unauthorized => "the token must be one of this cluster",
            _ => "it is tried again",
        };
        tracing::warn!(%fault, advice, "names of pods are not known: container ids stay");
    }

    /// One list where one is needed, and one watch.
    async fn round(&self, since: &mut Since) -> Result<(), Fault> {
        let api = Api::new(&self.settings)?;
        if let Since::Cached | Since::Fresh = since {
            let version = self.list(&api, *since == Since::Cached).await?;
            *since = Since::Version(version);
        }
        let Since::Version(version) = since else {
            return Ok(());
        };
        self.watch(&api, version).await
    }

    /// Tells all pods of the node; gives the version of the list.
    async fn list(&self, api: &Api, cached: bool) -> Result<String, Fault> {
        #[derive(Deserialize)]
        struct Page {
            metadata: PageMetadata,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct PageMetadata {
            resource_version: String,
            #[serde(rename = "continue")]
            more: Option<String>,
        }
        let (mut uids, mut more) = (Vec::new(), String::new());
        loop {
            // A list at version 0 comes from the API server's index by node. It comes whole: no page may be asked for.
            let query = match (cached, more.as_str()) {
                (true, "") => "&resourceVersion=0".to_owned(),
                (_, "") => format!("&limit={PAGE}"),
                (_, more) => format!("&limit={PAGE}&continue={}", encoded(more)),
            };
            let path = format!("{}{query}", pods_of(&self.settings.node));
            let mut answer = api.get(&path, Cutter::list(), LIST_IDLE).await?;
            while self.pods(&mut answer, &mut uids).await? {}
            self.status.skip(answer.skipped());
            let page: Page = serde_json::from_slice(answer.rest())
                .map_err(|error| Fault::Nonsense(format!("a list without its version: {error}")))?;
            match page.metadata.more.filter(|more| !more.is_empty()) {
                Some(next) if uids.len() < MAX_LISTED => more = next,
                _ => {
                    self.send(Change::All(uids)).await?;
                    return Ok(page.metadata.resource_version);
                }
            }
        }
    }

    /// Takes the pods of the next piece of a list; `false` at its end.
    async fn pods(&self, answer: &mut Answer, uids: &mut Vec<String>) -> Result<bool, Fault> {
        let mut found = Vec::new();
        let mut take = |object: &[u8]| match serde_json::from_slice::<PodObject>(object) {
            Ok(pod) => found.extend(pod.read()),
            Err(_) => self.status.skip(1),
        };
        let goes_on = answer.next(&mut take).await?;
        for pod in found {
            uids.push(pod.uid.clone());
            self.send(Change::Pod(Box::new(pod))).await?;
        }
        Ok(goes_on)
    }

    /// Tells changes from `version` on, and keeps it up to date, until the API server ends the watch.
    async fn watch(&self, api: &Api, version: &mut String) -> Result<(), Fault> {
        let seconds = WATCH_SECONDS + u64::from(random()) % WATCH_SECONDS;
        let path = format!(
            "{}&watch=1&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={seconds}",
            pods_of(&self.settings.node),
            encoded(version)
        );
        let idle = Duration::from_secs(seconds) + LIST_IDLE;
        let mut answer = api.get(&path, Cutter::stream(), idle).await?;
        if self.status.set(State::Watching) {
            tracing::info!(
                node = self.settings.node,
                "names of pods come from the API server"
            );
        }
        let mut skipped = 0;
        loop {
            let mut events = Vec::new();
            let goes_on = answer.next(&mut |object| events.push(event(object))).await;
            for event in events {
                let (change, newer) = event?;
                if let Some(change) = change {
                    self.send(change).await?;
                }
                if let Some(newer) = newer {
                    *version = newer;
                }
            }
            self.status.skip(answer.skipped() - skipped);
            skipped = answer.skipped();
            if !goes_on? {
                return Ok(());
            }
        }
    }

    async fn send(&self, change: Change) -> Result<(), Fault> {
        self.changes.send(change).await.map_err(|_| Fault::Stopped)
    }
}

fn pods_of(node: &str) -> String {
    format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", encoded(node))
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// What a line of a watch tells, and the version that it brings.
fn event(line: &[u8]) -> Result<(Option<Change>, Option<String>), Fault> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "type")]
        kind: String,
    }
    #[derive(Deserialize)]
    struct Of<T> {
        object: T,
    }
    #[derive(Deserialize)]
    struct Any {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Refusal {
        code: Option<u16>,
    }
    let nonsense = |error: serde_json::Error| Fault::Nonsense(format!("an event of the watch: {error}"));
    let kind = serde_json::from_slice::<Event>(line).map_err(nonsense)?.kind;
    match kind.as_str() {
        "ADDED" | "MODIFIED" | "DELETED" => {
            let pod = serde_json::from_slice::<Of<PodObject>>(line)
                .map_err(nonsense)?
                .object;
            let change = if kind == "DELETED" {
                pod.uid().map(Change::Gone)
            } else {
                pod.read().map(|pod| Change::Pod(Box::new(pod)))
            };
            Ok((change, pod.metadata.resource_version))
        }
        "BOOKMARK" => {
            let any = serde_json::from_slice::<Of<Any>>(line).map_err(nonsense)?;
            Ok((None, any.object.metadata.resource_version))
        }
        "ERROR" => {
            let refusal = serde_json::from_slice::<Of<Refusal>>(line).map_err(nonsense)?;
            match refusal.object.code {
                Some(410) => Err(Fault::Expired),
                code => Err(Fault::Refused(code.unwrap_or(500))),
            }
        }
        // Kinds of events that are not known yet say nothing about pods that are.
        _ => Ok((None, None)),
    }
}

/// Asks once for the pods of this node and for a watch, as `observer doctor` does. Gives how many pods there are.
///
/// # Errors
/// The first thing that went wrong.
pub async fn probe(settings: &Settings) -> Result<usize, Fault> {
    let api = Api::new(settings)?;
    let path = format!("{}&resourceVersion=0", pods_of(&settings.node));
    let mut answer = api.get(&path, Cutter::list(), LIST_IDLE).await?;
    let mut pods = 0;
    while answer.next(&mut |_| pods += 1).await? {}
    let path = format!("{}&watch=1&timeoutSeconds=1", pods_of(&settings.node));
    api.get(&path, Cutter::stream(), LIST_IDLE).await?;
    Ok(pods)
}
