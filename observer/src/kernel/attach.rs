//! Attaches to the TLS functions of one file, once per real inode, and says why others are not read.

use std::{collections::BTreeSet, fs::File, os::fd::AsRawFd};

use super::{
    links::Link,
    load::Programs,
    probes::{ProbeState, call_programs},
};
use crate::{
    coverage::OpaqueReason,
    stacks::{ExamineError, How, Kind, Point, Refusal, RefusalReason, Report, Stack},
};

/// One TLS stack of a file, and what became of its probes.
#[derive(Debug, Clone)]
pub struct AttachedStack {
    /// Which one.
    pub kind: Kind,
    /// How its functions were found.
    pub how: How,
    /// Version that the file states.
    pub version: Option<String>,
    /// Functions and their probes.
    pub probes: Vec<(String, ProbeState)>,
    /// Why its plaintext is not read; `None` when it is.
    pub opaque: Option<OpaqueReason>,
    /// It has functions for plaintext; of the two files of NSS only one has.
    pub carries_plaintext: bool,
}

/// A file with TLS stacks in it.
#[derive(Debug, Clone)]
pub struct TlsFile {
    /// Path under which it was first found.
    pub path: String,
    /// Its stacks.
    pub stacks: Vec<AttachedStack>,
    /// When its probes were in place, CLOCK_BOOTTIME, ns.
    pub since_ns: u64,
}

impl TlsFile {
    /// Functions and their probes, of all stacks.
    pub fn probes(&self) -> impl Iterator<Item = &(String, ProbeState)> {
        self.stacks.iter().flat_map(|stack| &stack.probes)
    }

    /// Whether plaintext of at least one stack is read.
    pub fn is_readable(&self) -> bool {
        self.stacks.iter().any(|stack| stack.opaque.is_none())
    }

    /// First reason why a probe was refused.
    pub fn failure(&self) -> Option<&str> {
        self.probes().find_map(|(_, state)| match state {
            ProbeState::Failed(reason) => Some(reason.as_str()),
            ProbeState::Attached => None,
        })
    }
}

/// Attaches to what was found in a file, with the links that keep it so.
pub(super) fn attach(
    programs: &mut Programs,
    file: &File,
    path: &str,
    report: &Report,
    now_ns: impl Fn() -> u64,
) -> (TlsFile, Vec<Link>) {
    // The descriptor names the file whatever becomes of its path and whichever mount namespace it is in.
    let target = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut links = Vec::new();
    let stacks = report
        .stacks
        .iter()
        .map(|stack| attach_stack(programs, stack, &target, &mut links))
        .collect();
    let found = TlsFile {
        path: path.to_owned(),
        stacks,
        since_ns: now_ns(),
    };
    (found, links)
}

/// Logs what became of a file, which was `known` before or is examined just now.
pub(super) fn log(found: &TlsFile, known: bool) {
    for stack in &found.stacks {
        let (path, kind) = (found.path.as_str(), stack.kind.name());
        match (found.failure(), stack.opaque) {
            (Some(reason), _) => tracing::warn!(path, kind, reason, "cannot attach to TLS library"),
            (None, Some(reason)) => {
                tracing::info!(
                    path,
                    kind,
                    reason = reason.code(),
                    "TLS library that cannot be read"
                );
            }
            (None, None) => {
                let how = stack.how.name();
                tracing::info!(path, kind, how, known, "attached to TLS library");
            }
        }
    }
}

fn attach_stack(
    programs: &mut Programs,
    stack: &Stack,
    target: &str,
    links: &mut Vec<Link>,
) -> AttachedStack {
    let mut probes = Vec::new();
    if stack.is_readable() {
        for point in &stack.points {
            if let Some(state) = attach_point(programs, stack.kind, point, target, links) {
                probes.push((point.name.clone(), state));
            }
        }
    }
    let failed = probes.iter().any(|(_, state)| *state != ProbeState::Attached);
    let opaque = if failed {
        Some(OpaqueReason::AttachFailed)
    } else {
        opaque_reason(stack)
    };
    AttachedStack {
        kind: stack.kind,
        how: stack.how,
        version: stack.version.clone(),
        probes,
        opaque,
        carries_plaintext: stack.carries_plaintext(),
    }
}

/// Why the plaintext of a stack is not read; `None` when its functions were found.
pub fn opaque_reason(stack: &Stack) -> Option<OpaqueReason> {
    if stack.is_readable() {
        return None;
    }
    let why = |wanted| stack.refused.iter().any(|r| r.reason == wanted);
    Some(match stack.kind {
        Kind::Jsse => OpaqueReason::Jsse,
        Kind::Ring => OpaqueReason::Ring,
        Kind::Nss => OpaqueReason::Nss,
        Kind::GoTls => OpaqueReason::Go,
        Kind::BoringSsl => OpaqueReason::BoringSsl,
        Kind::OpenSsl => OpaqueReason::StaticOpenSsl,
        Kind::AwsLc => OpaqueReason::Rustls,
        Kind::GnuTls if why(RefusalReason::NotFound) => OpaqueReason::NoProbe,
        Kind::GnuTls => OpaqueReason::AttachFailed,
    })
}

/// What of a file is not read although no stack says so: the word for the column `runtime`, empty where that is not known, and why.
pub type Unread = (&'static str, OpaqueReason);

/// What of a file is not read beside its stacks: libraries that there are no programs for, and what the examination did not come to the
/// end of.
pub fn unread(examined: Result<&Report, &ExamineError>) -> BTreeSet<Unread> {
    match examined {
        Ok(report) => {
            let is_readable = report.stacks.iter().any(Stack::is_readable);
            report
                .notes
                .iter()
                .filter_map(|note| unread_note(note, is_readable))
                .collect()
        }
        // Code that a program made itself, an archive, a font.
        Err(ExamineError::NotElf) => BTreeSet::new(),
        Err(_) => BTreeSet::from([("", OpaqueReason::NotExamined)]),
    }
}

fn unread_note(note: &Refusal, is_readable: bool) -> Option<Unread> {
    match note.reason {
        RefusalReason::StackNotSupported => {
            let runtime = match note.what.as_str() {
                "mbedTLS" => "mbedtls",
                "wolfSSL" => "wolfssl",
                "s2n-tls" => "s2n",
                _ => "",
            };
            Some((runtime, OpaqueReason::NotSupported))
        }
        RefusalReason::NotFound if note.what.starts_with("rustls-") => Some(("rustls", OpaqueReason::Rustls)),
        // Its provider is a stack of the file. On other machines a library of cryptography alone has such texts, too.
        RefusalReason::SeeProvider | RefusalReason::MachineNotSupported => None,
        // A stack that was found by its name is the one; what else was to be searched for is not missed.
        _ if is_readable => None,
        _ => Some(("", OpaqueReason::NotExamined)),
    }
}

/// Attaches the programs of one function; `None` when there are none for it.
fn attach_point(
    programs: &mut Programs,
    kind: Kind,
    point: &Point,
    target: &str,
    links: &mut Vec<Link>,
) -> Option<ProbeState> {
    let wanted = call_programs(kind, point.call)?;
    let at = [point.offset];
    let returns = wanted
        .at_returns
        .map(|program| (program, point.returns.as_slice()));
    // The returns first: a call that enters in between is then dropped, instead of being kept without an end.
    let order = returns
        .into_iter()
        .chain(wanted.exit.map(|program| (program, at.as_slice())))
        .chain([(wanted.enter, at.as_slice())]);
    for (program, offsets) in order {
        if let Err(reason) = programs.attach(program, target, offsets, links) {
            return Some(ProbeState::Failed(reason));
        }
    }
    Some(ProbeState::Attached)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(notes: &[(&str, RefusalReason)], stacks: Vec<Stack>) -> Vec<Unread> {
        let notes = notes.iter().map(|(what, reason)| Refusal {
            what: (*what).to_owned(),
            reason: *reason,
        });
        let report = Report {
            notes: notes.collect(),
            stacks,
            ..Report::default()
        };
        unread(Ok(&report)).into_iter().collect()
    }

    #[test]
    fn what_an_examination_does_not_end_with_a_stack_for_has_a_reason() {
        let none: Vec<Unread> = Vec::new();
        let not_examined = [("", OpaqueReason::NotExamined)];
        assert_eq!(of(&[], Vec::new()), none);
        assert_eq!(
            of(&[("wolfSSL", RefusalReason::StackNotSupported)], Vec::new()),
            [("wolfssl", OpaqueReason::NotSupported)]
        );
        let too_large = [
            ("file", RefusalReason::TooLarge),
            ("structure", RefusalReason::TooLarge),
        ];
        assert_eq!(of(&too_large, Vec::new()), not_examined);
        let rustls = |reason| of(&[("rustls-0.23.46", reason)], Vec::new());
        assert_eq!(
            rustls(RefusalReason::NotFound),
            [("rustls", OpaqueReason::Rustls)]
        );
        assert_eq!(rustls(RefusalReason::SeeProvider), none);
        for error in [
            ExamineError::OtherMachine,
            ExamineError::Malformed(String::new()),
            ExamineError::TooLarge,
        ] {
            assert!(unread(Err(&error)).iter().eq(&not_examined));
        }
        assert!(unread(Err(&ExamineError::NotElf)).is_empty());
    }
}
