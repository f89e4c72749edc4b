//! Reads the text of `/metrics` (Prometheus exposition format). Pure.

use std::collections::BTreeMap;

/// Samples by name with labels as written, for example `observer_probes{state="attached"}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Reads all lines that are samples; what is none is passed over.
    pub(super) fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (name, value) = line.trim_end().rsplit_once(' ')?;
            (!name.starts_with('#')).then(|| value.parse().ok().map(|value| (name.to_owned(), value)))?
        };
        Self(text.lines().filter_map(sample).collect())
    }

    /// Whether anything was read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sample with this name and exactly these labels; `None` when there is none, which is not 0.
    pub(super) fn one(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Sum over all label values of a name.
    pub(super) fn sum(&self, name: &str) -> Option<f64> {
        let of_name = |key: &str| {
            key.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        };
        self.0
            .iter()
            .filter(|(key, _)| of_name(key))
            .map(|(_, value)| *value)
            .reduce(|a, b| a + b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_summed_and_missing_ones_are_not_zero() {
        let text = "# HELP a x\n# TYPE a counter\na 5\nb{x=\"1 2\"} 1\nb{x=\"2\"} 2.5\nb_total 9\nnonsense\nc NaN-ish\n";
        let samples = Samples::parse(text);
        assert_eq!(
            (samples.one("a"), samples.sum("b"), samples.sum("c")),
            (Some(5.0), Some(3.5), None)
        );
        assert_eq!(samples.one("b{x=\"1 2\"}"), Some(1.0));
        assert!(Samples::parse("").is_empty());
    }
}
