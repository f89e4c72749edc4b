//! Live kernel: probes of files that no process maps any more.

use anyhow::Result;
use observer_tests::harness::{Host, Options, curl_libssl, live, until, usage};

/// Distinct files.
const FILES: usize = 20;

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
            std::fs::copy(curl_libssl()?.1, &path)?;
            Ok(path)
        })
        .collect::<Result<Vec<_>>>()?;
    let probes = || anyhow::Ok(usage::descriptors(daemon)?.probes);
    let before = probes()?;
    let mut holder = host.python("maps.py").args(&paths).start()?;
    holder.wait_for_line("ready")?;
    until("all files are attached to", || Ok(probes()? >= before + FILES))?;
    let with = probes()?;
    for path in &paths {
        std::fs::remove_file(path)?;
    }
    holder.finish()?;
    until("the files are let go", || Ok(probes()? <= before))?;
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
