//! Decompression of messages (RFC 7692 section 7.2).

use flate2::{Decompress, FlushDecompress, Status};

use crate::protocol::Incomplete;
use crate::protocol::encoding::{MAX_DECODED, MAX_RATIO, RATIO_FLOOR};

/// What the sender leaves out at the end of a message.
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];
/// Bytes handed on at a time.
const PIECE: usize = 16 * 1024;

/// Decompressor of one direction. Memory: the window of 32 KiB and the state of the decompressor, from the first
/// compressed message on.
pub(super) struct Inflate {
    state: Option<Decompress>,
    /// Each message begins with an empty window.
    alone: bool,
    /// Why messages cannot be decompressed any more.
    dead: Option<Incomplete>,
    taken: u64,
    made: u64,
    /// The sender ended the stream inside the message.
    over: bool,
}

impl Inflate {
    pub(super) fn new(alone: bool) -> Self {
        Self {
            state: None,
            alone,
            dead: None,
            taken: 0,
            made: 0,
            over: false,
        }
    }

    /// Takes a piece of a compressed message.
    ///
    /// # Errors
    /// Why nothing more of this message comes out.
    pub(super) fn push(&mut self, data: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), Incomplete> {
        if let Some(why) = self.dead {
            return Err(why);
        }
        self.taken = self.taken.saturating_add(data.len() as u64);
        let result = self.run(data, out);
        if let Err(why) = result {
            self.dead = Some(why);
        }
        result
    }

    /// The message is over; `whole` says that all of it was pushed.
    pub(super) fn end(&mut self, whole: bool, out: &mut dyn FnMut(&[u8])) -> Result<(), Incomplete> {
        let result = match whole {
            true => self.push(TAIL, out),
            false => Err(*self.dead.get_or_insert(Incomplete::Gap)),
        };
        (self.taken, self.made, self.over) = (0, 0, false);
        if self.alone {
            self.dead = None;
            if let Some(state) = &mut self.state {
                state.reset(false);
            }
        }
        result
    }

    fn run(&mut self, data: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), Incomplete> {
        let state = self.state.get_or_insert_with(|| Decompress::new(false));
        let mut piece = [0; PIECE];
        let mut input = data;
        while !self.over {
            let before = (state.total_in(), state.total_out());
            let status = state
                .decompress(input, &mut piece, FlushDecompress::None)
                .map_err(|_| Incomplete::Encoding)?;
            let used = usize::try_from(state.total_in() - before.0).unwrap_or(input.len());
            let made = usize::try_from(state.total_out() - before.1).unwrap_or(PIECE);
            input = input.get(used..).unwrap_or_default();
            self.made = self.made.saturating_add(made as u64);
            let ratio = self.made > RATIO_FLOOR && self.made > self.taken.saturating_mul(MAX_RATIO);
            if ratio || self.made > MAX_DECODED {
                return Err(Incomplete::OverBudget);
            }
            if made > 0 {
                out(piece.get(..made).unwrap_or_default());
            }
            if status == Status::StreamEnd {
                // A last block: what follows in the message is padding.
                state.reset(false);
                self.over = true;
            }
            if (used == 0 && made == 0) || (input.is_empty() && made < PIECE) {
                return Ok(());
            }
        }
        Ok(())
    }
}
