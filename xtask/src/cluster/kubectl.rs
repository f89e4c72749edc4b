//! The API server, asked with its own client.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{capture, programs};

/// Asks as the cluster's administrator.
pub(super) struct Kubectl {
    kubeconfig: PathBuf,
    dir: PathBuf,
}

impl Kubectl {
    pub(super) fn new(kubeconfig: &Path, dir: &Path) -> Self {
        Self {
            kubeconfig: kubeconfig.to_path_buf(),
            dir: dir.to_path_buf(),
        }
    }

    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Standard output of a command.
    pub(super) fn text(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(programs::path("kubectl"));
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--request-timeout=30s")
            .args(arguments);
        capture(&mut command)
    }

    /// An object, or a list of them.
    pub(super) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.text(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).context("kubectl did not answer in JSON")
    }

    /// Objects of a list.
    pub(super) fn items(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let mut list = self.json(arguments)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => bail!("not a list: {}", arguments.join(" ")),
        }
    }

    /// Creates objects or changes them.
    pub(super) fn apply(&self, objects: &[Value]) -> Result<()> {
        let file = self.dir.join("apply.json");
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        std::fs::write(&file, list.to_string())?;
        self.text(&["apply", "-f", &file.to_string_lossy()]).map(|_| ())
    }
}

/// Tries until there is a result. The last reason why there is none goes into the error.
pub(super) fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        let reason = match attempt() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if start.elapsed() > limit {
            let text = format!("not after {} s: {what}", limit.as_secs());
            return Err(match reason {
                Some(error) => error.context(text),
                None => anyhow::anyhow!(text),
            });
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}
