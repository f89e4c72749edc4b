//! An address that is guarded.

/// An answer that says the same for no longer than this changes nothing.
const SAME_NS: u64 = 1_000_000_000;

/// An address that name servers gave for a host that a rule may stop.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    /// Names with their end, ns since boot; others than the guarded ones, too: an address that is somebody else's as well is open.
    pub names: Vec<(String, u64)>,
    /// Classes that are stopped, as the kernel has them.
    pub stops: Vec<(u32, u32)>,
}

impl Guarded {
    pub(super) fn until_ns(&self) -> u64 {
        self.names.iter().map(|(_, until)| *until).max().unwrap_or(0)
    }

    /// Whether `names` are the ones that are known, for a moment more at most: answers can come by the thousand, and judging an address
    /// takes all rules for all classes.
    pub(super) fn says_little_less_than(&self, names: &[(String, u64)]) -> bool {
        let until = |wanted: &str| self.names.iter().find(|(name, _)| name == wanted);
        let is_known = |(name, until_ns): &(String, u64)| {
            until(name).is_some_and(|(_, known_ns)| *until_ns <= known_ns.saturating_add(SAME_NS))
        };
        self.names.len() == names.len() && names.iter().all(is_known)
    }
}
