//! The form of `dashboards/source/*.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// One dashboard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dashboard {
    /// Stable name, also of the file.
    pub(crate) uid: String,
    pub(crate) title: String,
    /// What it answers.
    pub(crate) question: String,
    /// Start of the period shown at first, as Grafana writes it: `now-7d`.
    pub(crate) time: String,
    /// Variables, by name (`variables.rs`).
    pub(crate) variables: Vec<String>,
    pub(crate) panel: Vec<Panel>,
}

/// One panel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) kind: Kind,
    /// Width (of 24) and height in Grafana's grid.
    pub(crate) size: [u32; 2],
    /// What a reader has to know to read it right.
    #[serde(default)]
    pub(crate) about: String,
    /// Query with `{interactions}` and the like for tables (`variables.rs`). The first column of a time line is `time`.
    #[serde(default)]
    pub(crate) sql: String,
    /// Text of a panel that has no query, in Markdown.
    #[serde(default)]
    pub(crate) text: String,
    /// Unit of all numbers, as Grafana names it.
    #[serde(default = "short")]
    pub(crate) unit: String,
    pub(crate) decimals: Option<u32>,
    /// Units of single columns.
    #[serde(default)]
    pub(crate) units: BTreeMap<String, String>,
    /// Words that get their colour, from `words.toml`.
    #[serde(default)]
    pub(crate) words: Vec<String>,
    /// Columns that lead to another dashboard.
    #[serde(default)]
    pub(crate) links: BTreeMap<String, Target>,
    /// Lines are stacked.
    #[serde(default)]
    pub(crate) stack: bool,
    /// Bars instead of lines.
    #[serde(default)]
    pub(crate) bars: bool,
    /// Period of its own, until now: `26w`.
    pub(crate) back: Option<String>,
    /// A number is coloured: what 0 means. More is the opposite.
    pub(crate) zero_is: Option<Zero>,
}

fn short() -> String {
    "short".to_owned()
}

/// What kind of panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Stat,
    Timeseries,
    Table,
    Barchart,
    StateTimeline,
    Text,
}

/// Where a column leads to, on the dashboard of workloads and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// The workload that the column names.
    Lineage,
    /// The record whose hash the column holds.
    Record,
}

/// What a zero means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Zero {
    Good,
}

/// Colours of words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    colours: BTreeMap<String, String>,
    words: BTreeMap<String, String>,
}

impl Dashboard {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        toml_file(path)
    }
}

impl Words {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        toml_file(path)
    }

    /// Colour of a meaning: good, look, act, unknown, fact.
    pub(crate) fn meaning(&self, meaning: &str) -> Result<&str> {
        self.colours
            .get(meaning)
            .map(String::as_str)
            .with_context(|| format!("words.toml has no colour {meaning:?}"))
    }

    /// Colour of a word.
    pub(crate) fn colour(&self, word: &str) -> Result<&str> {
        let meaning = self
            .words
            .get(word)
            .with_context(|| format!("words.toml does not know the word {word:?}"))?;
        self.meaning(meaning)
    }
}

pub(super) fn toml_file<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}
