//! Everything a developer runs, one verb each. `cargo xtask --help` lists them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod build;
mod run;
mod setup;

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
        Verb::Build { kernel_only: false } => build::all().map(|_| ExitCode::SUCCESS),
    }
}
