//! Names that name servers gave for addresses, while they may be used.
//!
//! Whoever asks can also answer himself: a program can send its own socket a message with any name and address in it. So what a program was
//! told counts for its own user and container; for everybody counts what the host itself was told (its resolvers and services).

use std::{collections::HashMap, net::Ipv6Addr, sync::Arc};

use crate::{config::mapped, identity::Identity, protocol::dns::Resolved};

/// Most addresses remembered.
const MAX_ADDRESSES: usize = 16_384;
/// Most names of one address; networks that serve many sites give one address for all of them.
const MAX_NAMES: usize = 8;
/// A client connects a little after the answer; and stub resolvers cut the time to live.
const MIN_TTL_S: u32 = 10;
/// No answer is believed for longer.
const MAX_TTL_S: u32 = 3_600;
/// People have numbers from here on, as Linux distributions count (UID_MIN of login.defs); what is below are services of the host.
const FIRST_USER: u32 = 1_000;

struct Entry {
    name: String,
    asker: Arc<Identity>,
    expires_ns: u64,
}

impl Entry {
    /// Whether it says something about connections of `process`, which did not ask itself.
    fn counts_for(&self, process: &Identity) -> bool {
        let alike = self.asker.uid == process.uid && self.asker.container_id == process.container_id;
        alike || is_of_host(&self.asker)
    }
}

/// Whether a program is a service of the host: none of a person, in no container, and one that was looked at.
pub(super) fn is_of_host(process: &Identity) -> bool {
    process.uid < FIRST_USER && process.container_id.is_empty() && !process.executable.is_empty()
}

#[derive(Default)]
struct Known {
    entries: Vec<Entry>,
    /// Until when the address has names for which there was no room.
    more_until_ns: u64,
}

impl Known {
    fn live(&self, now_ns: u64) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |e| e.expires_ns > now_ns)
    }

    /// Makes room for one: what says no more than another entry goes first, since that the address has a certain name must not be forgotten
    /// because many ask for another one.
    fn make_room(&mut self) {
        if self.entries.len() < MAX_NAMES {
            return;
        }
        let entries = &self.entries;
        // Another one says the same, and to the one who asked for this one, too.
        let twin = |whoever: bool| {
            let is_twin = |e: &Entry, other: &Entry| {
                !std::ptr::eq(e, other) && e.name == other.name && (whoever || other.counts_for(&e.asker))
            };
            entries
                .iter()
                .position(|e| entries.iter().any(|other| is_twin(e, other)))
        };
        if let Some(at) = twin(false).or_else(|| twin(true)) {
            self.entries.remove(at);
        } else {
            let oldest = self.entries.remove(0);
            self.more_until_ns = self.more_until_ns.max(oldest.expires_ns);
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Names(HashMap<Ipv6Addr, Known>);

impl Names {
    /// Takes over an answer that `asker` got. Gives whether there was room for all of it.
    pub(super) fn learn(
        &mut self,
        name: &str,
        resolved: &[Resolved],
        asker: &Arc<Identity>,
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
            let known = self.0.entry(address).or_default();
            let is_other = |e: &Entry| e.name != name || e.asker.key != asker.key;
            known.entries.retain(|e| e.expires_ns > now_ns && is_other(e));
            known.make_room();
            known.entries.push(Entry {
                name: name.to_owned(),
                asker: Arc::clone(asker),
                expires_ns: now_ns.saturating_add(ttl_s * 1_000_000_000),
            });
        }
        fits
    }

    /// The name of an address: the only one that this process was given for it, else the only one that anybody was who can speak for it.
    /// `None` where several are possible, since a peer is never guessed.
    pub(super) fn of(&self, address: Ipv6Addr, process: &Identity, now_ns: u64) -> Option<&str> {
        let known = self.0.get(&address)?;
        only(known.live(now_ns).filter(|e| e.asker.key == process.key)).or_else(|| {
            let others = known.live(now_ns).filter(|e| e.counts_for(process));
            only(others).filter(|_| known.more_until_ns <= now_ns)
        })
    }

    /// All names of an address, with their end (ns since boot). A last one that is empty stands for others for which there was no room.
    pub(super) fn all_of(&self, address: Ipv6Addr, now_ns: u64) -> impl Iterator<Item = (&str, u64)> {
        let known = self.0.get(&address).into_iter();
        known.flat_map(move |known| {
            let more = (known.more_until_ns > now_ns).then_some(("", known.more_until_ns));
            let live = known.live(now_ns).map(|e| (e.name.as_str(), e.expires_ns));
            live.chain(more)
        })
    }

    fn forget_expired(&mut self, now_ns: u64) {
        self.0.retain(|_, known| {
            known.entries.retain(|e| e.expires_ns > now_ns);
            !known.entries.is_empty() || known.more_until_ns > now_ns
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

    fn process(pid: u32, uid: u32, container_id: &str) -> Arc<Identity> {
        Arc::new(Identity {
            key: crate::identity::ProcessKey { pid, start_ns: 1 },
            uid,
            executable: "/usr/bin/x".to_owned(),
            container_id: container_id.to_owned(),
            ..Identity::default()
        })
    }

    fn client() -> Arc<Identity> {
        process(7, 1_001, "")
    }

    fn other() -> Arc<Identity> {
        process(8, 1_001, "")
    }

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
    fn a_name_holds_for_its_time_and_for_others_of_its_user_who_have_no_better() {
        let mut names = Names::default();
        names.learn("api.openai.com", &at(1, 60), &client(), 0);
        assert_eq!(names.of(v6(1), &client(), 59_000_000_000), Some("api.openai.com"));
        assert_eq!(names.of(v6(1), &other(), 0), Some("api.openai.com"));
        assert_eq!(names.of(v6(1), &client(), 61_000_000_000), None);
        assert_eq!(names.of(v6(2), &client(), 0), None);
    }

    #[test]
    fn of_several_names_the_one_that_the_process_asked_for_counts_and_none_is_guessed() {
        let mut names = Names::default();
        names.learn("a.example", &at(1, 60), &client(), 0);
        names.learn("b.example", &at(1, 60), &other(), 0);
        assert_eq!(names.of(v6(1), &client(), 1), Some("a.example"));
        assert_eq!(names.of(v6(1), &process(9, 1_001, ""), 1), None);
        names.learn("c.example", &at(1, 60), &client(), 0);
        assert_eq!(names.of(v6(1), &client(), 1), None);
    }

    #[test]
    fn nobodys_address_has_no_name() {
        let mut names = Names::default();
        for address in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
            assert!(names.learn(
                "blocked.example",
                &[Resolved { address, ttl_s: 60 }],
                &client(),
                0
            ));
        }
        assert!(names.0.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_makes_room_by_forgetting_what_expired() {
        let mut names = Names::default();
        for n in 1..=u32::try_from(MAX_ADDRESSES).unwrap() + 1 {
            let address = IpAddr::from(n.to_be_bytes());
            let fits = names.learn("x.example", &[Resolved { address, ttl_s: 60 }], &client(), 0);
            assert_eq!(fits, n <= u32::try_from(MAX_ADDRESSES).unwrap());
        }
        assert!(names.learn("y.example", &at(1, 60), &client(), 120_000_000_000));
        assert_eq!(names.0.len(), 1);
    }

    #[test]
    fn what_one_was_told_names_nothing_for_others_unless_the_host_was_told() {
        let (bob, pod) = (process(9, 1_002, ""), process(10, 0, "ab"));
        let mut names = Names::default();
        names.learn("a.example", &at(1, 60), &bob, 0);
        names.learn("a.example", &at(1, 60), &pod, 0);
        assert_eq!(names.of(v6(1), &client(), 1), None);
        assert_eq!(
            names.of(v6(1), &process(11, 0, ""), 1),
            None,
            "root of a container is not the host's"
        );
        assert_eq!(names.of(v6(1), &process(11, 0, "ab"), 1), Some("a.example"));
        names.learn("a.example", &at(1, 60), &process(12, 101, ""), 0);
        assert_eq!(
            names.of(v6(1), &client(), 1),
            Some("a.example"),
            "a resolver of the host"
        );
    }

    #[test]
    fn a_name_is_not_forgotten_because_many_ask_for_another_one() {
        let mut names = Names::default();
        names.learn("shop.example", &at(1, 3_600), &client(), 0);
        for pid in 100..120 {
            names.learn("closed.example", &at(1, 60), &process(pid, 1_001, ""), 0);
        }
        assert!(names.all_of(v6(1), 1).any(|(name, _)| name == "shop.example"));
        assert!(names.all_of(v6(1), 1).all(|(name, _)| !name.is_empty()));
        for n in 0..MAX_NAMES {
            names.learn(&format!("{n}.example"), &at(1, 60), &client(), 0);
        }
        let last = names.all_of(v6(1), 1).last();
        assert_eq!(
            last,
            Some(("", 3_600_000_000_000)),
            "there are more names than room"
        );
        assert_eq!(names.of(v6(1), &process(9, 1_001, ""), 1), None);
    }
}
