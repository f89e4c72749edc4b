//! The daemon's judgement of its configuration. Needs no privilege: nothing is started.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use observer_tests::harness::{daemon, skip};

/// Runs the daemon with this text as its configuration. `None`, counted as a skip, when it is not built.
fn run_with(dir: &Path, text: &str) -> Result<Option<Output>> {
    if !daemon().exists() {
        skip("the daemon is not built: cargo xtask build");
        return Ok(None);
    }
    let file = dir.join("observer.yaml");
    std::fs::write(&file, text)?;
    Command::new(daemon())
        .args(["run", "--config"])
        .arg(&file)
        .output()
        .map(Some)
        .context("cannot start the daemon")
}

#[test]
fn what_was_found_is_the_answer_also_when_nobody_reads_the_rest() -> Result<()> {
    if !daemon().exists() {
        skip("the daemon is not built: cargo xtask build");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("notes.txt");
    std::fs::write(&file, format!("AKIA{}\n", "Q3EGR7SM2XKD5WZT"))?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let status = Command::new(daemon())
        .args(["scan", "--exit-code"])
        .arg(&file)
        .stdout(writer)
        .status()?;
    assert_eq!(status.code(), Some(1));
    Ok(())
}

#[test]
fn every_error_is_told_at_once_and_nothing_is_started() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let state = dir.path().join("state");
    let text = format!(
        "state_dir: {}\nrun_dir: {}\nstroe:\n  url: http://127.0.0.1:1\nstore:\n  batch_rows: many\nlog:\n  level: loud\n",
        state.display(),
        dir.path().join("run").display()
    );
    let Some(output) = run_with(dir.path(), &text)? else {
        return Ok(());
    };
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    for (number, word) in [(3, "stroe"), (6, "batch_rows"), (8, "level")] {
        let place = format!("observer.yaml:{number}");
        let told = errors
            .lines()
            .any(|line| line.contains(&place) && line.contains(word));
        assert!(told, "no error names {place} and {word}:\n{errors}");
    }
    for allowed in ["debug", "info", "warn"] {
        assert!(
            errors.contains(allowed),
            "the allowed levels are not told:\n{errors}"
        );
    }
    assert!(!state.exists(), "it began to work");
    Ok(())
}

#[test]
fn what_is_not_yaml_is_one_error() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let Some(output) = run_with(dir.path(), "store: [unclosed\n")? else {
        return Ok(());
    };
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("observer.yaml"), "{errors}");
    Ok(())
}

#[test]
fn an_error_in_the_policy_is_told_with_its_place() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let policy = dir.path().join("policy.yaml");
    std::fs::write(
        &policy,
        "version: v1\ndefault: unknown\nrules:\n  - id: a\n    verdict: allowed\n",
    )?;
    let Some(output) = run_with(dir.path(), &format!("policy:\n  file: {}\n", policy.display()))? else {
        return Ok(());
    };
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors
            .lines()
            .any(|line| line.contains("policy.yaml:5") && line.contains("verdict")),
        "{errors}"
    );
    assert!(
        errors.contains("sanctioned"),
        "the allowed verdicts are not told:\n{errors}"
    );
    Ok(())
}
