//! OpenSSL: which of its functions to probe, and how to find them without names.
//!
//! ```text
//! int SSL_write(SSL *s, const void *buf, int num);
//! int SSL_write_ex(SSL *s, const void *buf, size_t num, size_t *written);
//! static int ssl_write_internal(SSL *s, const void *buf, size_t num, size_t *written);                    up to 3.2
//! static int ssl_write_internal(SSL *s, const void *buf, size_t num, uint64_t flags, size_t *written);    from 3.3
//! ```
//! Both forms, and the TLS filter BIO, call `ssl_write_internal`, or have a copy of it inside. It starts with pushes where the API functions
//! often start with `sub`, which is why one probe there costs a fraction of two.
//!
//! LibreSSL has no such function: its `SSL_write_ex` calls `SSL_write`, which is probed, by way of the dynamic linker. What both call
//! themselves puts errors.

use std::collections::BTreeSet;

use iced_x86::Register;

use super::{
    Call, How, Kind, Point, Refusal, RefusalReason, Report, Stack,
    code::{Body, Holds, holds, last_write, takes},
    examiner::{Examiner, place},
    functions::named_at,
    presence,
    scan::Needle,
};

/// Copies of the internal function that are accepted: itself, and where the compiler put it into `SSL_write_ex` and `SSL_write_ex2`.
const MAX_COPIES: usize = 3;

/// Longest function that only passes its arguments on, in bytes.
const MAX_THUNK: u64 = 128;

/// Longest jump through the table of the dynamic linker, with what a processor wants in front.
const MAX_STUB: u64 = 16;

/// Functions of one direction.
#[derive(Default)]
pub(super) struct Forms {
    /// `SSL_write` or `SSL_read`.
    pub(super) plain: Option<Body>,
    /// `SSL_write_ex` or `SSL_read_ex`.
    pub(super) ex: Option<Body>,
    /// `SSL_write_ex2`, since 3.3.
    pub(super) ex2: Option<Body>,
    /// `ssl_write_internal` or `ssl_read_internal`, and other functions that have it inside.
    pub(super) inner: Vec<Body>,
}

/// Names of the functions of one direction.
struct Names {
    plain: &'static str,
    ex: &'static str,
    inner: &'static str,
    is_write: bool,
}

const WRITE: Names = Names {
    plain: "SSL_write",
    ex: "SSL_write_ex",
    inner: "ssl_write_internal",
    is_write: true,
};

const READ: Names = Names {
    plain: "SSL_read",
    ex: "SSL_read_ex",
    inner: "ssl_read_internal",
    is_write: false,
};

/// Finds a static OpenSSL 3 without names.
pub(super) fn find(examiner: &Examiner<'_, '_>, report: &mut Report) {
    if report.stacks.iter().any(|s| s.kind == Kind::OpenSsl)
        || examiner.referring(Needle::WriteInternal).next().is_none()
    {
        return;
    }
    let needles = [
        Needle::Write,
        Needle::WriteInternal,
        Needle::Read,
        Needle::ReadInternal,
        Needle::Ctrl,
        Needle::SslLibC,
    ];
    let found = examiner.referring_functions(&needles);
    let refers = |start: u64, needle: Needle| found.get(&needle).is_some_and(|all| all.contains(&start));
    let both = |start: u64| {
        let is_one_of = |all: [Needle; 2]| all.into_iter().any(|needle| refers(start, needle));
        is_one_of([Needle::Write, Needle::WriteInternal]) && is_one_of([Needle::Read, Needle::ReadInternal])
    };
    // Errors name their file too; a program that only speaks of these functions (as this one does) does not name it there, or speaks of
    // both directions at once.
    let is_real = |start: u64, needle: Needle| {
        needle == Needle::Ctrl && !both(start) || refers(start, Needle::SslLibC) && !both(start)
    };
    let starts = |needle: Needle| -> Vec<u64> {
        let all = found.get(&needle).into_iter().flatten().copied();
        all.filter(|start| is_real(*start, needle)).collect()
    };
    if starts(Needle::WriteInternal).is_empty() && starts(Needle::ReadInternal).is_empty() {
        return;
    }
    let mut stack = Stack::new(Kind::OpenSsl, How::Structure);
    stack.version = presence::openssl_version(examiner);
    for (names, plain, inner) in [
        (&WRITE, Needle::Write, Needle::WriteInternal),
        (&READ, Needle::Read, Needle::ReadInternal),
    ] {
        match forms(examiner, &starts(plain), &starts(inner)) {
            Ok(forms) => choose(examiner, names, &forms, &mut stack),
            Err(reason) => stack.refused.push(Refusal::new(names.plain, reason)),
        }
    }
    control(examiner, &starts(Needle::Ctrl), &mut stack);
    report.stacks.push(stack);
}

/// The functions of one direction among those that refer to their names. A binding for another language refers to them too, but has
/// the internal function neither inside nor calls it.
fn forms(examiner: &Examiner<'_, '_>, plain: &[u64], inner: &[u64]) -> Result<Forms, RefusalReason> {
    let is_plain = |start: &&u64| {
        inner.contains(start)
            || examiner
                .functions
                .starting_at(**start)
                .is_some_and(|body| body.reaches().iter().any(|to| inner.contains(to)))
    };
    let mut fitting = plain.iter().filter(is_plain);
    let plain = match (fitting.next(), fitting.next()) {
        (Some(one), None) => Some(*one),
        // A program that calls `SSL_write_ex` only is linked without `SSL_write`.
        (None, _) if inner.len() == 1 => None,
        (None, _) => return Err(RefusalReason::NotFound),
        _ => return Err(RefusalReason::NotUnique),
    };
    let inner: Vec<u64> = inner
        .iter()
        .filter(|start| Some(**start) != plain)
        .copied()
        .collect();
    if inner.len() > MAX_COPIES {
        return Err(RefusalReason::NotUnique);
    }
    Ok(Forms {
        plain: plain.map(|start| examiner.function(start)).transpose()?,
        inner: inner
            .into_iter()
            .map(|start| examiner.function(start))
            .collect::<Result<_, _>>()?,
        ..Forms::default()
    })
}

/// `ssl3_ctrl`, to which `SSL_ctrl` hands the server name on, with the same arguments.
fn control(examiner: &Examiner<'_, '_>, starts: &[u64], stack: &mut Stack) {
    let point = match starts {
        [start] => examiner.function(*start),
        [] => Err(RefusalReason::NotFound),
        _ => Err(RefusalReason::NotUnique),
    };
    match point.map(|body| examiner.point(&body, Call::ControlName, "ssl3_ctrl")) {
        Ok(point) => stack.points.extend(point),
        Err(reason) => stack.refused.push(Refusal::new("ssl3_ctrl", reason)),
    }
}

/// Chooses the points of both directions for functions with names.
pub(super) fn place_named(examiner: &Examiner<'_, '_>, write: &Forms, read: &Forms, stack: &mut Stack) {
    choose(examiner, &WRITE, write, stack);
    choose(examiner, &READ, read, stack);
}

fn choose(examiner: &Examiner<'_, '_>, names: &Names, forms: &Forms, stack: &mut Stack) {
    let inner = inner_functions(examiner, forms);
    let mut kept: Vec<(&Body, Call)> = Vec::new();
    let mut unclear = false;
    let apis_are_cheap = apis(forms).all(|api| place(api, ex_call(names, 3)).1);
    for body in &inner {
        // One that another one calls is enough; a second report of the same bytes would be wrong.
        if inner
            .iter()
            .any(|other| other.start != body.start && leads_to(examiner, body, other))
        {
            continue;
        }
        let is_reached = forms.ex.is_some() && apis(forms).any(|api| leads_to(examiner, api, body));
        match inner_call(names, examiner, forms, body) {
            // At the API functions where they are cheaper, and together see as much.
            Some(call) if is_reached && !place(body, call).1 && apis_are_cheap => {}
            Some(call) => kept.push((body, call)),
            None => unclear = true,
        }
    }
    let covered = |api: &Body| kept.iter().any(|(body, _)| leads_to(examiner, api, body));
    let plain = forms.plain.as_ref().filter(|api| !covered(api));
    let ex = forms.ex.as_ref().filter(|api| !covered(api));
    let mut points: Vec<Point> = kept
        .iter()
        .filter_map(|(body, call)| examiner.point(body, *call, names.inner))
        .collect();
    // One API function that calls the other one is covered by it (aws-lc, LibreSSL).
    let calls =
        |ex: &Body, plain: &Body| leads_to(examiner, ex, plain) || calls_by_table(examiner, ex, plain);
    let ex = ex.filter(|ex| !plain.is_some_and(|plain| calls(ex, plain)));
    let plain_call = if names.is_write { Call::Write } else { Call::Read };
    points.extend(plain.and_then(|b| examiner.point(b, plain_call, names.plain)));
    points.extend(ex.and_then(|b| examiner.point(b, ex_call(names, 3), names.ex)));
    if unclear {
        let what = Refusal::new(names.inner, RefusalReason::UnknownArguments);
        stack.refused.push(what);
    }
    stack.points.append(&mut points);
}

fn apis(forms: &Forms) -> impl Iterator<Item = &Body> {
    forms.plain.iter().chain(&forms.ex)
}

const fn ex_call(names: &Names, written: u8) -> Call {
    if names.is_write {
        Call::WriteEx { written }
    } else {
        Call::ReadEx
    }
}

/// The internal functions: those that are known, or else the one that both API forms call; and `SSL_write_ex2`, which may have it inside.
fn inner_functions(examiner: &Examiner<'_, '_>, forms: &Forms) -> Vec<Body> {
    let again = |body: &Body| examiner.function(body.start).ok();
    let mut inner: Vec<Body> = match forms.inner.is_empty() {
        true => common_function(examiner, forms).into_iter().collect(),
        false => forms.inner.iter().filter_map(again).collect(),
    };
    inner.extend(forms.ex2.as_ref().and_then(again));
    inner
}

/// The function that both API forms call. `SSL_write_ex` calls it first, directly or through `SSL_write_ex2`; what else they share
/// (errors, the check of the stack) comes later, or is told a constant where a buffer would be.
fn common_function(examiner: &Examiner<'_, '_>, forms: &Forms) -> Option<Body> {
    let (plain, ex) = (forms.plain.as_ref()?, forms.ex.as_ref()?);
    let reached = plain.reaches();
    let is_form = |to: u64| {
        [Some(plain), Some(ex), forms.ex2.as_ref()]
            .into_iter()
            .flatten()
            .any(|b| b.start == to)
    };
    let first = first_call(examiner, ex)?;
    let thunk = examiner.functions.starting_at(first);
    let behind = thunk
        .filter(|thunk| thunk.size() <= MAX_THUNK)
        .and_then(|thunk| first_call(examiner, &thunk));
    [Some(first), behind]
        .into_iter()
        .flatten()
        .filter(|to| reached.contains(to) && !is_form(*to))
        .filter(|to| !is_told_a_constant(plain, *to) && !is_told_a_constant(ex, *to))
        .find_map(|to| examiner.function(to).ok())
}

/// What a function calls first of this file, past what others may replace.
fn first_call(examiner: &Examiner<'_, '_>, body: &Body) -> Option<u64> {
    let mut targets = body.sites().map(|(_, to)| to);
    targets.find(|to| table_place(examiner, *to).is_none())
}

/// Whether a call of `to` has a constant as its second argument.
fn is_told_a_constant(api: &Body, to: u64) -> bool {
    let mut sites = api.sites().filter(|(_, target)| *target == to);
    sites.any(|(at, _)| matches!(holds(api, at, Register::RSI), Holds::Value(_)))
}

/// Where in the table of the dynamic linker the code at an address takes the target of its jump; `None` where it is no such jump.
fn table_place(examiner: &Examiner<'_, '_>, stub: u64) -> Option<u64> {
    let body = Body::decode(examiner.image, stub, stub.checked_add(MAX_STUB)?, false)?;
    let jump = body.instructions.last()?;
    (jump.is_jmp_near_indirect() && jump.is_ip_rel_memory_operand()).then(|| jump.ip_rel_memory_address())
}

/// Whether a function calls another one of its file by way of the dynamic linker.
fn calls_by_table(examiner: &Examiner<'_, '_>, from: &Body, to: &Body) -> bool {
    let places: BTreeSet<u64> = from
        .reaches()
        .into_iter()
        .filter_map(|stub| table_place(examiner, stub))
        .collect();
    !places.is_empty() && named_at(examiner.image, &places).contains(&to.start)
}

/// What a function calls, directly or through one function that only passes its arguments on.
fn reaches_through_thunks(examiner: &Examiner<'_, '_>, body: &Body) -> BTreeSet<u64> {
    let direct = body.reaches();
    let thunks = direct.iter().filter_map(|to| examiner.functions.starting_at(*to));
    let through = thunks
        .filter(|to| to.size() <= MAX_THUNK)
        .flat_map(|to| to.reaches());
    let mut all: BTreeSet<u64> = through.collect();
    all.extend(direct);
    all
}

fn leads_to(examiner: &Examiner<'_, '_>, from: &Body, to: &Body) -> bool {
    from.reaches().contains(&to.start)
        || from.size() <= MAX_THUNK && reaches_through_thunks(examiner, from).contains(&to.start)
}

/// What the arguments of an internal function mean. `None` when the evidence is missing or disagrees.
fn inner_call(names: &Names, examiner: &Examiner<'_, '_>, forms: &Forms, body: &Body) -> Option<Call> {
    if !names.is_write {
        return takes(body, Register::RCX).then_some(Call::ReadEx);
    }
    let by_callers = [
        forms.plain.as_ref().and_then(|api| by_plain_caller(api, body)),
        forms
            .ex
            .as_ref()
            .and_then(|api| by_ex_caller(examiner, api, body)),
    ];
    let mut said = by_callers.into_iter().flatten();
    let written = match (said.next(), said.next()) {
        (Some(a), Some(b)) if a != b => return None,
        (Some(a), _) => a,
        // Nobody is known to call it: what it does with its arguments decides.
        (None, _) if takes(body, Register::R8) => 4,
        (None, _) if takes(body, Register::RCX) => 3,
        (None, _) => return None,
    };
    // A fourth argument cannot be the last one where a fifth is read.
    (written == 4 || !takes(body, Register::R8)).then_some(ex_call(names, written))
}

/// `SSL_write` gives the address of a variable of its own.
fn by_plain_caller(api: &Body, body: &Body) -> Option<u8> {
    let (at, _) = api.sites().find(|(_, to)| *to == body.start)?;
    match (holds(api, at, Register::R8), holds(api, at, Register::RCX)) {
        (Holds::Stack, Holds::Stack) => None,
        (Holds::Stack, _) => Some(4),
        (_, Holds::Stack) => Some(3),
        _ => None,
    }
}

/// `SSL_write_ex` passes its fourth argument on, as the fourth or as the fifth.
fn by_ex_caller(examiner: &Examiner<'_, '_>, api: &Body, body: &Body) -> Option<u8> {
    let sets = |at: usize| last_write(api, at, Register::R8).is_some();
    if let Some((at, _)) = api.sites().find(|(_, to)| *to == body.start) {
        return Some(if sets(at) { 4 } else { 3 });
    }
    // Through `SSL_write_ex2`, which takes the flags too.
    let (at, _) = api.sites().find(|(_, to)| {
        examiner
            .functions
            .starting_at(*to)
            .is_some_and(|thunk| thunk.reaches().contains(&body.start))
    })?;
    sets(at).then_some(4)
}
