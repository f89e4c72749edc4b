//! Whether what a reader of the store sees is a whole chain: every seal signed and linked, every record that a seal covers there once.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use observer::evidence::verify_signature;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What a chain holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// Starts of the daemon.
    pub epochs: u64,
    /// Seals.
    pub seals: u64,
    /// Records that seals cover.
    pub records: u64,
    /// Records that no seal covers: those of a last interval that a kill cut off, or of a seal that was given up.
    pub unsealed: u64,
    /// Records and seals that are missing and that seals declare as given up.
    pub declared: u64,
}

/// A record as the chain sees it: epoch, seal, number, hash.
type Spine = BTreeMap<(u64, u64), BTreeMap<u64, String>>;

/// Checks seals and keys (rows of `v_seals` and `host_keys`) against records (epoch, seal, number, hash; each once).
///
/// # Errors
/// The first thing that is wrong.
pub fn check_chain(seals: &[Value], keys: &[Value], records: &[Value]) -> Result<ChainReport> {
    let mut spine = Spine::new();
    for record in records {
        let number = |name: &str| {
            record[name]
                .as_u64()
                .with_context(|| format!("no {name}: {record}"))
        };
        let place = (number("chain_epoch")?, number("seal_seq")?);
        let hash = record["record_hash"].as_str().context("no hash")?.to_owned();
        let twice = spine.entry(place).or_default().insert(number("rec_seq")?, hash);
        ensure!(twice.is_none(), "a record that is there twice: {record}");
    }
    let declared = Declared::of(seals);
    let mut report = ChainReport::default();
    let mut before: Option<&Value> = None;
    for seal in seals {
        check_signature(seal, keys)?;
        check_link(before, seal, &declared)?;
        let number = |name: &str| seal[name].as_u64().with_context(|| format!("no {name}"));
        let place = (number("chain_epoch")?, number("seal_seq")?);
        let covered = spine.remove(&place).unwrap_or_default();
        report.declared += check_records(seal, place.0, &covered, &declared)?;
        report.records += covered.len() as u64;
        report.seals += 1;
        report.epochs += u64::from(seal["seal_kind"] == "open");
        before = Some(seal);
    }
    for ((epoch, seal), left) in spine {
        if Declared::has(&declared.seals, epoch, seal) {
            report.unsealed += left.len() as u64;
            continue;
        }
        // Only behind the last seal of an epoch that was not closed.
        let of_epoch: Vec<&Value> = seals.iter().filter(|s| s["chain_epoch"] == epoch).collect();
        let last = of_epoch
            .last()
            .with_context(|| format!("records of epoch {epoch} without any seal"))?;
        ensure!(
            last["seal_kind"] != "close" && last["seal_seq"].as_u64() < Some(seal),
            "records of seal {seal} that is not there: {left:?}"
        );
        report.unsealed += left.len() as u64;
    }
    Ok(report)
}

/// Ranges that seals declare as given up.
struct Declared {
    records: Vec<(u64, u64, u64)>,
    seals: Vec<(u64, u64, u64)>,
}

impl Declared {
    fn of(seals: &[Value]) -> Self {
        let (mut records, mut lost_seals) = (Vec::new(), Vec::new());
        for seal in seals {
            let number = |name: &str, n: usize| seal[name][n].as_u64().unwrap_or(0);
            for n in 0..seal["dropped_reason"].as_array().map_or(0, Vec::len) {
                let epoch = number("dropped_chain_epoch", n);
                records.push((
                    epoch,
                    number("dropped_first_rec_seq", n),
                    number("dropped_last_rec_seq", n),
                ));
                lost_seals.push((
                    epoch,
                    number("dropped_first_seal_seq", n),
                    number("dropped_last_seal_seq", n),
                ));
            }
        }
        Self {
            records,
            seals: lost_seals,
        }
    }

    fn has(list: &[(u64, u64, u64)], epoch: u64, number: u64) -> bool {
        list.iter()
            .any(|(of, first, last)| *of == epoch && (*first..=*last).contains(&number))
    }
}

fn check_signature(seal: &Value, keys: &[Value]) -> Result<()> {
    let key = keys.iter().find(|key| key["key_id"] == seal["key_id"]);
    let key = key.with_context(|| format!("no key for {seal:#}"))?;
    let (public, hash, signature) = (
        bytes(&key["public_key"])?,
        bytes(&seal["seal_hash"])?,
        bytes(&seal["signature"])?,
    );
    ensure!(
        verify_signature(&public, &hash, &signature),
        "not signed: {seal:#}"
    );
    Ok(())
}

fn check_link(before: Option<&Value>, seal: &Value, declared: &Declared) -> Result<()> {
    let (epoch, number) = (seal["chain_epoch"].as_u64(), seal["seal_seq"].as_u64());
    let (epoch, number) = (epoch.context("no epoch")?, number.context("no number")?);
    let named_epoch = if number == 1 {
        seal["prev_chain_epoch"].as_u64()
    } else {
        Some(epoch)
    };
    let named = if number == 1 {
        seal["prev_seal_seq"].as_u64()
    } else {
        Some(number - 1)
    };
    let (named_epoch, named) = (named_epoch.unwrap_or(0), named.unwrap_or(0));
    if named == 0 || Declared::has(&declared.seals, named_epoch, named) {
        ensure!(named != 0 || before.is_none(), "a second beginning: {seal:#}");
        return Ok(());
    }
    let before = before.with_context(|| format!("the first seal names one before it: {seal:#}"))?;
    ensure!(
        before["chain_epoch"].as_u64() == Some(named_epoch) && before["seal_seq"].as_u64() == Some(named),
        "seal {named} of epoch {named_epoch} is missing before {seal:#}"
    );
    ensure!(
        seal["prev_seal_hash"] == before["seal_hash"],
        "another seal before: {seal:#}"
    );
    Ok(())
}

/// Every record of a seal is there, or declared as given up; gives how many are.
fn check_records(
    seal: &Value,
    epoch: u64,
    covered: &BTreeMap<u64, String>,
    declared: &Declared,
) -> Result<u64> {
    let first = seal["first_rec_seq"].as_u64().context("no first_rec_seq")?;
    let count = seal["n_records"].as_u64().context("no n_records")?;
    let missing: Vec<u64> = (first..first + count)
        .filter(|n| !covered.contains_key(n))
        .collect();
    let undeclared: Vec<u64> = missing
        .iter()
        .copied()
        .filter(|n| !Declared::has(&declared.records, epoch, *n))
        .collect();
    ensure!(
        undeclared.is_empty(),
        "sealed records {undeclared:?} of epoch {epoch} are lost: {seal:#}"
    );
    ensure!(
        covered.len() as u64 + missing.len() as u64 == count,
        "records outside of their seal: {covered:?} of {seal:#}"
    );
    if missing.is_empty() {
        let mut digest = Sha256::new();
        covered.values().for_each(|hash| digest.update(hash));
        ensure!(
            seal["records_digest"] == hex::encode(digest.finalize()),
            "another digest: {seal:#}"
        );
    }
    Ok(missing.len() as u64)
}

fn bytes<const N: usize>(value: &Value) -> Result<[u8; N]> {
    let text = value.as_str().context("no text")?;
    hex::decode(text)?.try_into().ok().context("another length")
}
