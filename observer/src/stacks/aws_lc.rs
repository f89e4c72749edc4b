//! aws-lc as provider of rustls: the AEAD functions, which see whole records as plaintext.
//!
//! ```text
//! int EVP_AEAD_CTX_seal(ctx, uint8_t *out, size_t *out_len, size_t max, nonce, nonce_len, in, in_len, ad, ad_len);
//! int EVP_AEAD_CTX_open(same);
//! ```
//! Reason codes of `cipher/aead.c` (`include/openssl/cipher.h`): 101 `BAD_DECRYPT`, 103 `BUFFER_TOO_SMALL`, 115
//! `OUTPUT_ALIASES_INPUT`, 117 `TOO_LARGE`. `open` calls `open_gather`, which is not probed.

use super::{
    Call, How, Kind, Refusal, RefusalReason, Report, Stack,
    errors::{MIN_PUTTERS, Putter, putters},
    examiner::Examiner,
    presence,
    scan::Needle,
};

const BAD_DECRYPT: u64 = 101;
const BUFFER_TOO_SMALL: u64 = 103;
const OUTPUT_ALIASES_INPUT: u64 = 115;
const TOO_LARGE: u64 = 117;

/// Finds aws-lc without names.
pub(super) fn find(examiner: &Examiner<'_, '_>, report: &mut Report) {
    let has = |kind: Kind| report.stacks.iter().any(|s| s.kind == kind);
    // BoringSSL has the same file with the same codes; its plaintext is read at `SSL_read`.
    let is_boringssl = has(Kind::BoringSsl) && !presence::has_aws_lc(examiner);
    if has(Kind::AwsLc) || is_boringssl || examiner.referring(Needle::Aead).next().is_none() {
        return;
    }
    let functions = putters(examiner, Needle::Aead);
    if functions.iter().filter(|f| !f.reasons.is_empty()).count() < MIN_PUTTERS {
        // Spoken of, not there.
        return;
    }
    let mut stack = Stack::new(Kind::AwsLc, How::Structure);
    stack.version = presence::aws_lc_version(examiner);
    let seal = unique(&functions, |f| {
        f.has(&[TOO_LARGE, BUFFER_TOO_SMALL, OUTPUT_ALIASES_INPUT])
    });
    let open = unique(&functions, |f| {
        f.has(&[OUTPUT_ALIASES_INPUT, BAD_DECRYPT, BUFFER_TOO_SMALL]) && !f.reasons.contains(&TOO_LARGE)
    });
    for (call, name, start) in [
        (Call::AeadSeal, "EVP_AEAD_CTX_seal", seal),
        (Call::AeadOpen, "EVP_AEAD_CTX_open", open),
    ] {
        match start.and_then(|start| examiner.function(start)) {
            Ok(body) => stack.points.extend(examiner.point(&body, call, name)),
            Err(reason) => stack.refused.push(Refusal::new(name, reason)),
        }
    }
    report.stacks.push(stack);
}

fn unique(functions: &[Putter], fits: impl Fn(&Putter) -> bool) -> Result<u64, RefusalReason> {
    let mut found = functions.iter().filter(|f| fits(f));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.start),
        (None, _) => Err(RefusalReason::NotFound),
        _ => Err(RefusalReason::NotUnique),
    }
}
