//! Live kernel: values of every kind in prompts; afterwards nothing that the daemon wrote holds one of them, in whatever spelling.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::Duration;

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use observer::sensitive::rules::expand_example;
use observer::sensitive::{Engine, Rules, scan_text};
use observer_tests::harness::{DATABASE, Fault, Host, Options, live};
use observer_tests::random::Random;

/// Values that are planted (issue 5), and values in one prompt.
const VALUES: usize = 2_000;
const TOGETHER: usize = 250;
/// Shortest value that is looked for: a shorter one may stand somewhere by chance.
const TELLING: usize = 10;

/// Texts with values in them, as the rules' own examples are made, and these values.
#[derive(Default)]
struct Planted {
    texts: Vec<String>,
    values: Vec<String>,
    classes: BTreeSet<&'static str>,
}

fn planted() -> Result<Planted> {
    let rules = Rules::builtin().map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let engine = Engine::new(&rules)?;
    let (mut random, mut known, mut all) = (Random::new(2_000), HashSet::new(), Planted::default());
    // Again and again with other letters, until there are enough.
    for _ in 0..8 {
        for template in rules.list().iter().flat_map(|rule| &rule.examples) {
            let text = filled(template, &mut random);
            let found = scan_text(&engine, [text.as_bytes()]).findings;
            let before = all.values.len();
            for finding in found.iter().filter(|finding| !finding.documented_example) {
                let start = usize::try_from(finding.start)?;
                let value = text.get(start..start + finding.bytes as usize);
                let Some(value) = value.filter(|value| tells(value) && known.insert((*value).to_owned()))
                else {
                    continue;
                };
                all.classes.insert(finding.class.name());
                all.values.push(value.to_owned());
            }
            if all.values.len() > before {
                all.texts.push(text);
            }
            if all.values.len() >= VALUES {
                return Ok(all);
            }
        }
    }
    anyhow::bail!("only {} values", all.values.len())
}

/// Long enough, and not a piece of a digest or a number that may stand anywhere.
fn tells(value: &str) -> bool {
    let is_digest = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    value.len() >= TELLING && (!is_digest || value.len() >= 16)
}

/// As [`expand_example`], with other letters each time.
fn filled(template: &str, random: &mut Random) -> String {
    let mut pieces = template.split('<');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece
            .split_once('>')
            .and_then(|(inside, rest)| Some((letters(inside, random)?, rest)))
        {
            Some((letters, rest)) => text.extend([&letters, rest]),
            None => text.extend(["<", piece]),
        }
    }
    text
}

fn letters(inside: &str, random: &mut Random) -> Option<String> {
    let template = format!("<{inside}>");
    let fixed = expand_example(&template);
    let (class, _) = inside.split_once(':')?;
    if fixed == template {
        return None;
    }
    // Those with a checksum, and those with a form, stay as they are.
    if ["uuid", "wif", "xprv", "stellar", "nsec"].contains(&class) {
        return Some(fixed);
    }
    let alphabet = expand_example(&format!("<{class}:256>")).into_bytes();
    Some(
        fixed
            .chars()
            .map(|_| char::from(alphabet[random.below(alphabet.len())]))
            .collect(),
    )
}

/// The value as it stands, in base64 (three ways, by what stands before it), percent-encoded, and as in a JSON string.
fn spellings(value: &str) -> Result<Vec<Vec<u8>>> {
    let mut all = vec![value.as_bytes().to_vec()];
    for shift in 0..3 {
        let padded = [&vec![0; shift], value.as_bytes()].concat();
        // Letters that hold no bit of what stands before or behind.
        let (first, last) = ((shift * 8).div_ceil(6), padded.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            all.push(encoded.as_bytes()[first..last].to_vec());
        }
    }
    let percent = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    all.push(value.bytes().map(percent).collect::<String>().into_bytes());
    let json = serde_json::to_string(value)?;
    all.push(json.trim_matches('"').as_bytes().to_vec());
    Ok(all)
}

/// A prompt for each so many texts.
fn prompts(texts: &[String], dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for (number, texts) in texts.chunks(TOGETHER).enumerate() {
        let file = dir.join(format!("{number}.txt"));
        // A line apart, so that no word of one text stands near the value of another.
        std::fs::write(&file, texts.join(&format!("\n{}\n", ". ".repeat(100))))?;
        files.push(file);
    }
    Ok(files)
}

fn send(host: &Host, files: &[std::path::PathBuf]) -> Result<()> {
    for file in files {
        host.python("openai_chat.py")
            .arg("--prompt-file")
            .arg(file)
            .run()?;
    }
    Ok(())
}

/// Everything below a folder of the daemon.
fn files(folder: &Path, out: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, out)?;
        } else if let Ok(bytes) = std::fs::read(&path) {
            // A socket, or a file that is gone by now, holds nothing.
            out.push((path.display().to_string(), bytes));
        }
    }
    Ok(())
}

fn tables(host: &Host) -> Result<Vec<(String, Vec<u8>)>> {
    let store = host.store.as_ref().context("no store")?;
    let names = store.query(&format!(
        "SELECT name FROM system.tables WHERE database = '{DATABASE}' AND engine NOT LIKE '%View'"
    ))?;
    let mut all = Vec::new();
    for name in names.iter().filter_map(|row| row["name"].as_str()) {
        let rows = host.rows(name, "tuple()")?;
        all.push((name.to_owned(), serde_json::to_vec(&rows)?));
    }
    Ok(all)
}

#[test]
fn no_value_is_kept_anywhere() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let planted = planted()?;
    let outside = tempfile::tempdir()?;
    let files_of_prompts = prompts(&planted.texts, outside.path())?;
    let (first, second) = files_of_prompts.split_at(files_of_prompts.len() / 2);
    let mut host = Host::start(Options {
        proxy: true,
        ..Options::default()
    })?;
    host.wait_for_seals(1)?;
    send(&host, first)?;
    host.wait_for_interactions(first.len())?;
    // What cannot be sent waits on disk.
    host.proxy()?.set(Fault::Refuse);
    send(&host, second)?;
    std::thread::sleep(Duration::from_secs(2));
    let mut written = vec![("metrics".to_owned(), host.metrics_text()?.into_bytes())];
    host.stop_daemon()?;
    ensure!(
        std::fs::read_dir(host.spool())?.count() > 0,
        "nothing waits in the spool"
    );
    for folder in ["state", "run"] {
        files(&host.dir().join(folder), &mut written)?;
    }
    host.proxy()?.set(Fault::None);
    host.start_daemon()?;
    host.wait_for_interactions(files_of_prompts.len())?;
    host.stop_daemon()?;
    written.push(("log".to_owned(), std::fs::read(host.dir().join("observer.log"))?));
    written.extend(tables(&host)?);
    nothing_of(&planted, &written)?;
    was_found(&host, &planted)
}

/// None of the values stands in what was written.
fn nothing_of(planted: &Planted, written: &[(String, Vec<u8>)]) -> Result<()> {
    let mut needles = Vec::new();
    for value in &planted.values {
        needles.extend(spellings(value)?);
    }
    let search = AhoCorasick::new(&needles)?;
    // The search itself: it finds what is there.
    let text = planted.texts.concat();
    assert!(search.find_iter(text.as_bytes()).count() >= planted.texts.len());
    for (name, bytes) in written {
        let hits: Vec<&[u8]> = search.find_iter(bytes).map(|hit| &bytes[hit.range()]).collect();
        let shown = hits
            .iter()
            .take(5)
            .map(|hit| String::from_utf8_lossy(hit))
            .collect::<Vec<_>>();
        assert!(hits.is_empty(), "{} hits in {name}: {shown:?}", hits.len());
    }
    let bytes: usize = written.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes > 100_000, "{bytes} bytes in all");
    Ok(())
}

/// They came through: nearly all were found, and every class has its rows.
fn was_found(host: &Host, planted: &Planted) -> Result<()> {
    let rows = host.rows("v_findings", "ts")?;
    let count: u64 = rows.iter().filter_map(|row| row["match_count"].as_u64()).sum();
    assert!(
        count >= planted.values.len() as u64 * 9 / 10,
        "{count} of {} values",
        planted.values.len()
    );
    let classes: BTreeSet<&str> = rows
        .iter()
        .filter_map(|row| row["finding_type"].as_str())
        .collect();
    for class in &planted.classes {
        assert!(
            classes.contains(class),
            "no finding of class {class}: {classes:?}"
        );
    }
    assert_eq!(planted.classes.len(), 5, "{:?}", planted.classes);
    Ok(())
}
