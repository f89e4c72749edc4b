//! The words that rules want near a value, of all rules together: looked for once for each place, not once for each rule.

use vectorscan_rs::{BlockDatabase, BlockScanner, Error, Flag, Pattern, Scan};

/// Bytes that are gone through ahead, so that few calls are needed.
const AHEAD: usize = 512;

/// Words of all rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words {
    database: Option<BlockDatabase>,
    /// By number, the length in bytes.
    lengths: Vec<usize>,
    longest: usize,
}

/// A word that was found: its number, and the offset of its first byte.
pub(crate) type Seen = (u32, usize);

impl Words {
    /// Looks for these words in any case. Their places in the list are their numbers.
    pub(crate) fn new(words: &[String]) -> Result<Self, Error> {
        if words.is_empty() {
            return Ok(Self::default());
        }
        let patterns = (0..).zip(words).map(|(number, word)| {
            let escaped: String = word.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
            Pattern::new(escaped.into_bytes(), Flag::CASELESS, Some(number))
        });
        Ok(Self {
            database: Some(BlockDatabase::new(patterns.collect())?),
            lengths: words.iter().map(String::len).collect(),
            longest: words.iter().map(String::len).max().unwrap_or(0),
        })
    }
}

/// Looks for words, on one thread.
pub(crate) struct Finder<'a> {
    words: &'a Words,
    scanner: Option<BlockScanner<'a>>,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(words: &'a Words) -> Result<Self, Error> {
        let scanner = words.database.as_ref().map(BlockScanner::new).transpose()?;
        Ok(Self { words, scanner })
    }

    /// Adds the words that end in this stretch of the text, and are not longer than what is before their end.
    fn find(&mut self, text: &[u8], (from, to): (usize, usize), seen: &mut Vec<Seen>) -> Result<(), Error> {
        let Some(scanner) = &mut self.scanner else {
            return Ok(());
        };
        let first = from.saturating_sub(self.words.longest.saturating_sub(1));
        let lengths = &self.words.lengths;
        scanner.scan(&text[first..to], |word, _, end, _| {
            let length = usize::try_from(word).ok().and_then(|word| lengths.get(word));
            if let (Some(length), Ok(end)) = (length, usize::try_from(end))
                && first + end > from
            {
                seen.push((word, first + end - length));
            }
            Scan::Continue
        })?;
        Ok(())
    }
}

/// Words of a text from one place to another. Places at which numbers may begin stand close to each other, and what is
/// around them overlaps: each byte is gone through once.
#[derive(Debug, Default)]
pub(crate) struct Near {
    seen: Vec<Seen>,
    /// The stretch that was gone through.
    from: usize,
    to: usize,
}

impl Near {
    /// The words that begin in this stretch of a text, save some that end behind it. `None` where vectorscan failed.
    pub(crate) fn of<'a>(
        &'a mut self,
        finder: &mut Finder<'_>,
        text: &[u8],
        (from, to): (usize, usize),
    ) -> Option<impl Iterator<Item = &'a Seen> + use<'a>> {
        let to = to.min(text.len());
        if from < self.from || from > self.to {
            self.seen.clear();
            (self.from, self.to) = (from, from);
        }
        if to > self.to {
            self.seen.retain(|(_, at)| *at >= from);
            self.from = from;
            let stretch = (self.to, text.len().min(to.max(self.to + AHEAD)));
            self.to = stretch.1;
            if finder.find(text, stretch, &mut self.seen).is_err() {
                *self = Self::default();
                return None;
            }
        }
        Some(self.seen.iter().filter(move |(_, at)| (from..to).contains(at)))
    }

    /// Whether the words of this stretch were looked for before.
    pub(crate) fn knows(&self, (from, to): (usize, usize), text: &[u8]) -> bool {
        self.from <= from && to.min(text.len()) <= self.to
    }

    /// So many bytes at the begin of the text are gone.
    pub(crate) fn trim(&mut self, gone: usize) {
        self.seen.retain(|(_, at)| *at >= gone);
        for (_, at) in &mut self.seen {
            *at -= gone;
        }
        self.from = self.from.saturating_sub(gone);
        self.to = self.to.saturating_sub(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(near: &mut Near, words: &Words, text: &[u8], stretch: (usize, usize)) -> Vec<Seen> {
        let mut finder = Finder::new(words).unwrap();
        let mut seen: Vec<Seen> = near.of(&mut finder, text, stretch).unwrap().copied().collect();
        seen.sort_unstable();
        seen
    }

    #[test]
    fn what_was_seen_before_is_what_a_new_look_sees() {
        let words = Words::new(&["tax".to_owned(), "tax id".to_owned(), "phone".to_owned()]).unwrap();
        let text = "my tax id and Phone, taxi, the phone of the TAX ID office; ".repeat(90);
        let mut near = Near::default();
        // Forward as the scan does, and back again.
        for (from, to) in [
            (0, 7),
            (0, 9),
            (3, 30),
            (5, 20),
            (20, 64),
            (70, 1_090),
            (71, 2_300),
            (10, 50),
            (299, 5_310),
        ] {
            let seen_here = seen(&mut near, &words, text.as_bytes(), (from, to));
            for word in seen(&mut Near::default(), &words, text.as_bytes(), (from, to)) {
                assert!(seen_here.contains(&word), "{word:?} from {from} to {to}");
            }
            assert!(seen_here.iter().all(|(_, at)| (from..to).contains(at)));
            assert!(to - from < 59 || seen_here.len() >= 6);
        }
        near.trim(290);
        let text = &text.as_bytes()[290..];
        let seen_here = seen(&mut near, &words, text, (20, 200));
        for word in seen(&mut Near::default(), &words, text, (20, 200)) {
            assert!(seen_here.contains(&word), "{word:?} after trimming");
        }
    }
}
