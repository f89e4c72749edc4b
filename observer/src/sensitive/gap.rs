//! Why something of a call was not scanned: the words of `ai_interactions.scan_gaps`.

use super::ScanReport;
use crate::protocol::Incomplete;

/// A reason. Those of a call stand in this order, each once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Text beyond the budget of open texts.
    OverBudget,
    /// Encoded deeper than is decoded, or more of it than is decoded.
    EncodedTooDeep,
    /// Places at which nothing was decided: the work that the text may cause was used up, or a value is too long.
    Undecided,
    /// More findings than are kept.
    FindingsDropped,
    /// Images, audio and files.
    Binary,
    /// A content coding that is not known or could not be undone.
    Coding,
    /// A body was not read whole for another reason, which `visibility_reason` says.
    NotRead,
}

impl Gap {
    /// Name as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::OverBudget => "over_budget",
            Self::EncodedTooDeep => "encoded_too_deep",
            Self::Undecided => "undecided",
            Self::FindingsDropped => "findings_dropped",
            Self::Binary => "binary",
            Self::Coding => "unknown_coding",
            Self::NotRead => "not_read",
        }
    }
}

/// All gaps of a call, by its scan, the bytes of its bodies that are no text, and how request and response ended.
pub fn gaps(report: &ScanReport, binary_bytes: u64, ends: [Option<Incomplete>; 2]) -> Vec<Gap> {
    let coding = |end: &Option<Incomplete>| *end == Some(Incomplete::Encoding);
    let unread = |end: &Option<Incomplete>| end.is_some() && !coding(end);
    [
        (Gap::OverBudget, report.bytes_scanned < report.bytes_seen),
        (Gap::EncodedTooDeep, report.bytes_not_decoded > 0),
        (Gap::Undecided, report.undecided_matches > 0),
        (Gap::FindingsDropped, report.dropped_matches > 0),
        (Gap::Binary, binary_bytes > 0),
        (Gap::Coding, ends.iter().any(coding)),
        (Gap::NotRead, ends.iter().any(unread)),
    ]
    .into_iter()
    .filter_map(|(gap, there)| there.then_some(gap))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(report: &ScanReport, binary: u64, ends: [Option<Incomplete>; 2]) -> Vec<&'static str> {
        gaps(report, binary, ends).into_iter().map(Gap::name).collect()
    }

    #[test]
    fn each_reason_has_its_word() {
        let none = ScanReport::default();
        assert!(words(&none, 0, [None, None]).is_empty());
        let all = ScanReport {
            bytes_seen: 9,
            bytes_scanned: 8,
            bytes_not_decoded: 1,
            undecided_matches: 1,
            dropped_matches: 1,
            ..ScanReport::default()
        };
        let of_scan = ["over_budget", "encoded_too_deep", "undecided", "findings_dropped"];
        assert_eq!(words(&all, 0, [None, None]), of_scan);
        let ends = [Some(Incomplete::Encoding), Some(Incomplete::Gap)];
        assert_eq!(words(&none, 1, ends), ["binary", "unknown_coding", "not_read"]);
        assert_eq!(
            words(&none, 0, [None, Some(Incomplete::Encoding)]),
            ["unknown_coding"]
        );
    }
}
