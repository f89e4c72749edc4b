//! `observer inventory`: which hosts there should be.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Format, log, out, setup, target};
use crate::{
    config::Config,
    inventory::{Changes, Machine, compare, known, machines, parse, write},
    kernel::clock::wall_ns,
    kubernetes::{Fault, Resolved, Settings, nodes},
    report::text,
    store::Client,
};

/// Longest list of hosts.
const MAX_FILE: u64 = 64 << 20;

const AFTER_HELP: &str = "\
`observer verify` and `observer coverage` miss a host that was erased or never had an agent only if somebody else says that
it should be there: this table. Let it run where nobody who runs the agents can change it. It needs to read and to insert into
`host_inventory` (role aio_inventory), and to list nodes.

A line of a file is `ID [NAME [REASON...]]`, with the text of the host's /etc/machine-id (or its `host.id`); with a reason the host is
out of scope. A host that a source no longer names is gone from then on. Rows are added only where something changed.

Examples:
  observer inventory --config observer.yaml                       once, from the API server of the cluster
  observer inventory --every 5 --exclude kubernetes.io/os=windows
  observer inventory --file hosts.txt --source cmdb
  cmdb-export | observer inventory --file - --source cmdb --format json";

/// Write which hosts there should be, from the API server of Kubernetes or a file.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Do it again after so many minutes, until SIGTERM or SIGINT.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=1440))]
    every: Option<u32>,
    /// A file that names the hosts, instead of the API server; `-`: standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Nodes with this label (`NAME` or `NAME=VALUE`) are out of scope; can be given several times.
    #[arg(long, value_name = "LABEL", conflicts_with = "file")]
    exclude: Vec<String>,
    /// Who says so. Only hosts of the same source can be gone. Else `kubernetes/` and `kubernetes.cluster` of the configuration, or `file`.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Configuration file: its store is written to, its API server is asked.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    let config =
        setup::load_only_config(args.config.as_deref()).map_err(|problems| Failure::problems(&problems))?;
    let source = source(args, &config)?;
    let origin = match &args.file {
        Some(file) => Origin::File(file.clone()),
        None => Origin::Cluster(api(&config)?),
    };
    let client = Client::new(&target::of(&config)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work(args, &origin, &source, &client))
}

/// Where hosts are named.
enum Origin {
    File(PathBuf),
    Cluster(Settings),
}

/// Two clusters with one name would each find the other's hosts gone.
fn source(args: &Args, config: &Config) -> Result<String, Failure> {
    let cluster = &config.kubernetes.cluster;
    match (&args.source, &args.file) {
        (Some(source), _)
            if source.is_empty() || source.len() > 255 || source.chars().any(char::is_control) =>
        {
            Err(Failure::usage(
                "--source must be 1 to 255 bytes without control characters",
            ))
        }
        (Some(source), _) => Ok(source.clone()),
        (None, Some(_)) => Ok("file".to_owned()),
        (None, None) if cluster.is_empty() => Err(Failure::usage(
            "kubernetes.cluster in the configuration, or --source, must name the cluster: the hosts of another cluster in the same \
             store would be taken for gone",
        )),
        (None, None) => Ok(format!("kubernetes/{cluster}")),
    }
}

fn api(config: &Config) -> Result<Settings, Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    match Settings::server(&config.kubernetes, variable, Path::exists) {
        Resolved::On(settings) => Ok(settings),
        Resolved::Unable(why) => Err(Failure::usage(format!("kubernetes: {why}"))),
        Resolved::Off => Err(Failure::usage(
            "this is no pod, and the configuration names no API server: kubernetes.api, or --file",
        )),
    }
}

async fn work(args: &Args, origin: &Origin, source: &str, client: &Client) -> Result<ExitCode, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        let done = once(args, origin, source, client).await;
        let Some(minutes) = args.every else {
            return done.map(|()| ExitCode::SUCCESS);
        };
        // One that fails, since the store or the API server is away, is no reason to give up the next ones.
        match done {
            Ok(()) => {}
            Err(Failure::Failed(error)) => out::complain(&format!("observer: no inventory: {error:#}")),
            Err(Failure::Usage(lines)) => lines.iter().for_each(|line| out::complain(line)),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(u64::from(minutes) * 60)) => {}
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        }
    }
}

async fn once(args: &Args, origin: &Origin, source: &str, client: &Client) -> Result<(), Failure> {
    let (machines, remarks) = match origin {
        Origin::File(file) => (from_file(file)?, Vec::new()),
        Origin::Cluster(settings) => {
            let found = nodes(settings).await.map_err(advised)?;
            machines(found, &args.exclude)
        }
    };
    remarks
        .iter()
        .for_each(|line| out::complain(&format!("observer: {}", text::safe(line))));
    if machines.is_empty() {
        return Err(anyhow::anyhow!(
            "no host is named: nothing is written, since all known ones would be gone"
        )
        .into());
    }
    let known = known(client).await?;
    let changes = compare(&known, &machines, source, wall_ns() / 1_000_000);
    write(client, &changes.rows).await?;
    print(&machines, &changes, remarks.len(), source, args.format)?;
    Ok(())
}

fn advised(fault: Fault) -> anyhow::Error {
    let advice = match fault {
        Fault::Denied(_) => "; let the service account list nodes (inventory.yaml of the chart)",
        _ => "",
    };
    anyhow::anyhow!("{fault}{advice}")
}

fn from_file(path: &Path) -> Result<Vec<Machine>, Failure> {
    let name = path.display().to_string();
    let mut text = String::new();
    let read = if name == "-" {
        io::stdin().lock().take(MAX_FILE).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    parse(&name, &text).map_err(Failure::Usage)
}

fn print(
    machines: &[Machine],
    changes: &Changes,
    left_out: usize,
    source: &str,
    format: Format,
) -> io::Result<()> {
    let in_scope = machines
        .iter()
        .filter(|machine| machine.excluded.is_none())
        .count();
    if format == Format::Json {
        return out::print_json(&json!({
            "source": source, "hosts": machines.len(), "in_scope": in_scope, "left_out": left_out,
            "new": changes.new, "changed": changes.changed, "gone": changes.gone, "of_other_sources": changes.of_others,
        }));
    }
    out::print(&format!(
        "{source}: {} hosts, {in_scope} in scope; {} new, {} changed, {} gone, {} of other sources",
        machines.len(),
        changes.new,
        changes.changed,
        changes.gone,
        changes.of_others
    ))
}
