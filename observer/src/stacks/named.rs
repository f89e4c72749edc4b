//! Stacks that a file names in its symbol tables.

use super::{
    Call, How, Kind, Point, Refusal, RefusalReason, Report, Stack,
    code::Body,
    examiner::Examiner,
    openssl::{self, Forms},
    presence,
};

/// Names that matter, but for those with a version in them.
const NAMES: &[&str] = &[
    "SSL_write",
    "SSL_write_ex",
    "SSL_write_ex2",
    "SSL_read",
    "SSL_read_ex",
    "ssl_write_internal",
    "ssl_read_internal",
    "SSL_ctrl",
    "SSL_free",
    "SSL_set_tlsext_host_name",
    "gnutls_record_send",
    "gnutls_record_send2",
    "gnutls_record_recv",
    "gnutls_server_name_set",
    "gnutls_deinit",
    "SSL_ImportFD",
    "SSL_SetURL",
    "PR_Write",
    "PR_Read",
    "PR_Close",
    "JNI_CreateJavaVM",
    "runtime.text",
    "mbedtls_ssl_write",
    "wolfSSL_write",
    "s2n_send",
];

/// Libraries that Observer has no programs for, by a function that only they have.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("mbedtls_ssl_write", "mbedTLS"),
    ("wolfSSL_write", "wolfSSL"),
    ("s2n_send", "s2n-tls"),
];

const SEAL: &str = "_EVP_AEAD_CTX_seal";
const OPEN: &str = "_EVP_AEAD_CTX_open";

/// Versions of aws-lc in one file that are looked at.
pub(super) const MAX_AWS_LC: usize = 8;

/// Whether a symbol of this name is looked at.
pub(super) fn is_wanted(name: &[u8]) -> bool {
    let in_aws_lc = || {
        name.starts_with(b"aws_lc_") && (name.ends_with(SEAL.as_bytes()) || name.ends_with(OPEN.as_bytes()))
    };
    let in_ring = || name.starts_with(b"ring_core_") && memchr::memmem::find(name, b"aes_gcm_").is_some();
    NAMES.iter().any(|wanted| wanted.as_bytes() == name) || in_aws_lc() || in_ring()
}

/// Finds all that has names.
pub(super) fn find(examiner: &Examiner<'_, '_>, report: &mut Report) {
    let stacks = [ssl(examiner), gnutls(examiner), nss(examiner), jsse(examiner)];
    report.stacks.extend(stacks.into_iter().flatten());
    report.stacks.extend(aws_lc(examiner));
    for (function, name) in UNSUPPORTED {
        if examiner.named.contains_key(*function) {
            report
                .notes
                .push(Refusal::new(*name, RefusalReason::StackNotSupported));
        }
    }
}

/// The one function of a name, if a probe may stand on it. A refusal goes to the stack; `None` without one when there is no such name.
fn function(examiner: &Examiner<'_, '_>, name: &str, stack: &mut Stack) -> Option<Body> {
    let found = match examiner.named.get(name)?.as_slice() {
        [address] => examiner.function(*address),
        _ => Err(RefusalReason::NotUnique),
    };
    found
        .map_err(|reason| stack.refused.push(Refusal::new(name, reason)))
        .ok()
}

/// Adds a point for a function that has the name, at its entry.
fn add(examiner: &Examiner<'_, '_>, name: &str, call: Call, stack: &mut Stack) {
    let point = if examiner.image.x86_64 {
        function(examiner, name, stack).and_then(|body| examiner.point(&body, call, name))
    } else {
        undecoded(examiner, name, call, stack)
    };
    stack.points.extend(point);
}

/// A point on a machine whose code is not understood: the symbol is believed when it lies in code.
fn undecoded(examiner: &Examiner<'_, '_>, name: &str, call: Call, stack: &mut Stack) -> Option<Point> {
    let offset = match examiner.named.get(name)?.as_slice() {
        [address] if !examiner.image.is_in_data_section(*address) => examiner
            .image
            .code_offset(*address)
            .ok_or(RefusalReason::NotExecutable),
        [_] => Err(RefusalReason::NotExecutable),
        _ => Err(RefusalReason::NotUnique),
    };
    let offset = offset
        .map_err(|reason| stack.refused.push(Refusal::new(name, reason)))
        .ok()?;
    Some(Point {
        call,
        name: name.to_owned(),
        offset,
        returns: Vec::new(),
        cheap: false,
    })
}

/// OpenSSL or BoringSSL. In OpenSSL `SSL_set_tlsext_host_name` is a macro.
fn ssl(examiner: &Examiner<'_, '_>) -> Option<Stack> {
    let has = |name: &str| examiner.named.contains_key(name);
    if !has("SSL_write") && !has("SSL_write_ex") {
        return None;
    }
    let is_boringssl = has("SSL_set_tlsext_host_name");
    let kind = if is_boringssl {
        Kind::BoringSsl
    } else {
        Kind::OpenSsl
    };
    let mut stack = Stack::new(kind, How::Symbols);
    if is_boringssl || !examiner.image.x86_64 {
        add(examiner, "SSL_write", Call::Write, &mut stack);
        add(examiner, "SSL_read", Call::Read, &mut stack);
    }
    if is_boringssl {
        add(examiner, "SSL_set_tlsext_host_name", Call::ServerName, &mut stack);
    } else {
        stack.version = presence::openssl_version(examiner);
        openssl_points(examiner, &mut stack);
    }
    add(examiner, "SSL_free", Call::Free, &mut stack);
    Some(stack)
}

fn openssl_points(examiner: &Examiner<'_, '_>, stack: &mut Stack) {
    if examiner.image.x86_64 {
        let mut write = forms(
            examiner,
            ["SSL_write", "SSL_write_ex", "ssl_write_internal"],
            stack,
        );
        write.ex2 = function(examiner, "SSL_write_ex2", stack);
        let read = forms(examiner, ["SSL_read", "SSL_read_ex", "ssl_read_internal"], stack);
        openssl::place_named(examiner, &write, &read, stack);
    } else {
        add(examiner, "SSL_write_ex", Call::WriteEx { written: 3 }, stack);
        add(examiner, "SSL_read_ex", Call::ReadEx, stack);
    }
    add(examiner, "SSL_ctrl", Call::ControlName, stack);
}

fn forms(examiner: &Examiner<'_, '_>, [plain, ex, inner]: [&str; 3], stack: &mut Stack) -> Forms {
    Forms {
        plain: function(examiner, plain, stack),
        ex: function(examiner, ex, stack),
        ex2: None,
        inner: function(examiner, inner, stack).into_iter().collect(),
    }
}

fn gnutls(examiner: &Examiner<'_, '_>) -> Option<Stack> {
    if !examiner.named.contains_key("gnutls_record_send") {
        return None;
    }
    let mut stack = Stack::new(Kind::GnuTls, How::Symbols);
    // `send` is `send2` without padding, and jumps there: one probe sees both.
    let send = function(examiner, "gnutls_record_send", &mut stack);
    let send2 = function(examiner, "gnutls_record_send2", &mut stack);
    let is_same =
        matches!((&send, &send2), (Some(send), Some(send2)) if send.reaches().contains(&send2.start));
    let name = if is_same {
        "gnutls_record_send2"
    } else {
        "gnutls_record_send"
    };
    add(examiner, name, Call::Write, &mut stack);
    add(examiner, "gnutls_record_recv", Call::Read, &mut stack);
    add(examiner, "gnutls_server_name_set", Call::GnuTlsName, &mut stack);
    add(examiner, "gnutls_deinit", Call::Free, &mut stack);
    stack.refused.dedup();
    Some(stack)
}

/// NSS in `libssl3.so`, NSPR in `libnspr4.so`, or both in one file. NSS names the server of a descriptor, NSPR carries its
/// plaintext (and files, which get no name).
fn nss(examiner: &Examiner<'_, '_>) -> Option<Stack> {
    let has = |name| examiner.named.contains_key(name);
    let (names, carries) = (
        has("SSL_ImportFD") && has("SSL_SetURL"),
        has("PR_Write") && has("PR_Read"),
    );
    if !names && !carries {
        return None;
    }
    let mut stack = Stack::new(Kind::Nss, How::Symbols);
    if names {
        add(examiner, "SSL_SetURL", Call::ServerName, &mut stack);
    }
    if carries {
        add(examiner, "PR_Write", Call::Write, &mut stack);
        add(examiner, "PR_Read", Call::Read, &mut stack);
        add(examiner, "PR_Close", Call::Free, &mut stack);
    }
    Some(stack)
}

fn jsse(examiner: &Examiner<'_, '_>) -> Option<Stack> {
    if !examiner.named.contains_key("JNI_CreateJavaVM") {
        return None;
    }
    let mut stack = Stack::new(Kind::Jsse, How::Symbols);
    let reason = Refusal::new("Java", RefusalReason::CompiledAtRunTime);
    stack.refused.push(reason);
    Some(stack)
}

/// Each aws-lc of the file: several versions can be linked, each with its own prefix. Anybody can write a file with any number of such
/// names: beyond a few, one stack more says that there are others.
fn aws_lc(examiner: &Examiner<'_, '_>) -> Vec<Stack> {
    let mut prefixes = examiner.named.keys().filter_map(|name| name.strip_suffix(SEAL));
    let mut stacks: Vec<Stack> = prefixes
        .by_ref()
        .take(MAX_AWS_LC)
        .map(|prefix| {
            let mut stack = Stack::new(Kind::AwsLc, How::Symbols);
            stack.version = Some(prefix.to_owned());
            add(examiner, &format!("{prefix}{SEAL}"), Call::AeadSeal, &mut stack);
            add(examiner, &format!("{prefix}{OPEN}"), Call::AeadOpen, &mut stack);
            stack
        })
        .collect();
    if prefixes.next().is_some() {
        let mut others = Stack::new(Kind::AwsLc, How::Symbols);
        others
            .refused
            .push(Refusal::new("aws-lc", RefusalReason::TooMany));
        stacks.push(others);
    }
    stacks
}
