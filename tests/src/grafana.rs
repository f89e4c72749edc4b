//! What Grafana and its ClickHouse plugin make of a query before it is sent: variables and macros, as far as our dashboards
//! use them (grafana/clickhouse-datasource: `applyConditionalAll`, `pkg/macros`).

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What the reader chose.
#[derive(Debug, Clone)]
pub struct Period {
    /// Start, seconds since the Unix epoch.
    pub from: i64,
    /// End.
    pub to: i64,
    /// Variables stand on "All", but those with a value; else each has one made-up value.
    pub all: bool,
    /// Values of variables, by name; the others have a made-up one.
    pub values: Vec<(&'static str, String)>,
}

/// The dashboards, in the order of their files.
///
/// # Errors
/// A file cannot be read or is no JSON.
pub fn dashboards() -> Result<Vec<Value>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| json(path)).collect()
}

/// A file of JSON.
///
/// # Errors
/// It cannot be read or is no JSON.
pub fn json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// The panels of a dashboard.
pub fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().into_iter().flatten()
}

/// The panel's own period (`26w` until now), where it has one.
///
/// # Errors
/// It is not in weeks.
pub fn own_period(panel: &Value, period: &Period) -> Result<Period> {
    let Some(weeks) = panel["timeFrom"].as_str() else {
        return Ok(period.clone());
    };
    let weeks: i64 = weeks.strip_suffix('w').context("weeks")?.parse()?;
    Ok(Period {
        from: period.to - weeks * 7 * 86_400,
        ..period.clone()
    })
}

const CONDITIONAL: &str = "$__conditionalAll(";
const TIME_FILTER: &str = "$__timeFilter(";

/// The query as the store gets it.
///
/// # Errors
/// A macro or variable that is not known here.
pub fn expand(sql: &str, period: &Period) -> Result<String> {
    let mut text = sql.to_owned();
    while let Some(at) = text.rfind(CONDITIONAL) {
        let (condition, variable, after) = arguments(&text, at + CONDITIONAL.len())?;
        let chosen = period
            .values
            .iter()
            .any(|(name, _)| variable == format!("${name}"));
        let condition = if period.all && !chosen {
            "1=1".to_owned()
        } else {
            condition
        };
        text.replace_range(at..after, &condition);
    }
    while let Some(at) = text.find(TIME_FILTER) {
        let start = at + TIME_FILTER.len();
        let end = start + text[start..].find(')').context("$__timeFilter( without an end")?;
        let column = &text[start..end];
        let filter = format!(
            "{column} >= toDateTime({}) AND {column} <= toDateTime({})",
            period.from, period.to
        );
        text.replace_range(at..=end, &filter);
    }
    text = text.replace("$__fromTime", &format!("toDateTime({})", period.from));
    text = text.replace("$__toTime", &format!("toDateTime({})", period.to));
    for (name, value) in &period.values {
        text = text.replace(&variable(name), &format!("'{}'", value.replace('\'', "''")));
    }
    for name in ["cluster", "namespace", "host", "provider", "workload", "record"] {
        text = text.replace(&variable(name), &format!("'no ''such'' {name}'"));
    }
    match text.find('$') {
        Some(at) => bail!("what is {:?}?", text[at..].chars().take(30).collect::<String>()),
        None => Ok(text),
    }
}

fn variable(name: &str) -> String {
    format!("${{{name}:sqlstring}}")
}

/// The two arguments of a macro, and where the macro ends.
fn arguments(text: &str, start: usize) -> Result<(String, String, usize)> {
    let (mut depth, mut comma) = (0, None);
    for (index, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => {
                let comma = comma.context("a macro with one argument")?;
                let (first, second) = (&text[start..comma], &text[comma + 1..index]);
                return Ok((first.to_owned(), second.trim().to_owned(), index + 1));
            }
            b')' => depth -= 1,
            b',' if depth == 0 && comma.replace(index).is_some() => bail!("a macro with three arguments"),
            _ => {}
        }
    }
    bail!("a macro without an end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_become_what_the_plugin_makes_of_them() {
        let sql = "SELECT 1 WHERE $__conditionalAll(a IN (f(x, y), ${host:sqlstring}), $host) AND $__timeFilter(ts)";
        let all = Period {
            from: 1,
            to: 2,
            all: true,
            values: Vec::new(),
        };
        assert_eq!(
            expand(sql, &all).unwrap(),
            "SELECT 1 WHERE 1=1 AND ts >= toDateTime(1) AND ts <= toDateTime(2)"
        );
        let some = Period {
            all: false,
            ..all.clone()
        };
        assert!(
            expand(sql, &some)
                .unwrap()
                .starts_with("SELECT 1 WHERE a IN (f(x, y), 'no ''such'' host') AND ")
        );
        let one = Period {
            values: vec![("host", "it's".into())],
            ..all.clone()
        };
        assert!(
            expand(sql, &one)
                .unwrap()
                .starts_with("SELECT 1 WHERE a IN (f(x, y), 'it''s') AND ")
        );
        assert!(expand("SELECT $__nothing", &all).is_err());
        assert!(expand("$__conditionalAll(a", &all).is_err());
    }
}
