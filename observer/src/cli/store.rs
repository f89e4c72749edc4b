//! `observer store`: the embedded engine on its own; `observer store migrate`: the schema.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, log, out};
use crate::{
    config::Config,
    store::embedded::{EmbeddedConfig, serve},
};

/// Run the embedded ClickHouse engine on its own.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory that belongs to the store alone; made when missing.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the HTTP interface.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// libchdb.so; without it the usual places are looked through.
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// Database of the evidence tables.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// End when this process, which must be the parent, ends.
    #[arg(long, value_name = "PID", hide = true)]
    exit_with_parent: Option<u32>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let defaults = Config::default();
    log::start(defaults.log);
    let embedded = defaults.store.embedded;
    let config = EmbeddedConfig {
        data_dir: args.data_dir.clone().unwrap_or(embedded.data_dir),
        listen: args.listen.unwrap_or(embedded.listen),
        library: args.library.clone(),
        database: args.database.clone().unwrap_or(defaults.store.database),
        password: None,
        exit_with_parent: args.exit_with_parent,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    out::complain(&format!("store: opening {} on http://{}", config.data_dir.display(), config.listen));
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        serve(config, stop).await
    })?;
    Ok(ExitCode::SUCCESS)
}
