//! The scan of one exchange: texts in pieces, interleaved, in; findings by rule and place out.

use std::collections::HashMap;

use crate::dialect::{Place, TextSink};

use super::encoded::Text;
use super::engine::Engine;
use super::key::HmacKey;
use super::locate::{Located, Meter, Scratch, Tools};
use super::rules::Rule;
use super::{Finding, ScanReport, Severity};

/// Most texts of one exchange that may be open at once. Bytes of further texts are seen but not scanned.
pub const MAX_OPEN_TEXTS: usize = 64;
/// Most findings of one exchange. Places come from the peer's JSON, so their number is the peer's to choose.
pub const MAX_FINDINGS: usize = 1_000;
/// Most keyed hashes in one finding.
pub const MAX_HMACS: usize = 16;
/// Buffers kept for the next text.
const MAX_SPARE: usize = 8;

/// A running scan. Lives on the thread of its engine; any number may be open at the same time.
pub struct Scan {
    engine: Engine,
    key: Option<HmacKey>,
    open: Vec<Open>,
    spare: Vec<Vec<u8>>,
    scratch: Scratch,
    meter: Meter,
    bytes_seen: u64,
    found: Found,
}

struct Open {
    number: u64,
    place: Place,
    text: Text,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Scan({} open texts, {} bytes seen)",
            self.open.len(),
            self.bytes_seen
        )
    }
}

impl Scan {
    pub(super) fn new(engine: Engine, key: Option<HmacKey>) -> Self {
        Self {
            engine,
            key,
            open: Vec::new(),
            spare: Vec::new(),
            scratch: Scratch::default(),
            meter: Meter::default(),
            bytes_seen: 0,
            found: Found::default(),
        }
    }

    /// Ends all texts and reports. The findings are ordered by rule and place, whatever the order of the pieces.
    pub fn finish(mut self) -> ScanReport {
        while let Some(open) = self.open.pop() {
            self.close(open);
        }
        ScanReport {
            findings: self.found.take_sorted(),
            bytes_seen: self.bytes_seen,
            bytes_scanned: self.meter.bytes_scanned,
            bytes_decoded: self.meter.bytes_decoded,
            bytes_not_decoded: self.meter.not_decoded,
            undecided_matches: self.meter.undecided,
            work: self.meter.work(),
            dropped_matches: self.found.dropped,
        }
    }

    fn close(&mut self, mut open: Open) {
        let rules = self.engine.rules();
        let mut out = |located: Located| self.found.add(rules, &open.place, &located);
        open.text.end(&mut Tools {
            engine: &self.engine,
            key: self.key.as_ref(),
            meter: &mut self.meter,
            scratch: &mut self.scratch,
            out: &mut out,
        });
        if self.spare.len() < MAX_SPARE {
            self.spare.push(open.text.into_buffer());
        }
    }

    /// The number in `open` of a text, which is opened where it is new. `None` over budget.
    fn slot(&mut self, place: &Place, text: u64) -> Option<usize> {
        // The text of the last piece is nearly always the text of this one.
        if let Some(index) = self.open.iter().rposition(|open| open.number == text) {
            return Some(index);
        }
        if self.open.len() >= MAX_OPEN_TEXTS {
            return None;
        }
        self.open.push(Open {
            number: text,
            place: place.clone(),
            text: Text::with_buffer(self.spare.pop().unwrap_or_default()),
        });
        Some(self.open.len() - 1)
    }
}

impl TextSink for Scan {
    fn text(&mut self, place: &Place, text: u64, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        self.bytes_seen += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        let Some(index) = self.slot(place, text) else {
            return;
        };
        let Open { place, text, .. } = &mut self.open[index];
        let rules = self.engine.rules();
        let mut out = |located: Located| self.found.add(rules, place, &located);
        text.feed(
            piece,
            &mut Tools {
                engine: &self.engine,
                key: self.key.as_ref(),
                meter: &mut self.meter,
                scratch: &mut self.scratch,
                out: &mut out,
            },
        );
    }

    fn end(&mut self, text: u64) {
        if let Some(index) = self.open.iter().rposition(|open| open.number == text) {
            let open = self.open.swap_remove(index);
            self.close(open);
        }
    }
}

/// Findings by rule, place and whether they are published examples.
#[derive(Default)]
struct Found {
    by_place: HashMap<(usize, bool), HashMap<Place, Finding>>,
    count: usize,
    dropped: u64,
}

impl Found {
    fn add(&mut self, rules: &[std::sync::Arc<Rule>], place: &Place, located: &Located) {
        let Some(rule) = rules.get(located.rule) else {
            return;
        };
        let places = self
            .by_place
            .entry((located.rule, located.documented))
            .or_default();
        if !places.contains_key(place) {
            if self.count >= MAX_FINDINGS {
                self.dropped += 1;
                return;
            }
            self.count += 1;
            places.insert(place.clone(), empty_finding(rule, place, located));
        }
        let Some(finding) = places.get_mut(place) else {
            return;
        };
        finding.count = finding.count.saturating_add(1);
        finding.bytes = finding.bytes.saturating_add(located.bytes);
        finding.confidence = finding.confidence.max(located.confidence);
        if let Some(hmac) = located.hmac
            && finding.hmacs.len() < MAX_HMACS
            && !finding.hmacs.contains(&hmac)
        {
            finding.hmacs.push(hmac);
        }
    }

    fn take_sorted(&mut self) -> Vec<Finding> {
        let mut all: Vec<Finding> = std::mem::take(&mut self.by_place)
            .into_values()
            .flat_map(HashMap::into_values)
            .collect();
        for finding in &mut all {
            finding.hmacs.sort_unstable();
        }
        let key = |f: &Finding| {
            (
                f.rule_id.clone(),
                f.place.path.clone(),
                f.place.role,
                f.documented_example,
            )
        };
        all.sort_by_cached_key(|f| (key(f), f.place.side == crate::protocol::Side::Response));
        all
    }
}

fn empty_finding(rule: &Rule, place: &Place, located: &Located) -> Finding {
    Finding {
        rule_id: rule.id.clone(),
        class: rule.class,
        severity: if located.documented {
            Severity::Info
        } else {
            rule.severity
        },
        confidence: located.confidence,
        place: place.clone(),
        count: 0,
        bytes: 0,
        hmacs: Vec::new(),
        documented_example: located.documented,
    }
}
