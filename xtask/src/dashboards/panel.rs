//! A panel in Grafana's model.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::source::{Dashboard, Kind, Panel, Target, Words, Zero};
use super::variables::{data_source, expand};

/// What an empty result says.
const NO_DATA: &str = "no data yet";

/// What an empty cell shows: not known, or nothing to say.
const EMPTY_CELL: &str = "–";

pub(super) fn render(dashboard: &Dashboard, panel: &Panel, words: &Words) -> Result<Value> {
    if panel.kind == Kind::Text {
        return Ok(json!({
            "type": "text",
            "title": panel.title,
            "options": { "mode": "markdown", "content": panel.text.trim() },
        }));
    }
    if panel.sql.is_empty() {
        bail!("it has no sql");
    }
    let mut value = json!({
        "type": kind(panel.kind),
        "title": panel.title,
        "description": panel.about,
        "datasource": data_source(),
        "targets": [target(panel.kind, &expand(&dashboard.variables, &panel.sql)?)],
        "fieldConfig": { "defaults": defaults(panel, words)?, "overrides": overrides(panel, words)? },
        "options": options(panel),
    });
    if let Some(back) = &panel.back {
        value["timeFrom"] = json!(back);
    }
    Ok(value)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Stat => "stat",
        Kind::Timeseries => "timeseries",
        Kind::Table => "table",
        Kind::Barchart => "barchart",
        Kind::StateTimeline => "state-timeline",
        Kind::Text => "text",
    }
}

/// Whether the plugin makes one line for each value of the text column.
fn is_series(kind: Kind) -> bool {
    matches!(kind, Kind::Timeseries | Kind::StateTimeline)
}

fn target(kind: Kind, sql: &str) -> Value {
    json!({
        "refId": "A",
        "datasource": data_source(),
        "editorType": "sql",
        "format": u8::from(!is_series(kind)),
        "queryType": if is_series(kind) { "timeseries" } else { "table" },
        "rawSql": sql,
    })
}

fn defaults(panel: &Panel, words: &Words) -> Result<Value> {
    let mut defaults = json!({
        "unit": panel.unit,
        "noValue": NO_DATA,
        "color": colour_mode(panel, words)?,
        "thresholds": { "mode": "absolute", "steps": steps(panel, words)? },
        "mappings": mappings(panel, words)?,
        "custom": custom(panel),
    });
    if let Some(decimals) = panel.decimals {
        defaults["decimals"] = json!(decimals);
    }
    if panel.kind == Kind::Timeseries {
        defaults["min"] = json!(0);
    }
    Ok(defaults)
}

fn colour_mode(panel: &Panel, words: &Words) -> Result<Value> {
    Ok(match panel.kind {
        Kind::Stat if panel.zero_is.is_none() && panel.words.is_empty() => {
            json!({ "mode": "fixed", "fixedColor": words.meaning("fact")? })
        }
        Kind::Timeseries | Kind::Barchart => json!({ "mode": "palette-classic" }),
        _ => json!({ "mode": "thresholds" }),
    })
}

fn steps(panel: &Panel, words: &Words) -> Result<Value> {
    Ok(match panel.zero_is {
        Some(Zero::Good) => json!([
            { "color": words.meaning("good")?, "value": null },
            { "color": words.meaning("look")?, "value": 1 },
        ]),
        None => json!([{ "color": "text", "value": null }]),
    })
}

/// Words in their colours, as texts of cells and states.
fn mappings(panel: &Panel, words: &Words) -> Result<Value> {
    if panel.words.is_empty() {
        return Ok(json!([]));
    }
    let mut options = serde_json::Map::new();
    for (index, word) in panel.words.iter().enumerate() {
        options.insert(
            word.clone(),
            json!({ "color": words.colour(word)?, "text": word, "index": index }),
        );
    }
    Ok(json!([{ "type": "value", "options": options }]))
}

fn custom(panel: &Panel) -> Value {
    match panel.kind {
        Kind::Timeseries => json!({
            "drawStyle": if panel.bars { "bars" } else { "line" },
            "lineWidth": 1,
            "fillOpacity": if panel.bars { 80 } else if panel.stack { 30 } else { 0 },
            "showPoints": "never",
            "spanNulls": false,
            "stacking": { "mode": if panel.stack { "normal" } else { "none" }, "group": "A" },
        }),
        Kind::Barchart => json!({ "fillOpacity": 80, "lineWidth": 0 }),
        Kind::StateTimeline => json!({ "fillOpacity": 80, "lineWidth": 0 }),
        Kind::Table => json!({
            "align": "auto",
            "filterable": true,
            "cellOptions": { "type": if panel.words.is_empty() { "auto" } else { "color-text" } },
        }),
        Kind::Stat | Kind::Text => json!({}),
    }
}

fn overrides(panel: &Panel, words: &Words) -> Result<Value> {
    let by_name = |name: &str, properties: Value| json!({ "matcher": { "id": "byName", "options": name }, "properties": properties });
    let mut overrides = Vec::new();
    if panel.kind == Kind::Table {
        // An empty cell is no empty panel.
        overrides.push(json!({
            "matcher": { "id": "byRegexp", "options": "/.*/" },
            "properties": [{ "id": "noValue", "value": EMPTY_CELL }],
        }));
    }
    if matches!(panel.kind, Kind::Timeseries | Kind::Barchart) {
        for word in &panel.words {
            let colour = json!({ "mode": "fixed", "fixedColor": words.colour(word)? });
            overrides.push(by_name(word, json!([{ "id": "color", "value": colour }])));
        }
    }
    for (column, unit) in &panel.units {
        overrides.push(by_name(column, json!([{ "id": "unit", "value": unit }])));
    }
    for (column, target) in &panel.links {
        overrides.push(by_name(
            column,
            json!([{ "id": "links", "value": [link(*target)] }]),
        ));
    }
    Ok(json!(overrides))
}

fn link(target: Target) -> Value {
    let (title, variable) = match target {
        Target::Lineage => ("This workload", "workload"),
        Target::Record => ("This record", "record"),
    };
    json!({
        "title": title,
        "url": format!("/d/observer-lineage?var-{variable}=${{__value.raw:percentencode}}&${{__url_time_range}}"),
        "targetBlank": false,
    })
}

fn options(panel: &Panel) -> Value {
    let legend = json!({ "showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": [] });
    match panel.kind {
        Kind::Stat => json!({
            // A verdict is a text, and so is what the data source sends for it.
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": if panel.words.is_empty() { "" } else { "/.*/" }, "values": false },
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "center",
            "textMode": "value",
            "orientation": "auto",
        }),
        Kind::Timeseries => json!({ "legend": legend, "tooltip": { "mode": "multi", "sort": "desc" } }),
        Kind::Barchart => json!({
            "orientation": "auto",
            "stacking": "normal",
            "xTickLabelRotation": 0,
            "showValue": "auto",
            "legend": legend,
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Kind::StateTimeline => json!({
            "mergeValues": true,
            "showValue": "never",
            "rowHeight": 0.9,
            "legend": legend,
            "tooltip": { "mode": "single", "sort": "none" },
        }),
        Kind::Table => {
            json!({ "showHeader": true, "cellHeight": "sm", "footer": { "show": false, "reducer": [], "countRows": false, "fields": "" } })
        }
        Kind::Text => json!({}),
    }
}
