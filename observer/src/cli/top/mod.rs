//! `observer top`: a live look at what a running Observer stores and counts.

mod metrics;
mod poll;
mod view;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, time::Duration};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::watch;

use super::{Failure, log, out, setup, target};
use crate::{report::rows, store::Client};
use poll::{Poller, Seen};

/// How often store and metrics are asked.
const REFRESH: Duration = Duration::from_secs(1);
/// How long the terminal waits for a key before it is drawn again.
const KEY_WAIT: Duration = Duration::from_millis(200);

const AFTER_HELP: &str = "\
Reads the store and the metrics of a running `observer run`; it needs no privilege of its own. Keys: q quits.

Examples:
  observer top
  observer top --once                    one table, without a terminal
  observer top --config observer.yaml    the store that is configured there";

/// Watch the newest AI interactions of this host.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Address of the store [default: that of the configuration, http://127.0.0.1:8123 without one].
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Address of the metrics [default: that of the configuration, http://127.0.0.1:9464 without one].
    #[arg(long, value_name = "URL")]
    metrics: Option<String>,
    /// Print one table and end.
    #[arg(long)]
    once: bool,
    /// Rows to show at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rows: u16,
    /// Configuration file: its store and metrics are read.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    if !args.once && !std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "observer top needs a terminal; `--once` prints one table",
        ));
    }
    let poller = poller(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    if args.once {
        return once(&runtime.block_on(poller.look()));
    }
    let (tell, seen) = watch::channel(Seen::default());
    runtime.spawn(async move {
        loop {
            if tell.send(poller.look().await).is_err() {
                return;
            }
            tokio::time::sleep(REFRESH).await;
        }
    });
    let mut terminal = ratatui::try_init()?;
    let ended = watch_keys(&mut terminal, &seen);
    ratatui::try_restore()?;
    runtime.shutdown_background();
    ended?;
    Ok(ExitCode::SUCCESS)
}

fn poller(args: &Args) -> Result<Poller, Failure> {
    let config = setup::load(args.config.as_deref())
        .map_err(|problems| Failure::problems(&problems))?
        .config;
    let mut target = target::of(&config)?;
    if let Some(url) = &args.url {
        target.url.clone_from(url);
    }
    let client = Client::new(&target).map_err(|error| Failure::usage(error.to_string()))?;
    let from_config = config.metrics_listen.map(|address| format!("http://{address}"));
    let metrics = args.metrics.clone().or(from_config);
    Ok(Poller::new(client, metrics.as_deref(), args.rows))
}

fn once(seen: &Seen) -> Result<ExitCode, Failure> {
    if let Some(problem) = &seen.metrics_problem {
        out::complain(&format!("metrics: {problem}"));
    }
    if let Some(problem) = &seen.store_problem {
        return Err(anyhow::anyhow!("store: {problem}").into());
    }
    let counters = view::counters(seen)
        .map(|line| format!("\n{line}\n"))
        .unwrap_or_default();
    out::print(&format!("{}{counters}", rows::interactions(&seen.lines)))?;
    Ok(ExitCode::SUCCESS)
}

fn watch_keys(terminal: &mut ratatui::DefaultTerminal, seen: &watch::Receiver<Seen>) -> std::io::Result<()> {
    loop {
        let now = seen.borrow().clone();
        terminal.draw(|frame| view::draw(frame, &now))?;
        if event::poll(KEY_WAIT)? && is_quit(&event::read()?) {
            return Ok(());
        }
    }
}

fn is_quit(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || control_c)
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn q_and_control_c_quit_and_nothing_else() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        assert!(is_quit(&key(KeyCode::Char('q'), KeyModifiers::NONE)));
        assert!(is_quit(&key(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(!is_quit(&key(KeyCode::Char('c'), KeyModifiers::NONE)));
        assert!(!is_quit(&Event::Resize(1, 1)));
    }
}
