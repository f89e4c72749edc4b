//! Everything a developer runs, one verb each. `cargo xtask --help` lists them.

#![expect(clippy::disallowed_methods, reason = "steps are timed and have limits")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod build;
mod chart;
mod clients;
mod cluster;
mod dashboards;
mod deb;
mod demo;
mod deny;
mod eval;
mod fill;
mod fuzz;
mod http;
mod image;
mod kernels;
mod report;
mod run;
mod sbom;
mod scaling;
mod setup;
mod stage;
mod test;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Everything a developer of Observer runs")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what building, demo and tests need and this machine lacks; nothing twice
    Setup,
    /// Build the kernel programs and the daemon that embeds them
    Build {
        /// Only the kernel programs (.observer/observer-ebpf.o)
        #[arg(long)]
        kernel_only: bool,
    },
    /// Let real clients talk to a local AI endpoint and show what Observer recorded of it (root)
    Demo {
        /// How the result is shown
        #[arg(long, value_enum, default_value = "table")]
        format: demo::Format,
        /// Leave everything running until Ctrl-C
        #[arg(long)]
        keep: bool,
    },
    /// Measure what Observer costs and write it into docs/costs.md (root)
    Bench {
        /// Only this one
        name: Option<bench::Name>,
        /// How long the soak takes
        #[arg(long, default_value_t = 30)]
        minutes: u64,
        /// How the result is shown
        #[arg(long, value_enum, default_value = "table")]
        format: demo::Format,
    },
    /// Format, lints and all tests, live-kernel ones included (root)
    Test {
        /// Only tests whose name contains this; leaves out format and lints
        filter: Option<String>,
        /// Instead: install real AI clients, let each call a local endpoint and write docs/clients.md (root, network, long);
        /// with words only the clients whose names contain one of them
        #[arg(long, num_args = 0.., value_name = "WORD", conflicts_with = "filter")]
        clients: Option<Vec<String>>,
        /// Instead: install the Helm chart on a real cluster of one node made here, and see what becomes of it (root, long)
        #[arg(long, conflicts_with_all = ["filter", "clients"])]
        cluster: bool,
        /// This process is in the namespaces of the node already
        #[arg(long, hide = true, requires = "cluster")]
        inside: bool,
        /// Instead: boot Debian's kernels under QEMU and let the daemon watch a call on each (network for the first time); with
        /// versions only those, such as 6.12 or newest; `quick` is the short form
        #[arg(long, num_args = 0.., value_name = "VERSION", conflicts_with_all = ["filter", "clients"])]
        kernels: Option<Vec<String>>,
        /// How the result of --clients or --kernels is shown
        #[arg(long, value_enum, default_value = "table")]
        format: demo::Format,
    },
    /// Compare what Observer finds in labelled material with the labels
    Eval {
        /// What kind of material
        kind: eval::Kind,
        /// The file, plain or gzip
        path: std::path::PathBuf,
        /// How the result is shown
        #[arg(long, value_enum, default_value = "table")]
        format: demo::Format,
        /// Recordings: real clients send some of them to a local server while the daemon watches (root)
        #[arg(long)]
        live: bool,
    },
    /// Write dashboards/*.json (Grafana) from dashboards/source/*.toml
    Dashboards {
        /// Write nothing; fail where a file is not up to date
        #[arg(long)]
        check: bool,
        /// Also draw each over a made-up month and write pictures (PNG) into this folder (needs chromium)
        #[arg(long, value_name = "DIR", conflicts_with = "check")]
        draw: Option<std::path::PathBuf>,
    },
    /// Render the Helm chart with the real Helm library, validate it against the schemas of Kubernetes and write
    /// deploy/kubernetes/observer.yaml
    Chart,
    /// Fill a store with a made-up month of evidence: 20 hosts, 50 workloads, shadow use, gaps, blind spots
    Fill {
        /// HTTP interface of an empty store; without it an embedded one is started and kept until Ctrl-C
        #[arg(long)]
        url: Option<String>,
    },
    /// Build the container image of deploy/Dockerfile with buildah, and its list of components
    Image(image::Args),
    /// Build the Debian package (cargo-deb), with manual pages and completions
    Deb(deb::Args),
    /// Write what the daemon is made of (CycloneDX)
    Sbom {
        /// Where to
        #[arg(default_value = "deploy/image/observer.cdx.json")]
        out: std::path::PathBuf,
    },
    /// Check licences, sources and known faults of all dependencies (cargo-deny)
    Deny {
        /// Without the list of known faults, which comes from GitHub
        #[arg(long)]
        no_advisories: bool,
    },
    /// Write the table of docs/scaling.md anew, from what docs/costs.md has
    Scaling {
        /// Write nothing; fail where it is not up to date
        #[arg(long)]
        check: bool,
    },
    /// Fuzz the decoders and the pipeline (instrumented; the first build takes minutes)
    Fuzz {
        /// Only this target (tests/fuzz/fuzz_targets)
        target: Option<String>,
        /// How long each target runs
        #[arg(long, default_value_t = 2)]
        minutes: u64,
    },
}

fn main() -> ExitCode {
    match execute(Cli::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Setup => setup::all().map(|()| ExitCode::SUCCESS),
        Verb::Build { kernel_only: true } => build::kernel_object().map(|_| ExitCode::SUCCESS),
        Verb::Build { kernel_only: false } => build::all().map(|()| ExitCode::SUCCESS),
        Verb::Demo { format, keep } => demo::run(format, keep).map(|()| ExitCode::SUCCESS),
        Verb::Bench {
            name,
            minutes,
            format,
        } => bench::run(name, minutes, format).map(|()| ExitCode::SUCCESS),
        Verb::Test {
            clients: Some(words),
            format,
            ..
        } => clients::run(&words, format),
        Verb::Test {
            cluster: true,
            inside,
            ..
        } => cluster::run(inside),
        Verb::Test {
            kernels: Some(versions),
            format,
            ..
        } => kernels::run(&versions, format),
        Verb::Test { filter, .. } => test::run(filter.as_deref()),
        Verb::Eval {
            kind,
            path,
            format,
            live,
        } => eval::run(kind, &path, format, live),
        Verb::Dashboards { check, draw } => {
            dashboards::run(check)?;
            if let Some(out) = draw {
                dashboards::draw::run(&out)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Chart => chart::run().map(|()| ExitCode::SUCCESS),
        Verb::Fill { url } => fill::run(url.as_deref()).map(|()| ExitCode::SUCCESS),
        Verb::Image(args) => image::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Deb(args) => deb::run(&args).map(|()| ExitCode::SUCCESS),
        Verb::Sbom { out } => sbom::run(&out).map(|()| ExitCode::SUCCESS),
        Verb::Deny { no_advisories } => deny::run(no_advisories).map(|()| ExitCode::SUCCESS),
        Verb::Scaling { check } => scaling::run(check).map(|()| ExitCode::SUCCESS),
        Verb::Fuzz { target, minutes } => fuzz::run(target.as_deref(), minutes),
    }
}
