//! Go: `crypto/tls.(*Conn).Write` and `Read`, and the returns of `Read`.
//!
//! The kernel's return probe changes the return address on the stack, which Go finds when it moves or walks a stack, and crashes. So the
//! returns are probed themselves. Both points stand behind the check of the stack: where the stack has to grow, a call runs through the
//! entry twice.

use super::{
    Call, How, Kind, Refusal, RefusalReason, Report, Stack,
    code::Body,
    examiner::Examiner,
    go_table::{Entry, Table},
    scan::Needle,
};

/// Packages with a `Conn`: Go's own, and copies of it that imitate the handshakes of browsers, with the same calls.
const PACKAGES: [&str; 5] = [
    "crypto/tls",
    "github.com/refraction-networking/utls",
    "github.com/bogdanfinn/utls",
    "github.com/sagernet/utls",
    "github.com/metacubex/utls",
];
const WRITE: &str = "(*Conn).Write";
const READ: &str = "(*Conn).Read";

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
    for package in PACKAGES {
        find_in(examiner, &table, package, &mut stack);
    }
    // None of these packages: no stack.
    if !stack.points.is_empty() || !stack.refused.is_empty() {
        report.stacks.push(stack);
    }
}

fn find_in(examiner: &Examiner<'_, '_>, table: &Table, package: &str, stack: &mut Stack) {
    let names = [WRITE, READ].map(|method| format!("{package}.{method}"));
    let [write_name, read_name] = &names;
    let refused = |reason| Refusal::new(write_name.as_str(), reason);
    let entries = match table.entries(examiner.image, [write_name, read_name]) {
        [None, None] => return,
        [Some(write), Some(read)] => [write, read],
        _ => {
            stack.refused.push(refused(RefusalReason::NotUnique));
            return;
        }
    };
    let minor = stack.version.as_deref().and_then(minor);
    if minor.is_some_and(|minor| minor < REGISTERS_SINCE) {
        stack.refused.push(refused(RefusalReason::StackArguments));
        return;
    }
    match bodies(examiner, table, entries) {
        Some(found) => add(examiner, &found, &names, stack),
        None => stack.refused.push(refused(RefusalReason::ImplausibleCode)),
    }
}

fn add(examiner: &Examiner<'_, '_>, found: &[Body; 2], names: &[String; 2], stack: &mut Stack) {
    let ([write, read], [write_name, read_name]) = (found, names);
    stack
        .points
        .extend(examiner.point(write, Call::GoWrite, write_name));
    let returns: Vec<u64> = read
        .returns()
        .into_iter()
        .filter_map(|at| examiner.image.code_offset(at))
        .collect();
    match examiner.point(read, Call::GoRead, read_name) {
        Some(mut point) if !returns.is_empty() => {
            point.returns = returns;
            stack.points.push(point);
        }
        _ => stack
            .refused
            .push(Refusal::new(read_name.as_str(), RefusalReason::ImplausibleCode)),
    }
}

/// The functions, with the first start of the code that makes both of them begin as Go functions do.
fn bodies(examiner: &Examiner<'_, '_>, table: &Table, entries: [Entry; 2]) -> Option<[Body; 2]> {
    text_starts(examiner, table).into_iter().find_map(|text| {
        let [write, read] = entries.map(|entry| body(examiner, text, entry));
        Some([write?, read?])
    })
}

fn body(examiner: &Examiner<'_, '_>, text: u64, entry: Entry) -> Option<Body> {
    let (start, end) = (text.checked_add(entry.start)?, text.checked_add(entry.end)?);
    let body = Body::decode(examiner.image, start, end, true)?;
    checks_stack(&examiner.image.bytes(start, 8)).then_some(body)
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
    let relocated = image
        .address(table.text_start_place())
        .and_then(|place| super::functions::relative_pointer_at(image, place));
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
