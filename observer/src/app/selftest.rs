//! When the self-test's calls are made, and what the seals say of them.

use std::time::Duration;

use crate::{
    config::Config,
    evidence::SelfTest,
    pipeline::{HelperProcess, KnownCall, Pipeline},
    selftest::{Call, Outcome, SelfTester},
};

/// After the begin of an interval, unless that is shorter than twice this: what the start of a daemon or a seal had to do
/// is over.
const CALL_AFTER: Duration = Duration::from_secs(2);

/// A call that ended less than so long ago may have records on their way.
const SETTLE_NS: u64 = 300_000_000;

/// Where the call of this interval is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Not made yet, at this time (CLOCK_BOOTTIME, ns).
    Due(u64),
    /// Under way.
    Ordered,
    /// Made, at this time.
    Made(u64),
    /// It could not be made.
    Broken,
}

/// What a seal says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub outcome: SelfTest,
    /// A word for the seal.
    pub note: Option<&'static str>,
}

/// The self-tests of this daemon.
pub(super) struct SelfTests {
    /// `None`: switched off, or there is none on this host.
    tester: Option<SelfTester>,
    helper: Option<u32>,
    phase: Phase,
    interval_ns: u64,
    /// Word for the next seal, once.
    unavailable: Option<&'static str>,
}

impl SelfTests {
    pub(super) fn start(config: &Config) -> Self {
        let tester = config
            .selftest
            .then(|| SelfTester::start(config.selftest_library.clone()));
        let (tester, unavailable) = match tester {
            None => (None, Some("selftest_off")),
            Some(Ok(tester)) => (Some(tester), None),
            Some(Err(error)) => {
                tracing::error!(%error, "no thread for the self-test");
                (None, Some("selftest_unavailable"))
            }
        };
        Self {
            tester,
            helper: None,
            phase: Phase::Due(u64::MAX),
            interval_ns: u64::try_from(config.seal_interval.as_nanos()).unwrap_or(u64::MAX),
            unavailable,
        }
    }

    /// Process id of the helper.
    pub(super) fn helper(&self) -> Option<u32> {
        self.helper
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now_ns: u64, pipeline: &mut Pipeline) {
        while let Some(outcome) = self.tester.as_ref().and_then(SelfTester::outcome) {
            self.take(outcome, now_ns, pipeline);
        }
        if !matches!(self.phase, Phase::Due(at) if now_ns >= at) || self.helper.is_none() {
            return;
        }
        let (Some(tester), Some(call)) = (&self.tester, fresh_call()) else {
            return;
        };
        pipeline.expect_selftest(KnownCall {
            sent: call.request(),
            received: call.answer(),
        });
        if tester.order(call) {
            self.phase = Phase::Ordered;
        }
    }

    fn take(&mut self, outcome: Outcome, now_ns: u64, pipeline: &mut Pipeline) {
        match outcome {
            Outcome::Ready { pid } => {
                self.helper = Some(pid);
                pipeline.selftest_helper(HelperProcess {
                    pid,
                    parent_pid: std::process::id(),
                });
            }
            Outcome::Unavailable(why) => {
                tracing::warn!(why, "no self-test on this host: seals say `not_measured`");
                self.unavailable = Some("selftest_unavailable");
                self.tester = None;
                self.helper = None;
            }
            // Only a call that waits for its outcome has one.
            Outcome::Done if self.phase == Phase::Ordered => self.phase = Phase::Made(now_ns),
            Outcome::Done => {}
            Outcome::Broken(why) => {
                tracing::warn!(why, "the self-test's call could not be made");
                self.phase = Phase::Broken;
            }
        }
    }

    /// What the seal says of the interval that ends now; the next one begins.
    pub(super) fn of_interval(&mut self, now_ns: u64, pipeline: &Pipeline) -> Verdict {
        let note = self.unavailable.take();
        let (outcome, next) = judge(
            &self.phase,
            now_ns,
            self.call_time(now_ns),
            pipeline.selftest_seen(),
        );
        if outcome == SelfTest::Failed {
            tracing::warn!("the self-test's call did not come through the probes");
        }
        let broken = (self.phase == Phase::Broken).then_some("selftest_call_failed");
        self.phase = next;
        Verdict {
            outcome,
            note: note.or(broken),
        }
    }

    /// When the call of the interval that begins now is made.
    fn call_time(&self, now_ns: u64) -> u64 {
        let after = u64::try_from(CALL_AFTER.as_nanos()).unwrap_or(0);
        now_ns.saturating_add(after.min(self.interval_ns / 2))
    }
}

/// Verdict of an interval that ends now, and the phase with which the next one begins.
fn judge(phase: &Phase, now_ns: u64, call_ns: u64, seen: bool) -> (SelfTest, Phase) {
    match phase {
        Phase::Made(_) if seen => (SelfTest::Ok, Phase::Due(call_ns)),
        // Its records may still come: it counts for the interval in which it is decided.
        Phase::Made(at) if now_ns.saturating_sub(*at) < SETTLE_NS => (SelfTest::NotMeasured, phase.clone()),
        Phase::Made(_) | Phase::Broken => (SelfTest::Failed, Phase::Due(call_ns)),
        Phase::Ordered => (SelfTest::NotMeasured, Phase::Ordered),
        Phase::Due(_) => (SelfTest::NotMeasured, Phase::Due(call_ns)),
    }
}

/// A call that nobody could have made before; `None` without random bytes, and then there is no self-test.
fn fresh_call() -> Option<Call> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).ok()?;
    Some(Call::new(nonce))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_where_it_is_decided_and_no_call_is_no_result() {
        let at = |phase: Phase, seen| judge(&phase, 1_000_000_000, 7, seen);
        assert_eq!(at(Phase::Due(5), false), (SelfTest::NotMeasured, Phase::Due(7)));
        // What is left of an earlier interval's call says nothing about this one.
        assert_eq!(at(Phase::Due(5), true).0, SelfTest::NotMeasured);
        for seen in [false, true] {
            assert_eq!(at(Phase::Ordered, seen), (SelfTest::NotMeasured, Phase::Ordered));
        }
        assert_eq!(at(Phase::Made(1), true), (SelfTest::Ok, Phase::Due(7)));
        assert_eq!(at(Phase::Made(1), false), (SelfTest::Failed, Phase::Due(7)));
        let just_now = Phase::Made(900_000_000);
        assert_eq!(at(just_now.clone(), false), (SelfTest::NotMeasured, just_now));
        assert_eq!(at(Phase::Broken, false), (SelfTest::Failed, Phase::Due(7)));
    }
}
