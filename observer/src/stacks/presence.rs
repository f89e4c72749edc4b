//! Versions, and stacks that are there but cannot be read: from texts in the file.

use std::collections::BTreeSet;

use super::{How, Kind, Refusal, RefusalReason, Report, Stack, examiner::Examiner, scan::Needle};

/// Longest version text.
const MAX_VERSION: usize = 48;

/// Adds rustls where it is, and an OpenSSL that no step could place.
pub(super) fn find(examiner: &Examiner<'_, '_>, report: &mut Report) {
    let has = |report: &Report, kind: Kind| report.stacks.iter().any(|s| s.kind == kind);
    let has_provider = has(report, Kind::AwsLc) || has(report, Kind::Ring);
    for version in crates(examiner, Needle::Rustls) {
        let mut note = Refusal::new(version, RefusalReason::NotFound);
        if has_provider {
            note.reason = RefusalReason::SeeProvider;
        }
        report.notes.push(note);
    }
    if let Some(version) = openssl_version(examiner)
        && !has(report, Kind::OpenSsl)
        && has_tls_of_openssl(examiner)
    {
        let mut stack = Stack::new(Kind::OpenSsl, How::Structure);
        stack.version = Some(version);
        let reason = Refusal::new("SSL_write, SSL_read", RefusalReason::NotFound);
        stack.refused.push(reason);
        report.stacks.push(stack);
    }
}

/// libcrypto alone has no TLS, but a version text.
fn has_tls_of_openssl(examiner: &Examiner<'_, '_>) -> bool {
    let has = |needle| examiner.places(needle).next().is_some();
    has(Needle::WriteInternal) && has(Needle::SslLibC)
}

/// Crate of ring with its version: `ring-0.17.14`.
pub(super) fn ring_version(examiner: &Examiner<'_, '_>) -> Option<String> {
    crates(examiner, Needle::Ring).into_iter().next()
}

/// Whether functions of ring have names.
pub(super) fn names_ring(examiner: &Examiner<'_, '_>) -> bool {
    examiner.named.keys().any(|name| name.starts_with("ring_core_"))
}

/// `OpenSSL 3.0.19`, from the text with its date. Version 1.1.1 has two spaces before that.
pub(super) fn openssl_version(examiner: &Examiner<'_, '_>) -> Option<String> {
    examiner.places(Needle::OpenSsl).find_map(|at| {
        let text = examiner.text_at(at, MAX_VERSION);
        let mut words = text.split_whitespace();
        let (name, version, day) = (words.next()?, words.next()?, words.next()?);
        let is_version = version.matches('.').count() == 2 && !version.ends_with('.');
        let is_day = day.parse::<u8>().is_ok();
        (is_version && is_day).then(|| format!("{name} {version}"))
    })
}

/// Names and versions of a crate in paths of its sources: `rustls-0.23.46`.
fn crates(examiner: &Examiner<'_, '_>, needle: Needle) -> BTreeSet<String> {
    examiner
        .places(needle)
        .filter_map(|at| {
            let text = examiner.text_at(at, MAX_VERSION);
            let (name, _) = text.strip_prefix('/')?.split_once('/')?;
            let is_version = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+' | '_');
            (name.chars().all(is_version) && name.matches('.').count() >= 2).then(|| name.to_owned())
        })
        .collect()
}

/// Crate of aws-lc with its version: `aws-lc-sys-0.41.0`.
pub(super) fn aws_lc_version(examiner: &Examiner<'_, '_>) -> Option<String> {
    crates(examiner, Needle::AwsLc).into_iter().next()
}

/// Whether sources of aws-lc are named.
pub(super) fn has_aws_lc(examiner: &Examiner<'_, '_>) -> bool {
    examiner.places(Needle::AwsLc).next().is_some()
}
