//! Schema of the store, as numbered migrations, and how they get into a database.
//!
//! Each file of `schema/` is one migration: plain SQL for the database `ai_evidence`, which is replaced by the
//! configured name. Statements go one per request and all say IF NOT EXISTS or OR REPLACE, so a migration that stopped half way,
//! or that two agents run at once, is simply run again. What was applied is recorded with its SHA-256; a file that
//! was changed afterwards, or a database that a newer program has migrated, is refused.

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::client::{Client, ErrorKind, StoreError};
use super::sql::split_script;

/// Database that the SQL files name.
const PLACEHOLDER: &str = "ai_evidence";

/// One step of the schema.
#[derive(Debug)]
pub struct Migration {
    /// Number, from 1, without holes.
    pub version: u32,
    /// Name of the file without number.
    pub name: &'static str,
    /// SQL for the database `ai_evidence`.
    pub sql: &'static str,
}

/// All migrations, oldest first. Never change one that was released: add another.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "records",
        sql: include_str!("schema/0001_records.sql"),
    },
    Migration {
        version: 2,
        name: "registers",
        sql: include_str!("schema/0002_registers.sql"),
    },
    Migration {
        version: 3,
        name: "views",
        sql: include_str!("schema/0003_views.sql"),
    },
    Migration {
        version: 4,
        name: "usage",
        sql: include_str!("schema/0004_usage.sql"),
    },
    Migration {
        version: 5,
        name: "found_by",
        sql: include_str!("schema/0005_found_by.sql"),
    },
    Migration {
        version: 6,
        name: "chain",
        sql: include_str!("schema/0006_chain.sql"),
    },
    Migration {
        version: 7,
        name: "dropped",
        sql: include_str!("schema/0007_dropped.sql"),
    },
    Migration {
        version: 8,
        name: "policy",
        sql: include_str!("schema/0008_policy.sql"),
    },
    Migration {
        version: 9,
        name: "accounts",
        sql: include_str!("schema/0009_accounts.sql"),
    },
    Migration {
        version: 10,
        name: "calls",
        sql: include_str!("schema/0010_calls.sql"),
    },
    Migration {
        version: 11,
        name: "scan_gaps",
        sql: include_str!("schema/0011_scan_gaps.sql"),
    },
    Migration {
        version: 12,
        name: "in_order",
        sql: include_str!("schema/0012_in_order.sql"),
    },
    Migration {
        version: 13,
        name: "enforcement",
        sql: include_str!("schema/0013_enforcement.sql"),
    },
    Migration {
        version: 14,
        name: "connections_in_order",
        sql: include_str!("schema/0014_connections_in_order.sql"),
    },
    Migration {
        version: 15,
        name: "connections_of_pods",
        sql: include_str!("schema/0015_connections_of_pods.sql"),
    },
    Migration {
        version: 16,
        name: "mcp",
        sql: include_str!("schema/0016_mcp.sql"),
    },
    Migration {
        version: 17,
        name: "gateways",
        sql: include_str!("schema/0017_gateways.sql"),
    },
    Migration {
        version: 18,
        name: "gateways_elsewhere",
        sql: include_str!("schema/0018_gateways_elsewhere.sql"),
    },
    Migration {
        version: 19,
        name: "served",
        sql: include_str!("schema/0019_served.sql"),
    },
    Migration {
        version: 20,
        name: "gateways_served",
        sql: include_str!("schema/0020_gateways_served.sql"),
    },
];

pub(super) const CREATE_DATABASE: &str = "CREATE DATABASE IF NOT EXISTS ai_evidence";

pub(super) const CREATE_LEDGER: &str = "CREATE TABLE IF NOT EXISTS ai_evidence.schema_migrations (
  version UInt32, name String, sha256 FixedString(32),
  applied_at DateTime64(3,'UTC') DEFAULT now64(3,'UTC')
) ENGINE = MergeTree ORDER BY version";

impl Migration {
    /// SHA-256 of the SQL file.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.sql).into()
    }

    /// Statements for `database`.
    fn statements(&self, database: &str) -> Vec<String> {
        split_script(self.sql)
            .expect("the SQL files are part of the program and tested")
            .into_iter()
            .map(|statement| for_database(statement, database))
            .collect()
    }
}

fn for_database(sql: &str, database: &str) -> String {
    sql.replace(PLACEHOLDER, database)
}

/// The whole schema as one script for `database`, for people who create it by hand.
pub fn script(database: &str) -> String {
    let mut out = String::from(
        "-- Schema of the evidence store, single node form. Made from observer/src/store/schema by the test\n\
         -- `the_deployed_script_is_the_migrations`; do not edit. One statement per request over HTTP:\n\
         -- clickhouse-client --multiquery < single-node.sql\n\n",
    );
    out.push_str(&for_database(CREATE_DATABASE, database));
    out.push_str(";\n\n");
    out.push_str(&for_database(CREATE_LEDGER, database));
    out.push_str(";\n");
    for migration in MIGRATIONS {
        out.push_str(&format!(
            "\n-- migration {}: {}\n",
            migration.version, migration.name
        ));
        out.push_str(&for_database(migration.sql, database));
        out.push_str(&format!(
            "\nINSERT INTO {database}.schema_migrations (version, name, sha256) VALUES ({}, '{}', unhex('{}'));\n",
            migration.version,
            migration.name,
            hex::encode(migration.digest()),
        ));
    }
    out
}

/// A migration as the database remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
struct Applied {
    version: u32,
    name: String,
    sha256: [u8; 32],
}

/// Why the schema was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The store refused or could not be reached.
    #[error("schema migration {step}: {source}")]
    Store {
        /// What was being done.
        step: String,
        /// The cause.
        source: StoreError,
    },
    /// The database was migrated by a newer program.
    #[error(
        "database {database} has schema version {found}, this program knows versions up to {known}: \
         install a newer observer, or name another database"
    )]
    Newer {
        /// Database.
        database: String,
        /// Version recorded there.
        found: u32,
        /// Last version that the program knows.
        known: u32,
    },
    /// A recorded migration is not the one that the program has.
    #[error(
        "database {database}: migration {version} ({name}) was applied from another text (sha256 {found}, \
         this program has {expected}): not touched"
    )]
    Changed {
        /// Database.
        database: String,
        /// Number.
        version: u32,
        /// Name.
        name: String,
        /// Digest recorded.
        found: String,
        /// Digest of the program's text.
        expected: String,
    },
}

/// An error of the store at a step.
fn at(step: &str) -> impl FnOnce(StoreError) -> MigrateError {
    let step = step.to_owned();
    move |source| MigrateError::Store { step, source }
}

/// Creates database and tables of the client's database and applies what is missing, in order. Returns the
/// versions applied now (empty when the schema was up to date). Where nothing is missing it only reads: agents may do no more,
/// and ClickHouse looks for the right to create before it looks whether there is anything to create.
pub async fn migrate(client: &Client) -> Result<Vec<u32>, MigrateError> {
    let database = client.database();
    let applied = match recorded(client).await {
        Ok(applied) => applied,
        Err(error) if error.kind != ErrorKind::Denied && !is_missing(&error) => {
            return Err(at("read schema_migrations")(error));
        }
        // There is no such database or table yet; who may not look into a database hears the same as who may not read.
        Err(_) => {
            create_ledger(client).await?;
            recorded(client).await.map_err(at("read schema_migrations"))?
        }
    };
    let mut done = Vec::new();
    for migration in missing(MIGRATIONS, &applied, database)? {
        let step = format!("{} ({})", migration.version, migration.name);
        for statement in migration.statements(database) {
            client.command(&statement).await.map_err(at(&step))?;
        }
        let record = Applied {
            version: migration.version,
            name: migration.name.to_owned(),
            sha256: migration.digest(),
        };
        client
            .insert_rows("schema_migrations", &[&record], None)
            .await
            .map_err(at(&step))?;
        done.push(migration.version);
    }
    client.forget_columns().await;
    Ok(done)
}

/// Whether the store says that there is no such table (60) or database (81).
fn is_missing(error: &StoreError) -> bool {
    matches!(error.code, Some(60 | 81))
}

/// What the database says was applied.
async fn recorded(client: &Client) -> Result<Vec<Applied>, StoreError> {
    client
        .rows("SELECT DISTINCT version, name, sha256 FROM schema_migrations ORDER BY version")
        .await
}

/// Makes the database, and the table in which migrations are recorded.
async fn create_ledger(client: &Client) -> Result<(), MigrateError> {
    let database = client.database();
    client
        .command_without_database(&for_database(CREATE_DATABASE, database))
        .await
        .map_err(at("create database"))?;
    client
        .command(&for_database(CREATE_LEDGER, database))
        .await
        .map_err(at("create schema_migrations"))
}

/// Which migrations are still to be applied.
fn missing<'m>(
    known: &'m [Migration],
    applied: &[Applied],
    database: &str,
) -> Result<Vec<&'m Migration>, MigrateError> {
    for row in applied {
        let Some(migration) = known.iter().find(|m| m.version == row.version) else {
            let known = known.iter().map(|m| m.version).max().unwrap_or(0);
            return Err(MigrateError::Newer {
                database: database.to_owned(),
                found: row.version,
                known,
            });
        };
        if migration.digest() != row.sha256 {
            return Err(MigrateError::Changed {
                database: database.to_owned(),
                version: row.version,
                name: row.name.clone(),
                found: hex::encode(row.sha256),
                expected: hex::encode(migration.digest()),
            });
        }
    }
    Ok(known
        .iter()
        .filter(|m| applied.iter().all(|row| row.version != m.version))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(migration: &Migration) -> Applied {
        Applied {
            version: migration.version,
            name: migration.name.to_owned(),
            sha256: migration.digest(),
        }
    }

    #[test]
    fn versions_count_from_one() {
        assert!(
            MIGRATIONS
                .iter()
                .map(|m| m.version)
                .eq(1..=MIGRATIONS.len() as u32)
        );
    }

    #[test]
    fn every_statement_can_be_repeated_and_is_bound_to_the_database() {
        for migration in MIGRATIONS {
            let statements = migration.statements("other_db");
            assert!(!statements.is_empty());
            for statement in statements {
                let made = ["IF NOT EXISTS other_db.", "CREATE OR REPLACE VIEW other_db."];
                let added = statement.contains("ALTER TABLE other_db.")
                    && statement.contains("ADD COLUMN IF NOT EXISTS");
                assert!(added || made.iter().any(|m| statement.contains(m)), "{statement}");
                assert!(!statement.contains(PLACEHOLDER), "{statement}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_applied_in_order() {
        let versions = |rows: &[Applied]| -> Vec<u32> {
            missing(MIGRATIONS, rows, "d")
                .expect("fits")
                .iter()
                .map(|m| m.version)
                .collect()
        };
        let last = MIGRATIONS.last().map_or(0, |m| m.version);
        assert!(versions(&[]).into_iter().eq(1..=last));
        let some = versions(&[applied(&MIGRATIONS[0]), applied(&MIGRATIONS[2])]);
        assert!(some.into_iter().eq([2].into_iter().chain(4..=last)));
        let all: Vec<Applied> = MIGRATIONS.iter().map(applied).collect();
        assert_eq!(versions(&all), [0; 0]);
    }

    /// All migrations as a server answers (RowBinaryWithNamesAndTypes).
    fn answer() -> Vec<u8> {
        let text = |text: &str| {
            let mut out = vec![u8::try_from(text.len()).expect("short")];
            out.extend(text.as_bytes());
            out
        };
        let mut out = vec![3];
        for word in ["version", "name", "sha256", "UInt32", "String", "FixedString(32)"] {
            out.extend(text(word));
        }
        for migration in MIGRATIONS {
            out.extend(migration.version.to_le_bytes());
            out.extend(text(migration.name));
            out.extend(migration.digest());
        }
        out
    }

    // ClickHouse refuses a CREATE of who may not create, also where there is nothing to create.
    #[tokio::test]
    async fn who_may_only_read_what_was_applied_needs_no_more_once_all_is() {
        use axum::http::StatusCode;
        let statements = std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default();
        let seen = std::sync::Arc::clone(&statements);
        let app = axum::Router::new().fallback(move |sql: String| async move {
            let reads = sql.starts_with("SELECT DISTINCT version, name, sha256 FROM schema_migrations");
            seen.lock().expect("lock").push(sql);
            let refusal = "Code: 497. DB::Exception: agent: Not enough privileges. (ACCESS_DENIED)";
            if reads {
                (StatusCode::OK, answer())
            } else {
                (StatusCode::FORBIDDEN, refusal.into())
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let target = crate::store::StoreTarget {
            url: format!("http://{}", listener.local_addr().expect("address")),
            database: "d".into(),
            user: String::new(),
            password: String::new(),
            ca_file: None,
        };
        tokio::spawn(async move { axum::serve(listener, app).await });
        let client = Client::new(&target).expect("client");
        assert_eq!(migrate(&client).await.expect("nothing to do"), [0; 0]);
        assert_eq!(statements.lock().expect("lock").len(), 1, "{statements:?}");
    }

    #[test]
    fn changed_and_newer_schemas_are_refused() {
        let mut row = applied(&MIGRATIONS[0]);
        row.sha256[0] ^= 1;
        let error = missing(MIGRATIONS, &[row.clone()], "d").expect_err("changed");
        assert!(
            error
                .to_string()
                .contains("migration 1 (records) was applied from another text"),
            "{error}"
        );
        row.version = 99;
        let error = missing(MIGRATIONS, &[row], "d").expect_err("newer");
        assert!(error.to_string().contains("has schema version 99"), "{error}");
    }

    // Set OBSERVER_UPDATE=1 to write the script anew after adding a migration.
    #[test]
    fn the_deployed_script_is_the_migrations() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../deploy/clickhouse/single-node.sql"
        );
        let expected = script(PLACEHOLDER);
        if std::env::var_os("OBSERVER_UPDATE").is_some() {
            std::fs::write(path, &expected).expect("written");
        }
        let found = std::fs::read_to_string(path).expect("deploy/clickhouse/single-node.sql");
        assert!(
            found == expected,
            "run this test with OBSERVER_UPDATE=1 and commit the file"
        );
        assert!(split_script(&found).is_some_and(|s| s.len() > 20));
    }
}
