//! BoringSSL without names: by the reason codes that its functions put beside `ssl_lib.cc`.
//!
//! The codes (`include/openssl/ssl.h`, `err.h`): 66 `ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED`, 111 `BAD_LENGTH`, 213
//! `SSL3_EXT_INVALID_SERVERNAME`, 215 `SSL_HANDSHAKE_FAILURE`, 226 `UNINITIALIZED`.

use super::{
    Call, How, Kind, Refusal, RefusalReason, Report, Stack,
    code::{Body, Holds, holds},
    errors::{MIN_PUTTERS, Putter, putters},
    examiner::Examiner,
    scan::{self, Needle},
};

const SHOULD_NOT_HAVE_BEEN_CALLED: u64 = 66;
const BAD_LENGTH: u64 = 111;
const INVALID_SERVERNAME: u64 = 213;
const HANDSHAKE_FAILURE: u64 = 215;
const UNINITIALIZED: u64 = 226;

/// Longest `SSL_read` and `SSL_peek` seen is half of it.
const MAX_READ: u64 = 700;

/// Longest `SSL_read` that calls `SSL_peek`.
const MAX_AROUND_PEEK: u64 = 400;

/// Finds a BoringSSL without names.
pub(super) fn find(examiner: &Examiner<'_, '_>, report: &mut Report) {
    if report.stacks.iter().any(|s| s.kind == Kind::BoringSsl)
        || examiner.referring(Needle::SslLib).next().is_none()
    {
        return;
    }
    let functions = putters(examiner, Needle::SslLib);
    if functions.iter().filter(|f| !f.reasons.is_empty()).count() < MIN_PUTTERS {
        // Spoken of, not there.
        return;
    }
    let mut stack = Stack::new(Kind::BoringSsl, How::Structure);
    let write = unique(
        functions
            .iter()
            .filter(|f| f.has(&[UNINITIALIZED, HANDSHAKE_FAILURE, BAD_LENGTH])),
    );
    let read = read(examiner, &functions);
    let name = unique(functions.iter().filter(|f| f.has(&[INVALID_SERVERNAME])));
    for (call, name, start) in [
        (Call::Write, "SSL_write", write),
        (Call::Read, "SSL_read", read),
        (Call::ServerName, "SSL_set_tlsext_host_name", name),
    ] {
        match start.and_then(|start| examiner.function(start)) {
            Ok(body) => stack.points.extend(examiner.point(&body, call, name)),
            Err(reason) => stack.refused.push(Refusal::new(name, reason)),
        }
    }
    report.stacks.push(stack);
}

fn unique<'f>(mut found: impl Iterator<Item = &'f Putter>) -> Result<u64, RefusalReason> {
    let first = found.next().ok_or(RefusalReason::NotFound)?;
    match found.next() {
        None => Ok(first.start),
        Some(_) => Err(RefusalReason::NotUnique),
    }
}

/// `SSL_read`. Both it and `SSL_peek` call `ssl_read_impl`, or `SSL_read` calls `SSL_peek`; the compiler chooses.
fn read(examiner: &Examiner<'_, '_>, functions: &[Putter]) -> Result<u64, RefusalReason> {
    let inner: Vec<u64> = functions
        .iter()
        .filter(|f| f.has(&[UNINITIALIZED, HANDSHAKE_FAILURE]) && !f.reasons.contains(&BAD_LENGTH))
        .map(|f| f.start)
        .collect();
    let calls_inner = |body: &Body| body.reaches().iter().any(|to| inner.contains(to));
    // Size and start.
    let mut readers: Vec<(u64, u64)> = functions
        .iter()
        .filter(|f| f.has(&[SHOULD_NOT_HAVE_BEEN_CALLED]))
        .filter_map(|f| examiner.functions.starting_at(f.start))
        .filter(|body| inner.contains(&body.start) || body.size() < MAX_READ && calls_inner(body))
        .map(|body| (body.size(), body.start))
        .collect();
    readers.sort_unstable();
    match readers.as_slice() {
        [] => Err(RefusalReason::NotFound),
        [(_, one)] => around_peek(examiner, *one),
        // `SSL_read` is `SSL_peek` and more.
        [(peek, _), (read, start)] if read > peek => Ok(*start),
        _ => Err(RefusalReason::NotUnique),
    }
}

/// The function that calls `SSL_peek` with its own three arguments: `SSL_read`. Where there is none, the linker dropped
/// `SSL_peek`, and this is `SSL_read` itself.
fn around_peek(examiner: &Examiner<'_, '_>, peek: u64) -> Result<u64, RefusalReason> {
    use iced_x86::Register::{RDI, RDX, RSI};
    let mut around: Vec<u64> = scan::edges(examiner.image, false, |_, to| to == peek)
        .iter()
        .filter_map(|edge| examiner.functions.containing(edge.from))
        .filter(|body| body.size() < MAX_AROUND_PEEK)
        .filter(|body| {
            let mut sites = body.sites();
            sites.next().is_some_and(|(at, to)| {
                to == peek
                    && [RDI, RSI, RDX]
                        .iter()
                        .all(|r| holds(body, at, *r) == Holds::Argument)
            })
        })
        .map(|body| body.start)
        .collect();
    around.sort_unstable();
    around.dedup();
    match around.as_slice() {
        [] => Ok(peek),
        [read] => Ok(*read),
        _ => Err(RefusalReason::NotUnique),
    }
}
