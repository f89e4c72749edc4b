//! What the pipeline makes of names, calls that were stopped and connections that are to be.

use std::sync::Arc;

use observer_common::wire::{ENFORCED_DENIED, ENFORCED_DRY_RUN, Enforced, Established};

use super::{
    names::{learn, learn_at},
    sockets::{READABLE, end, socket},
    *,
};
use crate::{
    config::EnforcementMode, enforce::Settings, kernel::enforce::Change, protocol::tls::tests::hello_for,
};

const POLICY: &str = "version: e\ndefault: unknown\nrules:\n  - {id: no, verdict: unsanctioned, enforce: true, provider: [deepseek]}\n";
const HOST: &str = "api.deepseek.com";

fn bed(mode: EnforcementMode) -> Bed {
    let mut bed = Bed::new();
    bed.pipeline.set_judge(Arc::new(Judge {
        policy: Policy::parse(POLICY, "p.yaml").unwrap(),
        register: None,
    }));
    bed.pipeline.enforce(Settings {
        mode,
        allow: Vec::new(),
    });
    bed
}

/// The kernel stopped a call of this process, or let it go in a dry run.
fn stopped(bed: &mut Bed, process: &Arc<Identity>, action: u8) {
    let mut peer_address = [0; 16];
    peer_address[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 9]);
    let call = TestFlow {
        connection_id: 0,
        ..socket(0, process)
    };
    let body = Enforced {
        peer_address,
        rule: 0,
        peer_port: 443,
        transport: TRANSPORT_TCP,
        action,
        pad: [0; 8],
    };
    bed.record(&call, &Body::Enforced(body));
}

/// Rows as enforcement, rule, attempts, close reason, visibility and server.
fn rows(bed: &Bed) -> Vec<(&str, &str, u32, &str, &str, &str)> {
    let all = bed.connections().into_iter();
    all.map(|r| {
        (
            r.enforcement.as_str(),
            r.enforcement_rule_id.as_str(),
            r.enforcement_attempts,
            r.close_reason.as_str(),
            r.visibility.as_str(),
            r.server_address.as_str(),
        )
    })
    .collect()
}

#[test]
fn calls_that_were_denied_are_one_row_that_says_how_often_and_by_which_rule() {
    let (mut bed, process) = (bed(EnforcementMode::On), process(42));
    learn(&mut bed, &process, HOST);
    let guarded = bed
        .outputs
        .iter()
        .any(|o| matches!(o, Output::Enforce(Change::Guard(..))));
    assert!(guarded, "{:?}", bed.outputs);
    for _ in 0..3 {
        stopped(&mut bed, &process, ENFORCED_DENIED);
    }
    bed.tick_after(2_000_000_000);
    assert_eq!(rows(&bed), [("denied", "no", 3, "denied", "none", HOST)]);
    let row = bed.connections()[0];
    assert_eq!(
        (
            row.policy_verdict.as_str(),
            row.policy_rule_id.as_str(),
            row.user_name.as_str()
        ),
        ("unsanctioned", "no", "alice")
    );
    assert_eq!(
        (row.process_pid, row.server_port, row.bytes_sent),
        (42, 443, Some(0))
    );
    let totals = bed.pipeline.totals();
    assert_eq!(
        (totals.enforced, totals.ai_connections),
        ([3, 0, 0, 0], 0),
        "no connection was made"
    );
}

#[test]
fn a_dry_run_is_told_by_the_row_of_its_connection_or_by_one_of_its_own() {
    let (mut bed, process) = (bed(EnforcementMode::DryRun), process(42));
    learn(&mut bed, &process, HOST);
    stopped(&mut bed, &process, ENFORCED_DRY_RUN);
    let flow = socket(7, &process);
    bed.connect(&flow);
    end(&mut bed, &flow, READABLE);
    assert_eq!(rows(&bed), [("dry_run", "no", 1, "closed", "opaque", HOST)]);
    stopped(&mut bed, &process, ENFORCED_DRY_RUN);
    bed.finish();
    assert_eq!(rows(&bed)[1], ("dry_run", "no", 1, "no_connection", "none", HOST));
}

#[test]
fn a_connection_whose_hello_names_a_closed_host_is_cut_once() {
    for (done, wanted) in [(true, ("cut", "cut")), (false, ("cut_failed", "closed"))] {
        let (mut bed, process) = (bed(EnforcementMode::On), process(42));
        let mut flow = socket(7, &process);
        bed.connect(&flow);
        bed.sent(&mut flow, &hello_for(HOST));
        let cuts: Vec<(u64, Arc<str>)> = bed
            .outputs
            .iter()
            .filter_map(|output| match output {
                Output::Cut {
                    connection_id,
                    rule_id,
                    ..
                } => Some((*connection_id, Arc::clone(rule_id))),
                _ => None,
            })
            .collect();
        assert_eq!(cuts, [(7, "no".into())]);
        bed.pipeline.was_cut(7, "no".into(), done);
        end(&mut bed, &flow, READABLE);
        assert_eq!(rows(&bed), [(wanted.0, "no", 1, wanted.1, "opaque", HOST)]);
    }
}

#[test]
fn others_and_other_times_are_left_alone() {
    let (mut bed, process) = (bed(EnforcementMode::On), process(42));
    let mut other = socket(7, &process);
    bed.connect(&other);
    bed.sent(&mut other, &hello_for("api.openai.com"));
    assert!(bed.pipeline.release_enforcement(true), "the policy is gone");
    let mut closed = socket(8, &process);
    bed.connect(&closed);
    bed.sent(&mut closed, &hello_for(HOST));
    assert!(!bed.outputs.iter().any(|o| matches!(o, Output::Cut { .. })));
    assert!(!Bed::new().pipeline.release_enforcement(true), "it is off");
}

#[test]
fn the_end_of_a_socket_behind_the_end_of_its_process_does_not_bring_it_back() {
    let policy = "version: e\ndefault: unknown\nrules:\n  - {id: no, verdict: unsanctioned, enforce: true, provider: [deepseek], executable: [/usr/bin/client]}\n";
    let (mut bed, process) = (bed(EnforcementMode::On), process(42));
    bed.pipeline.set_judge(Arc::new(Judge {
        policy: Policy::parse(policy, "p.yaml").unwrap(),
        register: None,
    }));
    let known = |bed: &Bed| {
        let changes = bed.outputs.iter().filter_map(|output| match output {
            Output::Enforce(Change::Process(..)) => Some(1),
            Output::Enforce(Change::Gone(_)) => Some(-1),
            _ => None,
        });
        changes.sum::<i32>()
    };
    let flow = socket(7, &process);
    bed.connect(&flow);
    assert_eq!(known(&bed), 1);
    bed.record(&flow, &Body::Exit);
    assert_eq!(known(&bed), 0);
    let body = Established {
        local_address: [0; 16],
        family: 2,
        local_port: 40_001,
        pad: [0; 4],
    };
    bed.record(&flow, &Body::Established(body));
    bed.close(&flow, 1, 1);
    assert_eq!(known(&bed), 0);
}

#[test]
fn a_program_that_makes_up_an_answer_closes_nothing_of_the_hosts_own() {
    let local = [
        [127, 0, 0, 1],
        [10, 1, 2, 3],
        [169, 254, 169, 254],
        [100, 64, 0, 1],
        [192, 168, 0, 9],
    ];
    let guards = |process: &Arc<Identity>| {
        let mut bed = bed(EnforcementMode::On);
        for address in local {
            learn_at(&mut bed, process, HOST, address);
        }
        let guarded = bed.outputs.iter().filter_map(|output| match output {
            Output::Enforce(Change::Guard(address, _)) => Some(*address),
            _ => None,
        });
        guarded.collect::<std::collections::BTreeSet<_>>().len()
    };
    let program = process(42);
    assert_eq!(guards(&program), 0);
    let mut resolver = Identity::clone(&program);
    (resolver.uid, resolver.container_id) = (101, String::new());
    assert_eq!(
        guards(&Arc::new(resolver.clone())),
        local.len(),
        "the host was told"
    );
    resolver.container_id = "c0ffee".to_owned();
    assert_eq!(
        guards(&Arc::new(resolver)),
        0,
        "root of a container is not the host's"
    );
}
