//! `observer doctor`: can Observer work here, and what is missing. Looks and changes nothing that stays.

mod checks;
mod cluster;
mod processes;
mod rights;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use serde_json::json;
use tokio::time::Instant;

use super::{Failure, Format, log, out, setup, target};
use crate::{
    config::{Config, EnforcementMode, Log, LogFormat, LogLevel},
    kernel::{
        discover::Discovery,
        known::KnownFiles,
        load::{self, LoadOptions},
    },
    report::{
        table::{Tone, Value, left, render, toned},
        text,
    },
    spool::room,
    store::{Client, embedded::find_library, wait_until},
};
use checks::{Check, State, failure, ok, warning};

/// How long the store may take to answer.
const STORE_ANSWERS: Duration = Duration::from_secs(5);

const AFTER_HELP: &str = "\
Loads the kernel programs, attaches them to the TLS libraries of this host and detaches them again; it can be run
beside a running Observer. Run it as the user who is to run Observer.

Examples:
  observer doctor
  observer doctor --processes
  observer doctor --config observer.yaml --format json | jq '.checks[] | select(.state != \"ok\")'

Exit codes: 0 no failure (warnings are none), 1 a failure, 2 wrong configuration.";

/// Check whether Observer can work on this host, and what to do where it cannot.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Form of the report.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// List every process with a TLS stack, or a file that may have one, instead: whether it can be read, and why not. Attaches to nothing.
    #[arg(long)]
    processes: bool,
    /// Configuration file: its store and directories are checked.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    if args.processes {
        return processes::run(args.format);
    }
    // What goes wrong is in the report.
    log::start(Log {
        level: LogLevel::Error,
        format: LogFormat::Text,
    });
    let loaded = setup::load(args.config.as_deref()).map_err(|problems| Failure::problems(&problems))?;
    let config = loaded.config;
    let mut report = host_checks();
    report.extend(kernel_checks(&config));
    report.extend(rights::checks(&config));
    report.push(store_check(&config)?);
    report.extend(cluster::check(&config.kubernetes)?);
    report.push(directory_check("state_dir", &config.state_dir));
    report.push(directory_check("spool.dir", &config.spool.directory));
    report.push(checks::spool(&config.spool, room(&config.spool.directory)));
    report.push(directory_check("run_dir", &config.run_dir));
    report.push(checks::rules(loaded.rules.list().len(), loaded.rules.left_out()));
    match args.format {
        Format::Table => out::print(&table(&report))?,
        Format::Json => out::print_json(&as_json(&report))?,
    }
    let failed = report.iter().any(|check| check.state == State::Failure);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn host_checks() -> Vec<Check> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mountinfo = read("/proc/self/mountinfo");
    let btf = fs::read("/sys/kernel/btf/vmlinux").map_err(|error| error.to_string());
    let namespace = fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .map_err(|error| error.to_string());
    vec![
        checks::kernel(&rustix::system::uname().release().to_string_lossy()),
        checks::btf(btf.as_deref().map_err(Clone::clone)),
        checks::capabilities(&read("/proc/self/status")),
        checks::pid_namespace(namespace.as_deref().map_err(Clone::clone)),
        checks::cgroup_v2(&mountinfo),
        checks::tracefs(&mountinfo),
    ]
}

/// Loads and attaches everything as the daemon does, and lets it go.
fn kernel_checks(config: &Config) -> Vec<Check> {
    let options = LoadOptions {
        // Put in place for a moment, with empty tables.
        enforcement: config.enforcement.mode != EnforcementMode::Off,
        ..LoadOptions::new(&config.capture, Vec::new())
    };
    let loaded = match load::load(&options) {
        Ok(loaded) => loaded,
        Err(error) => {
            return vec![failure(
                "kernel programs",
                error.to_string(),
                "see docs/operations.md, Requirements",
            )];
        }
    };
    let loaded_as = format!("loaded; function probes on {}", loaded.programs.means());
    let mut report = vec![ok("kernel programs", loaded_as)];
    report.extend(
        loaded
            .programs
            .refused()
            .iter()
            .map(|(name, reason)| checks::refused(name, reason)),
    );
    report.extend(
        loaded
            .host_probes
            .iter()
            .map(|(probe, state)| checks::host_probe(probe, state)),
    );
    report.push(checks::socket_calls(loaded.socket_tracepoints));
    let (discovery, thread) = match Discovery::start(loaded.programs, KnownFiles::default(), None) {
        Ok(started) => started,
        Err(error) => {
            report.push(failure(
                "TLS libraries",
                error.to_string(),
                "a thread could not be started",
            ));
            return report;
        }
    };
    let mut files: Vec<Check> =
        discovery.with_inventory(|found| found.tls_files().map(checks::tls_file).collect());
    files.sort_by(|a, b| a.name.cmp(&b.name));
    report.push(checks::tls_files(files.len()));
    report.extend(files);
    // The thread ends with its last request line and takes the programs with it.
    drop(discovery);
    if thread.join().is_err() {
        report.push(warning(
            "detaching",
            "the discovery thread panicked",
            "please report this",
        ));
    }
    report
}

fn store_check(config: &Config) -> anyhow::Result<Check> {
    const NAME: &str = "store";
    let Some(url) = &config.store.url else {
        return Ok(match find_library(config.store.embedded.library.as_deref()) {
            Ok(path) => ok(NAME, format!("embedded, {}", path.display())),
            Err(error) => failure(NAME, "embedded", error.to_string()),
        });
    };
    let shown = text::safe(url);
    let client = match target::of(config).and_then(|target| Ok(Client::new(&target)?)) {
        Ok(client) => client,
        Err(error) => return Ok(failure(NAME, shown, format!("{error:#}"))),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async { wait_until(&client, Instant::now() + STORE_ANSWERS).await });
    Ok(match answer {
        Ok(()) => ok(NAME, format!("{shown} answers")),
        Err(error) => failure(NAME, shown, format!("{}: {error}", error.kind.name())),
    })
}

fn directory_check(name: &str, path: &Path) -> Check {
    let nearest = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."));
    let writable = accessat(CWD, nearest, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok();
    checks::directory(
        name,
        &path.display().to_string(),
        path.is_dir(),
        writable && nearest.is_dir(),
    )
}

fn tone(state: State) -> Tone {
    match state {
        State::Ok => Tone::Good,
        State::Warning => Tone::Warn,
        State::Failure => Tone::Bad,
    }
}

fn table(report: &[Check]) -> String {
    let values = |check: &Check| -> Vec<Value> {
        let found = match check.advice.as_str() {
            "" => check.found.clone(),
            advice => format!("{}; {advice}", check.found.lines().next().unwrap_or_default()),
        };
        vec![
            toned(check.state.name(), tone(check.state)),
            check.name.as_str().into(),
            found.into(),
        ]
    };
    let rows: Vec<Vec<Value>> = report.iter().map(values).collect();
    let count = |state: State| report.iter().filter(|check| check.state == state).count();
    format!(
        "{}\n{}, {}\n",
        render(
            &[left("state"), left("what"), left("found, and what to do")],
            &rows
        ),
        text::plural(count(State::Failure), "failure"),
        text::plural(count(State::Warning), "warning"),
    )
}

fn as_json(report: &[Check]) -> serde_json::Value {
    let one = |check: &Check| json!({"state": check.state.name(), "name": check.name, "found": check.found, "advice": check.advice});
    json!({
        "ok": report.iter().all(|check| check.state != State::Failure),
        "checks": report.iter().map(one).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_and_says_what_to_do() {
        let report = [
            ok("a", "fine"),
            warning("b", "odd", "look"),
            failure("c", "bad", "mend"),
        ];
        let text = table(&report);
        assert!(
            text.contains("odd; look") && text.ends_with("1 failure, 1 warning\n"),
            "{text}"
        );
        assert_eq!(as_json(&report)["ok"], false);
        assert_eq!(as_json(&report[..2])["ok"], true);
    }

    #[test]
    fn a_directory_that_does_not_exist_is_judged_by_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            directory_check("state_dir", &dir.path().join("a/b")).state,
            State::Ok
        );
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(
            directory_check("state_dir", &file.join("x")).state,
            State::Failure
        );
    }
}
