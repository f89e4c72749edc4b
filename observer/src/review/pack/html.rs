//! HTML out of texts that others wrote. Pure. Everything goes through [`escape`]; markup is written only here, in `page.rs` and
//! in `charts.rs`.

use std::fmt::Write;

use crate::report::text::safe;

/// A text as HTML shows it: in elements and in quoted attributes. Characters that steer a terminal or turn the direction of
/// text are replaced, too: a name must not look like another.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in safe(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A value in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    class: &'static str,
}

/// A text.
pub(super) fn text(text: impl Into<String>) -> Cell {
    Cell {
        text: text.into(),
        class: "",
    }
}

/// A number, with a thin gap between thousands.
pub(super) fn number(n: u64) -> Cell {
    Cell {
        text: grouped(n),
        class: "n",
    }
}

/// A text with a class of the style sheet.
pub(super) fn classed(text: impl Into<String>, class: &'static str) -> Cell {
    Cell {
        text: text.into(),
        class,
    }
}

/// 1234567 as 1 234 567.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}

/// A table, or a sentence where there are no rows.
pub(super) fn table(heads: &[&str], rows: &[Vec<Cell>], none: &str) -> String {
    if rows.is_empty() {
        return format!("<p class=\"none\">{}</p>\n", escape(none));
    }
    let mut out = String::from("<table><thead><tr>");
    for (index, head) in heads.iter().enumerate() {
        let class = rows[0].get(index).map_or("", |cell| cell.class);
        let class = if class == "n" { " class=\"n\"" } else { "" };
        let _ = write!(out, "<th{class}>{}</th>", escape(head));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            match cell.class {
                "" => out.push_str("<td>"),
                class => {
                    let _ = write!(out, "<td class=\"{class}\">");
                }
            }
            // A long name breaks behind a slash rather than anywhere.
            out.push_str(&escape(&cell.text).replace('/', "/<wbr>"));
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
    out
}

/// A paragraph.
pub(super) fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

/// A list.
pub(super) fn list<'t>(items: impl IntoIterator<Item = &'t str>) -> String {
    let items: String = items
        .into_iter()
        .map(|item| format!("<li>{}</li>\n", escape(item)))
        .collect();
    format!("<ul>\n{items}</ul>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_becomes_markup() {
        let hostile = "<script>alert(1)</script> \" onload='x' & \u{202e}\u{0}";
        let shown = escape(hostile);
        assert!(
            !shown.contains(['<', '>', '"', '\'', '\u{202e}', '\u{0}']),
            "{shown}"
        );
        assert!(shown.contains("&lt;script&gt;") && shown.contains("&amp;"));
        let table = table(
            &[hostile],
            &[vec![text(hostile)], vec![classed(hostile, "bad")]],
            hostile,
        );
        assert!(
            !table.contains("<script") && !table.contains("onload='"),
            "{table}"
        );
        assert!(!paragraph(hostile).contains("<script") && !list([hostile]).contains("<script"));
        assert!(!self::table(&[], &[], hostile).contains("<script"));
    }

    #[test]
    fn numbers_are_grouped() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1\u{2009}000"),
            (1_234_567, "1\u{2009}234\u{2009}567"),
        ] {
            assert_eq!(grouped(n), text);
        }
    }
}
