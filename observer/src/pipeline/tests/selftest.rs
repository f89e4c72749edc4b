//! The self-test's call: recognised whole, in both directions, and never counted as use.

use super::*;
use crate::selftest::Call;

/// A helper, as child of the daemon with process id 11, and a pipeline that expects its call.
fn expecting() -> (Bed, Arc<Identity>, Vec<u8>, Vec<u8>) {
    let mut bed = Bed::new();
    let call = Call::new([5; 16]);
    let (sent, received) = (call.request(), call.answer());
    bed.pipeline.selftest_helper(HelperProcess {
        pid: 42,
        parent_pid: 11,
    });
    bed.pipeline.expect_selftest(KnownCall {
        sent: sent.clone(),
        received: received.clone(),
    });
    (bed, process(42), sent, received)
}

#[test]
fn the_call_is_seen_whole_and_leaves_no_row() {
    let (mut bed, helper, sent, received) = expecting();
    let mut flow = flow(1, &helper);
    bed.name(&flow, "selftest.observer.invalid");
    bed.connect(&flow);
    bed.sent(&mut flow, &sent[..10]);
    bed.sent(&mut flow, &sent[10..]);
    assert!(!bed.pipeline.selftest_seen(), "half of it");
    bed.received(&mut flow, &received);
    assert!(bed.pipeline.selftest_seen());
    bed.free(&flow);
    bed.close(&flow, 2_000, 2_000);
    bed.tick_after(GRACE_NS);
    bed.finish();
    assert_eq!((bed.interactions().len(), bed.connections().len()), (0, 0));
    assert_eq!(
        bed.decisions(),
        [],
        "the kernel goes on to deliver both directions"
    );
    let call = Call::new([6; 16]);
    bed.pipeline.expect_selftest(KnownCall {
        sent: call.request(),
        received: call.answer(),
    });
    assert!(!bed.pipeline.selftest_seen(), "each call counts once");
}

#[test]
fn a_handle_that_is_used_again_without_an_end_carries_many_calls() {
    let (mut bed, helper, ..) = expecting();
    let mut flow = flow(1, &helper);
    for number in 0..20 {
        let call = Call::new([number; 16]);
        bed.pipeline.expect_selftest(KnownCall {
            sent: call.request(),
            received: call.answer(),
        });
        bed.sent(&mut flow, &call.request());
        assert!(!bed.pipeline.selftest_seen());
        bed.received(&mut flow, &call.answer());
        assert!(bed.pipeline.selftest_seen(), "call {number}");
    }
}

#[test]
fn what_is_missing_changed_or_of_somebody_else_is_not_the_call() {
    let cases: [(u32, usize, &[u8]); 4] = [(42, 0, b""), (42, 5, b""), (42, 0, b"more"), (43, 0, b"")];
    for (number, (pid, skipped, more)) in cases.into_iter().enumerate() {
        let (mut bed, _, sent, received) = expecting();
        let mut flow = flow(1, &process(pid));
        flow.offset[0] = skipped as u64;
        bed.sent(&mut flow, &sent[skipped..]);
        bed.sent(&mut flow, more);
        bed.received(&mut flow, &received);
        assert_eq!(bed.pipeline.selftest_seen(), number == 0, "case {number}");
    }
    let (mut bed, helper, sent, mut received) = expecting();
    let mut flow = flow(1, &helper);
    bed.sent(&mut flow, &sent);
    received[20] ^= 1;
    bed.received(&mut flow, &received);
    assert!(!bed.pipeline.selftest_seen());
}

#[test]
fn a_process_that_got_the_helpers_number_is_observed() {
    let (mut bed, ..) = expecting();
    let mut other = Identity::clone(&process(42));
    other.parent_pid = 1;
    let mut flow = flow(1, &Arc::new(other));
    bed.call(&mut flow, &chat("x"), &answer("y"));
    assert_eq!((bed.interactions().len(), bed.connections().len()), (1, 1));
}

#[test]
fn nothing_that_the_helper_says_is_use_of_ai() {
    let (mut bed, helper, ..) = expecting();
    let mut flow = flow(1, &helper);
    bed.call(&mut flow, &chat("x"), &answer("y"));
    bed.finish();
    assert_eq!((bed.interactions().len(), bed.connections().len()), (0, 0));
    let totals = bed.pipeline.totals();
    assert_eq!((totals.exchanges, totals.ai_connections), (0, 0));
}
