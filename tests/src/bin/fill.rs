//! Fills a store with a made-up month of evidence; `cargo xtask fill` runs it.

use std::process::ExitCode;

use clap::Parser;
use observer::kernel::clock::wall_ns;
use observer::store::{Client, StoreTarget, migrate};
use observer_tests::month::{self, Plan};

/// In nanoseconds.
const TEN_MINUTES: i64 = 600 * 1_000_000_000;

/// Fill an empty ClickHouse database with a made-up month of evidence
#[derive(Parser)]
struct Cli {
    /// HTTP interface of the store
    #[arg(long, default_value = "http://127.0.0.1:8123")]
    url: String,
    /// Database; it is made where it is missing and must hold no evidence
    #[arg(long, default_value = "ai_evidence")]
    database: String,
    /// Days until now
    #[arg(long, default_value_t = 30)]
    days: i64,
    /// Hosts
    #[arg(long, default_value_t = 20)]
    hosts: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fill: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let client = Client::new(&StoreTarget {
        url: cli.url,
        database: cli.database,
        user: std::env::var("OBSERVER_STORE_USER").unwrap_or_default(),
        password: std::env::var("OBSERVER_STORE_PASSWORD").unwrap_or_default(),
        ca_file: None,
    })?;
    migrate(&client).await?;
    if client.rows::<u64>("SELECT count() FROM evidence_seals").await? != [0] {
        anyhow::bail!("the database holds evidence; a made-up month is not mixed with it");
    }
    // Intervals end at full ten minutes.
    let end = wall_ns() / TEN_MINUTES * TEN_MINUTES;
    let plan = Plan {
        hosts: cli.hosts,
        days: cli.days,
        ..Plan::month(end)
    };
    let filled = month::fill(&client, &plan, &mut |done| {
        eprintln!("host {done} of {}", plan.hosts);
    })
    .await?;
    eprintln!(
        "{} exchanges, {} findings, {} connections, {} seals",
        filled.interactions, filled.findings, filled.connections, filled.seals
    );
    Ok(())
}
