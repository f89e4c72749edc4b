//! The schema for a cluster, made from the migrations, so that both are the same tables. Pure.
//!
//! Each shard has the tables, replicated, in a database of its own (`ai_evidence_local`). Over them lie Distributed tables of
//! the same names in `ai_evidence`, divided by host, so that a chain stays on one shard. Views read the Distributed ones.

use super::migrate::{CREATE_DATABASE, CREATE_LEDGER, MIGRATIONS};
use super::sql::{Kind, Lexer, Next, split_script};

/// Database of the tables of a shard.
pub const LOCAL: &str = "ai_evidence_local";

/// Filled in by each server from its configuration.
pub(super) const ON_CLUSTER: &str = "ON CLUSTER '{cluster}'";

/// Roles and what they may do; the same for one node and for a cluster.
pub const ROLES: &str = include_str!("schema/roles.sql");

/// The name after the words `before`, which stand at the beginning of a statement.
fn named<'s>(statement: &'s str, before: &[&str]) -> Option<&'s str> {
    let mut lexer = Lexer::new(statement.as_bytes(), true);
    let mut word = || match lexer.next() {
        Next::Token(token) => std::str::from_utf8(lexer.text(token))
            .ok()
            .map(|text| (text, token.kind)),
        _ => None,
    };
    for expected in before {
        if !word()?.0.eq_ignore_ascii_case(expected) {
            return None;
        }
    }
    // database . name
    word()?;
    word()?;
    let start = word()?;
    (start.1 == Kind::Word).then(|| &statement[offset(statement, start.0)..][..start.0.len()])
}

fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

const CREATE_TABLE: [&str; 5] = ["CREATE", "TABLE", "IF", "NOT", "EXISTS"];
const ALTER_TABLE: [&str; 2] = ["ALTER", "TABLE"];
const MATERIALIZED: [&str; 6] = ["CREATE", "MATERIALIZED", "VIEW", "IF", "NOT", "EXISTS"];
const VIEWS: [&[&str]; 2] = [
    &["CREATE", "VIEW", "IF", "NOT", "EXISTS"],
    &["CREATE", "OR", "REPLACE", "VIEW"],
];

/// What a cluster needs, in order: statements by what they are.
#[derive(Debug, Default)]
struct Parts {
    local: Vec<String>,
    tables: Vec<(String, bool)>,
    views: Vec<String>,
}

/// Migrations whose views (what else is in them is for all) are for the tables of one server: they ask for rows in the order of the table, which the server that asks would
/// have to make of a Distributed one.
const FOR_ONE_NODE: [u32; 5] = [12, 14, 15, 16, 19];

fn parts() -> Parts {
    let mut parts = Parts::default();
    let scripts = MIGRATIONS
        .iter()
        .map(|m| (m.sql, FOR_ONE_NODE.contains(&m.version)));
    for (script, without_views) in scripts.chain([(CREATE_LEDGER, false)]) {
        for statement in split_script(script).unwrap_or_default() {
            let text = without_comments_before(statement);
            if let Some(name) = named(text, &CREATE_TABLE) {
                parts.tables.push((name.to_owned(), is_by_host(text)));
                parts.local.push(replicated(&on_cluster(&local(text), name)));
            } else if let Some(name) = named(text, &ALTER_TABLE).or_else(|| named(text, &MATERIALIZED)) {
                parts.local.push(on_cluster(&local(text), name));
            } else if let Some(name) = VIEWS.iter().find_map(|words| named(text, words)) {
                if without_views {
                    continue;
                }
                // Only the first place of the name is that of the view itself.
                parts.views.push(on_cluster(
                    &text.replacen("IF NOT EXISTS ", "", 1).replacen(
                        "CREATE VIEW",
                        "CREATE OR REPLACE VIEW",
                        1,
                    ),
                    name,
                ));
            } else {
                parts.local.push(format!(
                    "-- not for a cluster: {}",
                    text.lines().next().unwrap_or_default()
                ));
            }
        }
    }
    parts
}

/// Whether the rows of a table belong to one host.
fn is_by_host(statement: &str) -> bool {
    let words: Vec<&str> = statement.split_whitespace().collect();
    words
        .windows(2)
        .any(|pair| pair[0].ends_with("host_id") && pair[1].starts_with("LowCardinality(String)"))
}

/// Comments stand in the file for one node.
fn without_comments_before(statement: &str) -> &str {
    let mut lexer = Lexer::new(statement.as_bytes(), true);
    match lexer.next() {
        Next::Token(token) => &statement[token.start..],
        _ => statement,
    }
}

fn local(statement: &str) -> String {
    statement.replace("ai_evidence.", &format!("{LOCAL}."))
}

fn on_cluster(statement: &str, name: &str) -> String {
    let at = format!(".{name}");
    statement.replacen(&at, &format!("{at} {ON_CLUSTER}"), 1)
}

fn replicated(statement: &str) -> String {
    let text = statement.replace(
        "ENGINE = AggregatingMergeTree",
        "ENGINE = ReplicatedAggregatingMergeTree",
    );
    let text = text.replace("ENGINE = MergeTree", "ENGINE = ReplicatedMergeTree");
    // A repeated insert is known for a week: longer than a spool keeps what was delivered.
    text.replace(
        "non_replicated_deduplication_window = 10000",
        "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800",
    )
}

fn distributed((name, by_host): &(String, bool)) -> String {
    // Registers are small: any shard will do.
    let key = if *by_host { "cityHash64(host_id)" } else { "rand()" };
    format!(
        "CREATE OR REPLACE TABLE ai_evidence.{name} {ON_CLUSTER} AS {LOCAL}.{name} ENGINE = Distributed('{{cluster}}', '{LOCAL}', '{name}', {key})"
    )
}

/// All statements of the schema for a cluster, in order. Each can be repeated.
pub fn statements() -> Vec<String> {
    let parts = parts();
    let create = |database: &str| {
        let plain = CREATE_DATABASE.replace("ai_evidence", database);
        format!("{plain} {ON_CLUSTER}")
    };
    let mut all = vec![create("ai_evidence"), create(LOCAL)];
    all.extend(parts.local);
    all.extend(parts.tables.iter().map(distributed));
    all.extend(parts.views);
    all
}

/// The schema for a cluster as one script.
pub fn script() -> String {
    let mut out = String::from(
        "-- Schema of the evidence store for a cluster. Made from observer/src/store/schema by the test\n\
         -- `the_deployed_cluster_script_is_the_migrations`; do not edit. Every statement can be repeated, so a newer version of this file is\n\
         -- applied as a whole. The servers need the macros {cluster}, {shard} and {replica}, and Keeper; then:\n\
         -- clickhouse-client --multiquery < cluster.sql\n\
         --\n\
         -- ai_evidence_local has the tables of a shard, ai_evidence the Distributed tables over them and the views. Agents write to\n\
         -- ai_evidence with insert_distributed_sync = 1, so that the answer means \"stored\"; for seals insert_quorum = 'auto' as well.\n\n",
    );
    for statement in statements() {
        out.push_str(&statement);
        out.push_str(";\n\n");
    }
    out.push_str("-- migrations that are in it\n");
    for migration in MIGRATIONS {
        out.push_str(&format!(
            "INSERT INTO ai_evidence.schema_migrations (version, name, sha256) SELECT {}, '{}', unhex('{}') WHERE {} NOT IN (SELECT version FROM ai_evidence.schema_migrations);\n",
            migration.version,
            migration.name,
            hex::encode(migration.digest()),
            migration.version,
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // Set OBSERVER_UPDATE=1 to write the scripts anew after adding a migration.
    fn is_deployed(file: &str, expected: &str) {
        let path = format!("{}/../deploy/clickhouse/{file}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("OBSERVER_UPDATE").is_some() {
            std::fs::write(&path, expected).expect("written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "{file}: run this test with OBSERVER_UPDATE=1 and commit the file"
        );
        assert!(split_script(&found).is_some_and(|s| s.len() > 10));
    }

    #[test]
    fn the_deployed_cluster_script_is_the_migrations() {
        is_deployed("cluster.sql", &script());
        is_deployed("roles.sql", ROLES);
    }

    #[test]
    fn every_table_is_replicated_and_every_view_reads_the_distributed_ones() {
        let parts = parts();
        assert!(parts.tables.len() >= 14, "{:?}", parts.tables);
        let by_host = |name: &str| parts.tables.iter().find(|t| t.0 == name).map(|t| t.1);
        assert_eq!(by_host("ai_interactions"), Some(true));
        assert_eq!(by_host("evidence_seals"), Some(true));
        assert_eq!(by_host("ai_register"), Some(false));
        assert_eq!(
            by_host("evidence_anchors"),
            Some(false),
            "its leaves have hosts, the row has none"
        );
        for statement in &parts.local {
            assert!(
                statement.contains(ON_CLUSTER) && !statement.contains("ai_evidence."),
                "{statement}"
            );
            let created = statement.starts_with("CREATE TABLE");
            assert_eq!(created, statement.contains("ENGINE = Replicated"), "{statement}");
            assert!(!statement.contains("non_replicated"), "{statement}");
        }
        for view in &parts.views {
            assert!(
                view.starts_with("CREATE OR REPLACE VIEW ai_evidence.") && view.contains(ON_CLUSTER),
                "{view}"
            );
            assert!(!view.contains(LOCAL), "{view}");
        }
    }

    #[test]
    fn names_are_found_after_their_words() {
        assert_eq!(
            named("CREATE TABLE IF NOT EXISTS d.t (x", &CREATE_TABLE),
            Some("t")
        );
        assert_eq!(named("CREATE TABLE d.t (x", &CREATE_TABLE), None);
        assert_eq!(named("ALTER TABLE d.t ADD", &ALTER_TABLE), Some("t"));
    }
}
