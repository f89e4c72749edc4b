//! Layout of the records in the ring buffer: a [`Header`], then the body that its `kind` names, then `len` payload
//! bytes where the body has a `len`. The space behind them up to the end of the reservation is not part of the
//! record. All integers are in host order: kernel and daemon are on one machine.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::decode::{Field, Reader, Truncated};

/// Length of a task's command name in the kernel (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;

/// Longest server name that is reported (RFC 6066 section 3 allows 65,535; DNS allows 255).
pub const MAX_NAME_LEN: usize = 255;

/// Most payload bytes in one record; a longer call is cut into several, with absolute stream offsets.
pub const MAX_CHUNK: usize = 16 * 1024;

macro_rules! record {
    ($(#[$meta:meta])* $name:ident, $size:literal { $($(#[$fmeta:meta])* $field:ident : $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }

        const _: () = assert!(core::mem::size_of::<$name>() == $size);

        impl $name {
            /// Bytes of this layout.
            pub const SIZE: usize = $size;

            /// Reads the fields in order.
            ///
            /// # Errors
            /// [`Truncated`] when fewer bytes are left than the layout has.
            pub fn read(r: &mut Reader<'_>) -> Result<Self, Truncated> {
                Ok(Self { $($field: r.field()?,)* })
            }

            /// Appends the fields in order, as the kernel programs write them.
            pub fn write(&self, out: &mut impl Extend<u8>) {
                $(self.$field.put(out);)*
            }
        }
    };
}

record! {
    /// Starts every record.
    Header, 80 {
        /// One of the `KIND_*` constants.
        kind: u16,
        /// Reserved, 0.
        flags: u16,
        /// CPU that wrote the record.
        cpu: u32,
        /// Time of the event, nanoseconds since boot (CLOCK_BOOTTIME).
        time_ns: u64,
        /// Start of the process (thread-group leader), nanoseconds since boot; 0 where the kernel's type
        /// information did not give the place of it.
        process_start_ns: u64,
        /// Flow that the record belongs to, unique while the kernel programs are loaded; 0 for none.
        flow_id: u64,
        /// Connection that the record belongs to, unique while the kernel programs are loaded; 0 for not known.
        connection_id: u64,
        /// cgroup v2 id of the task.
        cgroup_id: u64,
        /// Process id (thread-group id) in the initial PID namespace.
        pid: u32,
        /// Thread id in the initial PID namespace.
        tid: u32,
        /// User id in the initial user namespace.
        uid: u32,
        /// Process id of the parent, in records that begin a connection or an image; else 0: who is gone is named by its parent.
        parent_pid: u32,
        /// Command name of the thread, NUL-padded.
        comm: [u8; COMM_LEN],
    }
}

/// Plaintext of a TLS write or read, or bytes of a socket call: body [`TlsData`], then its bytes.
pub const KIND_TLS_DATA: u16 = 1;
/// The server name was set on a TLS handle: body [`TlsName`], then the name.
pub const KIND_TLS_NAME: u16 = 2;
/// A TLS handle was freed: body [`TlsFree`].
pub const KIND_TLS_FREE: u16 = 3;
/// A socket began to connect, or was first seen when it was already connected: body [`Connect`].
pub const KIND_CONNECT: u16 = 4;
/// A TCP connection ended: body [`Close`].
pub const KIND_CLOSE: u16 = 5;
/// A process replaced its image (`execve`). No body.
pub const KIND_EXEC: u16 = 6;
/// A process ended. No body.
pub const KIND_EXIT: u16 = 7;
/// A process maps a file executable (a library is being loaded). No body.
pub const KIND_MAP_EXEC: u16 = 8;
/// The socket of a TLS flow became known after some of its plaintext was delivered: body [`Tie`].
pub const KIND_TIE: u16 = 9;
/// A datagram from port 53: body [`Dns`], then the first bytes of the message.
pub const KIND_DNS: u16 = 10;

/// A connection was denied, or would have been in a dry run: body [`Enforced`].
pub const KIND_ENFORCED: u16 = 11;
/// A connection that a process began is there: body [`Established`].
pub const KIND_ESTABLISHED: u16 = 12;

/// Bytes that the process sent.
pub const DIRECTION_SENT: u8 = 0;
/// Bytes that the process received.
pub const DIRECTION_RECEIVED: u8 = 1;

/// The flow is not decided: a bounded prefix is delivered.
pub const CLASS_UNDECIDED: u32 = 0;
/// The flow carries AI traffic: everything is delivered.
pub const CLASS_AI: u32 = 1;
/// The flow is not AI traffic: nothing is delivered, bytes are counted.
pub const CLASS_OTHER: u32 = 2;

/// Handle and socket are not tied.
pub const TIE_NONE: u8 = 0;
/// The socket call happened inside the TLS call on the same thread.
pub const TIE_IN_CALL: u8 = 1;
/// The socket call followed the TLS call on the same thread, or came before it for a read (memory BIO).
pub const TIE_AFTER_CALL: u8 = 2;
/// The bytes are those of the socket itself.
pub const TIE_SOCKET: u8 = 3;

/// Not known which TLS stack.
pub const STACK_UNKNOWN: u8 = 0;
/// OpenSSL and what has its interface.
pub const STACK_OPENSSL: u8 = 1;
/// BoringSSL.
pub const STACK_BORINGSSL: u8 = 2;
/// GnuTLS.
pub const STACK_GNUTLS: u8 = 3;
/// Go's crypto/tls.
pub const STACK_GO: u8 = 4;
/// The AEAD of aws-lc, used by rustls: one flow for each key, so for one direction only.
pub const STACK_AWS_LC: u8 = 5;
/// NSS: plaintext by NSPR's calls on a descriptor that NSS was told the server's name of.
pub const STACK_NSS: u8 = 6;
/// None: the bytes of the socket itself.
pub const STACK_SOCKET: u8 = 7;
/// None: what a process reads on its standard input (`DIRECTION_SENT`, as its client sees it) and writes on its standard output.
pub const STACK_STDIO: u8 = 8;
/// The AEAD of ring, used by rustls: as [`STACK_AWS_LC`].
pub const STACK_RING: u8 = 9;
/// How many numbers of stacks there are, [`STACK_UNKNOWN`] among them.
pub const STACKS: u8 = STACK_RING + 1;

/// Whether the flows of a stack are those of the keys of an AEAD: of one direction, and without a connection.
pub const fn is_of_key(stack: u8) -> bool {
    matches!(stack, STACK_AWS_LC | STACK_RING)
}

record! {
    /// A piece of plaintext.
    TlsData, 40 {
        /// Address of the TLS handle in the process.
        handle: u64,
        /// Offset of the first byte in this direction of the flow.
        offset: u64,
        /// Bytes that the call transferred from `offset` on. Larger than `len` when the piece was cut (another record
        /// follows, or the prefix of an undecided flow was used up).
        call_len: u64,
        /// Payload bytes in this record.
        len: u32,
        /// `CLASS_*` of the flow when the record was written.
        class: u32,
        /// `DIRECTION_*`.
        direction: u8,
        /// `TIE_*`: how `connection_id` was found.
        tie: u8,
        /// `STACK_*`: whose plaintext this is.
        stack: u8,
        /// Named padding, 0.
        pad: u8,
        /// How long ago the call was entered that wrote this, in microseconds: other threads did something in the meantime. 0: not
        /// measured, as for what was read, or less.
        took_us: u32,
    }
}

impl TlsData {
    /// When the call was entered that wrote this, of a record written at `time_ns`.
    pub fn entered_ns(&self, time_ns: u64) -> u64 {
        time_ns.saturating_sub(u64::from(self.took_us) * 1000)
    }
}

record! {
    /// The server name that a client set on its TLS handle.
    TlsName, 16 {
        /// Address of the TLS handle in the process.
        handle: u64,
        /// Bytes of the name that follow.
        len: u32,
        /// `CLASS_*` that the catalogue in the kernel gave the name.
        class: u32,
    }
}

record! {
    /// End of a TLS handle, with the totals of both directions so that a hole at the end is visible.
    TlsFree, 32 {
        /// Address of the TLS handle in the process.
        handle: u64,
        /// Plaintext bytes sent on the flow.
        sent: u64,
        /// Plaintext bytes received on the flow.
        received: u64,
        /// `CLASS_*` of the flow.
        class: u32,
        /// `TIE_*`.
        tie: u32,
    }
}

record! {
    /// The socket of a TLS flow. Flow and connection are in the header.
    Tie, 16 {
        /// Address of the TLS handle in the process.
        handle: u64,
        /// `TIE_*`.
        tie: u32,
        /// `STACK_*`.
        stack: u32,
    }
}

record! {
    /// An answer of a name server (RFC 1035), as far as it was copied.
    Dns, 8 {
        /// Payload bytes in this record.
        len: u32,
        /// Bytes of the whole message.
        message_len: u32,
    }
}

/// Most bytes of a DNS message that are copied.
pub const MAX_DNS: usize = 1024;

/// Address family of unix sockets (`address_families(7)`).
pub const AF_UNIX: u16 = 1;
/// Of IPv4.
pub const AF_INET: u16 = 2;
/// Of IPv6.
pub const AF_INET6: u16 = 10;

/// The connection existed before it was first seen.
pub const CONNECT_EXISTING: u16 = 1;
/// The connection was accepted, not made.
pub const CONNECT_ACCEPTED: u16 = 2;

/// Transport of a connection: TCP.
pub const TRANSPORT_TCP: u8 = 6;
/// UDP: QUIC, where the port says so.
pub const TRANSPORT_UDP: u8 = 17;
/// A stream socket of the unix family.
pub const TRANSPORT_UNIX: u8 = 1;

record! {
    /// A connection of a socket. The peer is what the kernel holds for the socket, never a guess.
    Connect, 56 {
        /// Address of the peer; IPv4 in the first four bytes.
        peer_address: [u8; 16],
        /// Local address where known, else zeros.
        local_address: [u8; 16],
        /// `AF_INET` or `AF_INET6`.
        family: u16,
        /// Port of the peer.
        peer_port: u16,
        /// Local port; 0 when not yet bound.
        local_port: u16,
        /// `CONNECT_*` bits.
        flags: u16,
        /// File descriptor given to `connect(2)`; -1 when not known.
        fd: i32,
        /// `TRANSPORT_*`.
        transport: u8,
        /// Named padding, 0.
        pad: [u8; 3],
        /// Address of the kernel's socket, key of its totals. Never leaves the daemon.
        socket: u64,
    }
}

impl Connect {
    /// Address of the peer, IPv4 as mapped.
    pub fn peer(&self) -> Ipv6Addr {
        mapped(self.family, self.peer_address)
    }

    /// Local address, IPv4 as mapped.
    pub fn local(&self) -> Ipv6Addr {
        mapped(self.family, self.local_address)
    }
}

/// An address as the kernel holds it, IPv4 as mapped.
fn mapped(family: u16, address: [u8; 16]) -> Ipv6Addr {
    if family == AF_INET {
        let [a, b, c, d, ..] = address;
        Ipv4Addr::new(a, b, c, d).to_ipv6_mapped()
    } else {
        Ipv6Addr::from(address)
    }
}

/// The connection was established at some time.
pub const CLOSE_WAS_ESTABLISHED: u32 = 1;

record! {
    /// End of a TCP connection with what its socket calls transferred.
    Close, 24 {
        /// Bytes that socket calls sent.
        sent: u64,
        /// Bytes that socket calls received.
        received: u64,
        /// `CLOSE_*` bits.
        flags: u32,
        /// Local port.
        local_port: u32,
    }
}

record! {
    /// This end of a connection, known once it is established.
    Established, 24 {
        /// Local address; IPv4 in the first four bytes.
        local_address: [u8; 16],
        /// `AF_INET` or `AF_INET6`.
        family: u16,
        /// Local port.
        local_port: u16,
        /// Named padding, 0.
        pad: [u8; 4],
    }
}

impl Established {
    /// Local address, IPv4 as mapped.
    pub fn local(&self) -> Ipv6Addr {
        mapped(self.family, self.local_address)
    }
}

/// The call failed with EPERM.
pub const ENFORCED_DENIED: u8 = 1;
/// The call went on; it would have failed where enforcement is on.
pub const ENFORCED_DRY_RUN: u8 = 2;

record! {
    /// What was decided about a call that connects, or that sends a first datagram.
    Enforced, 32 {
        /// Address asked for, IPv4 as mapped.
        peer_address: [u8; 16],
        /// The daemon's number of the rule.
        rule: u32,
        /// Port asked for.
        peer_port: u16,
        /// `TRANSPORT_*`.
        transport: u8,
        /// `ENFORCED_*`.
        action: u8,
        /// Named padding, 0.
        pad: [u8; 8],
    }
}

/// A record with its payload borrowed from the ring buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// Plaintext.
    TlsData(TlsData, &'a [u8]),
    /// Server name as the client wrote it.
    TlsName(TlsName, &'a [u8]),
    /// Handle freed.
    TlsFree(TlsFree),
    /// Connection seen.
    Connect(Connect),
    /// Connection ended.
    Close(Close),
    /// Image replaced.
    Exec,
    /// Process ended.
    Exit,
    /// Executable mapping made.
    MapExec,
    /// Socket of a flow.
    Tie(Tie),
    /// Answer of a name server.
    Dns(Dns, &'a [u8]),
    /// Call denied, or let go in a dry run.
    Enforced(Enforced),
    /// Connection established.
    Established(Established),
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than the layout or its `len` says.
    Truncated,
    /// A kind that this daemon does not know.
    UnknownKind(u16),
}

impl From<Truncated> for DecodeError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// Reads one record from the bytes of a ring-buffer entry.
///
/// # Errors
/// [`DecodeError`] when the bytes are too few or of an unknown kind.
pub fn decode(bytes: &[u8]) -> Result<(Header, Body<'_>), DecodeError> {
    let mut r = Reader::new(bytes);
    let header = Header::read(&mut r)?;
    let body = match header.kind {
        KIND_TLS_DATA => {
            let data = TlsData::read(&mut r)?;
            Body::TlsData(data, r.bytes(data.len as usize)?)
        }
        KIND_TLS_NAME => {
            let name = TlsName::read(&mut r)?;
            Body::TlsName(name, r.bytes(name.len as usize)?)
        }
        KIND_TLS_FREE => Body::TlsFree(TlsFree::read(&mut r)?),
        KIND_CONNECT => Body::Connect(Connect::read(&mut r)?),
        KIND_CLOSE => Body::Close(Close::read(&mut r)?),
        KIND_EXEC => Body::Exec,
        KIND_EXIT => Body::Exit,
        KIND_MAP_EXEC => Body::MapExec,
        KIND_TIE => Body::Tie(Tie::read(&mut r)?),
        KIND_DNS => {
            let dns = Dns::read(&mut r)?;
            Body::Dns(dns, r.bytes(dns.len as usize)?)
        }
        KIND_ENFORCED => Body::Enforced(Enforced::read(&mut r)?),
        KIND_ESTABLISHED => Body::Established(Established::read(&mut r)?),
        other => return Err(DecodeError::UnknownKind(other)),
    };
    Ok((header, body))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{vec, vec::Vec};

    use super::*;

    fn tls_data_record(payload: &[u8]) -> Vec<u8> {
        let mut b = vec![0u8; Header::SIZE + TlsData::SIZE];
        b[0..2].copy_from_slice(&KIND_TLS_DATA.to_ne_bytes());
        b[8..16].copy_from_slice(&77u64.to_ne_bytes());
        b[48..52].copy_from_slice(&1234u32.to_ne_bytes());
        b[64..68].copy_from_slice(b"curl");
        let body = Header::SIZE;
        b[body..body + 8].copy_from_slice(&0xabcu64.to_ne_bytes());
        b[body + 8..body + 16].copy_from_slice(&9u64.to_ne_bytes());
        b[body + 24..body + 28].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_ne_bytes());
        b[body + 32] = DIRECTION_RECEIVED;
        b.extend_from_slice(payload);
        b
    }

    #[test]
    fn a_data_record_gives_back_its_fields_and_payload() {
        let (h, body) = decode(&tls_data_record(b"hello"))
            .map(|(h, b)| (h, std::format!("{b:?}")))
            .unwrap();
        assert_eq!(
            (h.kind, h.time_ns, h.pid, &h.comm[..5]),
            (KIND_TLS_DATA, 77, 1234, &b"curl\0"[..])
        );
        assert!(
            body.contains("offset: 9") && body.contains("104, 101, 108, 108, 111"),
            "{body}"
        );
    }

    #[test]
    fn bytes_behind_the_payload_are_not_part_of_the_record() {
        let mut bytes = tls_data_record(b"hello");
        bytes.extend_from_slice(b"stale bytes of another flow");
        let Ok((_, Body::TlsData(_, payload))) = decode(&bytes) else {
            panic!("not decoded")
        };
        assert_eq!(payload, b"hello");
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let bytes = tls_data_record(b"hello");
        let Ok((header, Body::TlsData(data, payload))) = decode(&bytes) else {
            panic!("a record of TLS data");
        };
        let mut written = Vec::new();
        header.write(&mut written);
        data.write(&mut written);
        written.extend_from_slice(payload);
        assert_eq!(written, bytes);
    }

    #[test]
    fn every_cut_of_a_record_is_an_error_and_not_a_panic() {
        let bytes = tls_data_record(b"hello");
        for n in 0..bytes.len() {
            assert_eq!(decode(&bytes[..n]), Err(DecodeError::Truncated), "cut at {n}");
        }
    }

    #[test]
    fn a_length_beyond_the_entry_is_refused() {
        let mut bytes = tls_data_record(b"hello");
        bytes[Header::SIZE + 24..Header::SIZE + 28].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(decode(&bytes), Err(DecodeError::Truncated));
    }

    #[test]
    fn an_unknown_kind_is_named() {
        let mut bytes = tls_data_record(b"");
        bytes[0..2].copy_from_slice(&999u16.to_ne_bytes());
        assert_eq!(decode(&bytes), Err(DecodeError::UnknownKind(999)));
    }
}
