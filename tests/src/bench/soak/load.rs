//! The load: clients that call all the time, and processes and libraries that come and go.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::endpoint::answer::ANSWER;
use crate::harness::{Finished, Host, Running, curl_libssl};

/// A short-lived process comes so often: 1,200 a minute, with those of the clients some more.
const PROCESS: Duration = Duration::from_millis(50);
/// A library that nobody has seen before comes so often.
const LIBRARY: Duration = Duration::from_secs(2);
/// A client that streams comes so often.
const STREAM: Duration = Duration::from_secs(10);
/// Streams of each.
const STREAMS: u64 = 5;

/// Model of calls that need not have a row.
pub(super) const LIBRARY_MODEL: &str = "gpt-4o-library";

/// What was done.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Done {
    pub(super) calls: u64,
    pub(super) processes: u64,
    pub(super) libraries: u64,
}

/// The running load.
pub(super) struct Load<'h> {
    host: &'h Host,
    steady: Vec<Running>,
    streams: Option<Running>,
    due: [Duration; 3],
    done: Done,
}

/// One client of each kind, once.
pub(super) fn one_of_each(host: &Host) -> Result<Done> {
    let mut load = Load::start(host)?;
    load.library()?;
    load.stream()?;
    load.finish()
}

impl<'h> Load<'h> {
    /// Starts the clients that call all the time.
    pub(super) fn start(host: &'h Host) -> Result<Self> {
        let mut steady = vec![
            host.python("steady.py").arg(ANSWER).start()?,
            host.node("fetch_chat.js").args(["--steady", ANSWER]).start()?,
        ];
        for client in &mut steady {
            client.wait_for_line("ready")?;
        }
        Ok(Self {
            host,
            steady,
            streams: None,
            due: [Duration::ZERO; 3],
            done: Done::default(),
        })
    }

    /// Does what is due after this time.
    pub(super) fn tick(&mut self, after: Duration) -> Result<()> {
        if after >= self.due[0] {
            self.due[0] += PROCESS;
            Command::new("true").status()?;
            self.done.processes += 1;
        }
        if after >= self.due[1] {
            self.due[1] += LIBRARY;
            self.library()?;
        }
        if after >= self.due[2] {
            self.due[2] += STREAM;
            self.stream()?;
        }
        Ok(())
    }

    /// A call by curl with a libssl of its own, which is deleted then. Most are over before anybody could attach to it, so it is not
    /// among the calls.
    fn library(&mut self) -> Result<()> {
        let folder = self.host.dir().join("library");
        std::fs::create_dir_all(&folder)?;
        let own = folder.join("libssl.so.3");
        std::fs::copy(curl_libssl()?.1, &own)?;
        let call = self.host.curl_chat("api.openai.com", LIBRARY_MODEL, "hi");
        call.env("LD_LIBRARY_PATH", &folder).run()?;
        std::fs::remove_file(own)?;
        self.done.processes += 1;
        self.done.libraries += 1;
        Ok(())
    }

    fn stream(&mut self) -> Result<()> {
        self.end_stream()?;
        let count = STREAMS.to_string();
        let client = self.host.python("openai_chat.py");
        let client = client.args(["--stream", "--model", "gpt-4o+chunks-20", "--count", &count]);
        self.streams = Some(client.start()?);
        Ok(())
    }

    fn end_stream(&mut self) -> Result<()> {
        if let Some(client) = self.streams.take() {
            let finished = client.finish()?;
            ensure!(finished.status.success(), "{}", finished.errors);
            self.done.calls += STREAMS;
            self.done.processes += 1;
        }
        Ok(())
    }

    /// Ends all clients.
    pub(super) fn finish(mut self) -> Result<Done> {
        self.end_stream()?;
        for client in std::mem::take(&mut self.steady) {
            let finished = client.finish()?;
            self.done.calls += calls(&finished, "fetch") + calls(&finished, "on_one_connection");
            self.done.calls += calls(&finished, "on_new_connections");
            let curls = calls(&finished, "by_curl");
            self.done.calls += curls;
            self.done.processes += curls;
            let report = finished.reports.last().context("no report")?;
            ensure!(report["wrong"] == serde_json::json!([]), "{}", report["wrong"]);
        }
        Ok(self.done)
    }
}

fn calls(finished: &Finished, way: &str) -> u64 {
    let report = finished.reports.last();
    report
        .and_then(|report| report["calls"][way].as_u64())
        .unwrap_or(0)
}
