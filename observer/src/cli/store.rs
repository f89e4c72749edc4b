//! `observer store`: the embedded engine on its own; `observer store migrate`: the schema.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, log, out, setup, target};
use crate::{
    app::read_secret,
    config::{Config, Retention},
    privilege,
    store::{
        Client, cluster,
        embedded::{EmbeddedConfig, serve},
        migrate, retention,
    },
};

const AFTER_HELP: &str = "\
`observer run` starts this by itself where no server is configured. On its own it answers the HTTP interface of
ClickHouse, for one more look at what was stored, for Grafana or for curl:

Examples:
  observer store --data-dir ./evidence --listen 127.0.0.1:8123
  curl http://127.0.0.1:8123 -d 'SELECT count() FROM ai_evidence.ai_interactions'
  observer store migrate --config observer.yaml";

const MIGRATE_HELP: &str = "\
`observer run` does this at its start too. With a server that Observer may not change, run it by hand with a user who
may. What was applied is not applied again; a schema of a newer Observer is left alone.

Examples:
  observer store migrate --config observer.yaml
  observer store migrate --keep-records 200 --keep-seals 1130
  observer store migrate                           the embedded store, which must be running";

const SCHEMA_HELP: &str = "\
The same files are in deploy/clickhouse. Every statement can be repeated.

Examples:
  observer store schema --cluster --keep-records 200 | clickhouse-client --multiquery
  observer store schema --roles > roles.sql";

/// Run the embedded ClickHouse engine on its own, or bring the schema of a store up to date.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
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
    /// File with the password that clients must send, in its first line. Needed for an address that is not loopback.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// End when this process, which must be the parent, ends.
    #[arg(long, value_name = "PID", hide = true)]
    exit_with_parent: Option<u32>,
    /// Run as this user; DIR then belongs to that user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Give up all capabilities that it does not need.
    #[arg(long, hide = true)]
    drop_capabilities: bool,
    /// Write below DIR only (Landlock).
    #[arg(long, hide = true)]
    fence: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create the database and its tables, or bring them up to date.
    #[command(after_help = MIGRATE_HELP)]
    Migrate {
        /// Configuration file: its store is migrated.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        keep: Keep,
    },
    /// Print the schema as SQL, for whoever applies it by hand.
    #[command(after_help = SCHEMA_HELP)]
    Schema {
        /// For a cluster: replicated tables, Distributed ones over them.
        #[arg(long)]
        cluster: bool,
        /// The roles instead.
        #[arg(long, conflicts_with = "cluster")]
        roles: bool,
        #[command(flatten)]
        keep: Keep,
    },
}

/// How long rows are kept. What is not given is as `store.retention` says; what that does not say either stays as it is.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Keep {
    /// Days that records are kept.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    keep_records: Option<u32>,
    /// Days that seals are kept. They should outlive the records.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    keep_seals: Option<u32>,
    /// Days that redacted texts are kept, where they are at all.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    keep_payloads: Option<u32>,
}

impl Keep {
    /// With what the configuration says.
    fn over(self, configured: Retention) -> anyhow::Result<Retention> {
        let retention = Retention {
            records: self.keep_records.or(configured.records),
            seals: self.keep_seals.or(configured.seals),
            payloads: self.keep_payloads.or(configured.payloads),
        };
        match retention.mistake() {
            Some(mistake) => anyhow::bail!("{mistake}"),
            None => Ok(retention),
        }
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    match &args.command {
        Some(Command::Migrate { config, keep }) => apply_schema(config.as_deref(), *keep),
        Some(Command::Schema { cluster, roles, keep }) => print_schema(*cluster, *roles, *keep),
        None => serve_until_stopped(args),
    }
}

fn print_schema(for_cluster: bool, roles: bool, keep: Keep) -> Result<ExitCode, Failure> {
    if roles {
        out::print(cluster::ROLES)?;
        return Ok(ExitCode::SUCCESS);
    }
    let database = Config::default().store.database;
    let mut text = if for_cluster {
        cluster::script()
    } else {
        migrate::script(&database)
    };
    let retention = keep.over(Retention::default())?;
    let database = if for_cluster { cluster::LOCAL } else { &database };
    let statements = retention::statements(&retention, database, for_cluster);
    if !statements.is_empty() {
        text.push_str(&format!("\n-- retention\n{};\n", statements.join(";\n")));
    }
    out::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn apply_schema(config: Option<&Path>, keep: Keep) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    let loaded = setup::load(config).map_err(|problems| Failure::problems(&problems))?;
    let retention = keep.over(loaded.config.store.retention)?;
    let target = target::of(&loaded.config)?;
    let client = Client::new(&target)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let applied = runtime.block_on(migrate(&client))?;
    let database = client.database();
    let set = runtime.block_on(retention::apply(&client, &retention))?;
    if !set.changed.is_empty() {
        out::print(&format!("retention: set on {}", set.changed.join(", ")))?;
    }
    if !set.distributed.is_empty() {
        out::complain(&format!(
            "retention: {} are Distributed, set it on the tables behind them: `observer store schema --cluster --keep-records ...` prints how",
            set.distributed.join(", ")
        ));
    }
    out::print(&match applied.as_slice() {
        [] => format!("database {database}: up to date"),
        versions => {
            let list: Vec<String> = versions.iter().map(ToString::to_string).collect();
            format!("database {database}: applied {}", list.join(", "))
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn serve_until_stopped(args: &Args) -> Result<ExitCode, Failure> {
    let defaults = Config::default();
    log::start(defaults.log);
    let embedded = defaults.store.embedded;
    let config = EmbeddedConfig {
        data_dir: args.data_dir.clone().unwrap_or(embedded.data_dir),
        listen: args.listen.unwrap_or(embedded.listen),
        library: args.library.clone(),
        database: args.database.clone().unwrap_or(defaults.store.database),
        password: args.password_file.as_deref().map(read_secret).transpose()?,
        exit_with_parent: args.exit_with_parent,
    };
    // Before there is a second thread.
    if let Some(user) = &args.user {
        privilege::become_user(user, &config.data_dir)?;
    }
    privilege::confine(
        args.drop_capabilities
            .then(|| privilege::capabilities::for_port(config.listen)),
        args.fence.then_some(config.data_dir.as_path()),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    out::complain(&format!(
        "store: opening {} on http://{}",
        config.data_dir.display(),
        config.listen
    ));
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
