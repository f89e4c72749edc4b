//! HTTP/1 of one connection, both directions, with holes.

use std::collections::BTreeMap;

use observer::protocol::{HttpEvent, Side, http1::Http1Connection, sniff::sniff};

use crate::{input::Input, templates};

/// What has been reported so far.
#[derive(Default)]
pub(crate) struct Seen {
    /// Exchange and side: whether that side is over.
    sides: BTreeMap<(u64, bool), bool>,
    requests: Vec<u64>,
    /// Bytes in messages and between them, by side.
    accounted: [u64; 2],
}

impl Seen {
    pub(crate) fn event(&mut self, event: &HttpEvent<'_>) {
        match event {
            HttpEvent::RequestHead { exchange, .. } => {
                assert!(
                    self.requests.last().is_none_or(|last| last < exchange),
                    "numbers grow"
                );
                self.requests.push(*exchange);
            }
            HttpEvent::Body { exchange, side, .. } | HttpEvent::BodyGap { exchange, side, .. } => {
                let over = self.sides.entry((*exchange, *side == Side::Request)).or_default();
                assert!(!*over, "a body goes on after its end");
            }
            HttpEvent::End {
                exchange,
                side,
                wire_bytes,
                ..
            } => {
                let over = self.sides.insert((*exchange, *side == Side::Request), true);
                assert_ne!(over, Some(true), "a side ends twice");
                self.count(*side, *wire_bytes);
            }
            HttpEvent::Skipped { side, bytes, .. } => self.count(*side, *bytes),
            HttpEvent::Tunnel { side, data, .. } => self.count(*side, data.len() as u64),
            HttpEvent::TunnelGap { side, missing, .. } => self.count(*side, missing.unwrap_or(0)),
            HttpEvent::ResponseHead { .. } | HttpEvent::Trailers { .. } | HttpEvent::Switched { .. } => {}
        }
    }

    fn count(&mut self, side: Side, bytes: u64) {
        let sum = &mut self.accounted[side as usize];
        *sum = sum.saturating_add(bytes);
    }

    /// Every request that came has an end on both sides.
    pub(crate) fn all_over(&self) {
        for exchange in &self.requests {
            for side in [true, false] {
                assert_eq!(
                    self.sides.get(&(*exchange, side)),
                    Some(&true),
                    "exchange {exchange} is left open"
                );
            }
        }
    }
}

/// A script of pushes and gaps.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (mut connection, mut seen) = (Http1Connection::new(), Seen::default());
    let (mut pushed, mut missing) = ([0u64; 2], [0u64; 2]);
    while !input.is_empty() {
        let op = input.byte();
        let side = if op & 1 == 0 {
            Side::Request
        } else {
            Side::Response
        };
        let bytes = match op % 8 {
            0..=3 => input.bytes(usize::from(op >> 3)),
            4 | 5 => templates::get(side, input.byte()),
            _ => {
                let known = match op >> 6 {
                    0 => None,
                    1 => Some(u64::from(input.byte())),
                    2 => Some(input.short() as u64),
                    _ => Some(input.long()),
                };
                let sum = &mut missing[side as usize];
                *sum = sum.saturating_add(known.unwrap_or(0));
                connection.gap(side, known, &mut |event| seen.event(&event));
                continue;
            }
        };
        let _ = sniff(bytes, side);
        pushed[side as usize] += bytes.len() as u64;
        connection.push(side, bytes, &mut |event| seen.event(&event));
    }
    connection.close(&mut |event| seen.event(&event));
    seen.all_over();
    for side in 0..2 {
        let most = pushed[side].saturating_add(missing[side]);
        let got = seen.accounted[side];
        assert!(
            got >= pushed[side] && got <= most,
            "side {side}: {got} of {} and {}",
            pushed[side],
            missing[side]
        );
    }
}
