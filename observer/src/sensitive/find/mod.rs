//! How places are found at which a rule is tried, and how it is tried there.

pub(super) mod heads;
pub(super) mod machine;
pub(super) mod ranges;
pub(super) mod signs;
pub(super) mod words;
