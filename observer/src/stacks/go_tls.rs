//! Go: `crypto/tls.(*Conn).Write` and `Read`, and the returns of `Read`.
//!
//! The kernel's return probe changes the return address on the stack, which Go finds when it moves or walks a stack, and crashes. So the
//! returns are probed themselves. Both points stand behind the check of the stack: where the stack has to grow, a call runs through the
//! entry twice.

use super::{
    Call, How, Kind, Refusal, RefusalReason, Report, Stack,
    code::Body,
    examiner::Examiner,
    functions::written_at,
    go_table::{Entry, Table},
    scan::Needle,
};

const WRITE: &str = "crypto/tls.(*Conn).Write";
const READ: &str = "crypto/tls.(*Conn).Read";

/// Copies of `crypto/tls` that imitate the handshakes of browsers. Their `UConn` writes by a method of its own and reads by
/// that of the `Conn` inside it, so the two have different handles.
const COPIES: [&str; 4] = [
    "github.com/refraction-networking/utls.(*UConn).Write",
    "github.com/bogdanfinn/utls.(*UConn).Write",
    "github.com/sagernet/utls.(*UConn).Write",
    "github.com/metacubex/utls.(*UConn).Write",
];

/// Most returns of one function; the real one has a dozen.
const MAX_RETURNS: usize = 128;

/// First minor version of Go 1 that passes arguments in registers on x86-64.
const REGISTERS_SINCE: u32 = 17;

/// Finds the functions of a Go program that has `crypto/tls`.
pub(super) fn find(examiner: &Examiner<'_, '_>, report: &mut Report) {
    let version = version(examiner);
    if version.is_none() && examiner.image.section(".gopclntab").is_none() {
        return;
    }
    let mut stack = Stack::new(Kind::GoTls, How::Pclntab);
    stack.version.clone_from(&version);
    let Some(table) = Table::find(examiner.image) else {
        stack
            .refused
            .push(Refusal::new("pclntab", RefusalReason::NoFunctionTable));
        report.stacks.push(stack);
        return;
    };
    let [a, b, c, d] = COPIES;
    let [write, read, copies @ ..] = table.entries(examiner.image, [WRITE, READ, a, b, c, d]);
    report.stacks.extend(copied(copies));
    let entries = match [write, read] {
        // No `crypto/tls`: no stack.
        [Err(RefusalReason::NotFound), Err(RefusalReason::NotFound)] => return,
        [Ok(write), Ok(read)] => [write, read],
        [Err(reason), _] | [_, Err(reason)] => {
            stack.refused.push(Refusal::new(WRITE, reason));
            report.stacks.push(stack);
            return;
        }
    };
    if version
        .as_deref()
        .and_then(minor)
        .is_some_and(|minor| minor < REGISTERS_SINCE)
    {
        stack
            .refused
            .push(Refusal::new(WRITE, RefusalReason::StackArguments));
    } else {
        match bodies(examiner, &table, entries) {
            Some([write, read]) => add(examiner, &write, &read, &mut stack),
            None => stack
                .refused
                .push(Refusal::new(WRITE, RefusalReason::ImplausibleCode)),
        }
    }
    report.stacks.push(stack);
}

/// A stack that cannot be read for each copy that is there.
fn copied<const N: usize>(found: [Result<Entry, RefusalReason>; N]) -> impl Iterator<Item = Stack> {
    let is_there = |found: &Result<_, _>| matches!(found, Ok(_) | Err(RefusalReason::NotUnique));
    let there = COPIES
        .into_iter()
        .zip(found)
        .filter(move |(_, found)| is_there(found));
    there.map(|(name, _)| {
        let mut copy = Stack::new(Kind::GoTls, How::Pclntab);
        copy.refused
            .push(Refusal::new(name, RefusalReason::StackNotSupported));
        copy
    })
}

fn add(examiner: &Examiner<'_, '_>, write: &Body, read: &Body, stack: &mut Stack) {
    stack.points.extend(examiner.point(write, Call::GoWrite, WRITE));
    let returns: Vec<u64> = read
        .returns()
        .into_iter()
        .filter_map(|at| examiner.image.code_offset(at))
        .collect();
    if returns.len() > MAX_RETURNS {
        stack.refused.push(Refusal::new(READ, RefusalReason::TooMany));
        return;
    }
    match examiner.point(read, Call::GoRead, READ) {
        Some(mut point) if !returns.is_empty() => {
            point.returns = returns;
            stack.points.push(point);
        }
        _ => stack
            .refused
            .push(Refusal::new(READ, RefusalReason::ImplausibleCode)),
    }
}

/// The functions, with the first start of the code that makes both of them begin as Go functions do.
fn bodies(examiner: &Examiner<'_, '_>, table: &Table, entries: [Entry; 2]) -> Option<[Body; 2]> {
    let begin = |text| {
        let [write, read] = entries.map(|entry| body(examiner, text, entry));
        Some([write?, read?])
    };
    let mut known = text_starts(examiner, table).into_iter();
    known.find_map(begin).or_else(|| {
        // Since Go 1.26, nothing else says it where the code of C comes first.
        let texts = table.module_texts(examiner.image);
        texts.into_iter().find_map(begin)
    })
}

fn body(examiner: &Examiner<'_, '_>, text: u64, entry: Entry) -> Option<Body> {
    let (start, end) = (text.checked_add(entry.start)?, text.checked_add(entry.end)?);
    checks_stack(&examiner.image.bytes(start, 8)).then(|| Body::decode(examiner.image, start, end, true))?
}

/// Whether code begins with the check of the stack: `cmp rsp, [r14+16]`, or for large frames `lea r12, [rsp-n]`.
fn checks_stack(code: &[u8]) -> bool {
    [
        &[0x49, 0x3b, 0x66, 0x10][..],
        &[0x4c, 0x8d, 0x64, 0x24],
        &[0x4c, 0x8d, 0xa4, 0x24],
    ]
    .iter()
    .any(|start| code.starts_with(start))
}

/// Where the code may start: as the header says, as the loader will write there, as a symbol says, at the section.
fn text_starts(examiner: &Examiner<'_, '_>, table: &Table) -> Vec<u64> {
    if !table.has_offsets() {
        return vec![0];
    }
    let image = examiner.image;
    let place = image.address(table.text_start_place());
    let relocated = place.and_then(|place| written_at(image, &[place].into()).remove(&place));
    let named = examiner
        .named
        .get("runtime.text")
        .and_then(|all| all.first().copied());
    let section = image.section(".text").map(|(address, ..)| address);
    [
        Some(table.text_start).filter(|at| *at != 0),
        relocated,
        named,
        section,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Version in Go's build information (`debug/buildinfo`): inline since Go 1.18, behind a pointer before.
fn version(examiner: &Examiner<'_, '_>) -> Option<String> {
    examiner.places(Needle::GoBuild).find_map(|at| {
        let head = examiner.image.bytes(at, 33);
        let text = if head.get(15)? & 2 != 0 {
            let len = usize::from(*head.get(32)?).min(64);
            examiner.text_at(at.checked_add(33)?, len)
        } else {
            let word = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
            let header = examiner.image.bytes(word(head.get(16..24)?)?, 16);
            let len = usize::try_from(word(header.get(8..16)?)?).ok()?.min(64);
            examiner.text_at(word(header.get(..8)?)?, len)
        };
        // Behind it may stand what it was built with.
        let version = text.split(' ').next().unwrap_or_default();
        version.starts_with("go1").then(|| version.to_owned())
    })
}

/// 27 of `go1.27.3`.
fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_versions() {
        assert_eq!(minor("go1.27.3"), Some(27));
        assert_eq!(minor("go1.18beta1"), Some(18));
        assert_eq!(minor("devel +abc"), None);
    }
}
