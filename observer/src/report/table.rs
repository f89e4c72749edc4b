//! Tables on a terminal or in a pipe.

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use super::text::safe;

/// A column: its head and on which side its values stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Head.
    pub name: &'static str,
    /// Numbers stand on the right.
    pub right: bool,
}

/// A column of texts.
pub const fn left(name: &'static str) -> Column {
    Column { name, right: false }
}

/// A column of numbers.
pub const fn right(name: &'static str) -> Column {
    Column { name, right: true }
}

/// What a value deserves: a colour where the output is a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// No colour.
    #[default]
    Plain,
    /// Green.
    Good,
    /// Yellow.
    Warn,
    /// Red.
    Bad,
}

/// A value in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Text; made safe when it is shown.
    pub text: String,
    /// Colour.
    pub tone: Tone,
}

impl<T: Into<String>> From<T> for Value {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            tone: Tone::Plain,
        }
    }
}

/// A value with a colour.
pub fn toned(text: impl Into<String>, tone: Tone) -> Value {
    Value {
        text: text.into(),
        tone,
    }
}

/// The rows as a table without frames. On a terminal it is fitted to the width of that, in a pipe every row is one
/// line.
pub fn render(columns: &[Column], rows: &[Vec<Value>]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().map(|c| cell(c.name, c.right)));
    for row in rows {
        table.add_row(row.iter().zip(columns).map(|(value, column)| {
            let cell = cell(&safe(&value.text), column.right);
            match colour(value.tone) {
                Some(colour) => cell.fg(colour),
                None => cell,
            }
        }));
    }
    table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

fn cell(text: &str, right: bool) -> Cell {
    Cell::new(text).set_alignment(if right {
        CellAlignment::Right
    } else {
        CellAlignment::Left
    })
}

fn colour(tone: Tone) -> Option<Color> {
    match tone {
        Tone::Plain => None,
        Tone::Good => Some(Color::Green),
        Tone::Warn => Some(Color::Yellow),
        Tone::Bad => Some(Color::Red),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_steers_the_terminal() {
        let rows = [
            vec!["curl\x1b[31m".into(), "7".into(), toned("bad", Tone::Bad)],
            vec!["a".into(), "1234".into(), "ok".into()],
        ];
        let text = render(&[left("process"), right("bytes"), left("state")], &rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines[0].contains("process") && lines[0].ends_with("state"),
            "{text}"
        );
        assert!(
            lines[1].contains("curl\u{fffd}[31m") && !text.contains("curl\x1b"),
            "{text}"
        );
        let ends = |line: &str, value: &str| line.find(value).unwrap() + value.len();
        assert_eq!(ends(lines[0], "bytes"), ends(lines[2], "1234"), "{text}");
    }
}
