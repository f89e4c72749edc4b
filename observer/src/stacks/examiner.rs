//! One examination: what is known of the file, and the steps in their order.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
};

use iced_x86::Register;

use super::{
    Call, ExamineError, Kind, Point, Refusal, RefusalReason, Report, aws_lc, boringssl,
    code::Body,
    functions::Functions,
    go_tls,
    image::Image,
    named, openssl, presence, ring,
    scan::{self, Needle, Reference, Target},
    symbols::{self, ElfError, Named},
};

/// Longest text before a needle that belongs to it: the path of a source file.
const MAX_PATH: usize = 512;

/// Strings of one kind that are followed; a file with more of them is made to be slow.
const MAX_TARGETS: usize = 64;

/// Functions looked at for one text.
const MAX_REFERRING: usize = 2048;

/// What is known of a file while it is examined.
pub(super) struct Examiner<'i, 'a> {
    pub(super) image: &'i Image<'a>,
    pub(super) functions: Functions<'i, 'a>,
    pub(super) named: Named,
    /// Where texts of interest stand.
    pub(super) texts: Vec<(Needle, u64)>,
    references: Vec<Reference>,
    /// Functions of the parts that the compiler moved away, once asked for.
    parents: OnceCell<BTreeMap<u64, u64>>,
}

impl<'i, 'a> Examiner<'i, 'a> {
    /// Reads symbols and looks for texts.
    pub(super) fn new(image: &'i Image<'a>, use_names: bool) -> Result<Self, ExamineError> {
        let named = if use_names {
            symbols::read(image, named::is_wanted).map_err(|e| match e {
                ElfError::Malformed(what) => ExamineError::Malformed(what),
                _ => ExamineError::TooLarge,
            })?
        } else {
            Named::new()
        };
        Ok(Self {
            functions: Functions::new(image),
            image,
            named,
            texts: if image.is_searchable() {
                scan::strings(image)
            } else {
                Vec::new()
            },
            references: Vec::new(),
            parents: OnceCell::new(),
        })
    }

    pub(super) fn run(mut self, report: &mut Report) {
        named::find(&self, report);
        if !self.image.is_searchable() {
            report
                .notes
                .push(Refusal::new("structure", RefusalReason::TooLarge));
            return;
        }
        if self.image.x86_64 {
            go_tls::find(&self, report);
            self.refer(report);
            openssl::find(&self, report);
            boringssl::find(&self, report);
            aws_lc::find(&self, report);
        } else if !self.texts.is_empty() {
            let reason = RefusalReason::MachineNotSupported;
            report.notes.push(Refusal::new("structure", reason));
        }
        ring::find(&self, report);
        presence::find(&self, report);
    }

    /// Finds what refers to the texts of the stacks that have not been found by name.
    fn refer(&mut self, report: &Report) {
        let known = |kind: Kind| report.stacks.iter().any(|s| s.kind == kind);
        let of = |needle: &Needle| match needle {
            Needle::SslLib => !known(Kind::BoringSsl),
            Needle::SslLibC
            | Needle::WriteInternal
            | Needle::ReadInternal
            | Needle::Write
            | Needle::Read
            | Needle::Ctrl => !known(Kind::OpenSsl),
            Needle::Aead => !known(Kind::AwsLc),
            _ => false,
        };
        let mut count: BTreeMap<Needle, usize> = BTreeMap::new();
        let mut targets = Vec::new();
        for (needle, address) in self.texts.iter().filter(|(needle, _)| of(needle)) {
            let seen = count.entry(*needle).or_default();
            *seen += 1;
            if *seen <= MAX_TARGETS {
                targets.push(self.target(*needle, *address));
            }
        }
        self.references = scan::references(self.image, &targets);
        let from: Vec<u64> = self
            .references
            .iter()
            .map(|r| r.from)
            .take(MAX_REFERRING)
            .collect();
        self.functions.collect(&from);
    }

    /// The addresses by which code can mean the text with a needle in it: the start of the text. Rust packs texts without an end between
    /// them, so for sources of C code inside a Rust program any start before the needle may be the one.
    fn target(&self, needle: Needle, address: u64) -> Target {
        let start = match needle {
            Needle::SslLib | Needle::SslLibC | Needle::Aead => {
                address - self.text_before(address).len() as u64
            }
            _ => address,
        };
        let end = if needle == Needle::Aead { address } else { start };
        Target {
            addresses: start..=end,
            needle,
        }
    }

    /// Printable text directly before an address.
    pub(super) fn text_before(&self, address: u64) -> Vec<u8> {
        let Some(end) = self.image.offset(address) else {
            return Vec::new();
        };
        let len = usize::try_from(end).map_or(MAX_PATH, |end| end.min(MAX_PATH));
        let mut bytes = self.image.input.at(end - len as u64, len);
        let first = bytes
            .iter()
            .rposition(|b| !(32..127).contains(b))
            .map_or(0, |n| n + 1);
        bytes.split_off(first)
    }

    /// Printable text at an address, at most `len` bytes of it.
    pub(super) fn text_at(&self, address: u64, len: usize) -> String {
        let bytes = self.image.bytes(address, len);
        let printable = bytes.iter().take_while(|b| (32..127).contains(*b));
        printable.map(|b| char::from(*b)).collect()
    }

    /// Addresses of a text.
    pub(super) fn places(&self, needle: Needle) -> impl Iterator<Item = u64> {
        self.texts
            .iter()
            .filter(move |(n, _)| *n == needle)
            .map(|(_, at)| *at)
    }

    /// Instructions that refer to a text.
    pub(super) fn referring(&self, needle: Needle) -> impl Iterator<Item = u64> {
        self.references
            .iter()
            .filter(move |r| r.needle == needle)
            .map(|r| r.from)
            .take(MAX_REFERRING)
    }

    /// Starts of the functions that refer to each of the texts. A part that the compiler moved away counts as its function.
    pub(super) fn referring_functions(&self, needles: &[Needle]) -> BTreeMap<Needle, BTreeSet<u64>> {
        let of = |needle: Needle| {
            let bodies = self
                .referring(needle)
                .filter_map(|from| self.functions.containing(from));
            bodies.map(|body| self.parent(body.start)).collect()
        };
        needles.iter().map(|needle| (*needle, of(*needle))).collect()
    }

    /// Start of the function that a part, or a function, which refers to a text belongs to. One pass over the code serves all of them.
    pub(super) fn parent(&self, start: u64) -> u64 {
        let parents = self.parents.get_or_init(|| {
            let needles: BTreeSet<Needle> = self.references.iter().map(|r| r.needle).collect();
            let froms = needles.into_iter().flat_map(|needle| self.referring(needle));
            let bodies = froms.filter_map(|from| self.functions.containing(from));
            let parts: BTreeMap<u64, u64> = bodies.map(|body| (body.start, body.end)).collect();
            let parts: Vec<(u64, u64)> = parts.into_iter().collect();
            self.functions.parents(&parts)
        });
        *parents.get(&start).unwrap_or(&start)
    }

    /// The function at an address, if a probe may stand on it.
    pub(super) fn function(&self, address: u64) -> Result<Body, RefusalReason> {
        if self.image.code_offset(address).is_none() || self.image.is_in_data_section(address) {
            return Err(RefusalReason::NotExecutable);
        }
        match self.functions.by_unwind(address) {
            Some((start, _)) if start != address => return Err(RefusalReason::NotAFunctionStart),
            Some(_) => {}
            None if self.functions.looks_like_a_start(address) => {}
            None => return Err(RefusalReason::NotAFunctionStart),
        }
        self.functions
            .starting_at(address)
            .filter(Body::starts_like_a_function)
            .ok_or(RefusalReason::ImplausibleCode)
    }

    /// A point for a function: at its entry, or at a cheaper instruction behind it where that sees the same.
    pub(super) fn point(&self, body: &Body, call: Call, name: &str) -> Option<Point> {
        let (address, cheap) = place(body, call);
        Some(Point {
            call,
            name: name.to_owned(),
            offset: self.image.code_offset(address)?,
            returns: Vec::new(),
            cheap,
        })
    }
}

/// Address of the probe for a call, and whether the instruction there is cheap.
pub(super) fn place(body: &Body, call: Call) -> (u64, bool) {
    use Register::{R8, R9, R14, RAX, RBX, RCX, RDI, RDX, RSI, RSP};
    let needed: &[Register] = match call {
        Call::Free => &[RDI],
        Call::ServerName => &[RDI, RSI],
        Call::ControlName => &[RDI, RSI, RCX],
        Call::GnuTlsName => &[RDI, RSI, RDX, RCX],
        // The kernel's return probe replaces the return address at the stack pointer.
        Call::Write | Call::Read => &[RSP, RDI, RSI, RDX],
        Call::ReadEx | Call::WriteEx { .. } => &[RSP, RDI, RSI, RDX, RCX, R8],
        Call::AeadSeal | Call::AeadOpen | Call::RingSeal | Call::RingOpen => {
            &[RSP, RDI, RSI, RDX, RCX, R8, R9]
        }
        Call::GoWrite | Call::GoRead => &[RAX, RBX, RCX, R14],
    };
    let is_go = matches!(call, Call::GoWrite | Call::GoRead);
    let found = body.later_place(needed, is_go);
    // To see the entry of `Read` twice, while the stack grows, does no harm: the second time says the same.
    if call == Call::GoRead && !found.1 {
        return body.later_place(needed, false);
    }
    found
}
