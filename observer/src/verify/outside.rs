//! What is outside of a period and belongs to it all the same: seals that records of the period name, and what hosts declare later.

use super::batch::{BATCH_PAGES, BATCH_RECORDS, Host, read_records};
use super::host::Named;
use super::run::Progress;
use super::source::{Key, Looked, Source, Stretch};

/// So many numbers of seals are asked for at once.
const MOST_NAMED: usize = 10_000;

/// So many of one host, to read the seals themselves.
const MOST_NUMBERED: usize = 200;

/// Neighbours of seals that are not there are looked for so often on one host. Where nothing is wrong, there is one such seal for each
/// start of the agent at most.
const MOST_ALONE: usize = 1_000;

/// Seals that declare losses are read up to so many.
const MOST_DECLARING: usize = 1_000;

/// Checks what is outside of the period, for these hosts.
pub(super) async fn look(
    source: &mut impl Source,
    hosts: &mut [Host<'_>],
    progress: &mut dyn Progress,
) -> anyhow::Result<()> {
    let looked: Vec<Looked> = hosts
        .iter()
        .map(|host| Looked {
            host: host.id.clone(),
            part: host.part,
        })
        .collect();
    let mut alone = vec![0; hosts.len()];
    let mut after = None;
    loop {
        let named = source.named(&looked, after, MOST_NAMED).await?;
        check(source, hosts, &named, &mut alone, progress).await?;
        after = named.last().copied();
        if named.len() < MOST_NAMED {
            break;
        }
    }
    for host in hosts {
        declarations(source, host).await?;
    }
    Ok(())
}

/// Reads the seals of these numbers and the records that name them, and checks them.
async fn check(
    source: &mut impl Source,
    hosts: &mut [Host<'_>],
    named: &[(usize, Key)],
    alone: &mut [usize],
    progress: &mut dyn Progress,
) -> anyhow::Result<()> {
    let mut wait = Vec::new();
    let mut counted = 0;
    for of_host in named.chunk_by(|a, b| a.0 == b.0) {
        for some in of_host.chunks(MOST_NUMBERED) {
            let place = some[0].0;
            let keys: Vec<Key> = some.iter().map(|(_, key)| *key).collect();
            for found in numbered(source, &hosts[place].id, &keys, &mut alone[place]).await? {
                let most = found.seals.iter().map(|seal| u64::from(seal.n_records)).max();
                counted += most.unwrap_or(0);
                wait.push((place, found));
                if wait.len() == BATCH_PAGES || counted >= BATCH_RECORDS {
                    check_records(source, hosts, &wait, counted, progress).await?;
                    wait.clear();
                    counted = 0;
                }
            }
        }
    }
    check_records(source, hosts, &wait, counted, progress).await
}

/// The seals of these numbers; of one that is not there its neighbours.
async fn numbered(
    source: &mut impl Source,
    host: &str,
    keys: &[Key],
    alone: &mut usize,
) -> anyhow::Result<Vec<Named>> {
    let rows = source.numbered(host, keys).await?;
    let mut all = Vec::new();
    for key in keys.iter().copied() {
        let of_key = rows
            .iter()
            .filter(|seal| (seal.chain_epoch, seal.seal_seq) == key);
        let mut named = Named {
            key,
            seals: of_key.cloned().collect(),
            ..Named::default()
        };
        if named.seals.is_empty() && *alone < MOST_ALONE {
            *alone += 1;
            named.before = source.before(host, Some(key)).await?;
            named.behind = source.behind(host, Some(key)).await?;
        }
        all.push(named);
    }
    Ok(all)
}

/// Checks seals with the records that name them.
async fn check_records(
    source: &mut impl Source,
    hosts: &mut [Host<'_>],
    wait: &[(usize, Named)],
    counted: u64,
    progress: &mut dyn Progress,
) -> anyhow::Result<()> {
    let one = |(place, named): &(usize, Named)| Stretch {
        host: hosts[*place].id.clone(),
        after: before(named.key),
        upto: Some(named.key),
    };
    let stretches: Vec<Stretch> = wait.iter().map(one).collect();
    let parts = read_records(source, &stretches, counted, progress).await?;
    for ((place, named), part) in wait.iter().zip(parts) {
        let check = &mut hosts[*place].check;
        check.outside(named, part.records);
        check.too_many(part.more);
    }
    Ok(())
}

/// The place before a place.
fn before((epoch, seq): Key) -> Option<Key> {
    match seq.checked_sub(1) {
        Some(seq) => Some((epoch, seq)),
        None => epoch.checked_sub(1).map(|epoch| (epoch, u64::MAX)),
    }
}

/// A host declares what it gave up when that is over: for what is missing at the end of a period, that is outside of it.
async fn declarations(source: &mut impl Source, host: &mut Host<'_>) -> anyhow::Result<()> {
    let Some(from) = host.check.waits_from() else {
        return Ok(());
    };
    let part = host.part;
    let is_read = |key: Key| {
        part.is_some_and(|(after, upto)| after.is_none_or(|a| a < key) && upto.is_none_or(|u| key <= u))
    };
    let end_of_part = part.and_then(|(_, upto)| upto).filter(|upto| from <= *upto);
    let before_part = (!is_read(from)).then_some(from);
    for behind in before_part.into_iter().chain(end_of_part) {
        let seals = source.declaring(&host.id, behind, MOST_DECLARING).await?;
        host.check.declared_outside(&seals, is_read);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_place_before_each_but_the_first() {
        assert_eq!(before((7, 3)), Some((7, 2)));
        assert_eq!(before((7, 0)), Some((6, u64::MAX)));
        assert_eq!(before((0, 0)), None);
    }
}
