//! Nodes of the cluster: what the inventory of hosts is made of.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Api, Fault, Settings, cut::Cutter};

/// Nodes on a page.
const PAGE: u32 = 200;
/// Most nodes of a cluster; Kubernetes is made for 5,000.
const MAX_NODES: usize = 50_000;
/// No piece of the answer may take longer.
const IDLE: Duration = Duration::from_secs(30);

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Text of its `/etc/machine-id`, as the kubelet tells it; empty where it does not.
    pub machine_id: String,
    /// When it came to the cluster, ms since the Unix epoch.
    pub created_ms: Option<i64>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    creation_timestamp: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    node_info: Option<Info>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "machineID")]
    machine_id: Option<String>,
}

impl From<Object> for Node {
    fn from(object: Object) -> Self {
        let created = object.metadata.creation_timestamp;
        let created = created.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
        let info = object.status.and_then(|status| status.node_info);
        Self {
            name: object.metadata.name,
            machine_id: info.and_then(|info| info.machine_id).unwrap_or_default(),
            created_ms: created.map(|at| at.unix_timestamp() * 1000),
            labels: object.metadata.labels.unwrap_or_default(),
        }
    }
}

/// All nodes. One that cannot be read is a fault: who is left out of an inventory is not missed.
///
/// # Errors
/// When the API server does not name them.
pub async fn nodes(settings: &Settings) -> Result<Vec<Node>, Fault> {
    #[derive(Deserialize)]
    struct Page {
        metadata: Rest,
    }
    #[derive(Deserialize)]
    struct Rest {
        #[serde(rename = "continue")]
        more: Option<String>,
    }
    let api = Api::new(settings)?;
    let (mut nodes, mut more) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/nodes?limit={PAGE}{}", continued(&more));
        let mut answer = api.get(&path, Cutter::list(), IDLE).await?;
        let mut wrong = None;
        let mut take = |object: &[u8]| match serde_json::from_slice::<Object>(object) {
            Ok(node) => nodes.push(Node::from(node)),
            Err(error) => wrong = Some(error.to_string()),
        };
        while answer.next(&mut take).await? {}
        if let Some(why) = wrong {
            return Err(Fault::Nonsense(format!("a node cannot be read: {why}")));
        }
        if answer.skipped() > 0 || nodes.len() > MAX_NODES {
            return Err(Fault::Nonsense("nodes that are too many or too large".to_owned()));
        }
        let page: Page = serde_json::from_slice(answer.rest())
            .map_err(|error| Fault::Nonsense(format!("a list of nodes: {error}")))?;
        match page.metadata.more.filter(|more| !more.is_empty()) {
            Some(next) => more = next,
            None => return Ok(nodes),
        }
    }
}

fn continued(more: &str) -> String {
    if more.is_empty() {
        return String::new();
    }
    let encoded: String = form_urlencoded::byte_serialize(more.as_bytes()).collect();
    format!("&continue={encoded}")
}
