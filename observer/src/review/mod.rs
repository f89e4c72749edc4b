//! Review of what was stored (shell): reads the store for `observer coverage` and `observer report`.

mod coverage;
pub mod pack;

pub use coverage::{Coverage, Scope, coverage};

/// The queries that give the numbers of [`coverage()`] from the database alone, by name.
pub const QUERIES: [(&str, &str); 3] = [
    ("coverage_hosts", include_str!("queries/coverage_hosts.sql")),
    ("coverage_flows", include_str!("queries/coverage_flows.sql")),
    ("coverage_gaps", include_str!("queries/coverage_gaps.sql")),
];
