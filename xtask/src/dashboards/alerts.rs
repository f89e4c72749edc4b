//! Grafana's alert rules, as a provisioning file.

use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use super::source::toml_file;
use super::variables::expand;

/// Data source that `deploy/grafana` provisions: alerts have no variable for it.
const DATA_SOURCE: &str = "observer-clickhouse";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alerts {
    alert: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alert {
    uid: String,
    title: String,
    severity: String,
    /// Seconds until now that `$__fromTime` and `$__toTime` mean.
    period: u32,
    /// How long it has to be so before somebody is called, as Grafana writes it: `2m`.
    #[serde(default = "at_once", rename = "for")]
    lasts: String,
    about: String,
    /// The number that is too much; the query leaves out rows below it, too.
    #[serde(default)]
    above: f64,
    sql: String,
}

fn at_once() -> String {
    "0s".to_owned()
}

/// The provisioning file (JSON, which Grafana takes like YAML).
pub(super) fn render(path: &Path) -> Result<Value> {
    let alerts: Alerts = toml_file(path)?;
    let rules: Vec<Value> = alerts.alert.iter().map(rule).collect::<Result<_>>()?;
    Ok(json!({
        "apiVersion": 1,
        "groups": [{ "orgId": 1, "name": "observer", "folder": "Observer", "interval": "1m", "rules": rules }],
    }))
}

fn rule(alert: &Alert) -> Result<Value> {
    Ok(json!({
        "uid": alert.uid,
        "title": alert.title,
        "condition": "B",
        "data": [
            {
                "refId": "A",
                "relativeTimeRange": { "from": alert.period, "to": 0 },
                "datasourceUid": DATA_SOURCE,
                "model": { "refId": "A", "editorType": "sql", "format": 1, "queryType": "table", "rawSql": expand(&[], &alert.sql)? },
            },
            {
                "refId": "B",
                "relativeTimeRange": { "from": alert.period, "to": 0 },
                "datasourceUid": "__expr__",
                "model": {
                    "refId": "B",
                    "type": "threshold",
                    "expression": "A",
                    "conditions": [{ "evaluator": { "type": "gt", "params": [alert.above] } }],
                },
            },
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": alert.lasts,
        "isPaused": false,
        "labels": { "severity": alert.severity, "source": "observer" },
        "annotations": { "summary": alert.title, "description": alert.about },
    }))
}
