//! Stacks stage: finds the TLS functions of one executable file or library, so that probes can be placed on them.
//!
//! Bytes of a file in, [`Report`] out; nothing is written, mapped or executed. Functions are found by their names first, then by structure:
//! texts that their code refers to, error codes beside them, who calls whom, and Go's table of functions; never by a list of offsets.
//! A probe in the middle of an instruction kills the program that runs into it, so every place is checked (executable, start of a
//! function, decodes as one), and a candidate that is not unique is refused and reported.
//!
//! | stack | found by | probed |
//! |---|---|---|
//! | OpenSSL | symbols; texts `ssl_write_internal`, `SSL_write`, ... that version 3 gives to its errors | the function both API forms call, where that is cheap |
//! | BoringSSL | symbols; reason codes beside `ssl_lib.cc` | `SSL_write`, `SSL_read` |
//! | GnuTLS | symbols | `gnutls_record_send2`, `gnutls_record_recv` |
//! | Go | `.gopclntab`, named or searched | `crypto/tls.(*Conn).Write`, `Read` and its returns |
//! | aws-lc | symbols; reason codes beside `cipher/aead.c` | `EVP_AEAD_CTX_seal`, `_open` |
//! | NSS | symbols, in two files | `SSL_SetURL` (libssl3), `PR_Write`, `PR_Read` (libnspr4) |
//! | ring | three tables of its algorithms | `seal` and `open` of AES-GCM and of ChaCha20-Poly1305 |
//! | JSSE | symbols | nothing: the reason is in the report |

mod arguments;
mod aws_lc;
mod boringssl;
mod code;
mod errors;
mod examiner;
mod functions;
mod go_table;
mod go_tls;
mod image;
mod input;
mod named;
mod openssl;
mod presence;
mod ring;
#[cfg(test)]
mod ring_tests;
mod scan;
#[cfg(test)]
mod shape_tests;
pub mod symbols;
#[cfg(test)]
mod tests;

use std::fs::File;

use serde::{Deserialize, Serialize};

use self::{examiner::Examiner, image::Image, input::Input};

/// What one file has of TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The linker's build id, or Go's.
    pub build_id: Option<Vec<u8>>,
    /// Every TLS stack in it, readable or not.
    pub stacks: Vec<Stack>,
    /// What is known of the file beside its stacks.
    pub notes: Vec<Refusal>,
}

/// One TLS stack of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// Which one.
    pub kind: Kind,
    /// How it was found.
    pub how: How,
    /// Version that a text in the file states, for example `OpenSSL 3.0.19`, `go1.27.3`.
    pub version: Option<String>,
    /// Where probes belong.
    pub points: Vec<Point>,
    /// What is missing, and why.
    pub refused: Vec<Refusal>,
}

impl Stack {
    fn new(kind: Kind, how: How) -> Self {
        Self {
            kind,
            how,
            version: None,
            points: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Whether plaintext of both directions can be read. The file of NSS that only names servers counts as readable: NSPR
    /// carries what it seals.
    pub fn is_readable(&self) -> bool {
        let names = self.points.iter().any(|p| p.call == Call::ServerName);
        self.carries_plaintext() || self.kind == Kind::Nss && names
    }

    /// Whether it has functions for plaintext of both directions.
    pub fn carries_plaintext(&self) -> bool {
        let any = |wanted: Direction| self.points.iter().any(|p| p.call.direction() == Some(wanted));
        any(Direction::Write) && any(Direction::Read)
    }
}

/// TLS implementations that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// OpenSSL, LibreSSL and others with its interface.
    OpenSsl,
    /// BoringSSL, and aws-lc where its `SSL_` functions are used.
    BoringSsl,
    /// GnuTLS.
    GnuTls,
    /// NSS of Mozilla.
    Nss,
    /// `crypto/tls` of Go.
    GoTls,
    /// aws-lc as provider of rustls.
    AwsLc,
    /// ring as provider of rustls.
    Ring,
    /// Java's own, in a virtual machine.
    Jsse,
}

impl Kind {
    /// Name in tables and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenSsl => "openssl",
            Self::BoringSsl => "boringssl",
            Self::GnuTls => "gnutls",
            Self::Nss => "nss",
            Self::GoTls => "go",
            Self::AwsLc => "aws-lc",
            Self::Ring => "ring",
            Self::Jsse => "jsse",
        }
    }
}

/// How functions were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By their names.
    Symbols,
    /// By references to texts, error codes and calls.
    Structure,
    /// By Go's own table of functions.
    Pclntab,
}

impl How {
    /// Name in tables and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Symbols => "symbols",
            Self::Structure => "structure",
            Self::Pclntab => "pclntab",
        }
    }
}

/// A place for a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// What its arguments mean.
    pub call: Call,
    /// Symbol, or what it is where there is none.
    pub name: String,
    /// Offset in the file where the probe belongs: the first instruction of the function, or a cheaper one behind it that every call
    /// passes once with its arguments still in their registers. For calls whose return is probed too ([`Call::has_return`]), the
    /// stack pointer there is the one of the entry, so the kernel's return probe at the same offset finds the return address.
    pub offset: u64,
    /// File offsets of the returns, where the return cannot be probed by the kernel's own means: Go only.
    pub returns: Vec<u64>,
    /// The kernel emulates the instruction there; others it executes with a single step, which costs far more.
    pub cheap: bool,
}

/// What a kernel program has to know about the arguments. Arguments are counted as in the System V calling convention of x86-64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `(handle, buffer, length) -> n`: `SSL_write`, `gnutls_record_send2`, `PR_Write`. Bytes were taken when `n > 0`.
    Write,
    /// `(handle, buffer, length) -> n`: `SSL_read`, `gnutls_record_recv`, `PR_Read`.
    Read,
    /// `(handle, buffer, length, *written) -> ok` or `(handle, buffer, length, flags, *written) -> ok`: `SSL_write_ex`,
    /// `ssl_write_internal`. Success is above 0.
    WriteEx {
        /// Number of the argument that points to the count of bytes (`size_t`), from 0: 3 or 4.
        written: u8,
    },
    /// `(handle, buffer, length, *read) -> ok`.
    ReadEx,
    /// `(ctx, *out, *out_len, max, nonce, nonce_len, [in, in_len, ad, ad_len]) -> ok` of aws-lc; `in` is the record's plaintext
    /// with its content type in the last byte (TLS 1.3). What is in brackets is on the stack.
    AeadSeal,
    /// Same arguments; the plaintext is at `*out` when it returned 1, `*out_len` bytes of it.
    AeadOpen,
    /// `(*result, key, *nonce, aad, aad_len, in_out, [in_out_len])` of ring: `in_out` is what `in` is for [`Self::AeadSeal`].
    RingSeal,
    /// `(*result, key, *nonce, aad, aad_len, in_out, [in_out_len, from])`: the sealed bytes begin at `from`; behind `in_out` stands the tag that
    /// came with them. `*result` is 0 and the tag that was computed.
    RingOpen,
    /// `crypto/tls.(*Conn).Write`: Go's registers, `rax` = connection, `rbx` = buffer, `rcx` = length. No return.
    GoWrite,
    /// `crypto/tls.(*Conn).Read`: same; the count is in `rax` at [`Point::returns`]. Goroutine in `r14`.
    GoRead,
    /// `(handle, 55, _, name)`: `SSL_ctrl`, `ssl3_ctrl`. Other commands than 55 are not meant.
    ControlName,
    /// `(handle, name)`: `SSL_set_tlsext_host_name` of BoringSSL, `SSL_SetURL` of NSS.
    ServerName,
    /// `(handle, type, name, length)`: `gnutls_server_name_set`, type 1.
    GnuTlsName,
    /// `(handle)`: the handle means nothing any more.
    Free,
}

/// Where plaintext goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the peer.
    Write,
    /// From the peer.
    Read,
}

impl Call {
    /// Direction of the plaintext; `None` for calls without one.
    pub const fn direction(&self) -> Option<Direction> {
        match self {
            Self::Write | Self::WriteEx { .. } | Self::AeadSeal | Self::RingSeal | Self::GoWrite => {
                Some(Direction::Write)
            }
            Self::Read | Self::ReadEx | Self::AeadOpen | Self::RingOpen | Self::GoRead => {
                Some(Direction::Read)
            }
            Self::ControlName | Self::ServerName | Self::GnuTlsName | Self::Free => None,
        }
    }

    /// Whether the kernel's own return probe belongs to it. Never for Go, whose stacks move.
    pub const fn has_return(&self) -> bool {
        self.direction().is_some() && !matches!(self, Self::GoWrite | Self::GoRead)
    }

    /// Name in tables and reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::WriteEx { written: 4 } => "write_ex_flags",
            Self::WriteEx { .. } => "write_ex",
            Self::ReadEx => "read_ex",
            Self::AeadSeal => "aead_seal",
            Self::AeadOpen => "aead_open",
            Self::RingSeal => "ring_seal",
            Self::RingOpen => "ring_open",
            Self::GoWrite => "go_write",
            Self::GoRead => "go_read",
            Self::ControlName => "control_name",
            Self::ServerName => "server_name",
            Self::GnuTlsName => "gnutls_name",
            Self::Free => "free",
        }
    }
}

/// Something that cannot be read or was not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Function or stack.
    pub what: String,
    /// Why.
    pub reason: RefusalReason,
}

impl Refusal {
    fn new(what: impl Into<String>, reason: RefusalReason) -> Self {
        Self {
            what: what.into(),
            reason,
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)*) => {
        /// Why something is not probed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum RefusalReason {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)*
        }

        impl RefusalReason {
            /// Name in tables and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    /// Several places fit.
    NotUnique = "not_unique",
    /// The file has the stack, but no place fits.
    NotFound = "not_found",
    /// The code there does not start like a function or does not decode.
    ImplausibleCode = "implausible_code",
    /// In the middle of another function.
    NotAFunctionStart = "not_a_function_start",
    /// Outside what is loaded as code.
    NotExecutable = "not_executable",
    /// The file is larger than what is searched, or takes more work than is done for one.
    TooLarge = "too_large",
    /// Structure is known of x86-64 only.
    MachineNotSupported = "machine_not_supported",
    /// A table that is needed is missing, broken or of an unknown form.
    NoFunctionTable = "no_function_table",
    /// A Go before 1.17 passes arguments on the stack.
    StackArguments = "stack_arguments",
    /// Which argument is which could not be told.
    UnknownArguments = "unknown_arguments",
    /// Compiled at run time: there is no function in a file.
    CompiledAtRunTime = "compiled_at_run_time",
    /// More of them than one file is believed to have.
    TooMany = "too_many",
    /// A TLS library that Observer has no programs for.
    StackNotSupported = "stack_not_supported",
    /// Its plaintext is read at its provider, which is a stack of its own.
    SeeProvider = "see_provider",
}

/// Why a file was not examined at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExamineError {
    /// No ELF file.
    #[error("not an ELF file")]
    NotElf,
    /// An ELF file for another kind of machine than 64-bit little-endian ones.
    #[error("not for a 64-bit little-endian machine")]
    OtherMachine,
    /// Not an ELF file that can be read.
    #[error("not a readable ELF file: {0}")]
    Malformed(String),
    /// Its tables are larger than the budget.
    #[error("tables are larger than the budget")]
    TooLarge,
}

/// Finds the TLS stacks of a file.
///
/// # Errors
/// [`ExamineError`] when it cannot be read as an ELF file within the budgets. A file without TLS is a report without stacks.
pub fn examine(file: &File) -> Result<Report, ExamineError> {
    examine_with(file, true)
}

/// As [`examine`]; without `use_names` as if the file were stripped.
fn examine_with(file: &File, use_names: bool) -> Result<Report, ExamineError> {
    let input = Input::new(file);
    let image = Image::parse(&input)?;
    let mut report = Report {
        build_id: image.build_id(),
        ..Report::default()
    };
    Examiner::new(&image, use_names)?.run(&mut report);
    if input.is_exhausted() {
        // Half of a search may have found the wrong half.
        report.stacks.clear();
        report.notes.push(Refusal::new("file", RefusalReason::TooLarge));
    }
    Ok(report)
}
