//! How epochs hang together, and how the self-test of an interval ended. Pure.

use super::SealRow;

/// A seal, named by its place and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Epoch.
    pub chain_epoch: u64,
    /// Number in the epoch.
    pub seal_seq: u64,
    /// `seal_hash`.
    pub seal_hash: [u8; 32],
}

impl From<&SealRow> for Link {
    fn from(row: &SealRow) -> Self {
        Self {
            chain_epoch: row.chain_epoch,
            seal_seq: row.seal_seq,
            seal_hash: row.seal_hash,
        }
    }
}

/// Why an epoch began; `open_reason` of its `open` seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpenReason {
    /// No trace of an earlier epoch of this host.
    FirstStart,
    /// The epoch before ended with a `close` seal.
    Restart,
    /// The epoch before did not, and the host is still in the same boot: the agent was killed or crashed.
    Unclean,
    /// The epoch before did not, and the host was started anew: it lost power, crashed, or killed the agent at its end.
    UncleanReboot,
    /// What was known of the epoch before cannot be read any more.
    StateLost,
}

impl OpenReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::FirstStart,
        Self::Restart,
        Self::Unclean,
        Self::UncleanReboot,
        Self::StateLost,
    ];

    /// Word in the column.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstStart => "first_start",
            Self::Restart => "restart",
            Self::Unclean => "unclean",
            Self::UncleanReboot => "unclean_reboot",
            Self::StateLost => "state_lost",
        }
    }
}

/// How an epoch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Why.
    pub reason: OpenReason,
    /// The last seal of the epoch before.
    pub previous: Option<Link>,
}

impl Default for Opening {
    fn default() -> Self {
        Self {
            reason: OpenReason::FirstStart,
            previous: None,
        }
    }
}

/// How the self-test of an interval ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SelfTest {
    /// The known call came through from probe to pipeline.
    Ok,
    /// It was made and did not come through.
    Failed,
    /// It was not made: switched off, no TLS library on the host that it could use, or the interval was too short.
    #[default]
    NotMeasured,
}

impl SelfTest {
    /// Word in the column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::NotMeasured => "not_measured",
        }
    }
}
