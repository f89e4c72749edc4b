//! `cargo xtask fuzz`: runs the fuzz targets of `tests/fuzz`, each for a limited time, and says what they found.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::run::{cargo, check, output, root, say, step};

const AREA: &str = "fuzz";

/// What libFuzzer needs of the compiler: counters of every edge, and comparisons that it can look into.
const INSTRUMENTED: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

/// Names the folder with recorded traffic, as for the tests.
const SHARED: &str = "OBSERVER_SHARED";

/// Most memory of a target, MiB. A target that needs more has lost a budget somewhere.
const MEMORY_MIB: u32 = 2048;
/// Longest time for one input, s.
const INPUT_SECONDS: u32 = 10;
/// Longest input, bytes.
const INPUT_BYTES: u32 = 64 * 1024;

/// What became of a target.
struct Outcome {
    target: String,
    /// Inputs tried, as libFuzzer says; `None` when it did not come to that.
    runs: Option<u64>,
    seconds: u64,
    /// Inputs that crashed, hung or used too much memory.
    found: Vec<PathBuf>,
    ok: bool,
}

/// Runs one target or all of them, `minutes` each.
pub(crate) fn run(target: Option<&str>, minutes: u64) -> Result<ExitCode> {
    let all = targets()?;
    let wanted: Vec<&String> = all
        .iter()
        .filter(|name| target.is_none_or(|t| t == name.as_str()))
        .collect();
    if wanted.is_empty() {
        bail!("no such target; there are: {}", all.join(", "));
    }
    let compiler = Compiler::ask()?;
    build(target, &compiler)?;
    let mut outcomes = Vec::new();
    for name in wanted {
        say(AREA, &format!("{name}: {minutes} min"));
        outcomes.push(one(name, &compiler.host, minutes)?);
    }
    report(&outcomes)
}

/// Builds one target or all of them, instrumented. Flags that a stable compiler knows and does not offer need `RUSTC_BOOTSTRAP`; so there is no
/// need for a nightly one.
fn build(target: Option<&str>, compiler: &Compiler) -> Result<()> {
    let mut flags = INSTRUMENTED.to_vec();
    if compiler.has_address_sanitizer {
        flags.push("-Zsanitizer=address");
    } else {
        say(
            AREA,
            "without the address sanitizer: this compiler has no runtime of it",
        );
    }
    let mut command = cargo();
    // With a target named, build scripts and macros stay as they are.
    command
        .current_dir(folder())
        .args(["build", "--release", "--locked", "--target", &compiler.host])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CARGO_TARGET_DIR", folder().join("target"));
    match target {
        Some(target) => command.args(["--bin", target]),
        None => command.arg("--bins"),
    };
    step(
        AREA,
        "fuzz targets, instrumented (minutes, the first time)",
        || check(&mut command),
    )
}

/// What the compiler says of itself.
struct Compiler {
    /// The target that it compiles for.
    host: String,
    has_address_sanitizer: bool,
}

impl Compiler {
    fn ask() -> Result<Self> {
        let rustc = || Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let said = output(rustc().arg("-vV")).context("cannot ask rustc for its version")?;
        let host = said.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.context("rustc -vV names no host")?.to_owned();
        let libraries =
            output(rustc().args(["--print", "target-libdir"])).context("rustc names no target-libdir")?;
        let files = fs::read_dir(libraries.trim()).context("the libraries of rustc cannot be listed")?;
        let has_address_sanitizer = files
            .filter_map(Result::ok)
            .any(|file| file.file_name().to_string_lossy().ends_with("_rt.asan.a"));
        Ok(Self {
            host,
            has_address_sanitizer,
        })
    }
}

fn folder() -> PathBuf {
    root().join("tests/fuzz")
}

/// Names of the targets: one file each.
fn targets() -> Result<Vec<String>> {
    let sources = folder().join("fuzz_targets");
    let entries = fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "rs"))
        .filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn one(target: &str, host: &str, minutes: u64) -> Result<Outcome> {
    let corpus = folder().join("corpus").join(target);
    for dir in [&corpus, &folder().join("artifacts").join(target)] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let before = artifacts(target);
    let log_file = folder().join("target").join(format!("{target}.log"));
    let start = Instant::now();
    let status = command(target, host, minutes)
        .arg(&corpus)
        // The target writes its first inputs here itself, from the same code that makes its scripts.
        .env("OBSERVER_FUZZ_SEEDS", &corpus)
        .env(SHARED, shared())
        // One scanner and its scratch memory are leaked on purpose, see `sensitive::engine`.
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log(&log_file)?)
        .status()
        .context("cannot start the target")?;
    let text = String::from_utf8_lossy(&fs::read(&log_file).unwrap_or_default()).into_owned();
    let found: Vec<PathBuf> = artifacts(target)
        .into_iter()
        .filter(|path| !before.contains(path))
        .collect();
    let ok = status.success() && found.is_empty();
    if !ok {
        say(AREA, &format!("{target}: failed, see {}", log_file.display()));
    }
    Ok(Outcome {
        target: target.to_owned(),
        runs: runs(&text),
        seconds: start.elapsed().as_secs(),
        found,
        ok,
    })
}

/// Where recorded traffic stands, of which some targets take seeds; it need not be there.
fn shared() -> OsString {
    std::env::var_os(SHARED).unwrap_or_else(|| root().join("../shared").into())
}

fn log(path: &PathBuf) -> Result<fs::File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    fs::File::create(path).with_context(|| format!("cannot make {}", path.display()))
}

fn command(target: &str, host: &str, minutes: u64) -> Command {
    let mut prefix = folder().join("artifacts").join(target).into_os_string();
    prefix.push("/");
    let mut keep = OsString::from("-artifact_prefix=");
    keep.push(prefix);
    let mut command = Command::new(folder().join("target").join(host).join("release").join(target));
    command
        .current_dir(root())
        .arg(keep)
        .arg(format!("-max_total_time={}", minutes * 60))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-max_len={INPUT_BYTES}"))
        .arg("-print_final_stats=1")
        .arg("-detect_leaks=0");
    command
}

/// Inputs kept because something went wrong with them.
fn artifacts(target: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder().join("artifacts").join(target)) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The number of inputs that libFuzzer says it tried.
fn runs(log: &str) -> Option<u64> {
    let line = log
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

fn report(outcomes: &[Outcome]) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for outcome in outcomes {
        let runs = outcome
            .runs
            .map_or_else(|| "unknown".to_owned(), |runs| runs.to_string());
        let result = if outcome.ok { "ok" } else { "FAILED" };
        writeln!(
            out,
            "{:<12} {result:<7} {runs:>10} inputs in {} s",
            outcome.target, outcome.seconds
        )?;
        for path in &outcome.found {
            writeln!(out, "             {}", path.display())?;
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.ok).count();
    writeln!(out, "{} targets, {failed} failed", outcomes.len())?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_a_program_of_the_crate() {
        let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("manifest");
        let targets = targets().expect("targets");
        assert!(targets.len() > 10);
        for target in &targets {
            assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
    }

    #[test]
    fn the_number_of_inputs_is_read_from_the_log() {
        let log = "INFO: seed\nstat::number_of_executed_units: 1234\nstat::peak_rss_mb: 5\n";
        assert_eq!(runs(log), Some(1234));
        assert_eq!(runs("error: could not compile"), None);
    }
}
