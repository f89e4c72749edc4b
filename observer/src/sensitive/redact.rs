//! Whole texts: redaction, and findings by line for `observer scan`.

use std::collections::VecDeque;
use std::ops::Range;

use super::encoded::Text;
use super::engine::Engine;
use super::locate::{Located, Meter, Scratch, Tools};
use super::{Class, Confidence, Severity};

/// Most findings by line; further ones are counted.
pub const MAX_LINE_FINDINGS: usize = 10_000;

/// A value in a text, without the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFinding {
    /// Rule that found it.
    pub rule_id: String,
    /// Kind.
    pub class: Class,
    /// Severity of the rule; `Info` for documented examples.
    pub severity: Severity,
    /// What speaks for it.
    pub confidence: Confidence,
    /// The value is a published example.
    pub documented_example: bool,
    /// Line on which it begins, from 1.
    pub line: u64,
    /// Offset of its first byte in the text.
    pub start: u64,
    /// Length of the value in bytes.
    pub bytes: u32,
}

/// What is in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineReport {
    /// Findings in the order of their lines, at most [`MAX_LINE_FINDINGS`].
    pub findings: Vec<LineFinding>,
    /// Findings that came after the list was full.
    pub dropped_matches: u64,
    /// As in `ScanReport`.
    pub undecided_matches: u64,
    /// Bytes handed in.
    pub bytes_seen: u64,
    /// Bytes searched.
    pub bytes_scanned: u64,
}

/// A text that comes in pieces, with findings by line. The pieces are one text.
#[derive(Default)]
pub struct LineScan {
    text: Text,
    lines: Lines,
    meter: Meter,
    scratch: Scratch,
    report: LineReport,
}

impl LineScan {
    /// An empty text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn piece(&mut self, engine: &Engine, piece: &[u8]) {
        self.report.bytes_seen += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.lines.piece(piece);
        self.run(engine, |text, tools| text.feed(piece, tools));
    }

    /// Ends the text.
    pub fn finish(mut self, engine: &Engine) -> LineReport {
        self.run(engine, Text::end);
        self.report.bytes_scanned = self.meter.bytes_scanned;
        self.report.undecided_matches = self.meter.undecided;
        self.report
            .findings
            .sort_by(|a, b| (a.line, &a.rule_id, a.start).cmp(&(b.line, &b.rule_id, b.start)));
        self.report
    }

    fn run(&mut self, engine: &Engine, step: impl FnOnce(&mut Text, &mut Tools<'_>)) {
        let Self {
            text,
            lines,
            meter,
            scratch,
            report,
        } = self;
        let mut out = |located: Located| {
            if report.findings.len() >= MAX_LINE_FINDINGS {
                report.dropped_matches += 1;
            } else {
                report.findings.push(line_finding(engine, lines, &located));
            }
        };
        step(
            text,
            &mut Tools {
                engine,
                key: None,
                meter,
                scratch,
                out: &mut out,
            },
        );
    }
}

impl std::fmt::Debug for LineScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LineScan({} bytes seen)", self.report.bytes_seen)
    }
}

/// Where lines end, in the last stretch of a text.
#[derive(Debug, Default)]
struct Lines {
    /// Offset of the next byte.
    at: u64,
    /// Lines that ended before what is remembered.
    before: u64,
    ends: VecDeque<u64>,
}

impl Lines {
    /// Most line ends that are remembered. A finding is told soon after its place; one in an encoded part that is longer
    /// than so many lines gets the line of what is remembered first.
    const MEMORY: usize = 256 * 1024;

    fn piece(&mut self, piece: &[u8]) {
        let at = self.at;
        let places = memchr::memchr_iter(b'\n', piece);
        self.ends
            .extend(places.map(|place| at + u64::try_from(place).unwrap_or(u64::MAX)));
        let surplus = self.ends.len().saturating_sub(Self::MEMORY);
        self.ends.drain(..surplus);
        self.before += u64::try_from(surplus).unwrap_or(u64::MAX);
        self.at += u64::try_from(piece.len()).unwrap_or(u64::MAX);
    }

    /// The line of an offset, from 1.
    fn line(&self, offset: u64) -> u64 {
        let ended = self.ends.partition_point(|end| *end < offset);
        1 + self.before + u64::try_from(ended).unwrap_or(u64::MAX)
    }
}

fn line_finding(engine: &Engine, lines: &Lines, located: &Located) -> LineFinding {
    let rule = &engine.rules()[located.rule];
    LineFinding {
        rule_id: rule.id.clone(),
        class: rule.class,
        severity: if located.documented {
            Severity::Info
        } else {
            rule.severity
        },
        confidence: located.confidence,
        documented_example: located.documented,
        line: lines.line(located.start),
        start: located.start,
        bytes: located.bytes,
    }
}

/// Scans one text given in pieces.
pub fn scan_text<'a>(engine: &Engine, pieces: impl IntoIterator<Item = &'a [u8]>) -> LineReport {
    let mut scan = LineScan::new();
    for piece in pieces {
        scan.piece(engine, piece);
    }
    scan.finish(engine)
}

/// A text without its sensitive values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// The text with each value replaced by `[rule_id:length]`, the length in bytes.
    pub text: String,
    /// What was replaced, in the order of the text. Overlapping values share one replacement.
    pub findings: Vec<LineFinding>,
}

/// Replaces every value that a rule finds, published examples included. Fails closed: where the scan could not
/// decide about everything, no text is left at all and the result is `[undecided:length]`.
pub fn redact(engine: &Engine, text: &str) -> Redacted {
    let mut located = Vec::new();
    let (mut meter, mut scratch, mut whole) = (Meter::default(), Scratch::default(), Text::default());
    let mut out = |l: Located| located.push(l);
    let mut tools = Tools {
        engine,
        key: None,
        meter: &mut meter,
        scratch: &mut scratch,
        out: &mut out,
    };
    whole.feed(text.as_bytes(), &mut tools);
    whole.end(&mut tools);
    let mut lines = Lines::default();
    lines.piece(text.as_bytes());
    located.sort_by(|a, b| (a.start, b.end).cmp(&(b.start, a.end)));
    let findings = located.iter().map(|l| line_finding(engine, &lines, l)).collect();
    let scanned_all = usize::try_from(meter.bytes_scanned) == Ok(text.len());
    if meter.undecided > 0 || meter.not_decoded > 0 || !scanned_all {
        return Redacted {
            text: format!("[undecided:{}]", text.len()),
            findings,
        };
    }
    Redacted {
        text: replace(text, &spans(engine, text, &located)),
        findings,
    }
}

/// Byte ranges to replace, apart from one another and in order, each with the rule that gives it its name.
fn spans<'e>(engine: &'e Engine, text: &str, located: &[Located]) -> Vec<(Range<usize>, &'e str)> {
    let mut spans: Vec<(Range<usize>, &str)> = Vec::new();
    for l in located {
        let rule = &engine.rules()[l.rule];
        let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        let (start, end) = (place(l.start), place(l.end));
        let rest = text.as_bytes().get(end..).unwrap_or_default();
        let more = rule
            .extend
            .as_ref()
            .and_then(|extend| extend.find(rest))
            .map_or(0, |m| m.end());
        let span = char_bounds(text, start..end + more);
        match spans.last_mut() {
            Some((last, _)) if span.start < last.end => last.end = last.end.max(span.end),
            _ => spans.push((span, &rule.id)),
        }
    }
    spans
}

/// Widens a range to whole characters: patterns work on bytes, the text is UTF-8.
fn char_bounds(text: &str, range: Range<usize>) -> Range<usize> {
    let start = (0..=range.start.min(text.len()))
        .rev()
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(0);
    let end = (range.end..=text.len())
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(text.len());
    start..end
}

fn replace(text: &str, spans: &[(Range<usize>, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (span, rule) in spans {
        out.push_str(&text[done..span.start]);
        out.push_str(&format!("[{rule}:{}]", span.len()));
        done = span.end;
    }
    out.push_str(&text[done..]);
    out
}
