//! gzip members (RFC 1952) around raw deflate.

use flate2::{Crc, Decompress};

use super::EncodingLoss;
use super::stage::inflate;

const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;

/// ```text
/// Fixed -> ExtraLength -> Extra -> Name -> Comment -> HeadCrc -> Body -> Trailer -> Fixed (next member)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fixed,
    ExtraLength,
    Extra(u16),
    Name,
    Comment,
    HeadCrc,
    Body,
    Trailer,
    /// Zero padding after the last member.
    Padding,
}

pub(super) struct Gzip {
    state: State,
    /// Bytes of the field being read (`Fixed`, `ExtraLength`, `HeadCrc`, `Trailer`).
    field: [u8; 10],
    have: usize,
    flags: u8,
    inflate: Decompress,
    crc: Crc,
    members: u64,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self {
            state: State::Fixed,
            field: [0; 10],
            have: 0,
            flags: 0,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            members: 0,
        }
    }

    pub(super) fn at_end(&self) -> bool {
        let between = matches!(self.state, State::Fixed | State::Padding) && self.have == 0;
        between && self.members > 0
    }

    pub(super) fn run(&mut self, data: &[u8], out: &mut [u8]) -> Result<(usize, usize), EncodingLoss> {
        let mut used = 0;
        while self.state != State::Body {
            let Some(byte) = data.get(used) else {
                return Ok((used, 0));
            };
            used += 1;
            self.frame(*byte)?;
        }
        let (read, made, over) = inflate(&mut self.inflate, &data[used..], out)?;
        self.crc.update(&out[..made]);
        if over {
            (self.state, self.have) = (State::Trailer, 0);
        }
        Ok((used + read, made))
    }

    fn frame(&mut self, byte: u8) -> Result<(), EncodingLoss> {
        match self.state {
            State::Fixed if self.members > 0 && self.have == 0 && byte == 0 => self.state = State::Padding,
            State::Padding if byte == 0 => {}
            State::Padding => return Err(EncodingLoss::Ended),
            State::Fixed => {
                if self.field(byte, 10) {
                    self.fixed()?;
                }
            }
            State::ExtraLength => {
                if self.field(byte, 2) {
                    let length = u16::from_le_bytes([self.field[0], self.field[1]]);
                    self.state = if length == 0 {
                        self.after(FEXTRA)
                    } else {
                        State::Extra(length)
                    };
                }
            }
            State::Extra(1) => self.state = self.after(FEXTRA),
            State::Extra(left) => self.state = State::Extra(left - 1),
            State::Name if byte == 0 => self.state = self.after(FNAME),
            State::Comment if byte == 0 => self.state = self.after(FCOMMENT),
            State::HeadCrc => {
                if self.field(byte, 2) {
                    self.state = State::Body;
                }
            }
            State::Trailer => {
                if self.field(byte, 8) {
                    self.trailer()?;
                }
            }
            State::Name | State::Comment | State::Body => {}
        }
        Ok(())
    }

    /// Collects one byte of a field of `size` bytes; `true` when it is whole.
    fn field(&mut self, byte: u8, size: usize) -> bool {
        self.field[self.have] = byte;
        self.have = (self.have + 1) % size;
        self.have == 0
    }

    fn fixed(&mut self) -> Result<(), EncodingLoss> {
        let [0x1f, 0x8b, 8, flags, ..] = self.field else {
            return Err(if self.members > 0 {
                EncodingLoss::Ended
            } else {
                EncodingLoss::Corrupt
            });
        };
        self.flags = flags;
        self.inflate.reset(false);
        self.crc.reset();
        self.state = self.after(0);
        Ok(())
    }

    /// The next optional part of the head after the one with flag `done`.
    fn after(&self, done: u8) -> State {
        let parts = [
            (FEXTRA, State::ExtraLength, 1),
            (FNAME, State::Name, 2),
            (FCOMMENT, State::Comment, 3),
            (FHCRC, State::HeadCrc, 4),
        ];
        let rank = parts
            .iter()
            .find(|(flag, ..)| *flag == done)
            .map_or(0, |(.., rank)| *rank);
        let next = parts
            .iter()
            .find(|(flag, _, at)| *at > rank && self.flags & flag != 0);
        next.map_or(State::Body, |(_, state, _)| *state)
    }

    fn trailer(&mut self) -> Result<(), EncodingLoss> {
        let [a, b, c, d, ..] = self.field;
        if u32::from_le_bytes([a, b, c, d]) != self.crc.sum() {
            return Err(EncodingLoss::Corrupt);
        }
        self.members += 1;
        self.state = State::Fixed;
        Ok(())
    }
}
