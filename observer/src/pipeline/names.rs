//! Names that name servers gave for addresses, while they may be used.

use std::{collections::HashMap, net::Ipv6Addr};

use crate::{config::mapped, identity::ProcessKey, protocol::dns::Resolved};

/// Most addresses remembered.
const MAX_ADDRESSES: usize = 16_384;
/// Most names of one address; networks that serve many sites give one address for all of them.
const MAX_NAMES: usize = 8;
/// A client connects a little after the answer; and stub resolvers cut the time to live.
const MIN_TTL_S: u32 = 10;
/// No answer is believed for longer.
const MAX_TTL_S: u32 = 3_600;

struct Entry {
    name: String,
    process: ProcessKey,
    expires_ns: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Names(HashMap<Ipv6Addr, Vec<Entry>>);

impl Names {
    /// Takes over an answer that `process` got. Gives whether there was room for all of it.
    pub(super) fn learn(
        &mut self,
        name: &str,
        resolved: &[Resolved],
        process: ProcessKey,
        now_ns: u64,
    ) -> bool {
        let mut fits = true;
        for one in resolved {
            if one.address.is_unspecified() {
                // How name servers say "blocked": nobody's address.
                continue;
            }
            let address = mapped(one.address);
            if !self.0.contains_key(&address) && self.0.len() >= MAX_ADDRESSES {
                self.forget_expired(now_ns);
            }
            if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&address) {
                fits = false;
                continue;
            }
            let ttl_s = u64::from(one.ttl_s.clamp(MIN_TTL_S, MAX_TTL_S));
            let entries = self.0.entry(address).or_default();
            entries.retain(|e| e.expires_ns > now_ns && (e.name != name || e.process != process));
            if entries.len() >= MAX_NAMES {
                entries.remove(0);
            }
            entries.push(Entry {
                name: name.to_owned(),
                process,
                expires_ns: now_ns.saturating_add(ttl_s * 1_000_000_000),
            });
        }
        fits
    }

    /// The name of an address: the only one that this process was given for it, else the only one that anybody was.
    /// `None` where several are possible, since a peer is never guessed.
    pub(super) fn of(&self, address: Ipv6Addr, process: ProcessKey, now_ns: u64) -> Option<&str> {
        let live = || {
            let entries = self.0.get(&address).map(Vec::as_slice).unwrap_or_default();
            entries.iter().filter(move |e| e.expires_ns > now_ns)
        };
        only(live().filter(|e| e.process == process)).or_else(|| only(live()))
    }

    /// All names of an address, with their end (ns since boot).
    pub(super) fn all_of(&self, address: Ipv6Addr, now_ns: u64) -> impl Iterator<Item = (&str, u64)> {
        let entries = self.0.get(&address).map(Vec::as_slice).unwrap_or_default();
        let live = entries.iter().filter(move |e| e.expires_ns > now_ns);
        live.map(|e| (e.name.as_str(), e.expires_ns))
    }

    fn forget_expired(&mut self, now_ns: u64) {
        self.0.retain(|_, entries| {
            entries.retain(|e| e.expires_ns > now_ns);
            !entries.is_empty()
        });
    }
}

fn only<'a>(mut entries: impl Iterator<Item = &'a Entry>) -> Option<&'a str> {
    let first = entries.next()?;
    entries
        .all(|e| e.name == first.name)
        .then_some(first.name.as_str())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const CLIENT: ProcessKey = ProcessKey { pid: 7, start_ns: 1 };
    const OTHER: ProcessKey = ProcessKey { pid: 8, start_ns: 1 };

    fn at(last: u8, ttl_s: u32) -> [Resolved; 1] {
        [Resolved {
            address: IpAddr::from([192, 0, 2, last]),
            ttl_s,
        }]
    }

    fn v6(last: u8) -> Ipv6Addr {
        std::net::Ipv4Addr::new(192, 0, 2, last).to_ipv6_mapped()
    }

    #[test]
    fn a_name_holds_for_its_time_and_for_everybody_who_has_no_better() {
        let mut names = Names::default();
        names.learn("api.openai.com", &at(1, 60), CLIENT, 0);
        assert_eq!(names.of(v6(1), CLIENT, 59_000_000_000), Some("api.openai.com"));
        assert_eq!(names.of(v6(1), OTHER, 0), Some("api.openai.com"));
        assert_eq!(names.of(v6(1), CLIENT, 61_000_000_000), None);
        assert_eq!(names.of(v6(2), CLIENT, 0), None);
    }

    #[test]
    fn of_several_names_the_one_that_the_process_asked_for_counts_and_none_is_guessed() {
        let mut names = Names::default();
        names.learn("a.example", &at(1, 60), CLIENT, 0);
        names.learn("b.example", &at(1, 60), OTHER, 0);
        assert_eq!(names.of(v6(1), CLIENT, 1), Some("a.example"));
        assert_eq!(names.of(v6(1), ProcessKey { pid: 9, start_ns: 1 }, 1), None);
        names.learn("c.example", &at(1, 60), CLIENT, 0);
        assert_eq!(names.of(v6(1), CLIENT, 1), None);
    }

    #[test]
    fn nobodys_address_has_no_name() {
        let mut names = Names::default();
        for address in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
            assert!(names.learn("blocked.example", &[Resolved { address, ttl_s: 60 }], CLIENT, 0));
        }
        assert!(names.0.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_makes_room_by_forgetting_what_expired() {
        let mut names = Names::default();
        for n in 1..=u32::try_from(MAX_ADDRESSES).unwrap() + 1 {
            let address = IpAddr::from(n.to_be_bytes());
            let fits = names.learn("x.example", &[Resolved { address, ttl_s: 60 }], CLIENT, 0);
            assert_eq!(fits, n <= u32::try_from(MAX_ADDRESSES).unwrap());
        }
        assert!(names.learn("y.example", &at(1, 60), CLIENT, 120_000_000_000));
        assert_eq!(names.0.len(), 1);
    }
}
