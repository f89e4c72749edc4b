//! One host: epochs, intervals, what goes wrong, and the seals over it.

use observer::evidence::{
    Book, Coverage, Interval, KeyRow, Link, OpenReason, Opening, SealKind, SealRow, SealedLoss, SelfTest,
    Sequencer, Signer, keys,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::cast::{BLIND, WORKLOADS};
use super::talk::{Place, blind_connection, blind_spot, connection, exchange};
use super::{Plan, Rows, SECOND};
use crate::random::Random;

/// An epoch ends here, with the reason for the next one and the pause before it.
struct Turn {
    at: i64,
    reason: OpenReason,
    pause: i64,
}

pub(super) struct Host<'p> {
    plan: &'p Plan,
    number: usize,
    place: Place,
    signer: Signer,
    random: Random,
    boot: Uuid,
    booted: i64,
    rows: Rows,
    events: u64,
}

/// Flows of one interval.
#[derive(Default)]
struct Flows {
    ai: u32,
    decoded: u32,
    opaque: u32,
    unknown: u32,
}

impl<'p> Host<'p> {
    pub(super) fn new(plan: &'p Plan, number: usize) -> Self {
        let seed: [u8; 32] = Sha256::digest(format!("month host {number}")).into();
        Self {
            plan,
            number,
            place: Place::new(number),
            signer: Signer::from_seed(&seed),
            random: Random::new(0x9e37_79b9 + number as u64 * 7919),
            boot: Uuid::from_u128(0x0b00_0000 + number as u128),
            booted: plan.start() - 86_400 * SECOND,
            rows: Rows::default(),
            events: 0,
        }
    }

    pub(super) fn live(mut self) -> Rows {
        let host_id = &self.place.host_id;
        self.rows.keys = vec![KeyRow::first(
            host_id,
            keys::ROLE_HOST,
            &self.signer,
            self.plan.start(),
        )];
        let (mut opening, mut from) = (Opening::default(), self.plan.start());
        for turn in self.turns() {
            opening = self.epoch(opening, from, &turn);
            from = turn.at + turn.pause;
        }
        self.rows
    }

    /// Where epochs end: an upgrade on every host, and some bad luck.
    fn turns(&self) -> Vec<Turn> {
        let (plan, number) = (self.plan, self.number as i64);
        let after = |days: i64, hours: i64| {
            let at = plan.start() + (days * 24 + hours) * 3_600 * SECOND;
            at - (at - plan.start()) % plan.interval()
        };
        let turn = |at, reason, minutes: i64| Turn {
            at,
            reason,
            pause: minutes * 60 * SECOND,
        };
        let mut turns = vec![turn(after(plan.days / 2, number % 8), OpenReason::Restart, 0)];
        match number % 10 {
            3 => turns.push(turn(after(plan.days * 2 / 3, 3), OpenReason::Unclean, 40)),
            7 => turns.push(turn(after(plan.days * 4 / 5, 1), OpenReason::UncleanReboot, 380)),
            _ => {}
        }
        turns.push(turn(plan.end, OpenReason::Restart, 0));
        turns
    }

    /// Lives from `from` until the turn. Returns how the next epoch opens.
    fn epoch(&mut self, opening: Opening, from: i64, turn: &Turn) -> Opening {
        if opening.reason == OpenReason::UncleanReboot {
            self.boot = Uuid::from_u128(self.boot.as_u128() + (1 << 64));
            self.booted = from - 60 * SECOND;
        }
        let mut chain =
            Sequencer::new(self.place.host_id.clone(), self.boot, from.unsigned_abs()).opened(opening);
        chain.sign_with(self.signer.clone());
        self.events = 0;
        self.seal(&mut chain, SealKind::Open, from, from, Flows::default());
        let mut at = from;
        while at < turn.at {
            let until = (at + self.plan.interval()).min(turn.at);
            let flows = self.talk(&mut chain, at, until);
            self.seal(&mut chain, SealKind::Interval, at, until, flows);
            at = until;
        }
        let goes_on = turn.at == self.plan.end;
        if turn.reason == OpenReason::Restart && !goes_on {
            self.seal(&mut chain, SealKind::Close, at, at, Flows::default());
        }
        Opening {
            reason: turn.reason,
            previous: self.rows.seals.last().map(Link::from),
        }
    }

    fn talk(&mut self, chain: &mut Sequencer, from: i64, until: i64) -> Flows {
        let mut flows = Flows::default();
        for (index, workload) in WORKLOADS.iter().enumerate() {
            // Each workload runs on one host in four.
            let started = workload.name != "gemini-trial" || self.plan.day(from) >= self.plan.days - 6;
            if !(index + self.number).is_multiple_of(4) || !started {
                continue;
            }
            for n in 0..self.exchanges(workload.busy, from, until) {
                let ts = from + self.below(until - from);
                exchange(&mut self.rows, chain, &mut self.random, &self.place, workload, ts);
                if n % 3 == 0 {
                    connection(&mut self.rows, chain, &mut self.random, &self.place, workload, ts);
                    flows.ai += 1;
                    flows.decoded += 1;
                }
            }
        }
        self.talk_unread(chain, from, until, &mut flows);
        flows
    }

    fn talk_unread(&mut self, chain: &mut Sequencer, from: i64, until: i64, flows: &mut Flows) {
        for (index, &(_, _, _, address)) in BLIND.iter().enumerate() {
            // The second program came with yesterday's deployment.
            let started = index != 1 || self.plan.day(from) >= self.plan.days - 1;
            if !(index + self.number).is_multiple_of(6) || !started {
                continue;
            }
            if self.plan.day(from) != self.plan.day(from - self.plan.interval()) {
                blind_spot(&mut self.rows, chain, &self.place, index, from);
            }
            for _ in 0..self.exchanges(1, from, until) {
                let ts = from + self.below(until - from);
                blind_connection(&mut self.rows, chain, &mut self.random, &self.place, index, ts);
                if address.is_empty() {
                    flows.unknown += 1;
                } else {
                    flows.ai += 1;
                    flows.opaque += 1;
                }
            }
        }
    }

    /// How many of `busy` an hour fall into this time: offices are full from 8 to 17 (UTC) on five days.
    fn exchanges(&mut self, busy: usize, from: i64, until: i64) -> usize {
        let hours = from / (3_600 * SECOND);
        let (hour, weekday) = (hours % 24, (hours / 24 + 4) % 7);
        let share = match (weekday, hour) {
            (0 | 6, _) => 4,
            (_, 8..=16) => 60 + 8 * (hour - 12).abs().min(4),
            (_, 6..=20) => 20,
            _ => 5,
        };
        let thousandths = busy * usize::try_from(share * (until - from) / (360 * SECOND)).unwrap_or(0);
        (thousandths + self.random.below(1_000)) / 1_000
    }

    fn below(&mut self, limit: i64) -> i64 {
        i64::try_from(self.random.below(usize::try_from(limit).unwrap_or(1))).unwrap_or(0)
    }

    fn seal(&mut self, chain: &mut Sequencer, kind: SealKind, from: i64, until: i64, flows: Flows) {
        let coverage = self.coverage(kind, from, until, &flows);
        let interval = Interval {
            start: from,
            end: until,
            mono_start_ns: (from - self.booted).unsigned_abs(),
            mono_end_ns: (until - self.booted).unsigned_abs(),
        };
        let row: SealRow = chain.seal(kind, interval, coverage);
        self.rows.seals.push(row);
    }

    fn coverage(&mut self, kind: SealKind, from: i64, until: i64, flows: &Flows) -> Coverage {
        let upgraded = from >= self.plan.start() + self.plan.days / 2 * 86_400 * SECOND;
        let seen = if kind == SealKind::Interval {
            u64::from(flows.ai) * 24 + 300 + self.random.below(90) as u64
        } else {
            0
        };
        let lost = self.lost(from, kind);
        self.events += seen;
        let failing = self.trouble(5, from, 3);
        Coverage {
            agent_version: if upgraded { "0.2.0" } else { "0.1.0" }.into(),
            agent_sha256: Sha256::digest(if upgraded { "agent 2" } else { "agent 1" }).into(),
            config_sha256: Sha256::digest("config").into(),
            policy_sha256: Sha256::digest("policy").into(),
            register_sha256: super::registers::digest(),
            rule_pack_sha256: Sha256::digest(if upgraded { "rules 2" } else { "rules 1" }).into(),
            catalog_version: if upgraded { "2026-11-01" } else { "2026-10-01" }.into(),
            probes_required: 14,
            probes_attached: if failing { 12 } else { 14 },
            probes_failed: if failing {
                vec!["tcp_close: permission denied".into()]
            } else {
                Vec::new()
            },
            notes: Vec::new(),
            selftest: match kind {
                SealKind::Interval if self.trouble(1, from, 2) => SelfTest::Failed,
                SealKind::Interval => SelfTest::Ok,
                _ => SelfTest::NotMeasured,
            },
            books: vec![Book {
                stage: "kernel",
                seen: self.events + lost,
                delivered: self.events,
                lost,
                held: 0,
            }],
            losses: (lost > 0)
                .then_some(SealedLoss {
                    stage: "kernel",
                    reason: "ring_full",
                    events: lost,
                    bytes: 0,
                })
                .into_iter()
                .collect(),
            events_seen: seen,
            events_lost_ring: lost,
            procs_net: 40 + self.number as u32 % 9,
            procs_readable: 37 + self.number as u32 % 9,
            procs_opaque: 3,
            ai_flows: flows.ai,
            ai_flows_decoded: flows.decoded,
            ai_flows_opaque: flows.opaque,
            unknown_flows_opaque: flows.unknown,
            cpu_ms: u32::try_from((until - from) / SECOND).unwrap_or(0) * 6 + flows.ai,
            rss_kib: 58_000 + self.random.below(3_000) as u32,
            ..Coverage::default()
        }
    }

    fn lost(&mut self, from: i64, kind: SealKind) -> u64 {
        if kind == SealKind::Interval && self.trouble(3, from, 5) {
            20 + self.random.below(200) as u64
        } else {
            0
        }
    }

    /// Whether this host, one of those with `kind` as last digit, has its trouble now: some hours on one day.
    fn trouble(&self, kind: usize, at: i64, hours: i64) -> bool {
        let hour = (at - self.plan.start()) / (3_600 * SECOND);
        let begins = (self.plan.days * 5 / 6) * 24 + 9;
        self.number % 10 == kind && (begins..begins + hours).contains(&hour)
    }
}
