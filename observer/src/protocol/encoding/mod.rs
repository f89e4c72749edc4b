//! Undoes content codings (RFC 9110 section 8.4.1) as bytes arrive: what can be decoded after a push is handed on
//! in that push, since an event stream inside gzip must be seen early.

mod gzip;
mod stage;
#[cfg(test)]
mod tests;

use std::cell::RefCell;

pub use crate::budget::MAX_WINDOWS;
use crate::budget::{Pool, Share};
use stage::Stage;

/// Most bytes one body may decode to.
pub const MAX_DECODED: u64 = 64 * 1024 * 1024;
/// From this many decoded bytes on, the ratio counts.
pub const RATIO_FLOOR: u64 = 1024 * 1024;
/// Most decoded bytes per coded byte.
pub const MAX_RATIO: u64 = 200;
/// Most codings on top of each other.
pub const MAX_CODINGS: usize = 4;
/// Largest zstd window, as a power of two: 8 MiB, what RFC 9659 allows in HTTP.
pub const ZSTD_WINDOW_LOG: u32 = 23;
/// Decoded bytes handed on at a time.
const PIECE: usize = 16 * 1024;

thread_local! {
    /// Buffers of `PIECE` bytes that are not in use, at most `MAX_CODINGS`. To make and clear one for each push would cost
    /// more than to decode a small piece.
    static PIECES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Why a body could not be decoded, or no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EncodingLoss {
    /// A coding that is not known, or too many of them.
    #[error("content coding is not supported")]
    Unsupported,
    /// Not what the coding says, or bytes are missing.
    #[error("coded body is corrupt")]
    Corrupt,
    /// Decodes to too much: `MAX_DECODED`, `MAX_RATIO` or the window limit.
    #[error("coded body exceeds a budget")]
    OverBudget,
    /// Bytes follow the end of the coded stream.
    #[error("bytes follow the end of the coded stream")]
    Ended,
}

/// Decoder of one body.
pub struct ContentDecoder {
    stages: Vec<Stage>,
    budget: Budget,
    failed: Option<EncodingLoss>,
}

struct Budget {
    taken: u64,
    /// Bytes made by each stage.
    made: [u64; MAX_CODINGS],
    window: Share,
}

impl ContentDecoder {
    /// A decoder for the codings of a `Content-Encoding` field; none for `None`.
    pub fn new(content_encoding: Option<&str>) -> Self {
        let mut stages = Vec::new();
        let mut failed = None;
        let names = content_encoding.unwrap_or_default().split(',').map(str::trim);
        for name in names.filter(|n| !n.is_empty() && !n.eq_ignore_ascii_case("identity")) {
            match Stage::by_name(&name.to_ascii_lowercase()) {
                Some(stage) if stages.len() < MAX_CODINGS => stages.push(stage),
                _ => failed = Some(EncodingLoss::Unsupported),
            }
        }
        // The coding named last was applied last and comes off first.
        stages.reverse();
        Self {
            stages,
            budget: Budget {
                taken: 0,
                made: [0; MAX_CODINGS],
                window: Share::new(Pool::Windows),
            },
            failed,
        }
    }

    /// Whether bytes pass unchanged.
    pub fn is_identity(&self) -> bool {
        self.stages.is_empty() && self.failed.is_none()
    }

    /// Why nothing is decoded any more, if so.
    pub fn failed(&self) -> Option<EncodingLoss> {
        self.failed
    }

    /// Bytes are missing: a coding cannot be undone after a hole. Without a coding nothing changes.
    pub fn gap(&mut self) {
        if !self.stages.is_empty() {
            self.fail(EncodingLoss::Corrupt);
        }
    }

    /// Takes coded bytes and hands on what they decode to. After an error every push returns that error.
    pub fn push(&mut self, data: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), EncodingLoss> {
        if let Some(loss) = self.failed {
            return Err(loss);
        }
        if self.stages.is_empty() {
            out(data);
            return Ok(());
        }
        self.budget.taken += data.len() as u64;
        let result = drive(&mut self.stages, 0, data, &mut self.budget, out);
        if let Err(loss) = result {
            self.fail(loss);
        }
        result
    }

    /// Nothing is decoded any more: the windows can go.
    fn fail(&mut self, loss: EncodingLoss) {
        self.failed.get_or_insert(loss);
        self.stages = Vec::new();
        self.budget.window = Share::new(Pool::Windows);
    }

    /// Whether the coded stream is over (or nothing was pushed, or there is no coding): a body that ends before
    /// is cut.
    pub fn is_complete(&self) -> bool {
        self.failed.is_none() && (self.budget.taken == 0 || self.stages.iter().all(Stage::at_end))
    }
}

fn drive(
    stages: &mut [Stage],
    depth: usize,
    data: &[u8],
    budget: &mut Budget,
    out: &mut dyn FnMut(&[u8]),
) -> Result<(), EncodingLoss> {
    let Some((stage, rest)) = stages.split_first_mut() else {
        out(data);
        return Ok(());
    };
    let mut piece = PIECES.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; PIECE]);
    let result = undo(stage, rest, depth, data, &mut piece, budget, out);
    PIECES.with_borrow_mut(|pieces| pieces.push(piece));
    result
}

/// Runs `stage` over `data`, piece by piece, and `rest` over what it gives.
fn undo(
    stage: &mut Stage,
    rest: &mut [Stage],
    depth: usize,
    data: &[u8],
    piece: &mut [u8],
    budget: &mut Budget,
    out: &mut dyn FnMut(&[u8]),
) -> Result<(), EncodingLoss> {
    let mut input = data;
    loop {
        let (used, made) = stage.run(input, piece)?;
        input = &input[used..];
        if made > 0 {
            budget.made(depth, made, stage.window())?;
            drive(rest, depth + 1, &piece[..made], budget, out)?;
        }
        if made == PIECE || (made > 0 && !input.is_empty()) || used > 0 && !input.is_empty() {
            continue;
        }
        return if input.is_empty() {
            Ok(())
        } else {
            Err(EncodingLoss::Corrupt)
        };
    }
}

impl Budget {
    /// Stage `depth`, which keeps its last `window` bytes, made `bytes` more.
    fn made(&mut self, depth: usize, bytes: usize, window: u64) -> Result<(), EncodingLoss> {
        let made = &mut self.made[depth];
        let kept = (*made).min(window);
        *made += bytes as u64;
        if !self.window.grow((*made).min(window) - kept) {
            return Err(EncodingLoss::OverBudget);
        }
        let ratio = *made > RATIO_FLOOR && *made > self.taken.saturating_mul(MAX_RATIO);
        if ratio || *made > MAX_DECODED {
            Err(EncodingLoss::OverBudget)
        } else {
            Ok(())
        }
    }
}
