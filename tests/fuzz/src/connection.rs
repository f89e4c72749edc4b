//! One connection: protocol, dialects and texts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

use observer::{
    catalog::Catalog,
    dialect::{ConnectionHooks, ConnectionReader, NotAi, Place, TextSink},
    exchange::Exchange,
    protocol::{Incomplete, Side},
};

use crate::{input::Input, templates};

static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| Arc::new(Catalog::builtin()));

#[derive(Default)]
struct Texts(BTreeMap<u64, (Option<Place>, bool)>);

impl TextSink for Texts {
    fn text(&mut self, place: &Place, text: u64, _piece: &[u8]) {
        let (known, over) = self.0.entry(text).or_default();
        assert!(!*over, "a text goes on after its end");
        assert!(
            known.as_ref().is_none_or(|known| known == place),
            "a text changes its place"
        );
        *known = Some(place.clone());
    }
    fn end(&mut self, text: u64) {
        let (_, over) = self.0.entry(text).or_default();
        assert!(!std::mem::replace(over, true), "a text ends twice");
    }
}

/// Hears what a reader finds.
#[derive(Default)]
pub struct Hooks {
    texts: BTreeMap<u64, Texts>,
    over: BTreeSet<u64>,
    /// Exchanges in the order of their ends.
    pub finished: Vec<(u64, Exchange)>,
    /// Bytes that belong to no exchange.
    pub lost: u64,
}

impl ConnectionHooks for Hooks {
    fn text_sink(&mut self, exchange: u64) -> &mut dyn TextSink {
        assert!(
            !self.over.contains(&exchange),
            "text after the end of its exchange"
        );
        self.texts.entry(exchange).or_default()
    }
    fn finished(&mut self, exchange: u64, facts: Exchange) {
        assert!(self.over.insert(exchange), "an exchange ends twice");
        if let Some(texts) = self.texts.remove(&exchange) {
            assert!(texts.0.values().all(|(_, over)| *over), "a text is left open");
        }
        self.finished.push((exchange, facts));
    }
    fn not_ai(&mut self, exchange: u64, _reason: NotAi) {
        assert!(self.over.insert(exchange), "an exchange ends twice");
        self.texts.remove(&exchange);
    }
    fn lost(&mut self, _side: Side, bytes: u64, _reason: Incomplete) {
        self.lost += bytes;
    }
}

/// A script of pushes and gaps, as for [`crate::http1`].
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let name = ["", "api.openai.com", "api.anthropic.com", "example.org"][usize::from(input.byte()) % 4];
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(Arc::clone(&CATALOG), Some(name).filter(|name| !name.is_empty()));
    let mut now = 0;
    while !input.is_empty() {
        now += 1;
        let op = input.byte();
        let side = if op & 1 == 0 {
            Side::Request
        } else {
            Side::Response
        };
        match op % 8 {
            0 => reader.push(side, input.bytes(usize::from(op >> 3)), now, &mut hooks),
            1 => {
                let side = if op & 8 == 0 {
                    Side::Request
                } else {
                    Side::Response
                };
                let bytes = if op & 16 == 0 {
                    templates::http2(side, input.byte())
                } else {
                    let length = input.short();
                    input.bytes(length)
                };
                reader.push(side, bytes, now, &mut hooks);
            }
            2..=5 => {
                // A part of a good message, so that lengths come out right now and then.
                let template = templates::get(side, input.byte());
                let from = if op & 0x80 == 0 {
                    0
                } else {
                    input.short().min(template.len())
                };
                let to = if op & 0x40 == 0 {
                    template.len()
                } else {
                    input.short().min(template.len())
                };
                reader.push(side, template.get(from..to).unwrap_or(b""), now, &mut hooks);
            }
            _ => {
                let missing = if op & 0x40 == 0 {
                    None
                } else {
                    Some(input.short() as u64)
                };
                reader.gap(side, missing, now, &mut hooks);
            }
        }
        let _ = (reader.scope(), reader.unsupported());
    }
    reader.close(now, &mut hooks);
}
