//! Verification: are the stored rows the ones that were sealed, and are they all there? Everything is computed anew
//! from rows, certificates and anchors; nothing that a row says about itself is believed.
//!
//! [`HostCheck`], [`KeyBook`] and [`AnchorBook`] are pure. [`run`] feeds them page by page from a [`Source`]: the store or
//! a bundle. Of records only number, hash and time are kept, and at most twice what the seals count and a million (9 million, 650 MB, where seals
//! lie), with up to 60,000 seals, so memory does not grow with the store; anchors take 64 bytes for each leaf.

mod anchors;
mod batch;
mod finding;
mod hashing;
mod host;
mod kept;
mod keybook;
mod loss;
mod outside;
mod report;
mod run;
mod source;
mod store;
mod trust;

pub use anchors::{AnchorBook, Anchored};
pub use finding::{Finding, Findings, Kind, Level, Place};
pub use host::{Counts, HostCheck, Limits, Named, Record};
pub use keybook::KeyBook;
pub use report::{HostReport, Report, Verdict};
pub use run::{Options, Progress, run};
pub(crate) use source::RecordRow;
pub use source::{Key, Known, Looked, Near, Page, Period, Source, Stretch};
pub use store::StoreSource;
pub(crate) use store::is_full;
pub use trust::Pins;

/// What no verification of stored rows can find, in the words of `docs/evidence.md`.
pub const NOT_FOUND: [&str; 6] = [
    "root on the host that feeds false events to the agent, or filters them, before they are sealed",
    "an agent that was replaced together with access to its key (agent_sha256 says which program made a seal, as far as that program tells the truth)",
    "activity while no agent ran: a gap is found, what happened in it is not",
    "one person who controls host, database and the place of the anchors",
    "a host that no inventory, anchor or certificate names",
    "a wrong clock, within what boot clock and the time of arrival show",
];
