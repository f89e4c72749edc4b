//! The kernel's tables that the daemon writes and reads: scopes, hosts, counters.

use aya::{
    Ebpf,
    maps::{HashMap, LpmTrie, MapData, MapError, PerCpuArray, lpm_trie::Key},
};
use observer_common::{
    counters,
    maps::{Flow, FlowKey, HOST_KEY_LEN, HOSTS_MAX, Socket},
    wire::CLASS_AI,
};

use super::refusal::LoadError;

/// The daemon's side of the scope gate.
pub struct Scopes {
    scopes: HashMap<MapData, u64, u32>,
    flows: HashMap<MapData, [u8; 24], [u8; size_of::<Flow>()]>,
    sockets: HashMap<MapData, u64, [u8; size_of::<Socket>()]>,
}

impl Scopes {
    /// Takes the tables out of the loaded object.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            scopes: take(ebpf, "SCOPES")?,
            flows: take(ebpf, "FLOWS")?,
            sockets: take(ebpf, "SOCKETS")?,
        })
    }

    /// Sets the class of a flow; `false` when the kernel's table is full.
    pub fn decide(&mut self, flow_id: u64, class: u32) -> bool {
        self.scopes.insert(flow_id, class, 0).is_ok()
    }

    /// Forgets a flow that is over. What the kernel has already forgotten is no error.
    ///
    /// Its key may be another flow's by now: an address of a handle is used again before the daemon reads of its end.
    pub fn forget(&mut self, flow_id: u64, key: &FlowKey) {
        let _ = self.scopes.remove(&flow_id);
        let key = key.to_bytes();
        if self
            .flows
            .get(&key, 0)
            .is_ok_and(|flow| flow.starts_with(&flow_id.to_ne_bytes()))
        {
            let _ = self.flows.remove(&key);
        }
    }

    /// Forgets what a flow was decided to be, whose other state the kernel drops by itself.
    pub fn forget_class(&mut self, flow_id: u64) {
        let _ = self.scopes.remove(&flow_id);
    }

    /// Forgets a socket whose end the kernel does not tell, unless its address is another connection's by now.
    pub fn forget_socket(&mut self, connection_id: u64, socket: u64) {
        let entry = self.totals(socket).ok().flatten();
        if entry.is_some_and(|(id, _)| id == connection_id) {
            let _ = self.sockets.remove(&socket);
        }
    }

    /// Connection id of a socket, and the bytes that its calls sent and received so far; `None` when it is not there.
    ///
    /// # Errors
    /// When the table cannot be asked: then nothing is known of the socket.
    pub fn totals(&self, socket: u64) -> Result<Option<(u64, [u64; 2])>, MapError> {
        match self.sockets.get(&socket, 0) {
            Ok(bytes) => Ok(Some(Socket::totals(&bytes))),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the kernel's flows of processes that are gone: those that were killed before their flow had anything to
    /// report, so that nobody forgets them by name.
    pub fn sweep(&mut self) {
        let keys: Vec<[u8; 24]> = self.flows.keys().filter_map(Result::ok).collect();
        for key in keys {
            let pid = FlowKey::pid_of(&key);
            if !std::path::Path::new("/proc").join(pid.to_string()).exists() {
                // The kernel may have removed it by itself in the meantime.
                let _ = self.flows.remove(&key);
            }
        }
    }
}

/// The kernel's counters, see `observer_common::counters`.
pub struct Counters(PerCpuArray<MapData, u64>);

impl Counters {
    /// Takes the table out of the loaded object.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        take(ebpf, "COUNTERS").map(Self)
    }

    /// Current value of each counter, summed over CPUs, by index. `None` for one that cannot be read.
    pub fn read(&self) -> Vec<Option<u64>> {
        let sum = |index| self.0.get(&index, 0).ok().map(|per_cpu| per_cpu.iter().sum());
        (0..counters::COUNT).map(sum).collect()
    }
}

/// A table of the loaded object.
pub(super) fn take<T: TryFrom<aya::maps::Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &str,
) -> Result<T, LoadError> {
    let map = ebpf
        .take_map(name)
        .ok_or_else(|| LoadError::Loader(format!("the object has no map {name}")))?;
    T::try_from(map).map_err(|e| LoadError::Loader(format!("map {name}: {e}")))
}

/// Key of a host pattern in the kernel's prefix table: the name reversed; an exact one ends with NUL, a suffix with
/// the dot before it. `None` for a name that does not fit.
fn host_key(name: &str, below: bool) -> Option<Key<[u8; HOST_KEY_LEN]>> {
    let mut reversed: Vec<u8> = name.bytes().rev().collect();
    reversed.push(if below { b'.' } else { 0 });
    let bits = u32::try_from(reversed.len() * 8).ok()?;
    reversed.resize(HOST_KEY_LEN.max(reversed.len()), 0);
    Some(Key::new(bits, reversed.try_into().ok()?))
}

pub(super) fn fill_hosts(ebpf: &mut Ebpf, hosts: &[(String, bool)]) -> Result<(), LoadError> {
    let map = ebpf
        .map_mut("HOSTS")
        .ok_or_else(|| LoadError::Loader("the object has no map HOSTS".into()))?;
    let mut trie: LpmTrie<_, [u8; HOST_KEY_LEN], u32> =
        LpmTrie::try_from(map).map_err(|e| LoadError::Loader(e.to_string()))?;
    let room = HOSTS_MAX as usize;
    if hosts.len() > room {
        // Only a catalogue file of the user can be as long. The rest is decided by the daemon, as other names are.
        tracing::warn!(
            names = hosts.len(),
            room,
            "more catalogue hosts than the kernel's table takes"
        );
    }
    // A name that is not in the table stays undecided in the kernel and is decided by the daemon: one too long for it, or refused.
    let keys = hosts
        .iter()
        .take(room)
        .filter_map(|(name, below)| host_key(name, *below));
    let refused = keys.filter_map(|key| trie.insert(&key, CLASS_AI, 0).err());
    if let Some(error) = refused.last() {
        tracing::warn!(%error, "the kernel's table of catalogue hosts is not whole");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_host_ends_with_nul_and_a_suffix_with_a_dot() {
        let exact = host_key("ab.c", false).unwrap();
        assert_eq!(
            (exact.prefix_len(), &exact.data()[..6]),
            (5 * 8, &b"c.ba\0\0"[..])
        );
        let below = host_key("ab.c", true).unwrap();
        assert_eq!((below.prefix_len(), &below.data()[..6]), (5 * 8, &b"c.ba.\0"[..]));
    }

    #[test]
    fn a_host_that_does_not_fit_is_left_to_the_daemon() {
        assert!(host_key(&"a".repeat(HOST_KEY_LEN), false).is_none());
        assert!(host_key(&"a".repeat(HOST_KEY_LEN - 1), false).is_some());
    }
}
