//! How to answer, as the model name of the request says.

use std::time::Duration;

/// Wishes in a model name, parts joined by `+`; other parts are ignored, so any model name is valid.
///
/// | part | effect |
/// |---|---|
/// | `chunks-N` | the answer has N words and, when streamed, N content chunks |
/// | `slow` / `slow-MS` | wait 50 / MS milliseconds before each chunk (once before a plain answer) |
/// | `echo-back` | the answer repeats the prompt |
/// | `no-usage` | the answer states no token counts |
/// | `cached-N` | N of the input tokens came from a cache |
/// | `tool` | the answer calls the first tool of the request |
/// | `error-N` | the answer is an error with this status (401, 429, 500, 529 ...) |
/// | `gzip` | the body is compressed when `Accept-Encoding` allows it |
/// | `chunked` | a plain answer without `Content-Length` |
/// | `bomb` | a plain answer of 1 GiB, compressed to about 1 MiB |
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// Words of the answer.
    pub chunks: Option<usize>,
    /// Wait before each chunk.
    pub delay: Option<Duration>,
    /// Repeat the prompt.
    pub echo: bool,
    /// Leave out usage.
    pub no_usage: bool,
    /// Cached input tokens.
    pub cached: u64,
    /// Call a tool.
    pub tool: bool,
    /// Answer with an error.
    pub error: Option<u16>,
    /// Compress.
    pub gzip: bool,
    /// No content length.
    pub chunked: bool,
    /// Hostile compression.
    pub bomb: bool,
}

impl Directives {
    /// Reads the wishes in a model name.
    pub fn parse(model: &str) -> Self {
        let mut wishes = Self::default();
        for part in model.split('+') {
            wishes.take(part);
        }
        wishes
    }

    fn take(&mut self, part: &str) {
        let (name, number) = match part.rsplit_once('-') {
            Some((name, digits)) => (name, digits.parse::<u64>().ok()),
            None => (part, None),
        };
        match (part, name, number) {
            ("slow", ..) => self.delay = Some(Duration::from_millis(50)),
            ("echo-back", ..) => self.echo = true,
            ("no-usage", ..) => self.no_usage = true,
            ("tool", ..) => self.tool = true,
            ("gzip", ..) => self.gzip = true,
            ("chunked", ..) => self.chunked = true,
            ("bomb", ..) => self.bomb = true,
            (_, "chunks", Some(count)) => self.chunks = usize::try_from(count.min(100_000)).ok(),
            (_, "slow", Some(millis)) => self.delay = Some(Duration::from_millis(millis.min(10_000))),
            (_, "cached", Some(count)) => self.cached = count,
            (_, "error", Some(status)) => {
                self.error = u16::try_from(status).ok().filter(|s| (400..600).contains(s));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_model_name_wishes_nothing() {
        assert_eq!(Directives::parse("gpt-4o-mini"), Directives::default());
        assert_eq!(
            Directives::parse("claude-sonnet-4-5-20250929"),
            Directives::default()
        );
    }

    #[test]
    fn parts_are_joined_by_plus() {
        let wishes = Directives::parse("gpt-4o+chunks-300+slow-20+gzip");
        assert_eq!(wishes.chunks, Some(300));
        assert_eq!(wishes.delay, Some(Duration::from_millis(20)));
        assert!(wishes.gzip);
        assert!(!wishes.chunked);
    }

    #[test]
    fn numbers_out_of_range_are_bounded_or_ignored() {
        assert_eq!(Directives::parse("error-200").error, None);
        assert_eq!(Directives::parse("error-70000").error, None);
        assert_eq!(Directives::parse("error-429").error, Some(429));
        assert_eq!(Directives::parse("chunks-99999999").chunks, Some(100_000));
    }
}
