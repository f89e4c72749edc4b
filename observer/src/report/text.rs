//! Values as people read them, with units.

/// Whether a character does something to a terminal, or to the direction of writing, instead of being shown.
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text as a terminal may show it: no control characters and none that change the direction of writing, which
/// could make a row say something else than is stored. Rows hold none; a store may hold rows of others.
pub fn safe(text: &str) -> String {
    text.chars()
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect()
}

/// At most `most` characters of a safe text, with an ellipsis where something was cut.
pub fn short(text: &str, most: usize) -> String {
    let text = safe(text);
    if text.chars().count() <= most {
        return text;
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Bytes with a binary unit, two or three digits: `17 B`, `1.5 KiB`, `210 MiB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits for people")]
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 99.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// Nanoseconds as milliseconds, three digits: `0.42 ms`, `12.3 ms`, `1500 ms`.
pub fn millis(ns: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits for people")]
    let ms = ns as f64 / 1e6;
    match ms {
        _ if ms < 9.995 => format!("{ms:.2} ms"),
        _ if ms < 99.95 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

/// A count that may be unknown; unknown is `?`, never 0.
pub fn count(n: Option<u64>) -> String {
    n.map_or_else(|| "?".to_owned(), |n| n.to_string())
}

/// Time of day in UTC of nanoseconds since the Unix epoch: `09:41:00.250`.
pub fn clock(ts_ns: i64) -> String {
    let ms = ts_ns.div_euclid(1_000_000).rem_euclid(86_400_000);
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
}

/// A number of things, the word in the right form: `1 finding`, `2 findings`.
pub fn plural(n: usize, word: &str) -> String {
    if n == 1 {
        format!("1 {word}")
    } else {
        format!("{n} {word}s")
    }
}

/// A ratio for people. Never rounded up to the whole.
pub fn percent(ratio: Option<f64>) -> String {
    match ratio {
        None => "not measured".into(),
        Some(ratio) => format!("{:.3} %", (ratio * 100_000.0).floor() / 1000.0),
    }
}

/// A length of time in its two largest units.
pub fn duration(ns: i64) -> String {
    let seconds = ns.saturating_add(500_000_000) / 1_000_000_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_never_more_than_they_are() {
        assert_eq!(percent(None), "not measured");
        assert_eq!(percent(Some(1.0)), "100.000 %");
        assert_eq!(percent(Some(0.999_999_9)), "99.999 %");
        assert_eq!(percent(Some(0.0)), "0.000 %");
    }

    #[test]
    fn durations_have_units() {
        const S: i64 = 1_000_000_000;
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds * S), text);
        }
    }

    #[test]
    fn what_steers_a_terminal_is_replaced() {
        assert_eq!(
            safe("a\x1b[2Jb\r\n\u{202e}c"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c"
        );
        assert_eq!(short("gpt-4o-mini", 6), "gpt-4…");
        assert_eq!(short("gpt-4o", 6), "gpt-4o");
    }

    #[test]
    fn units_change_where_they_should() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (220_200_960, "210 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (n, text) in cases {
            assert_eq!(bytes(n), text);
        }
        for (ns, text) in [
            (0, "0.00 ms"),
            (420_000, "0.42 ms"),
            (12_340_000, "12.3 ms"),
            (1_500_000_000, "1500 ms"),
        ] {
            assert_eq!(millis(ns), text);
        }
    }

    #[test]
    fn unknown_is_not_zero() {
        assert_eq!((count(None), count(Some(0))), ("?".to_owned(), "0".to_owned()));
    }

    #[test]
    fn times_of_day_are_right_before_the_epoch_too() {
        assert_eq!(clock(34_860_250_000_000), "09:41:00.250");
        assert_eq!(clock(-1), "23:59:59.999");
        assert_eq!(clock(i64::MIN), clock(i64::MIN));
    }
}
