//! Dates as people write them in a register.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

const DAY_NS: i64 = 86_400_000_000_000;

/// `2026-11-29` (begins at 00:00 UTC) or `2026-11-29T08:00:00+01:00`, as ns since the Unix epoch.
pub fn start(text: &str) -> Option<i64> {
    parse(text).map(|(ns, _)| ns)
}

/// As [`start`], for the end of a period: a day counts to its end.
pub fn end(text: &str) -> Option<i64> {
    let (ns, is_day) = parse(text)?;
    Some(if is_day { ns.saturating_add(DAY_NS) } else { ns })
}

fn parse(text: &str) -> Option<(i64, bool)> {
    let (time, is_day) = match Date::parse(text, format_description!("[year]-[month]-[day]")) {
        Ok(date) => (date.midnight().assume_utc(), true),
        Err(_) => (OffsetDateTime::parse(text, &Rfc3339).ok()?, false),
    };
    Some((i64::try_from(time.unix_timestamp_nanos()).ok()?, is_day))
}

/// Day of a time, UTC, for messages.
pub(super) fn day(ns: i64) -> String {
    let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ns)).map(OffsetDateTime::date);
    date.map_or_else(|_| "?".to_owned(), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times() {
        assert_eq!(start("1970-01-02"), Some(DAY_NS));
        assert_eq!(end("1970-01-02"), Some(2 * DAY_NS));
        assert_eq!(start("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(end("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        assert_eq!(day(DAY_NS - 1), "1970-01-01");
        for text in [
            "",
            "2026-13-01",
            "2026-02-30",
            "29.11.2026",
            "2026-1-1",
            "9999-12-31",
            "2026-11-29 08:00",
        ] {
            assert_eq!(start(text), None, "{text}");
        }
    }
}
