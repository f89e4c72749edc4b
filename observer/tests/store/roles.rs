//! The text of the roles against the text of the schema: who may read what. Needs no engine; the embedded one has no access control.

use std::collections::{BTreeMap, BTreeSet};

use observer::store::cluster::{LOCAL, ROLES, statements};

/// Tables and views that a text names.
fn objects(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
        .filter_map(|word| word.strip_prefix("ai_evidence."))
        .map(str::to_owned)
        .collect()
}

/// All views, with the tables and views that each reads.
fn views() -> BTreeMap<String, BTreeSet<String>> {
    let statements = statements();
    let views = statements
        .iter()
        .filter_map(|statement| statement.strip_prefix("CREATE OR REPLACE VIEW ai_evidence."))
        .filter_map(|rest| rest.split_once(' '));
    views
        .map(|(name, query)| (name.to_owned(), objects(query)))
        .collect()
}

/// What a role may read.
fn readable(role: &str) -> BTreeSet<String> {
    let to = format!(" TO {role};");
    ROLES
        .lines()
        .filter(|line| line.starts_with("GRANT SELECT") && line.ends_with(&to))
        .flat_map(objects)
        .collect()
}

// ClickHouse asks for the right to read the view, and for the right to read what it reads.
#[test]
fn who_may_read_what_a_view_reads_may_read_the_view_and_nobody_else() {
    let views = views();
    assert!(views.len() > 20, "{views:?}");
    for role in ["aio_auditor", "aio_analyst", "aio_governance"] {
        let readable = readable(role);
        for (view, reads) in &views {
            assert!(!reads.is_empty(), "{view}");
            let below = reads.iter().all(|name| readable.contains(name));
            assert_eq!(readable.contains(view), below, "{role} and {view}: {reads:?}");
        }
    }
}

// The program and the dashboards read through the views.
#[test]
fn auditors_may_read_every_view() {
    let readable = readable("aio_auditor");
    for view in views().keys() {
        assert!(readable.contains(view), "{view}");
    }
    assert!(ROLES.contains("GRANT aio_auditor TO aio_verifier;"));
}

#[test]
fn who_makes_the_schema_may_write_where_its_views_write() {
    let made = statements();
    let targets: Vec<&str> = made
        .iter()
        .filter(|statement| statement.starts_with("CREATE MATERIALIZED VIEW"))
        .filter_map(|statement| statement.split_once(" TO ")?.1.split_whitespace().next())
        .filter_map(|target| target.strip_prefix(LOCAL)?.strip_prefix('.'))
        .collect();
    assert!(!targets.is_empty());
    for target in targets {
        let right = format!("GRANT INSERT ON ai_evidence.{target} TO aio_schema;");
        assert!(ROLES.contains(&right), "{right}");
    }
}
