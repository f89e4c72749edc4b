//! Enforcement stage: which connections are stopped. Names and their addresses, users and processes in; changes of the
//! kernel's tables out, and which connection is to be cut. Pure; `docs/policy.md` says what it can and cannot do.
//!
//! The kernel knows addresses, users and processes, no names and no policy. So everything is worked out here, ahead of
//! the call: users and processes that policy cannot tell apart are one class ([`classes`]), and for each address that name servers
//! gave for a host, each pair of classes is judged ([`guard`]). What a stop gave is told by the kernel and counted in [`decisions`].

mod classes;
mod decisions;
mod facts;
mod guard;
mod place;
#[cfg(test)]
mod tests;

use crate::{
    catalog::Catalog,
    config::{Allowed, EnforcementMode},
    kubernetes::Cluster,
    policy::Judge,
};

pub(crate) use decisions::{Decision, Decisions};
pub(crate) use guard::Guard;

/// What enforcement judges by.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    /// Policy and register.
    pub judge: &'a Judge,
    /// Which names are AI, and whose.
    pub catalog: &'a Catalog,
    /// The pods of this node.
    pub cluster: &'a Cluster,
    /// Name of this host.
    pub machine: &'a str,
}

/// What the configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How far it goes.
    pub mode: EnforcementMode,
    /// Never stopped.
    pub allow: Vec<Allowed>,
}

/// What was decided; the words of `enforcement`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The call failed with EPERM.
    Denied,
    /// It would have failed, or its connection been cut, where enforcement is on.
    DryRun,
    /// An established connection was cut.
    Cut,
    /// It was to be cut, and that did not work: it went on.
    CutFailed,
}

impl Action {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 4] = ["denied", "dry_run", "cut", "cut_failed"];

    /// Its word.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}
