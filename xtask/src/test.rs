//! `cargo xtask test`: format, lints and all tests, live-kernel ones included, and one closing summary.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::run::{cargo, check, in_ci, say, step};
use crate::{build, deny, kernels, setup};

const AREA: &str = "test";

/// What a skipped test prints, with its reason behind it.
const SKIP: &str = "SKIP: ";

/// Sums of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    /// Reasons of skips, with their number.
    reasons: BTreeMap<String, u64>,
}

/// Runs everything; a test filter leaves out format and lints.
pub(crate) fn run(filter: Option<&str>) -> Result<ExitCode> {
    setup::all()?;
    build::all()?;
    let mut tally = Tally::default();
    if filter.is_none() {
        tally.gate("cargo fmt --check", cargo().args(["fmt", "--all", "--check"]));
        tally.gate(
            "cargo clippy",
            with_object(cargo().args(["clippy", "--all-targets", "--", "-D", "warnings"])),
        );
    }
    if filter.is_none() {
        tally.gate(
            "licences and sources of all dependencies",
            &mut deny::without_faults()?,
        );
    }
    step(AREA, "cargo test", || run_tests(filter, &mut tally))?;
    if filter.is_none() {
        tally.kernels();
    }
    let in_ci = in_ci();
    tally.judge_skips(in_ci);
    tally.print()?;
    Ok(if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The same environment as the build's, so that nothing is built twice.
fn with_object(command: &mut Command) -> &mut Command {
    command.env("OBSERVER_EBPF_OBJECT", build::object_file())
}

fn run_tests(filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    let mut command = cargo();
    with_object(&mut command)
        .args(["test", "--no-fail-fast"])
        .args(filter)
        .args(["--", "--show-output"])
        // Live-kernel tests run only when they are told to, so that plain `cargo test` needs no privilege.
        .env("OBSERVER_LIVE", "1")
        .env("OBSERVER_BIN", build::daemon())
        .env("OBSERVER_CHDB", setup::chdb_library())
        .env("OBSERVER_PYTHON", setup::client_python())
        .env("OBSERVER_NODE_MODULES", setup::client_node_modules());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo test")?;
    let failed_before = tally.failed;
    if let Some(stdout) = child.stdout.take() {
        let mut reader = Reader::default();
        for line in BufReader::new(stdout).split(b'\n') {
            let line = String::from_utf8_lossy(&line.context("cannot read cargo's output")?).into_owned();
            if reader.take(&line, tally) {
                eprintln!("{line}");
            }
        }
    }
    let status = child.wait().context("cannot wait for cargo test")?;
    if !status.success() && tally.failed == failed_before {
        // It did not come to a result: a test did not compile, or a test binary died.
        tally.failed += 1;
        say(
            AREA,
            &format!("cargo test ended with {status} without naming a failed test"),
        );
    }
    Ok(())
}

/// Reads libtest's output line by line.
#[derive(Debug, Default)]
struct Reader {
    /// Inside the output of tests that passed, which is only read for skips.
    in_successes: bool,
    /// Skips since the last result.
    skips: u64,
}

impl Reader {
    /// Takes a line into the tally; whether it is worth showing.
    fn take(&mut self, line: &str, tally: &mut Tally) -> bool {
        if let Some(reason) = line.strip_prefix(SKIP) {
            self.skips += 1;
            tally.skip(reason);
            return false;
        }
        if line.starts_with("test result:") {
            self.in_successes = false;
            // A skipped test returns in good order, so libtest counts it as passed.
            tally.passed += number_before(line, " passed").saturating_sub(std::mem::take(&mut self.skips));
            tally.failed += number_before(line, " failed");
            let ignored = number_before(line, " ignored");
            if ignored > 0 {
                tally.skipped += ignored;
                *tally.reasons.entry("marked as ignored".to_owned()).or_default() += ignored;
            }
            return true;
        }
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ => {}
        }
        !self.in_successes
    }
}

fn number_before(line: &str, word: &str) -> u64 {
    line.split(word)
        .next()
        .and_then(|before| before.rsplit(|c: char| !c.is_ascii_digit()).next())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

impl Tally {
    fn gate(&mut self, name: &str, command: &mut Command) {
        match step(AREA, name, || check(command)) {
            Ok(()) => self.passed += 1,
            Err(error) => {
                say(AREA, &format!("{error:#}"));
                self.failed += 1;
            }
        }
    }

    /// Other kernels than this machine's, two of them.
    fn kernels(&mut self) {
        match kernels::missing_program() {
            None => self.note(
                "kernels 6.1 and 6.12 under QEMU",
                step(AREA, "kernels", kernels::quick),
            ),
            Some(program) => self.skip(&format!("other kernels: {program} is not installed")),
        }
    }

    fn skip(&mut self, reason: &str) {
        self.skipped += 1;
        *self.reasons.entry(reason.to_owned()).or_default() += 1;
    }

    /// On a CI machine everything that tests need is there, apart from `../shared`: any other skip is a failure.
    fn judge_skips(&mut self, in_ci: bool) {
        if !in_ci {
            return;
        }
        for (reason, count) in &self.reasons {
            if !reason.contains("../shared") {
                say(AREA, &format!("not allowed in CI: {count} skipped: {reason}"));
                self.failed += count;
                self.skipped = self.skipped.saturating_sub(*count);
            }
        }
    }

    /// Takes the result of one check, and tells it.
    pub(crate) fn note(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                say(AREA, &format!("passed: {name}"));
            }
            Err(error) => {
                self.failed += 1;
                say(AREA, &format!("FAILED: {name}: {error:#}"));
            }
        }
    }

    /// Whether anything failed.
    pub(crate) fn failed(&self) -> bool {
        self.failed > 0
    }

    pub(crate) fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        for (reason, count) in &self.reasons {
            writeln!(out, "skipped {count}: {reason}")?;
        }
        writeln!(
            out,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally_of(text: &str) -> Tally {
        let mut tally = Tally::default();
        let mut reader = Reader::default();
        text.lines().for_each(|line| {
            reader.take(line, &mut tally);
        });
        tally
    }

    #[test]
    fn results_of_all_binaries_are_added() {
        let tally = tally_of(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
             test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        );
        assert_eq!((tally.passed, tally.failed, tally.skipped), (15, 2, 1));
    }

    #[test]
    fn a_skipped_test_did_not_pass() {
        let tally = tally_of(
            "successes:\n\n---- a stdout ----\nSKIP: no root\n\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured",
        );
        // The reason comes before the result that counts the test as passed.
        assert_eq!((tally.passed, tally.skipped), (1, 1));
        assert_eq!(tally.reasons["no root"], 1);
    }

    #[test]
    fn in_ci_only_shared_may_be_missing() {
        let mut tally = Tally {
            passed: 1,
            skipped: 2,
            ..Tally::default()
        };
        tally.reasons.insert("../shared/data is not there".to_owned(), 1);
        tally.reasons.insert("no root".to_owned(), 1);
        tally.judge_skips(false);
        assert_eq!((tally.failed, tally.skipped), (0, 2));
        tally.judge_skips(true);
        assert_eq!((tally.failed, tally.skipped), (1, 1));
    }

    #[test]
    fn output_of_passed_tests_is_hidden() {
        let mut reader = Reader::default();
        let mut tally = Tally::default();
        assert!(reader.take("running 2 tests", &mut tally));
        assert!(!reader.take("successes:", &mut tally));
        assert!(!reader.take("some noise", &mut tally));
        assert!(reader.take("failures:", &mut tally));
        assert!(reader.take("thread panicked", &mut tally));
    }
}
