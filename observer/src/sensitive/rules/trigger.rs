//! What makes the scan look at a rule: read off its pattern.
//!
//! Every match of most patterns holds one of a few fixed texts (`ghp_`, `-----BEGIN`, the name of a service). All of
//! them together are one set of literals, which vectorscan finds at more than a gigabyte per second. A pattern of
//! numbers has none; its matches hold a digit (or a rare sign) not far behind their first byte, and begin where a word
//! begins: that is looked for 64 bytes at a time. The pattern itself is tried only where its trigger is.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use super::bytes::ByteSet;

/// Most literals of one pattern.
const MAX_LITERALS: usize = 96;
/// Longest literal, in bytes. What lies behind is not worth looking for.
pub(crate) const MAX_LITERAL: usize = 16;
/// Most bytes before the sign that a pattern without literals must hold.
pub(crate) const MAX_SIGN_AT: usize = 16;
/// Least weight of a literal that is preferred to a sign, and that is used at all.
const GOOD: u32 = 10;
const USABLE: u32 = 8;
/// Weight from which few literals are better than rarer ones, and from which none is rarer than another.
const RARE: u32 = 18;
const RAREST: u32 = 24;
/// Alternatives of one part that make it worth to look at what is before and behind it.
const BRANCHES: usize = 3;
/// Most digits of which many literals can consist and be better than a sign.
const SHORT: usize = 3;

/// A fixed text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Literal {
    /// In lower case where the case does not matter.
    pub bytes: Vec<u8>,
    /// The case of letters does not matter.
    pub caseless: bool,
}

/// Literals, and how far behind the first byte of a match the first byte of one of them is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literals {
    /// One of these is in every match.
    pub list: Vec<Literal>,
    /// Least distance.
    pub least: usize,
    /// Greatest distance; `None` where there is no bound.
    pub most: Option<usize>,
    /// Bytes that can be in the match before the literal.
    pub(crate) lead: ByteSet,
    /// What follows the literal in the match.
    pub(crate) rest: Hir,
}

/// What makes the scan look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// One of these literals is in the match.
    Inside(Literals),
    /// One of these literals is before the match, whose first byte is at most so many bytes behind the literal's last.
    Before(Vec<Literal>, usize),
    /// A byte of this set is in the match, at most so many bytes behind its first.
    Sign(ByteSet, usize),
}

/// The trigger of a pattern, by its own parts; `None` where it has no part that is rare enough.
pub(super) fn of_pattern(hir: &Hir) -> Option<Trigger> {
    let literals = best(hir).map(|found| (weight(&found.list), found));
    let sign = sign(hir, 0).filter(|(_, at)| *at <= MAX_SIGN_AT);
    match (literals, sign) {
        (Some((weight, literals)), None) if weight >= USABLE => Some(Trigger::Inside(literals)),
        (Some((weight, literals)), Some(_)) if weight >= GOOD && !are_digits(&literals.list) => {
            Some(Trigger::Inside(literals))
        }
        (_, Some((set, at))) => Some(Trigger::Sign(set, at)),
        (_, None) => None,
    }
}

/// Many short literals of digits: they are in nearly every number.
fn are_digits(list: &[Literal]) -> bool {
    let short =
        |literal: &Literal| literal.bytes.len() <= SHORT && literal.bytes.iter().all(u8::is_ascii_digit);
    list.len() > MAX_LITERALS / 4 && list.iter().all(short)
}

/// Literals of which every match holds one, even if they are not very rare.
pub(super) fn literals_of(hir: &Hir) -> Option<Literals> {
    best(hir).filter(|found| weight(&found.list) >= USABLE)
}

/// The trigger that a rule names apart: literals with which this pattern begins.
pub(super) fn of_lead(hir: &Hir) -> Option<Trigger> {
    const FAR: usize = 512;
    let literals = best(hir).filter(|found| found.most == Some(0) && weight(&found.list) >= USABLE)?;
    let span = hir.properties().maximum_len().unwrap_or(FAR).min(FAR);
    Some(Trigger::Before(literals.list, span))
}

/// How rare the least rare of the literals is, in bits and roughly, less what their number costs.
fn weight(list: &[Literal]) -> u32 {
    let byte = |byte: &u8| match byte {
        b' ' | b'e' | b't' | b'a' | b'o' | b'n' => 3,
        b'i' | b's' | b'r' | b'h' | b'l' | b'd' | b'\n' => 4,
        b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'=' | b':' | b'/' | b'.' | b',' | b'"' | b'\'' => 5,
        b'A'..=b'Z' | b'(' | b')' => 6,
        _ => 8,
    };
    let one = |literal: &Literal| literal.bytes.iter().map(byte).sum::<u32>();
    list.iter().map(one).min().unwrap_or(0)
}

/// All texts that the pattern fits, where they are few and short.
fn exact(hir: &Hir) -> Option<Vec<Literal>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(vec![literal(&[], false)]),
        HirKind::Literal(text) => (text.0.len() <= MAX_LITERAL).then(|| vec![literal(&text.0, false)]),
        HirKind::Class(class) => exact_class(class),
        HirKind::Capture(group) => exact(&group.sub),
        HirKind::Repetition(repeated) => {
            let times = usize::try_from(repeated.min).ok()?;
            if repeated.max != Some(repeated.min) || times > MAX_LITERAL {
                return match (repeated.min, repeated.max) {
                    (0, Some(1)) => {
                        let mut set = exact(&repeated.sub)?;
                        set.push(literal(&[], false));
                        Some(set)
                    }
                    _ => None,
                };
            }
            let sub = exact(&repeated.sub)?;
            (0..times).try_fold(vec![literal(&[], false)], |set, _| product(&set, &sub))
        }
        HirKind::Concat(parts) => parts.iter().try_fold(vec![literal(&[], false)], |set, part| {
            product(&set, &exact(part)?)
        }),
        HirKind::Alternation(branches) => {
            let mut set = Vec::new();
            for branch in branches {
                set.extend(exact(branch)?);
            }
            (set.len() <= MAX_LITERALS).then_some(set)
        }
    }
}

fn literal(bytes: &[u8], caseless: bool) -> Literal {
    Literal {
        bytes: bytes.to_vec(),
        caseless,
    }
}

/// A letter in both cases is that letter without case; else a class is its bytes, where these are few.
fn exact_class(class: &Class) -> Option<Vec<Literal>> {
    let set = ByteSet::of_class(class)?;
    let mut texts: Vec<Literal> = Vec::new();
    if set.len() > 10 {
        return None;
    }
    for byte in set.iter() {
        let both = byte.is_ascii_alphabetic() && set.has(byte ^ 0x20);
        if !(both && byte.is_ascii_uppercase()) {
            texts.push(literal(&[byte], both));
        }
    }
    Some(texts)
}

/// Every text of the first set with every text of the second behind it.
fn product(first: &[Literal], second: &[Literal]) -> Option<Vec<Literal>> {
    if first.len() * second.len() > MAX_LITERALS {
        return None;
    }
    let mut set = Vec::with_capacity(first.len() * second.len());
    for a in first {
        for b in second {
            let caseless = a.caseless || b.caseless;
            let mut bytes = [a.bytes.as_slice(), &b.bytes].concat();
            if caseless {
                bytes.make_ascii_lowercase();
            }
            if bytes.len() > MAX_LITERAL {
                return None;
            }
            set.push(Literal { bytes, caseless });
        }
    }
    Some(set)
}

/// The rarest literals of which every match holds one.
fn best(hir: &Hir) -> Option<Literals> {
    if let Some(list) = exact(hir) {
        let whole = usable(Literals::at_start(list));
        let part = match hir.kind() {
            HirKind::Concat(parts) if whole.as_ref().is_none_or(|one| one.list.len() >= BRANCHES) => {
                best_of_parts(parts)
            }
            _ => None,
        };
        let all = [whole, part].into_iter().flatten();
        return all.max_by(|one, other| one.value().total_cmp(&other.value()));
    }
    match hir.kind() {
        HirKind::Literal(text) => {
            let (text, rest) = text.0.split_at(MAX_LITERAL.min(text.0.len()));
            usable(Literals {
                rest: Hir::literal(rest),
                ..Literals::at_start(vec![literal(text, false)])
            })
        }
        HirKind::Capture(group) => best(&group.sub),
        HirKind::Repetition(repeated) if repeated.min > 0 => {
            let more = Repetition {
                min: 0,
                max: None,
                ..repeated.clone()
            };
            best(&repeated.sub).map(|one| one.followed_by(&[Hir::repetition(more)]))
        }
        HirKind::Alternation(branches) => {
            let mut all: Option<Literals> = None;
            for branch in branches {
                let one = best(branch)?;
                all = Some(match all {
                    None => one,
                    Some(mut all) => {
                        all.list.extend(one.list);
                        all.least = all.least.min(one.least);
                        all.most = all.most.zip(one.most).map(|(a, b)| a.max(b));
                        all.lead = all.lead.union(one.lead);
                        all.rest = Hir::alternation(vec![all.rest, one.rest]);
                        all
                    }
                });
            }
            usable(all?)
        }
        HirKind::Concat(parts) => best_of_parts(parts),
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(_) | HirKind::Repetition(_) => None,
    }
}

impl Literals {
    fn at_start(list: Vec<Literal>) -> Self {
        Self {
            list,
            least: 0,
            most: Some(0),
            lead: ByteSet::default(),
            rest: Hir::empty(),
        }
    }

    /// How good they are to be looked for: rare ones, then few, since what each of them costs is paid for every byte of text;
    /// then those whose place is known best.
    fn value(&self) -> f64 {
        let (weight, count) = (f64::from(weight(&self.list)), self.list.len());
        let cost = 2.0 * f64::from(u32::try_from(count).unwrap_or(u32::MAX)).log2();
        let slack = self.most.map_or(u32::MAX, |most| {
            u32::try_from(most - self.least).unwrap_or(u32::MAX)
        });
        let place = f64::from(slack.min(1 << 20)) / f64::from(1 << 21);
        match weight >= f64::from(RARE) {
            true => 100.0 + weight.min(f64::from(RAREST)) - cost - place,
            false => weight - place,
        }
    }

    /// The same in a longer pattern.
    fn followed_by(mut self, parts: &[Hir]) -> Self {
        self.rest = Hir::concat([&[self.rest], parts].concat());
        self
    }
}

fn usable(mut literals: Literals) -> Option<Literals> {
    let list = &mut literals.list;
    list.sort();
    list.dedup();
    let fits = !list.is_empty() && list.len() <= MAX_LITERALS && list.iter().all(|l| !l.bytes.is_empty());
    fits.then_some(literals)
}

/// Of parts in a row: the best of the runs of parts that are exact, and of what single parts hold.
fn best_of_parts(parts: &[Hir]) -> Option<Literals> {
    // Each with the number of the part behind it.
    let mut found: Vec<(Literals, usize)> = Vec::new();
    let mut open: Vec<Literals> = Vec::new();
    let mut begins = true;
    let (mut least, mut most, mut lead) = (0, Some(0usize), ByteSet::default());
    for (number, part) in parts.iter().enumerate() {
        let here = |one: Literals| Literals {
            least: least + one.least,
            most: most.zip(one.most).map(|(a, b)| a + b),
            lead: lead.union(one.lead),
            ..one
        };
        let set = exact(part);
        let branches = set.as_ref().is_some_and(|set| set.len() >= BRANCHES);
        for run in std::mem::take(&mut open) {
            let longer = set.as_ref().and_then(|set| product(&run.list, set));
            if branches || longer.is_none() {
                found.push((run.clone(), number));
            }
            open.extend(longer.map(|list| Literals { list, ..run }));
        }
        match set {
            Some(list) if begins || open.is_empty() => open.push(here(Literals::at_start(list))),
            Some(_) => {}
            None => found.extend(best(part).map(|one| (here(one), number + 1))),
        }
        // Behind a separator that may be one of many, what follows alone may do.
        begins = branches;
        let properties = part.properties();
        least += properties.minimum_len().unwrap_or(0);
        most = most.zip(properties.maximum_len()).map(|(a, b)| a + b);
        lead = lead.union(ByteSet::any_of(part));
    }
    found.extend(open.into_iter().map(|run| (run, parts.len())));
    let usable = found
        .into_iter()
        .filter_map(|(one, end)| Some((usable(one)?, end)));
    let (one, end) = usable.max_by(|(one, _), (other, _)| one.value().total_cmp(&other.value()))?;
    Some(one.followed_by(&parts[end..]))
}

/// A byte that every match holds, digits and signs only, and how far behind the first byte it is at most.
fn sign(hir: &Hir, before: usize) -> Option<(ByteSet, usize)> {
    let rare = |set: ByteSet| {
        set.len() <= 14
            && set.len() > 0
            && !set
                .iter()
                .any(|b| b.is_ascii_alphabetic() || b.is_ascii_whitespace())
    };
    match hir.kind() {
        HirKind::Class(class) => ByteSet::of_class(class)
            .filter(|set| rare(*set))
            .map(|set| (set, before)),
        HirKind::Literal(text) => {
            let at = text.0.iter().position(|b| rare(ByteSet::of([*b])))?;
            Some((ByteSet::of([text.0[at]]), before + at))
        }
        HirKind::Capture(group) => sign(&group.sub, before),
        HirKind::Repetition(repeated) if repeated.min > 0 => sign(&repeated.sub, before),
        HirKind::Alternation(branches) => {
            let (mut all, mut most) = (ByteSet::default(), before);
            for branch in branches {
                let (set, at) = sign(branch, before)?;
                (all, most) = (all.union(set), most.max(at));
            }
            Some((all, most))
        }
        HirKind::Concat(parts) => {
            let mut before = before;
            for part in parts {
                if let Some(found) = sign(part, before) {
                    return Some(found);
                }
                before += part.properties().maximum_len()?;
            }
            None
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hir(pattern: &str) -> Hir {
        let mut parser = regex_syntax::ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .build();
        parser.parse(pattern).unwrap()
    }

    fn literals(pattern: &str) -> (Vec<String>, usize, Option<usize>) {
        match of_pattern(&hir(pattern)) {
            Some(Trigger::Inside(found)) => {
                let shown = |l: &Literal| {
                    let text = String::from_utf8(l.bytes.clone()).unwrap();
                    if l.caseless {
                        format!("{text} (any case)")
                    } else {
                        text
                    }
                };
                (found.list.iter().map(shown).collect(), found.least, found.most)
            }
            other => panic!("{pattern}: {other:?}"),
        }
    }

    #[test]
    fn literals_of_patterns() {
        let of = |pattern| literals(pattern).0;
        assert_eq!(
            of("gh[pousr]_[A-Za-z0-9]{36}"),
            ["gho_", "ghp_", "ghr_", "ghs_", "ghu_"]
        );
        assert_eq!(
            of("(?i:secret|token)[ =]{1,3}([a-z]{8})"),
            ["secret (any case)", "token (any case)"]
        );
        assert_eq!(
            of("[a-z]{3}(?:AKIA|ASIA)[A-Z]{16}|A3T[A-Z]{16}"),
            ["A3T", "AKIA", "ASIA"]
        );
        assert_eq!(of("-----BEGIN[ A-Z]{0,9}PRIVATE KEY-----"), ["-----BEGIN"]);
        assert_eq!(of("(?:prefix-)?[a-z]{4}:AAAA[a-z]"), [":AAAA"]);
        assert_eq!(of("(?:abc-){3}x"), ["abc-abc-abc-x"]);
        // Rare enough without all the ways to go on.
        assert_eq!(of("(?i:genius[_. -]?access)=[a-z]{9}"), ["genius (any case)"]);
        assert_eq!(of("a[_. -]?mediastack=[a-z]{9}"), ["mediastack="]);
        assert_eq!(of("a_very_long_literal_text_indeed"), ["a_very_long_lite"]);
    }

    #[test]
    fn where_a_literal_is_in_the_match() {
        assert_eq!(
            literals("[a-z]{1,64}@[a-z]+"),
            (vec!["@".to_owned()], 1, Some(64))
        );
        assert_eq!(literals("[a-z]+@[a-z]+"), (vec!["@".to_owned()], 1, None));
        assert_eq!(literals("x(?:[a-z]{2}AKIA|[a-z]{5}ASIA)[a-z]{9}").1, 3);
        assert_eq!(literals("x(?:[a-z]{2}AKIA|[a-z]{5}ASIA)[a-z]{9}").2, Some(6));
    }

    #[test]
    fn numbers_have_a_sign() {
        let of = |pattern: &str| match of_pattern(&hir(pattern)) {
            Some(Trigger::Sign(set, at)) => (set.len(), at),
            other => panic!("{pattern}: {other:?}"),
        };
        assert_eq!(of("[0-9]{3}-[0-9]{2}-[0-9]{4}"), (10, 0));
        assert_eq!(of("[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2,7}"), (10, 2));
        assert_eq!(of("(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}"), (2, 2));
        assert_eq!(of("[0-3][0-9][01][a-z][0-9]{3}"), (4, 0));
        assert_eq!(of("[A-Z]{1,3} ?[0-9]{6}|[0-9]{9}"), (10, 4));
    }

    #[test]
    fn patterns_without_anything_rare() {
        for pattern in [
            "[a-z]+",
            "[A-Za-z0-9/+]{40}",
            "(?:abcd|[a-z]{4})[a-z]",
            "[a-z]{40}[0-9]",
        ] {
            assert_eq!(of_pattern(&hir(pattern)), None, "{pattern}");
        }
        assert!(matches!(
            of_lead(&hir("(?i:secret|akia)(?s:.{0,120})[A-Za-z0-9/+]{40}")),
            Some(Trigger::Before(list, 166)) if list.len() == 2
        ));
        assert_eq!(of_lead(&hir("[a-z]{2}secret")), None);
    }
}
