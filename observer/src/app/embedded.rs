//! The embedded store as a child process, where no server is configured. When it dies it is started again; rows wait
//! in the spool meanwhile.

use std::{process::Stdio, time::Duration};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

use crate::config::{Config, Wish};

/// How long the child may take to end before it is killed.
const STOP: Duration = Duration::from_secs(10);
/// Pause before a child that died is started again.
const RESTART: Duration = Duration::from_secs(1);

/// Where rows go: a server elsewhere, or a child of this process.
pub(super) struct Store {
    child: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Store {
    /// Starts the child where no server is configured.
    ///
    /// # Errors
    /// When the program cannot be started at all.
    pub(super) async fn start(config: &Config) -> anyhow::Result<Self> {
        if config.store.url.is_some() {
            return Ok(Self { child: None });
        }
        let first = spawn(config).context("cannot start the embedded store")?;
        let (stop, stopped) = watch::channel(false);
        let supervisor = tokio::spawn(supervise(config.clone(), first, stopped));
        Ok(Self {
            child: Some((stop, supervisor)),
        })
    }

    /// Ends the child and waits for it.
    pub(super) async fn stop(self) {
        if let Some((stop, supervisor)) = self.child {
            let _ = stop.send(true);
            let _ = supervisor.await;
        }
    }
}

fn spawn(config: &Config) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("own program")?;
    let embedded = &config.store.embedded;
    let mut command = Command::new(program);
    command.arg("store").arg("--data-dir").arg(&embedded.data_dir);
    command.arg("--listen").arg(embedded.listen.to_string());
    command.arg("--database").arg(&config.store.database);
    command
        .arg("--exit-with-parent")
        .arg(std::process::id().to_string());
    if let Some(library) = &embedded.library {
        command.arg("--library").arg(library);
    }
    if let Some(user) = &embedded.user {
        command.arg("--user").arg(user);
    }
    if config.privilege.capabilities != Wish::Off {
        command.arg("--drop-capabilities");
    }
    if config.privilege.landlock != Wish::Off {
        command.arg("--fence");
    }
    // A group of its own: Ctrl-C on the terminal ends the daemon, which then ends the store after its last rows.
    Ok(command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?)
}

async fn supervise(config: Config, mut child: Child, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            status = child.wait() => {
                tracing::error!(status = ?status.ok(), "the embedded store ended; it is started again");
            }
            _ = stopped.changed() => {
                end(child).await;
                return;
            }
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(RESTART) => {}
                _ = stopped.changed() => return,
            }
            match spawn(&config) {
                Ok(new) => {
                    child = new;
                    break;
                }
                Err(error) => tracing::error!(%error, "cannot start the embedded store"),
            }
        }
    }
}

async fn end(mut child: Child) {
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(STOP, child.wait()).await.is_err() {
        tracing::warn!("the embedded store did not end in time and is killed");
        let _ = child.kill().await;
    }
}
