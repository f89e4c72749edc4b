//! Offsets of kernel structure fields from BTF (Documentation/bpf/btf.rst). Pure: bytes in, offsets out.

use observer_common::maps::KernelOffsets;

/// Why BTF does not give what is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The bytes are not BTF, or end too early.
    #[error("not BTF, or cut short")]
    Malformed,
    /// No structure of this name.
    #[error("no structure `{0}`")]
    NoStruct(String),
    /// No field of this name in the structure.
    #[error("no field `{1}` in structure `{0}`")]
    NoField(String, String),
}

const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
/// Modifiers, whose `type` field says what they modify: typedef, volatile, const, restrict, type tag.
const KIND_MODIFIERS: [u32; 5] = [8, 9, 10, 11, 18];
/// Anonymous structures in structures deeper than this do not occur in the kernel.
const MAX_NESTING: u32 = 16;
/// Members looked at for one field. `task_struct` has about 300 with all that is nested in it.
const MAX_MEMBERS: u32 = 100_000;

#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    /// Members' offsets hold a bit-field size in their upper byte.
    kind_flag: bool,
    members: usize,
    /// Position of the data behind the type.
    data: usize,
    /// `size` or `type`, by kind.
    size_or_type: u32,
}

/// Parsed type table of a BTF blob.
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// By type id minus 1.
    table: Vec<Type>,
}

impl<'a> Btf<'a> {
    /// Reads the type table of `/sys/kernel/btf/vmlinux` or the like.
    ///
    /// # Errors
    /// [`BtfError::Malformed`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        const MAGIC: u16 = 0xeb9f;
        let magic = u16::from_ne_bytes(
            bytes
                .get(..2)
                .and_then(|b| b.try_into().ok())
                .ok_or(BtfError::Malformed)?,
        );
        if magic != MAGIC {
            return Err(BtfError::Malformed);
        }
        let word = |at| u32_at(bytes, at).map(|v| v as usize);
        let header = word(4)?;
        let section = |offset: usize, len: usize| {
            let start = header.checked_add(offset).ok_or(BtfError::Malformed)?;
            let end = start.checked_add(len).ok_or(BtfError::Malformed)?;
            bytes.get(start..end).ok_or(BtfError::Malformed)
        };
        let types = section(word(8)?, word(12)?)?;
        let strings = section(word(16)?, word(20)?)?;
        Ok(Self {
            types,
            strings,
            table: type_table(types)?,
        })
    }

    /// Byte offset of `path` (field names from the outside in) in structure `name`.
    ///
    /// # Errors
    /// [`BtfError`] when structure or field do not exist.
    pub fn offset(&self, name: &str, path: &[&str]) -> Result<u32, BtfError> {
        let mut current = self
            .table
            .iter()
            .position(|t| t.kind == KIND_STRUCT && t.members > 0 && self.name_is(t.name, name))
            .ok_or_else(|| BtfError::NoStruct(name.to_owned()))?;
        let mut bits: u32 = 0;
        for field in path {
            let mut budget = MAX_MEMBERS;
            let (at, ty) = self
                .member(current, field, 0, &mut budget)?
                .ok_or_else(|| BtfError::NoField(name.to_owned(), (*field).to_owned()))?;
            bits = bits.checked_add(at).ok_or(BtfError::Malformed)?;
            current = ty;
        }
        Ok(bits / 8)
    }

    /// Bit offset and type index of a member, looked for through anonymous members.
    fn member(
        &self,
        of: usize,
        field: &str,
        depth: u32,
        budget: &mut u32,
    ) -> Result<Option<(u32, usize)>, BtfError> {
        let ty = *self.table.get(of).ok_or(BtfError::Malformed)?;
        if depth > MAX_NESTING || !matches!(ty.kind, KIND_STRUCT | KIND_UNION) {
            return Ok(None);
        }
        for i in 0..ty.members {
            *budget = budget.checked_sub(1).ok_or(BtfError::Malformed)?;
            let at = ty.data + i * 12;
            let (name, id, raw) = (
                u32_at(self.types, at)?,
                u32_at(self.types, at + 4)?,
                u32_at(self.types, at + 8)?,
            );
            let offset = if ty.kind_flag { raw & 0x00ff_ffff } else { raw };
            let index = self.strip_modifiers(id)?;
            if name != 0 && self.name_is(name, field) {
                return Ok(Some((offset, index)));
            }
            if name == 0
                && let Some((inner, found)) = self.member(index, field, depth + 1, budget)?
            {
                let sum = offset.checked_add(inner).ok_or(BtfError::Malformed)?;
                return Ok(Some((sum, found)));
            }
        }
        Ok(None)
    }

    fn strip_modifiers(&self, mut id: u32) -> Result<usize, BtfError> {
        for _ in 0..MAX_NESTING {
            let index = (id as usize).wrapping_sub(1);
            match self.table.get(index) {
                Some(t) if KIND_MODIFIERS.contains(&t.kind) => id = t.size_or_type,
                // Type 0 is void: nothing can be found in it, and no index is that large.
                _ => return Ok(index),
            }
        }
        Err(BtfError::Malformed)
    }

    /// Whether anything has this name.
    fn names(&self, name: &str) -> bool {
        self.strings
            .split(|byte| *byte == 0)
            .any(|known| known == name.as_bytes())
    }

    fn name_is(&self, offset: u32, name: &str) -> bool {
        self.strings
            .get(offset as usize..)
            .and_then(|s| s.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, BtfError> {
    let end = at.checked_add(4).ok_or(BtfError::Malformed)?;
    let word = bytes
        .get(at..end)
        .and_then(|b| b.try_into().ok())
        .ok_or(BtfError::Malformed)?;
    Ok(u32::from_ne_bytes(word))
}

fn type_table(types: &[u8]) -> Result<Vec<Type>, BtfError> {
    let mut table = Vec::new();
    let mut at = 0;
    while at < types.len() {
        let (name, info, size_or_type) = (u32_at(types, at)?, u32_at(types, at + 4)?, u32_at(types, at + 8)?);
        let (kind, members) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        let data = at + 12;
        table.push(Type {
            name,
            kind,
            kind_flag: info >> 31 == 1,
            members,
            data,
            size_or_type,
        });
        at = data + data_len(kind, members)?;
    }
    Ok(table)
}

/// Bytes behind a type, by kind.
fn data_len(kind: u32, members: usize) -> Result<usize, BtfError> {
    Ok(match kind {
        1 | 14 | 17 => 4,
        2 | 7..=12 | 16 | 18 => 0,
        3 => 12,
        KIND_STRUCT | KIND_UNION | 15 | 19 => members * 12,
        6 | 13 => members * 8,
        _ => return Err(BtfError::Malformed),
    })
}

/// Offsets that the kernel programs need. A field that this kernel does not have leaves its offset 0, which the
/// programs take for "not known"; the names of those are given beside it.
pub fn kernel_offsets(btf: &Btf<'_>) -> (KernelOffsets, Vec<String>) {
    let mut missing = Vec::new();
    let mut of = |name: &str, path: &[&str]| {
        btf.offset(name, path).unwrap_or_else(|error| {
            missing.push(error.to_string());
            0
        })
    };
    let offsets = KernelOffsets {
        task_group_leader: of("task_struct", &["group_leader"]),
        // Called real_start_time before Linux 5.5, where it has another unit of time base: not used there.
        task_start: of("task_struct", &["start_boottime"]),
        sock_family: of("sock", &["__sk_common", "skc_family"]),
        sock_dport: of("sock", &["__sk_common", "skc_dport"]),
        sock_num: of("sock", &["__sk_common", "skc_num"]),
        sock_daddr: of("sock", &["__sk_common", "skc_daddr"]),
        sock_saddr: of("sock", &["__sk_common", "skc_rcv_saddr"]),
        sock_v6_daddr: of("sock", &["__sk_common", "skc_v6_daddr"]),
        sock_v6_saddr: of("sock", &["__sk_common", "skc_v6_rcv_saddr"]),
        sock_protocol: of("sock", &["sk_protocol"]),
        sock_state: of("sock", &["__sk_common", "skc_state"]),
        task_files: of("task_struct", &["files"]),
        files_fdt: of("files_struct", &["fdt"]),
        fdtable_fd: of("fdtable", &["fd"]),
        file_inode: of("file", &["f_inode"]),
        inode_mode: of("inode", &["i_mode"]),
        socket_sk: of("socket", &["sk"]),
        task_parent: of("task_struct", &["real_parent"]),
        task_tgid: of("task_struct", &["tgid"]),
        task_signal: of("task_struct", &["signal"]),
        signal_live: of("signal_struct", &["live"]),
    };
    (offsets, missing)
}

/// Whether this kernel has the tracepoints of socket calls.
pub fn has_socket_tracepoints(btf: &Btf<'_>) -> bool {
    btf.names("btf_trace_sock_send_length") && btf.names("btf_trace_sock_recv_length")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// struct outer { int a; union { struct { int b; int c; }; long d; }; } as BTF.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0outer\0a\0b\0c\0d\0";
        let name = |n: &str| {
            let text = format!("\0{n}\0");
            u32::try_from(
                strings
                    .windows(text.len())
                    .position(|w| w == text.as_bytes())
                    .unwrap()
                    + 1,
            )
            .unwrap()
        };
        let mut types: Vec<u32> = vec![name("int"), 1 << 24, 4, 32];
        types.extend([0, KIND_STRUCT << 24 | 2, 8, name("b"), 1, 0, name("c"), 1, 32]);
        types.extend([0, KIND_UNION << 24 | 2, 8, 0, 2, 0, name("d"), 1, 0]);
        types.extend([
            name("outer"),
            KIND_STRUCT << 24 | 2,
            12,
            name("a"),
            1,
            0,
            0,
            3,
            32,
        ]);
        let body: Vec<u8> = types.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let mut out = 0xeb9fu16.to_ne_bytes().to_vec();
        out.extend([1, 0]);
        let len = u32::try_from(body.len()).unwrap();
        for word in [24, 0, len, len, u32::try_from(strings.len()).unwrap()] {
            out.extend(word.to_ne_bytes());
        }
        out.extend(&body);
        out.extend(strings);
        out
    }

    #[test]
    fn a_field_in_anonymous_members_is_found() {
        let bytes = sample();
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.offset("outer", &["a"]), Ok(0));
        assert_eq!(btf.offset("outer", &["c"]), Ok(8));
        assert_eq!(btf.offset("outer", &["d"]), Ok(4));
        assert_eq!(
            btf.offset("outer", &["x"]),
            Err(BtfError::NoField("outer".into(), "x".into()))
        );
        assert_eq!(
            btf.offset("other", &["x"]),
            Err(BtfError::NoStruct("other".into()))
        );
    }

    /// A blob with this type section and the strings `sock` (1) and `a` (6).
    fn blob(types: &[u32]) -> Vec<u8> {
        let strings = b"\0sock\0a\0";
        let body: Vec<u8> = types.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let mut out = 0xeb9fu16.to_ne_bytes().to_vec();
        out.extend([1, 0]);
        let len = u32::try_from(body.len()).unwrap();
        for word in [24, 0, len, len, u32::try_from(strings.len()).unwrap()] {
            out.extend(word.to_ne_bytes());
        }
        [out, body, strings.to_vec()].concat()
    }

    #[test]
    fn a_structure_of_itself_many_times_over_is_given_up() {
        let mut types = vec![1, KIND_STRUCT << 24 | 200, 8];
        (0..200).for_each(|_| types.extend([0, 1, 0]));
        let bytes = blob(&types);
        assert_eq!(
            Btf::parse(&bytes).unwrap().offset("sock", &["a"]),
            Err(BtfError::Malformed)
        );
    }

    #[test]
    fn offsets_beyond_the_range_are_malformed() {
        let types = [
            1,
            KIND_STRUCT << 24 | 1,
            8,
            0,
            2,
            u32::MAX,
            0,
            KIND_STRUCT << 24 | 1,
            8,
            6,
            2,
            9,
        ];
        let bytes = blob(&types);
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.offset("sock", &["a"]), Err(BtfError::Malformed));
    }

    #[test]
    fn what_a_kernel_has_is_known_by_its_names() {
        let bytes = blob(&[]);
        let btf = Btf::parse(&bytes).unwrap();
        assert!(btf.names("sock") && !btf.names("soc") && !btf.names("ock"));
        assert!(!has_socket_tracepoints(&btf));
    }

    #[test]
    fn every_cut_is_an_error_and_not_a_panic() {
        let bytes = sample();
        for n in 0..bytes.len() {
            assert!(Btf::parse(&bytes[..n]).is_err(), "cut at {n}");
        }
    }
}
