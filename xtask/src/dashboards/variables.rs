//! Variables of dashboards, and the tables of queries with the filters that the variables mean.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::source::Dashboard;

/// Type of the data source plugin.
pub(super) const PLUGIN: &str = "grafana-clickhouse-datasource";

/// The data source that the reader chose.
pub(super) fn data_source() -> Value {
    json!({ "type": PLUGIN, "uid": "${datasource}" })
}

/// A table in queries: how it is written there, what is read, and the column of each variable that it has.
struct Table {
    name: &'static str,
    from: &'static str,
    columns: &'static [(&'static str, &'static str)],
}

/// Hosts of the chosen clusters, silent ones too: those are in nothing but the inventory, whose source names the cluster.
const CLUSTER: &str = "host_id IN (SELECT host_id FROM ai_evidence.ai_interactions WHERE k8s_cluster_name IN (${cluster:sqlstring}) UNION DISTINCT \
                       SELECT host_id FROM ai_evidence.host_inventory WHERE startsWith(source, 'kubernetes/') AND substring(source, 12) IN (${cluster:sqlstring}))";

/// Whether anybody observed at all: a count of 0 without a seal in this period is no 0 but unknown.
const OBSERVED: &str = "{observed}";

const TABLES: &[Table] = &[
    Table {
        name: "{interactions}",
        from: "ai_evidence.pv_interactions(from=$__fromTime, to=$__toTime)",
        columns: &[
            ("host", "host_id"),
            ("namespace", "k8s_namespace_name"),
            ("provider", "gen_ai_provider_name"),
        ],
    },
    Table {
        name: "{findings}",
        from: "ai_evidence.pv_findings(from=$__fromTime, to=$__toTime)",
        columns: &[
            ("host", "host_id"),
            ("namespace", "k8s_namespace_name"),
            ("provider", "gen_ai_provider_name"),
        ],
    },
    Table {
        name: "{connections}",
        // What enforcement denied is no connection.
        from: "(SELECT * FROM ai_evidence.pv_connections(from=$__fromTime, to=$__toTime) WHERE visibility != 'none')",
        columns: &[("host", "host_id"), ("namespace", "k8s_namespace_name")],
    },
    Table {
        name: "{blind_spots}",
        from: "ai_evidence.pv_blind_spots(from=$__fromTime, to=$__toTime)",
        columns: &[("host", "host_id"), ("namespace", "k8s_namespace_name")],
    },
    Table {
        name: "{seals}",
        from: "ai_evidence.pv_seals(from=$__fromTime, to=$__toTime)",
        columns: &[("host", "host_id")],
    },
    Table {
        name: "{inventory}",
        from: "(SELECT host_id, argMax(k8s_node_name, observed_at) AS k8s_node_name, argMax(first_seen, observed_at) AS first_seen, \
               argMax(gone_at, observed_at) AS gone_at, argMax(in_scope, observed_at) AS scope FROM ai_evidence.host_inventory GROUP BY host_id HAVING scope)",
        columns: &[("host", "host_id")],
    },
];

/// The query with its tables written out, filtered by these variables.
pub(super) fn expand(variables: &[String], sql: &str) -> Result<String> {
    let mut text = sql.trim().to_owned();
    for table in TABLES {
        if text.contains(table.name) {
            text = text.replace(table.name, &filtered(variables, table));
        }
    }
    if text.contains(OBSERVED) {
        text = text.replace(OBSERVED, &observed(variables));
    }
    if text.contains('{') && text.replace("${", "").contains('{') {
        bail!("the query names a table that variables.rs does not have: {text}");
    }
    Ok(text)
}

/// What the variables mean for columns of a table.
fn filters(variables: &[String], columns: &[(&str, &str)]) -> Vec<String> {
    let has = |name: &str| variables.iter().any(|v| v == name);
    let mut filters: Vec<String> = Vec::new();
    if has("cluster") {
        filters.push(format!("$__conditionalAll({CLUSTER}, $cluster)"));
    }
    for (variable, column) in columns {
        if has(variable) {
            filters.push(format!(
                "$__conditionalAll({column} IN (${{{variable}:sqlstring}}), ${variable})"
            ));
        }
    }
    filters
}

/// [`OBSERVED`], for the hosts that the variables mean. The first seal suffices.
fn observed(variables: &[String]) -> String {
    let mut filters = filters(variables, &[("host", "host_id")]);
    filters.insert(
        0,
        "interval_start >= $__fromTime AND interval_start < $__toTime".to_owned(),
    );
    format!(
        "(SELECT count() FROM (SELECT host_id FROM ai_evidence.evidence_seals WHERE {} LIMIT 1)) > 0",
        filters.join(" AND ")
    )
}

fn filtered(variables: &[String], table: &Table) -> String {
    let filters = filters(variables, table.columns);
    if filters.is_empty() {
        return format!("(SELECT * FROM {})", table.from);
    }
    format!("(SELECT * FROM {} WHERE {})", table.from, filters.join(" AND "))
}

/// `templating.list` of a dashboard.
pub(super) fn list(dashboard: &Dashboard) -> Result<Vec<Value>> {
    let mut list = vec![json!({
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": PLUGIN,
        "hide": 0,
        "refresh": 1,
        "regex": "",
        "multi": false,
        "includeAll": false,
    })];
    for name in &dashboard.variables {
        list.push(match name.as_str() {
            "cluster" => query(
                name,
                "Cluster",
                "SELECT k8s_cluster_name FROM (SELECT k8s_cluster_name FROM ai_evidence.ai_interactions WHERE ts >= $__fromTime UNION DISTINCT \
                 SELECT substring(source, 12) FROM ai_evidence.host_inventory WHERE startsWith(source, 'kubernetes/')) ORDER BY 1",
            ),
            "namespace" => query(name, "Namespace", "SELECT DISTINCT k8s_namespace_name FROM ai_evidence.ai_interactions WHERE ts >= $__fromTime ORDER BY 1"),
            "provider" => query(name, "Provider", "SELECT DISTINCT gen_ai_provider_name FROM ai_evidence.ai_interactions WHERE ts >= $__fromTime ORDER BY 1"),
            "host" => query(
                name,
                "Host",
                "SELECT host_id AS __value, if(name = '', host_id, name) AS __text FROM (SELECT host_id, max(host_name) AS name FROM \
                 (SELECT host_id, '' AS host_name FROM ai_evidence.evidence_seals WHERE interval_start >= $__fromTime UNION ALL \
                 SELECT host_id, host_name FROM ai_evidence.ai_interactions WHERE ts >= $__fromTime) GROUP BY host_id) ORDER BY __text",
            ),
            "workload" => text(name, "Workload"),
            "record" => text(name, "Record (hash)"),
            other => bail!("no variable {other:?} in variables.rs"),
        });
    }
    Ok(list)
}

fn query(name: &str, label: &str, sql: &str) -> Value {
    json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": data_source(),
        "query": sql,
        "refresh": 2,
        "regex": "",
        "sort": 0,
        "hide": 0,
        "multi": true,
        "includeAll": true,
        "current": { "selected": true, "text": ["All"], "value": ["$__all"] },
        "options": [],
    })
}

fn text(name: &str, label: &str) -> Value {
    json!({
        "name": name,
        "label": label,
        "type": "textbox",
        "query": "",
        "hide": 0,
        "current": { "selected": true, "text": "", "value": "" },
        "options": [{ "selected": true, "text": "", "value": "" }],
    })
}
