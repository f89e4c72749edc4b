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

use iced_x86::Register;

use super::{
    Call, How, Kind, Point, Refusal, RefusalReason, Report, Stack,
    code::{Body, Holds, holds, last_write, takes},
    examiner::{Examiner, place},
    presence,
    scan::Needle,
};

/// Copies of the internal function that are accepted: itself, and where the compiler put it into `SSL_write_ex` and `SSL_write_ex2`.
const MAX_COPIES: usize = 3;

/// Longest function that only passes its arguments on, in bytes.
const MAX_THUNK: u64 = 128;

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
    // One API function that calls the other one is covered by it (aws-lc).
    let ex = ex.filter(|ex| !plain.is_some_and(|plain| leads_to(examiner, ex, plain)));
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

/// The function that both API forms call.
fn common_function(examiner: &Examiner<'_, '_>, forms: &Forms) -> Option<Body> {
    let (plain, ex) = (forms.plain.as_ref()?, forms.ex.as_ref()?);
    let from_ex = reaches_through_thunks(examiner, ex);
    let is_form = |to: u64| {
        [Some(plain), Some(ex), forms.ex2.as_ref()]
            .into_iter()
            .flatten()
            .any(|b| b.start == to)
    };
    let mut bodies: Vec<Body> = plain
        .reaches()
        .into_iter()
        .filter(|to| from_ex.contains(to) && !is_form(*to))
        .filter_map(|to| examiner.function(to).ok())
        .filter(|body| !is_stub(body))
        .collect();
    if bodies.len() > 1 {
        // What else they share (errors, the check of the stack) comes after it.
        let first = first_call(ex)?;
        let behind = examiner
            .functions
            .starting_at(first)
            .and_then(|thunk| first_call(&thunk));
        bodies.retain(|body| body.start == first || Some(body.start) == behind);
    }
    match bodies.len() {
        1 => bodies.pop(),
        _ => None,
    }
}

fn first_call(body: &Body) -> Option<u64> {
    body.sites().next().map(|(_, to)| to)
}

/// A jump through a table of the dynamic linker.
fn is_stub(body: &Body) -> bool {
    body.size() <= 16
        && body
            .instructions
            .iter()
            .any(iced_x86::Instruction::is_jmp_near_indirect)
}

/// What a function calls, directly or through one function that only passes its arguments on.
fn reaches_through_thunks(examiner: &Examiner<'_, '_>, body: &Body) -> Vec<u64> {
    let mut all = body.reaches();
    let through: Vec<u64> = all
        .iter()
        .filter_map(|to| examiner.functions.starting_at(*to))
        .filter(|to| to.size() <= MAX_THUNK)
        .flat_map(|to| to.reaches())
        .collect();
    all.extend(through);
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
