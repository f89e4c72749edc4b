//! Numbers of an array, many at once: a vector has thousands of them, and hardly ever does anybody ask what they are.

use super::MAX_NUMBER;

const DIGIT: u8 = 1;
/// What else a number may have.
const SIGN: u8 = 2;
const BLANK: u8 = 4;
const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = b'0';
    while byte <= b'9' {
        classes[byte as usize] = DIGIT;
        byte += 1;
    }
    let mut at = 0;
    while at < 5 {
        classes[b"+-.eE"[at] as usize] = SIGN;
        at += 1;
    }
    at = 0;
    while at < 4 {
        classes[b" \t\r\n"[at] as usize] = BLANK;
        at += 1;
    }
    classes
}

fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// Whether a byte may stand inside a number.
pub(super) fn is_part(byte: u8) -> bool {
    class(byte) & (DIGIT | SIGN) != 0
}

/// Items of an array that are numbers, one behind the other, each with the comma behind it.
#[derive(Debug, Clone, Copy)]
pub struct Numbers<'a> {
    text: &'a [u8],
    count: u64,
    longest_integer: usize,
}

impl<'a> Numbers<'a> {
    /// Those at the front of `text`, which begins with an item; `None` where not even the first is there with its comma, or
    /// where it is longer than a number may be.
    pub(super) fn at_front(text: &'a [u8]) -> Option<Self> {
        let (mut at, mut count, mut longest_integer) = (0, 0, 0);
        while matches!(text.get(at), Some(b'-' | b'0'..=b'9')) {
            let (mut end, mut seen) = (at, 0);
            while let Some(part) = text
                .get(end)
                .map(|b| class(*b))
                .filter(|c| c & (DIGIT | SIGN) != 0)
            {
                seen |= part;
                end += 1;
            }
            let comma = behind_blanks(text, end);
            if end - at > MAX_NUMBER || text.get(comma) != Some(&b',') {
                break;
            }
            if seen == DIGIT {
                longest_integer = longest_integer.max(end - at);
            }
            count += 1;
            at = behind_blanks(text, comma + 1);
        }
        let text = &text[..at];
        (count > 0).then_some(Self {
            text,
            count,
            longest_integer,
        })
    }

    /// Bytes of them, with commas and blanks.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Digits of the longest of them that is nothing but digits; 0 where none is.
    pub fn longest_integer(&self) -> usize {
        self.longest_integer
    }

    /// Each as written.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.text
            .split(|byte| !is_part(*byte))
            .filter(|number| !number.is_empty())
    }
}

/// Where the first byte at or behind `at` stands that is no blank.
fn behind_blanks(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| class(**byte) == BLANK).count()
}
