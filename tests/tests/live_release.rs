//! Live kernel: probes of files that no process maps any more.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use observer_tests::harness::{Host, Options, live, until};

/// Distinct files.
const FILES: usize = 20;

/// Descriptors of the daemon, and those of them that hold a program in place.
fn descriptors(pid: u32) -> Result<(usize, usize)> {
    let all: Vec<PathBuf> = std::fs::read_dir(format!("/proc/{pid}/fd"))?
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .collect();
    let holds = |target: &&PathBuf| {
        let target = target.to_string_lossy();
        ["bpf_link", "bpf-link", "perf_event"]
            .iter()
            .any(|kind| target.contains(kind))
    };
    Ok((all.len(), all.iter().filter(holds).count()))
}

/// The libssl that curl loads.
fn libssl() -> Result<PathBuf> {
    let output = Command::new("sh")
        .args(["-c", "ldd \"$(command -v curl)\""])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text
        .split_whitespace()
        .find(|word| word.starts_with('/') && word.contains("libssl"));
    found.map(PathBuf::from).context("curl has no libssl")
}

#[test]
fn a_deleted_library_that_nobody_maps_is_let_go() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    let daemon = host.daemon()?.pid();
    host.curl_chat("api.openai.com", "gpt-4o-before", "hi").run()?;
    host.wait_for_interactions(1)?;
    let paths = (0..FILES)
        .map(|n| {
            let path = host.dir().join(format!("libssl-{n}.so"));
            std::fs::copy(libssl()?, &path)?;
            Ok(path)
        })
        .collect::<Result<Vec<_>>>()?;
    let (_, before) = descriptors(daemon)?;
    let mut holder = host.python("maps.py").args(&paths).start()?;
    holder.wait_for_line("ready")?;
    until("all files are attached to", || {
        Ok(descriptors(daemon)?.1 >= before + FILES)
    })?;
    let (_, with) = descriptors(daemon)?;
    for path in &paths {
        std::fs::remove_file(path)?;
    }
    holder.finish()?;
    until("the files are let go", || Ok(descriptors(daemon)?.1 <= before))?;
    println!("{before} places before, {with} with {FILES} more files");
    host.curl_chat("api.openai.com", "gpt-4o-after", "hi").run()?;
    let record = host.finish(2)?;
    assert_eq!(record.interactions.len(), 2);
    assert!(
        record
            .interactions
            .iter()
            .all(|row| row["visibility"] == "decoded")
    );
    record.balanced_books()?;
    Ok(())
}
