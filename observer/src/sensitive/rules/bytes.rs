//! Sets of bytes.

use regex_syntax::hir::{Class, Hir, HirKind};

/// A set of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ByteSet([u64; 4]);

impl std::fmt::Debug for ByteSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ByteSet({} bytes)", self.len())
    }
}

impl ByteSet {
    /// All bytes.
    pub(crate) const ALL: Self = Self([u64::MAX; 4]);

    /// The set of these bytes.
    pub(crate) fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        let mut set = Self::default();
        for byte in bytes {
            set.add(byte);
        }
        set
    }

    pub(crate) fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    pub(crate) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|byte| self.has(*byte))
    }

    pub(crate) fn union(mut self, other: Self) -> Self {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
        self
    }

    /// All bytes that are not in it.
    pub(crate) fn others(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// How many bytes at the end of the text, without a gap, are in this set.
    pub(crate) fn count_at_end(&self, text: &[u8]) -> usize {
        if *self == Self::ALL {
            return text.len();
        }
        text.iter().rev().take_while(|byte| self.has(**byte)).count()
    }

    /// Whether every byte of `other` is in this set.
    pub(crate) fn covers(&self, other: Self) -> bool {
        self.0.iter().zip(other.0).all(|(all, some)| all & some == some)
    }

    /// The bytes of a class; none where a character is no single byte.
    pub(super) fn of_class(class: &Class) -> Option<Self> {
        match class {
            Class::Bytes(class) => Some(Self::of(class.iter().flat_map(|r| r.start()..=r.end()))),
            Class::Unicode(class) => {
                let mut set = Self::default();
                for range in class.iter() {
                    let (start, end) = (u8::try_from(range.start()).ok()?, u8::try_from(range.end()).ok()?);
                    (start..=end).for_each(|byte| set.add(byte));
                }
                Some(set)
            }
        }
    }

    /// The bytes that can be anywhere in a match.
    pub(super) fn any_of(hir: &Hir) -> Self {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Self::default(),
            HirKind::Literal(literal) => Self::of(literal.0.iter().copied()),
            HirKind::Class(class) => Self::of_class(class).unwrap_or(Self::ALL),
            HirKind::Repetition(repeated) => Self::any_of(&repeated.sub),
            HirKind::Capture(group) => Self::any_of(&group.sub),
            HirKind::Concat(parts) | HirKind::Alternation(parts) => {
                parts.iter().map(Self::any_of).fold(Self::default(), Self::union)
            }
        }
    }

    /// The bytes with which a match can begin. Every byte where a match may be empty or begins by looking around.
    pub(super) fn first_of(hir: &Hir) -> Self {
        let one = |hir: &Hir| match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Self::default(),
            HirKind::Literal(literal) => Self::of(literal.0.first().copied()),
            HirKind::Class(class) => Self::of_class(class).unwrap_or(Self::ALL),
            HirKind::Repetition(repeated) => Self::first_of(&repeated.sub),
            HirKind::Capture(group) => Self::first_of(&group.sub),
            HirKind::Concat(parts) => first_of_all(parts),
            HirKind::Alternation(branches) => branches
                .iter()
                .map(Self::first_of)
                .fold(Self::default(), Self::union),
        };
        one(hir)
    }
}

/// Of parts in a row: of all up to the first that is never empty.
fn first_of_all(parts: &[Hir]) -> ByteSet {
    let mut set = ByteSet::default();
    for part in parts {
        set = set.union(ByteSet::first_of(part));
        if part.properties().minimum_len().is_some_and(|least| least > 0) {
            break;
        }
    }
    set
}
