//! Draws one look. Pure but for the frame.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout},
    style::{Color, Modifier, Style},
    text::{Line as TextLine, Span},
    widgets::{Cell, Paragraph, Row, Table},
};

use super::poll::Seen;
use crate::report::{
    rows::{LINE_COLUMNS, Line},
    table::{Tone, Value},
    text::{self, safe},
};

/// The counters as one line; `None` when there are none.
pub(super) fn counters(seen: &Seen) -> Option<String> {
    let samples = &seen.samples;
    if samples.is_empty() {
        return None;
    }
    let whole = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |v| format!("{v:.0}"));
    let kind = |kind: &str| samples.one(&format!("observer_exchanges_total{{kind=\"{kind}\"}}"));
    let probes = |state: &str| samples.one(&format!("observer_probes{{state=\"{state}\"}}"));
    let lag = samples
        .one("observer_store_lag_seconds")
        .map_or_else(|| "?".to_owned(), |s| format!("{s:.1} s"));
    Some(format!(
        "events {}, lost {}, AI exchanges {} decoded {} partial, findings {}, rows stored {}, store lag {lag}, \
         probes {} attached {} failed",
        whole(samples.one("observer_events_total")),
        // No series of losses means that nothing was lost so far: those of an older daemon appear with the first one.
        whole(samples.sum("observer_lost_total").or(Some(0.0))),
        whole(kind("decoded")),
        whole(kind("partial")),
        whole(samples.one("observer_findings_total")),
        whole(samples.sum("observer_store_rows_total")),
        whole(probes("attached")),
        whole(probes("failed")),
    ))
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, seen: &Seen) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(head_lines(seen)), head);
    frame.render_widget(table(&seen.lines), body);
    let count = text::plural(seen.lines.len(), "interaction");
    frame.render_widget(
        Paragraph::new(format!("{count}, newest first   q quits")).style(dim()),
        foot,
    );
}

fn head_lines(seen: &Seen) -> Vec<TextLine<'static>> {
    let problem = |what: &str, why: &Option<String>| {
        let why = why.as_ref()?;
        Some(Span::styled(
            format!("{what}: {}  ", safe(why)),
            Style::new().fg(Color::Red),
        ))
    };
    let problems: Vec<Span<'static>> = [
        problem("store", &seen.store_problem),
        problem("metrics", &seen.metrics_problem),
    ]
    .into_iter()
    .flatten()
    .collect();
    vec![
        TextLine::from(counters(seen).unwrap_or_else(|| "no counters yet".to_owned())),
        TextLine::from(problems),
    ]
}

fn table(lines: &[Line]) -> Table<'static> {
    let rows: Vec<Vec<Value>> = lines.iter().map(Line::values).collect();
    let width = |index: usize| {
        let values = rows.iter().map(|row| safe(&row[index].text).chars().count());
        let widest = values.chain([LINE_COLUMNS[index].name.len()]).max().unwrap_or(0);
        Constraint::Max(u16::try_from(widest).unwrap_or(u16::MAX))
    };
    let widths: Vec<Constraint> = (0..LINE_COLUMNS.len()).map(width).collect();
    let header = Row::new(LINE_COLUMNS.map(|column| cell(column.name, column.right))).style(dim());
    let rows = rows.into_iter().map(|row| {
        Row::new(
            row.into_iter()
                .zip(LINE_COLUMNS)
                .map(|(value, column)| cell(&safe(&value.text), column.right).style(colour(value.tone))),
        )
    });
    Table::new(rows, widths).header(header).column_spacing(2)
}

fn cell(text: &str, right: bool) -> Cell<'static> {
    let side = if right { Alignment::Right } else { Alignment::Left };
    Cell::new(TextLine::from(text.to_owned()).alignment(side))
}

fn colour(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Warn => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
    }
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::{cli::top::metrics::Samples, evidence::InteractionRow};

    fn drawn(seen: &Seen, width: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, 6)).unwrap();
        terminal.draw(|frame| draw(frame, seen)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_row_is_shown_with_unknown_tokens_as_such_and_nothing_steers_the_terminal() {
        let mut row = InteractionRow::unknown();
        row.process_comm = "cu\x1brl".into();
        row.policy_verdict = "unsanctioned".into();
        row.visibility = "decoded".into();
        let seen = Seen {
            lines: vec![Line::from(&row)],
            ..Seen::default()
        };
        let screen = drawn(&seen, 200);
        assert!(
            screen.contains("cu\u{fffd}rl (0)") && screen.contains("?/?"),
            "{screen}"
        );
        assert!(
            screen.contains("unsanctioned") && screen.contains("1 interaction"),
            "{screen}"
        );
        assert!(!screen.contains('\x1b'));
    }

    #[test]
    fn problems_are_shown_and_a_narrow_terminal_is_no_trouble() {
        let seen = Seen {
            store_problem: Some("unreachable".into()),
            ..Seen::default()
        };
        assert!(drawn(&seen, 80).contains("store: unreachable"));
        for width in [1, 10, 40] {
            drawn(&seen, width);
        }
    }

    #[test]
    fn counters_that_are_missing_are_unknown_and_losses_are_counted_together() {
        let samples = Samples::parse(
            "observer_events_total 7\nobserver_lost_total{stage=\"kernel\",reason=\"a\"} 1\n\
             observer_lost_total{stage=\"flow\",reason=\"b\"} 2\n",
        );
        let line = counters(&Seen {
            samples,
            ..Seen::default()
        })
        .unwrap();
        assert!(
            line.contains("events 7, lost 3,") && line.contains("findings ?,"),
            "{line}"
        );
        assert_eq!(counters(&Seen::default()), None);
    }
}
