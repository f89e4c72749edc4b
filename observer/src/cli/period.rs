//! Times on the command line.

use time::{
    Date, OffsetDateTime, PrimitiveDateTime, Time, format_description::well_known::Rfc3339,
    macros::format_description,
};

use super::Failure;
use crate::verify::Period;

/// `--from` and `--to`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct PeriodArgs {
    /// From here on (UTC): 2026-11-01, 2026-11-01T08:00:00Z, or so long ago: 30m, 24h, 7d, 4w.
    #[arg(long, value_name = "TIME")]
    pub(super) from: Option<String>,
    /// Before this; as above, or `now`.
    #[arg(long, value_name = "TIME")]
    pub(super) to: Option<String>,
}

impl PeriodArgs {
    /// The period; `now_ns` is the wall clock.
    pub(super) fn period(&self, now_ns: i64) -> Result<Period, Failure> {
        let time = |name: &str, text: &Option<String>| {
            text.as_deref()
                .map(|text| {
                    parse(text, now_ns).map_err(|why| Failure::usage(format!("--{name} {text}: {why}")))
                })
                .transpose()
        };
        let period = Period {
            from: time("from", &self.from)?,
            to: time("to", &self.to)?,
        };
        if let (Some(from), Some(to)) = (period.from, period.to)
            && from >= to
        {
            return Err(Failure::usage("--from is not before --to"));
        }
        Ok(period)
    }

    /// The period with both ends: the last day where none are given.
    pub(super) fn bounded(&self, now_ns: i64) -> Result<(i64, i64), Failure> {
        const DAY_NS: i64 = 86_400_000_000_000;
        let period = self.period(now_ns)?;
        let to = period.to.unwrap_or(now_ns);
        let from = period.from.unwrap_or(to.saturating_sub(DAY_NS));
        if from >= to {
            return Err(Failure::usage("--from is not before --to"));
        }
        Ok((from, to))
    }
}

/// A time as ns since the Unix epoch.
fn parse(text: &str, now_ns: i64) -> Result<i64, String> {
    if text == "now" {
        return Ok(now_ns);
    }
    if let Some(ago) = ago(text) {
        return Ok(now_ns.saturating_sub(ago));
    }
    let date = Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map(|date| PrimitiveDateTime::new(date, Time::MIDNIGHT).assume_utc());
    let time = date
        .or_else(|_| OffsetDateTime::parse(text, &Rfc3339))
        .map_err(|_| "no time; write 2026-11-01, 2026-11-01T08:00:00Z, 24h or now".to_owned())?;
    i64::try_from(time.unix_timestamp_nanos()).map_err(|_| "out of range: 1678 to 2262".to_owned())
}

/// `7d` as ns.
fn ago(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number: i64 = text[..text.len() - 1].parse().ok().filter(|n| *n > 0)?;
    number.checked_mul(seconds)?.checked_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000_000_000_000;

    #[test]
    fn times_in_all_forms() {
        assert_eq!(parse("now", NOW), Ok(NOW));
        assert_eq!(parse("90m", NOW), Ok(NOW - 5_400_000_000_000));
        assert_eq!(parse("1970-01-02", NOW), Ok(86_400_000_000_000));
        assert_eq!(parse("1970-01-01T02:00:00+02:00", NOW), Ok(0));
        for bad in [
            "",
            "d",
            "-3d",
            "0h",
            "yesterday",
            "2026-13-01",
            "9999-01-01",
            "99999999999999w",
            "5ä",
        ] {
            assert!(parse(bad, NOW).is_err(), "{bad}");
        }
    }

    #[test]
    fn periods_that_end_before_they_begin_are_refused() {
        let args = |from: Option<&str>, to: Option<&str>| PeriodArgs {
            from: from.map(Into::into),
            to: to.map(Into::into),
        };
        assert!(args(Some("1h"), Some("2h")).period(NOW).is_err());
        assert_eq!(args(None, None).period(NOW).ok(), Some(Period::default()));
        assert_eq!(
            args(None, None).bounded(NOW).ok(),
            Some((NOW - 86_400_000_000_000, NOW))
        );
        assert!(args(None, Some("x")).bounded(NOW).is_err());
    }
}
