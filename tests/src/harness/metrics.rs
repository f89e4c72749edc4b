//! Reading the daemon's Prometheus metrics.

use std::collections::BTreeMap;

/// One reading of `/metrics`: value by name and labels, as in the text (`name{a="b"}`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    values: BTreeMap<String, f64>,
}

impl Metrics {
    /// Reads the text format; comments and lines without a number are left out.
    pub fn parse(text: &str) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                Some((name.to_owned(), value.parse().ok()?))
            });
        Self {
            values: samples.collect(),
        }
    }

    /// Sum over all samples of a name whose labels contain each of these texts (`class="ai"`). `None` when there is no
    /// such sample, which is not 0.
    pub fn sum(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let mut matching = self
            .values
            .iter()
            .filter(|(key, _)| matches(key, name, labels))
            .map(|(_, value)| value);
        let first = matching.next()?;
        Some(first + matching.sum::<f64>())
    }

    /// All samples of a name, as in the text.
    pub fn samples(&self, name: &str) -> Vec<(&str, f64)> {
        let matching = self.values.iter().filter(|(key, _)| matches(key, name, &[]));
        matching.map(|(key, value)| (key.as_str(), *value)).collect()
    }
}

fn matches(key: &str, name: &str, labels: &[&str]) -> bool {
    let Some(rest) = key.strip_prefix(name) else {
        return false;
    };
    (rest.is_empty() || rest.starts_with('{')) && labels.iter().all(|label| rest.contains(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP observer_lost_total lost\n# TYPE observer_lost_total counter\n\
        observer_lost_total{reason=\"ring_full\",stage=\"kernel\"} 3\n\
        observer_lost_total{reason=\"over_budget\",stage=\"flow\"} 4\n\
        observer_lost_total_other 9\nobserver_events_total 120\n";

    #[test]
    fn samples_of_a_name_are_added_and_other_names_are_not() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.sum("observer_lost_total", &[]), Some(7.0));
        assert_eq!(metrics.sum("observer_lost_total", &["stage=\"flow\""]), Some(4.0));
        assert_eq!(metrics.sum("observer_events_total", &[]), Some(120.0));
    }

    #[test]
    fn a_missing_sample_is_not_zero() {
        assert_eq!(Metrics::parse(TEXT).sum("observer_flows_total", &[]), None);
        assert_eq!(
            Metrics::parse(TEXT).sum("observer_lost_total", &["stage=\"store\""]),
            None
        );
    }
}
