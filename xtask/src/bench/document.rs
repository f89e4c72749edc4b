//! Results as a table in Markdown, and their place in the document.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;

/// A table of results.
pub(super) fn table(rows: &[Value]) -> String {
    let lines: Vec<[String; 4]> = rows.iter().map(cells).collect();
    let head = ["what", "measured", "aim", "remark"].map(str::to_owned);
    let width = |column: usize| {
        let cells = lines
            .iter()
            .chain([&head])
            .map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    add(&mut text, &head, widths);
    add(&mut text, &widths.map(|width| "-".repeat(width)), widths);
    for line in &lines {
        add(&mut text, line, widths);
    }
    text
}

fn add(text: &mut String, cells: &[String; 4], widths: [usize; 4]) {
    for (cell, width) in cells.iter().zip(widths) {
        // Writing to a String cannot fail.
        let _ = write!(text, "| {cell:width$} ");
    }
    text.push_str("|\n");
}

fn cells(row: &Value) -> [String; 4] {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_f64().map_or_else(|| "unknown".to_owned(), shown);
    let mut measured = format!("{} {}", number(&row["value"]), text("unit"));
    if let Some([least, greatest]) = row["range"].as_array().map(Vec::as_slice) {
        let _ = write!(measured, " ({} to {})", number(least), number(greatest));
    }
    let mut aim = text("aim");
    match row["met"].as_bool() {
        Some(true) => aim.push_str(": met"),
        Some(false) => aim.push_str(": MISSED"),
        None => {}
    }
    [text("what"), measured, aim, text("note")]
}

/// Three digits that count, and thousands apart.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1000.0 {
        return thousands(&format!("{value:.0}"));
    }
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The document with what stands between the markers of `name` replaced; everything else stays.
pub(crate) fn replace(document: &str, name: &str, section: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- bench {name} -->\n"), format!("<!-- end {name} -->"));
    let start = document.find(&begin).map(|at| at + begin.len());
    let start = start.with_context(|| format!("the document has no line {}", begin.trim()))?;
    let length = document[start..]
        .find(&end)
        .with_context(|| format!("the document has no line {end}"))?;
    Ok(format!(
        "{}{section}{}",
        &document[..start],
        &document[start + length..]
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_section_changes() {
        let old = "a\n<!-- bench x -->\nold\n<!-- end x -->\nb\n<!-- bench y -->\n<!-- end y -->\n";
        let new = replace(old, "x", "new\n").expect("markers");
        assert_eq!(new, old.replace("old\n", "new\n"));
        assert!(replace(old, "z", "").is_err());
    }

    #[test]
    fn numbers_are_short() {
        let texts: Vec<String> = [0.0, 1.0654, 12.34, 587.164, 200_000.0, 17_581.7]
            .map(shown)
            .to_vec();
        assert_eq!(texts, ["0", "1.07", "12.3", "587", "200,000", "17,582"]);
    }

    #[test]
    fn a_missed_aim_is_said() {
        let row = json!({"what": "a", "value": 1.2, "unit": "times", "range": [1.1, 1.3], "aim": "at most 1.1", "met": false, "note": ""});
        assert_eq!(
            cells(&row)[1..3],
            ["1.20 times (1.10 to 1.30)", "at most 1.1: MISSED"]
        );
    }
}
