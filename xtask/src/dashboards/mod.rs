//! Writes `dashboards/*.json` and the alerts of `deploy/grafana` from `dashboards/source/*.toml`, so that colours, variables, filters and links are
//! the same everywhere.

mod alerts;
pub(crate) mod draw;
mod panel;
mod source;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

pub(crate) use source::{Dashboard, Words};

/// What is written by hand.
const SOURCE: &str = "dashboards/source";

/// Alert rules that Grafana loads at its start.
const ALERTS: &str = "deploy/grafana/provisioning/alerting/observer.json";

/// Version of Grafana's dashboard model that is written (Grafana 11).
const SCHEMA_VERSION: u32 = 41;

/// Renders all dashboards; with `check` nothing is written and a difference is an error.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = crate::run::root();
    let rendered = render(&root.join(SOURCE))?;
    let mut stale = Vec::new();
    for (name, text) in &rendered {
        let path = root.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|old| old == *text) {
            continue;
        }
        if check {
            stale.push(path.display().to_string());
        } else {
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    if !stale.is_empty() {
        bail!(
            "not up to date, run `cargo xtask dashboards`: {}",
            stale.join(", ")
        );
    }
    crate::run::say("dashboards", &format!("{} files are up to date", rendered.len()));
    Ok(())
}

/// Path from the root, and text, of each file.
fn render(source: &Path) -> Result<BTreeMap<String, String>> {
    let words = Words::read(&source.join("words.toml"))?;
    let mut files = BTreeMap::new();
    for path in sources(source)? {
        let dashboard = Dashboard::read(&path)?;
        let value = model(&dashboard, &words).with_context(|| path.display().to_string())?;
        files.insert(format!("dashboards/{}.json", dashboard.uid), pretty(&value)?);
    }
    files.insert(
        ALERTS.to_owned(),
        pretty(&alerts::render(&source.join("alerts.toml"))?)?,
    );
    Ok(files)
}

fn pretty(value: &Value) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.ends_with(".toml") && !["words.toml", "alerts.toml"].contains(&name) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn model(dashboard: &Dashboard, words: &Words) -> Result<Value> {
    let mut panels = Vec::new();
    let (mut x, mut y, mut row_height) = (0, 0, 0);
    for (index, panel) in dashboard.panel.iter().enumerate() {
        let [width, height] = panel.size;
        if x + width > 24 {
            (x, y, row_height) = (0, y + row_height, 0);
        }
        let mut value =
            panel::render(dashboard, panel, words).with_context(|| format!("panel {:?}", panel.title))?;
        value["id"] = json!(index + 1);
        value["gridPos"] = json!({ "h": height, "w": width, "x": x, "y": y });
        x += width;
        row_height = row_height.max(height);
        panels.push(value);
    }
    Ok(json!({
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.question,
        "tags": ["observer"],
        "timezone": "utc",
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "",
        "time": { "from": dashboard.time, "to": "now" },
        "annotations": { "list": [] },
        "templating": { "list": variables::list(dashboard)? },
        "links": [{
            "type": "dashboards",
            "title": "Observer",
            "tags": ["observer"],
            "asDropdown": true,
            "includeVars": true,
            "keepTime": true,
            "targetBlank": false,
            "icon": "external link",
            "tooltip": "",
            "url": "",
        }],
        "panels": panels,
    }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_dashboards_are_those_of_their_sources() {
        super::run(true).expect("up to date");
    }
}
