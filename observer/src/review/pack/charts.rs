//! Pictures as inline SVG. Pure.

use std::fmt::Write;

use super::facts::Bin;
use super::html::{escape, grouped};
use crate::{
    coverage::account::{Answer, HostCoverage, cell_width},
    report::json::timestamp,
};

const WIDTH: i64 = 960;
const LEFT: i64 = 150;
/// More hosts are in the data only.
const MAX_HOSTS: usize = 60;

/// Begin of the axis labels: day and hour.
fn short(ns: i64) -> String {
    timestamp(ns)[5..16].to_owned()
}

fn axis(out: &mut String, from: i64, to: i64, left: i64, y: i64) {
    for n in 0..=6 {
        let x = left + (WIDTH - left - 10) * n / 6;
        let at = from + (to - from) / 6 * n;
        let anchor = if n == 6 {
            "end"
        } else if n == 0 {
            "start"
        } else {
            "middle"
        };
        let _ = writeln!(
            out,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" class=\"axis\">{}</text>",
            short(at)
        );
    }
}

/// Calls over time, by verdict.
pub(super) fn calls(bins: &[Bin], from: i64, to: i64) -> String {
    const HEIGHT: i64 = 170;
    const LEFT: i64 = 60;
    let width = cell_width(from, to);
    let count = ((to - from + width - 1) / width).max(1);
    let most = bins
        .iter()
        .map(|b| b.sanctioned + b.unsanctioned + b.unknown)
        .max()
        .unwrap_or(0)
        .max(1);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"calls over time by verdict\">\n",
        HEIGHT + 40
    );
    for n in [0, most.div_ceil(2), most] {
        let y = 10 + HEIGHT - scaled(n, most, HEIGHT);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" class=\"rule\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\" class=\"axis\">{}</text>",
            WIDTH - 10,
            LEFT - 6,
            y + 4,
            grouped(n)
        );
    }
    let plot = WIDTH - LEFT - 10;
    for bin in bins {
        let index = (bin.at - from) / width;
        let (x, next) = (LEFT + plot * index / count, LEFT + plot * (index + 1) / count);
        let mut y = 10 + HEIGHT;
        for (n, class) in [
            (bin.sanctioned, "sanctioned"),
            (bin.unknown, "unknown"),
            (bin.unsanctioned, "unsanctioned"),
        ] {
            let h = scaled(n, most, HEIGHT);
            y -= h;
            if h > 0 {
                let _ = writeln!(
                    out,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{h}\" class=\"{class}\"><title>{} UTC: {n} {class}</title></rect>",
                    (next - x - 1).max(1),
                    short(bin.at)
                );
            }
        }
    }
    axis(&mut out, from, to, LEFT, HEIGHT + 28);
    out.push_str("</svg>\n");
    out
}

/// `n` of `most` on a scale of `height`; never 0 where there is something.
fn scaled(n: u64, most: u64, height: i64) -> i64 {
    let height = u128::try_from(height).unwrap_or(0);
    let scaled = u128::from(n) * height / u128::from(most.max(1));
    i64::try_from(scaled).unwrap_or(0).max(i64::from(n > 0))
}

/// What can be said of each host and part of the period.
pub(super) fn grid(hosts: &[HostCoverage], from: i64, to: i64) -> String {
    const ROW: i64 = 18;
    let shown = &hosts[..hosts.len().min(MAX_HOSTS)];
    let height = ROW * i64::try_from(shown.len()).unwrap_or(0);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"answer by host and time\">\n",
        height + 26
    );
    let plot = WIDTH - LEFT - 10;
    for (row, host) in (0..).zip(shown) {
        let y = ROW * row;
        let _ = writeln!(
            out,
            // From the edge on: what is too wide goes under the cells, and the beginning, which tells hosts apart, stays.
            "<text x=\"0\" y=\"{}\" class=\"axis\">{}</text>",
            y + 13,
            escape(&shortened(&host.host))
        );
        let count = i64::try_from(host.cells.len()).unwrap_or(1).max(1);
        for (index, cell) in (0..).zip(&host.cells) {
            let (x, next) = (LEFT + plot * index / count, LEFT + plot * (index + 1) / count);
            let (class, said) = match cell.answer() {
                None => ("out", "not expected"),
                Some(Answer::Some) => ("some", Answer::Some.word()),
                // A program that could not be read may have done it at any time.
                Some(Answer::None) if host.blind_spots == 0 => ("nothing", Answer::None.word()),
                Some(_) => ("doubt", Answer::Unknown.word()),
            };
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{class}\"><title>{}: {said}</title></rect>",
                y + 2,
                (next - x).max(1),
                ROW - 4,
                escape(&host.host)
            );
        }
    }
    axis(&mut out, from, to, LEFT, height + 18);
    out.push_str("</svg>\n");
    if hosts.len() > MAX_HOSTS {
        let _ = writeln!(
            out,
            "<p class=\"none\">{} more hosts are in the data.</p>",
            hosts.len() - MAX_HOSTS
        );
    }
    out
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= 22 {
        return name.to_owned();
    }
    let start: String = name.chars().take(21).collect();
    format!("{start}\u{2026}")
}

/// Bars with a name and a number each.
pub(super) fn bars(label: &str, values: &[(String, u64)]) -> String {
    const ROW: i64 = 20;
    const LEFT: i64 = 260;
    let most = values.iter().map(|v| v.1).max().unwrap_or(0);
    let height = ROW * i64::try_from(values.len()).unwrap_or(0);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n",
        escape(label)
    );
    for (row, (name, n)) in (0..).zip(values) {
        let y = ROW * row;
        let w = scaled(*n, most, WIDTH - LEFT - 90);
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" class=\"axis\">{}</text><rect x=\"{LEFT}\" y=\"{}\" width=\"{w}\" height=\"{}\" class=\"bar\"/>\
             <text x=\"{}\" y=\"{}\" class=\"axis\">{}</text>",
            LEFT - 8,
            y + 14,
            escape(&name.chars().take(40).collect::<String>()),
            y + 3,
            ROW - 6,
            LEFT + w + 6,
            y + 14,
            grouped(*n)
        );
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion_and_never_vanish() {
        assert_eq!(scaled(0, 10, 100), 0);
        assert_eq!(scaled(1, 1_000_000, 100), 1);
        assert_eq!(scaled(u64::MAX, u64::MAX, 100), 100);
        let svg = bars("<x>", &[("<script>".into(), 2)]);
        assert!(!svg.contains("<script") && svg.contains("&lt;x&gt;"), "{svg}");
    }

    #[test]
    fn charts_of_nothing_are_still_charts() {
        for svg in [calls(&[], 0, 3_600_000_000_000), grid(&[], 0, 1), bars("x", &[])] {
            assert!(svg.starts_with("<svg") && svg.contains("</svg>"));
        }
    }
}
