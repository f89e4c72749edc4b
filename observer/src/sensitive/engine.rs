//! vectorscan in streaming mode, made safe to hold: streams are always closed, one engine stays on one thread.

use std::rc::Rc;
use std::sync::Arc;

use vectorscan_rs::{Scan as Flow, StreamScanner, StreamingDatabase, StreamingScanner};

use super::key::HmacKey;
use super::rules::{Entry, Rule, Rules};
use super::scan::Scan;

/// The engine could not be set up: out of memory, or a processor that vectorscan does not know.
#[derive(Debug, thiserror::Error)]
#[error("sensitive-data engine: {0}")]
pub struct EngineError(#[from] vectorscan_rs::Error);

/// Compiled rules, ready to scan on the thread that made it. Clones share everything.
///
/// The borrowed scanner is why one engine is deliberately leaked for the life of the process (about 100 KiB of
/// scratch memory beside the database): a daemon makes one, or one per change of its rules.
#[derive(Clone)]
pub struct Engine {
    inner: Rc<Inner>,
}

struct Inner {
    rules: Vec<Arc<Rule>>,
    entries: Arc<[Entry]>,
    scanner: Option<&'static StreamingScanner<'static>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({} rules)", self.inner.rules.len())
    }
}

impl Engine {
    /// An engine for these rules.
    pub fn new(rules: &Rules) -> Result<Self, EngineError> {
        let scanner = match rules.database() {
            None => None,
            Some(database) => {
                let database: &'static Arc<StreamingDatabase> = Box::leak(Box::new(database));
                let scanner: &'static StreamingScanner<'static> =
                    Box::leak(Box::new(database.create_scanner()?));
                Some(scanner)
            }
        };
        Ok(Self {
            inner: Rc::new(Inner {
                rules: rules.list().to_vec(),
                entries: rules.entries(),
                scanner,
            }),
        })
    }

    /// Starts the scan of one exchange. Costs next to nothing until text comes.
    pub fn open(&self, key: Option<&HmacKey>) -> Scan {
        Scan::new(self.clone(), key.cloned())
    }

    /// The rules in use, in the order of their numbers.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.inner.rules
    }

    /// What each number in a [`Hit`] stands for.
    pub(super) fn entries(&self) -> &Arc<[Entry]> {
        &self.inner.entries
    }

    /// A new stream, at offset 0. `Ok(None)` where there is no rule.
    pub(super) fn stream(&self) -> Result<Option<Stream>, EngineError> {
        let Some(scanner) = self.inner.scanner else {
            return Ok(None);
        };
        Ok(Some(Stream(Some(scanner.open_stream()?))))
    }
}

/// Where a pattern ends: (number of its entry, offset of the byte after the end in the stream).
pub(super) type Hit = (usize, u64);

/// One open stream. vectorscan's own type leaks its memory when it is dropped without being closed.
pub(super) struct Stream(Option<StreamScanner<'static>>);

impl Stream {
    /// Looks at the next bytes and adds what ends in them to `hits`.
    pub(super) fn scan(&mut self, data: &[u8], hits: &mut Vec<Hit>) -> Result<(), EngineError> {
        if let Some(stream) = &mut self.0 {
            stream.scan(data, |rule, _, end, _| push(hits, rule, end))?;
        }
        Ok(())
    }

    /// Ends the stream and adds what only its end decides to `hits`.
    pub(super) fn close(mut self, hits: &mut Vec<Hit>) -> Result<(), EngineError> {
        if let Some(stream) = self.0.take() {
            stream.close(|rule, _, end, _| push(hits, rule, end))?;
        }
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(stream) = self.0.take() {
            // Nothing to do about a failure here: the memory is lost, the scan is over.
            let _ = stream.close(|_, _, _, _| Flow::Terminate);
        }
    }
}

fn push(hits: &mut Vec<Hit>, rule: u32, end: u64) -> Flow {
    if let Ok(rule) = usize::try_from(rule) {
        hits.push((rule, end));
    }
    Flow::Continue
}
