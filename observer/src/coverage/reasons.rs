//! The closed list of reasons why something was lost, by stage. `docs/evidence.md` says what each means.

use super::{Loss, Stage};

/// Every reason that can be booked, in the order of the stages.
pub const REASONS: &[(Stage, &str)] = &[
    (Stage::Kernel, "ring_full"),
    (Stage::Kernel, "over_share"),
    (Stage::Kernel, "read_fault"),
    (Stage::Kernel, "thread_table_full"),
    (Stage::Kernel, "flow_table_full"),
    (Stage::Kernel, "socket_table_full"),
    (Stage::Kernel, "call_too_long"),
    (Stage::Kernel, "unreadable_call"),
    (Stage::Kernel, "stdio_table_full"),
    (Stage::Record, "not_a_record"),
    (Stage::Flow, "gap"),
    (Stage::Flow, "gap_at_end"),
    (Stage::Flow, "flow_table_full"),
    (Stage::Flow, "opening_table_full"),
    (Stage::Flow, "connection_table_full"),
    (Stage::Flow, "no_connection"),
    (Stage::Flow, "never_tied"),
    (Stage::Flow, "blind_spot_table_full"),
    (Stage::Flow, "cut_too_late"),
    (Stage::Flow, "close_lost"),
    (Stage::Flow, "class_table_full"),
    (Stage::Protocol, "lost_events"),
    (Stage::Protocol, "closed_early"),
    (Stage::Protocol, "parse_failed"),
    (Stage::Protocol, "over_budget"),
    (Stage::Protocol, "encoding_failed"),
    (Stage::Protocol, "protocol_unsupported"),
    (Stage::Protocol, "dns_message_cut"),
    (Stage::Protocol, "name_table_full"),
    (Stage::Scan, "over_budget"),
    (Stage::Scan, "encoded_too_deep"),
    (Stage::Scan, "undecided"),
    (Stage::Store, "over_budget"),
    (Stage::Store, "over_share"),
    (Stage::Store, "rejected"),
    (Stage::Store, "shutdown"),
    (Stage::Store, "damaged"),
    (Stage::Store, "too_long"),
];

/// What a loss counts for in the book of its stage, in the unit of that book (`docs/evidence.md`); 0 for what no book can
/// hold: bytes that never came, and tables of names and connections.
pub fn in_book(stage: Stage, reason: &str, loss: Loss) -> u64 {
    match (stage, reason) {
        (Stage::Kernel | Stage::Record | Stage::Store, _) => loss.events,
        (Stage::Flow, "flow_table_full" | "opening_table_full" | "no_connection" | "never_tied")
        | (Stage::Scan, "over_budget") => loss.bytes,
        (Stage::Protocol, "dns_message_cut" | "name_table_full") | (Stage::Flow | Stage::Scan, _) => 0,
        (Stage::Protocol, _) => loss.events,
    }
}

/// Whether a loss can have this reason.
pub(super) fn is_known(stage: Stage, reason: &str) -> bool {
    REASONS.contains(&(stage, reason))
}

#[cfg(test)]
mod tests {
    use observer_common::counters;

    use super::*;
    use crate::spool::LossReason;

    #[test]
    fn every_reason_is_in_the_list_once_and_in_the_document() {
        let document = include_str!("../../../docs/evidence.md");
        for (index, (stage, reason)) in REASONS.iter().enumerate() {
            assert!(!REASONS[index + 1..].contains(&(*stage, *reason)), "{reason}");
            let line = format!("| `{}` | `{reason}` |", stage.name());
            assert!(document.contains(&line), "docs/evidence.md has no line {line}");
        }
    }

    #[test]
    fn other_lists_of_reasons_agree() {
        for (_, _, name) in counters::ALL {
            if let Some(reason) = name.strip_prefix("lost_") {
                assert!(is_known(Stage::Kernel, reason), "{reason}");
            }
        }
        for reason in LossReason::ALL {
            assert!(is_known(Stage::Store, reason.name()), "{reason:?}");
        }
    }
}
