//! Asks the store for the newest rows and the daemon for its counters.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::metrics::Samples;
use crate::{report::rows::Line, store::Client};

/// How long each of both may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest text of metrics that is taken.
const MAX_METRICS: usize = 4 << 20;

/// What was seen at one look.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Newest interactions, newest first.
    pub lines: Vec<Line>,
    /// Counters.
    pub samples: Samples,
    /// Why the store did not answer.
    pub store_problem: Option<String>,
    /// Why the daemon did not.
    pub metrics_problem: Option<String>,
}

/// See the module.
pub(super) struct Poller {
    store: Client,
    query: String,
    http: HttpClient<HttpConnector, Empty<Bytes>>,
    metrics: Option<String>,
}

impl Poller {
    /// Looks at this store and, where there is an address, at these metrics.
    pub(super) fn new(store: Client, metrics: Option<&str>, rows: u16) -> Self {
        // Second copies of rows that were delivered again are dropped among some more than are shown, not among all that there are.
        let query = format!(
            "SELECT {} FROM (SELECT * FROM ai_interactions ORDER BY ts DESC LIMIT {}) ORDER BY ts DESC LIMIT 1 BY record_hash LIMIT {rows}",
            Line::select(),
            u32::from(rows) * 4,
        );
        let http = HttpClient::builder(TokioExecutor::new()).build(HttpConnector::new());
        let metrics = metrics.map(|base| format!("{}/metrics", base.trim_end_matches('/')));
        Self {
            store,
            query,
            http,
            metrics,
        }
    }

    /// Asks both at the same time.
    pub(super) async fn look(&self) -> Seen {
        let (lines, samples) = tokio::join!(in_time(self.lines()), in_time(self.samples()));
        let (lines, store_problem) = apart(lines);
        let (samples, metrics_problem) = apart(samples);
        Seen {
            lines,
            samples,
            store_problem,
            metrics_problem,
        }
    }

    async fn lines(&self) -> anyhow::Result<Vec<Line>> {
        Ok(self.store.rows::<Line>(&self.query).await?)
    }

    async fn samples(&self) -> anyhow::Result<Samples> {
        let Some(url) = &self.metrics else {
            anyhow::bail!("switched off by the configuration")
        };
        let response = self
            .http
            .get(url.parse()?)
            .await
            .map_err(|_| anyhow::anyhow!("{url} does not answer"))?;
        if !response.status().is_success() {
            anyhow::bail!("{url} answers with status {}", response.status());
        }
        let body = Limited::new(response.into_body(), MAX_METRICS).collect().await;
        let body = body
            .map_err(|error| anyhow::anyhow!("{url}: {error}"))?
            .to_bytes();
        Ok(Samples::parse(&String::from_utf8_lossy(&body)))
    }
}

async fn in_time<T>(answer: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(result) => result,
        Err(_) => anyhow::bail!("no answer within {} s", ANSWER.as_secs()),
    }
}

fn apart<T: Default>(result: anyhow::Result<T>) -> (T, Option<String>) {
    match result {
        Ok(value) => (value, None),
        Err(error) => (T::default(), Some(format!("{error:#}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreTarget;

    #[tokio::test]
    async fn nobody_there_is_said_of_both() {
        let nobody = "http://127.0.0.1:1".to_owned();
        let target = StoreTarget {
            url: nobody.clone(),
            database: "d".into(),
            user: String::new(),
            password: String::new(),
            ca_file: None,
        };
        let seen = Poller::new(Client::new(&target).unwrap(), Some(&nobody), 5)
            .look()
            .await;
        assert!(seen.store_problem.is_some() && seen.lines.is_empty());
        assert_eq!(
            seen.metrics_problem.as_deref(),
            Some("http://127.0.0.1:1/metrics does not answer")
        );
    }
}
