//! Cuts connections that were made: `SOCK_DESTROY` of sock_diag(7), which ends a socket with an error for its owner, whatever
//! it is doing. It needs CAP_NET_ADMIN and a kernel with CONFIG_INET_DIAG_DESTROY.
//!
//! A socket is known by its inode, which `/proc/PID/fd` tells, so that no other one of the same process is hit. Sockets are looked
//! for in the network namespace of their process: a thread of its own goes there, which needs CAP_SYS_ADMIN.

use std::{
    fs, io,
    os::fd::AsFd,
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use observer_common::wire::{Connect, TRANSPORT_TCP, TRANSPORT_UDP};
use rustix::{
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// Cuts that wait for their turn.
const WAITING: usize = 256;
/// A connection that has just begun is not in the kernel's tables yet: it is looked for again so often, so far apart.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);
/// Longest wait for the kernel's answer.
const ANSWER: Duration = Duration::from_secs(1);
/// Most descriptors of a process that are looked at.
const MAX_DESCRIPTORS: usize = 4_096;

/// A connection to be cut, with what the caller wants back.
#[derive(Debug)]
pub struct Cut<T> {
    /// Whose.
    pub pid: u32,
    /// Which, as the kernel told it when it began.
    pub connect: Connect,
    /// Comes back with the result.
    pub tag: T,
}

/// A thread that cuts.
pub struct Cutter<T> {
    wanted: SyncSender<Cut<T>>,
    done: Receiver<(T, anyhow::Result<()>)>,
}

impl<T: Send + 'static> Cutter<T> {
    /// Starts the thread. It ends with this value.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start() -> io::Result<Self> {
        let (wanted, work) = sync_channel::<Cut<T>>(WAITING);
        let (results, done) = sync_channel(WAITING * 2);
        thread::Builder::new().name("cutter".into()).spawn(move || {
            while let Ok(cut) = work.recv() {
                let result = destroy(cut.pid, &cut.connect);
                if results.send((cut.tag, result)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { wanted, done })
    }

    /// Asks for a cut; gives the tag back when too many wait.
    ///
    /// # Errors
    /// The tag.
    pub fn want(&self, cut: Cut<T>) -> Result<(), T> {
        self.wanted.try_send(cut).map_err(|error| match error {
            TrySendError::Full(cut) | TrySendError::Disconnected(cut) => cut.tag,
        })
    }

    /// A cut that was tried.
    pub fn done(&self) -> Option<(T, anyhow::Result<()>)> {
        self.done.try_recv().ok()
    }
}

/// Ends the socket of a connection.
///
/// # Errors
/// Why it could not be ended: gone, not to be told from another one, no right.
pub fn destroy(pid: u32, connect: &Connect) -> anyhow::Result<()> {
    let inodes = inodes(pid, connect.fd)?;
    if is_own_network(pid) {
        return destroy_here(connect, &inodes);
    }
    let place = PathBuf::from(format!("/proc/{pid}/ns/net"));
    let file = fs::File::open(&place).with_context(|| place.display().to_string())?;
    let connect = *connect;
    let there = thread::Builder::new().name("cutter-net".into()).spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .context("cannot enter the network of the process (it needs CAP_SYS_ADMIN)")?;
        destroy_here(&connect, &inodes)
    })?;
    there.join().unwrap_or_else(|_| bail!("the thread panicked"))
}

fn is_own_network(pid: u32) -> bool {
    let of = |path: String| fs::read_link(path).ok();
    of(format!("/proc/{pid}/ns/net")) == of("/proc/self/ns/net".to_owned())
}

/// Inodes of the socket at `fd` of a process; of all its sockets where that is not known.
fn inodes(pid: u32, fd: i32) -> anyhow::Result<Vec<u32>> {
    let inode = |path: PathBuf| socket_inode(fs::read_link(path).ok()?.to_str()?);
    let folder = PathBuf::from(format!("/proc/{pid}/fd"));
    if fd >= 0
        && let Some(found) = inode(folder.join(fd.to_string()))
    {
        return Ok(vec![found]);
    }
    let entries = fs::read_dir(&folder).with_context(|| format!("process {pid} is gone"))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let found: Vec<u32> = paths.take(MAX_DESCRIPTORS).filter_map(inode).collect();
    if found.is_empty() {
        bail!("process {pid} has no socket any more");
    }
    Ok(found)
}

/// `socket:[123]`, as `/proc/PID/fd` names a socket.
fn socket_inode(link: &str) -> Option<u32> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn destroy_here(connect: &Connect, inodes: &[u32]) -> anyhow::Result<()> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )
    .context("sock_diag")?;
    set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER)).context("sock_diag")?;
    let mut tries = TRIES;
    loop {
        send(&socket, &request(DUMP, connect, None), SendFlags::empty()).context("sock_diag")?;
        let found = found(&socket, connect, inodes)?;
        match found.as_slice() {
            [] if tries > 1 => {
                tries -= 1;
                thread::sleep(BETWEEN_TRIES);
            }
            [] => bail!("the connection is gone, or not of this network"),
            [id] => {
                send(&socket, &request(DESTROY, connect, Some(id)), SendFlags::empty())
                    .context("SOCK_DESTROY")?;
                return acknowledged(&socket);
            }
            _ => bail!("the process has several connections to this peer, and nothing says which"),
        }
    }
}

/// What is asked: type and flags of a message (linux/netlink.h, linux/sock_diag.h).
type Question = (u16, u16);
const DUMP: Question = (20, 0x301);
const DESTROY: Question = (21, 0x5);
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// Length of `struct nlmsghdr`.
const HEAD: usize = 16;
/// Length of `struct inet_diag_sockid`.
const ID: usize = 48;
/// Where it stands in `struct inet_diag_msg`, and the inode behind it.
const ID_AT: usize = 4;
const INODE_AT: usize = 68;

/// A message with a `struct inet_diag_req_v2`; without an id it asks for all sockets to the peer's port.
fn request((kind, flags): Question, connect: &Connect, id: Option<&[u8; ID]>) -> Vec<u8> {
    let mut sockets = [0; ID];
    match id {
        Some(id) => sockets = *id,
        // Datagram sockets need not be connected.
        None if connect.transport == TRANSPORT_TCP => {
            sockets[2..4].copy_from_slice(&connect.peer_port.to_be_bytes());
        }
        None => {}
    }
    let length = u32::try_from(HEAD + 8 + ID).unwrap_or(0);
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    let family = u8::try_from(connect.family).unwrap_or(0);
    message.extend([family, connect.transport, 0, 0]);
    message.extend(u32::MAX.to_ne_bytes());
    message.extend(sockets);
    message
}

/// Reads answers to a dump: the sockets with one of these inodes that go to the peer.
fn found(socket: impl AsFd, connect: &Connect, inodes: &[u32]) -> anyhow::Result<Vec<[u8; ID]>> {
    let mut buffer = vec![0; 32 * 1024];
    let mut all = Vec::new();
    loop {
        let (n, _) = recv(&socket, &mut buffer[..], RecvFlags::empty()).context("sock_diag")?;
        for (kind, body) in messages(&buffer[..n]) {
            match kind {
                DONE => return Ok(all),
                ERROR => return error_of(body).map(|()| all),
                _ => all.extend(matching(body, connect, inodes)),
            }
        }
    }
}

/// Id of the socket that a `struct inet_diag_msg` speaks of, if it is the one.
fn matching(body: &[u8], connect: &Connect, inodes: &[u32]) -> Option<[u8; ID]> {
    let id: [u8; ID] = body.get(ID_AT..ID_AT + ID)?.try_into().ok()?;
    let inode = u32::from_ne_bytes(body.get(INODE_AT..INODE_AT + 4)?.try_into().ok()?);
    let peer_port = u16::from_be_bytes([id[2], id[3]]);
    let peer = Connect {
        peer_address: id[20..36].try_into().ok()?,
        ..*connect
    };
    let is_connected = peer_port != 0;
    let is_peer = peer_port == connect.peer_port && peer.peer() == connect.peer();
    let is_it = is_peer || (connect.transport == TRANSPORT_UDP && !is_connected);
    (is_it && inodes.contains(&inode)).then_some(id)
}

/// The messages of an answer: type and body of each. What is cut short ends it.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head = bytes.get(..HEAD)?;
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let body = bytes.get(HEAD..length)?;
        // Messages begin at multiples of four.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The error that a message carries; 0 is none.
fn error_of(body: &[u8]) -> anyhow::Result<()> {
    let code = body
        .get(..4)
        .and_then(|b| b.try_into().ok())
        .map_or(-1, i32::from_ne_bytes);
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(-code)).context("SOCK_DESTROY"),
    }
}

fn acknowledged(socket: impl AsFd) -> anyhow::Result<()> {
    let mut buffer = vec![0; 4 * 1024];
    let (n, _) = recv(&socket, &mut buffer[..], RecvFlags::empty()).context("SOCK_DESTROY")?;
    let answer = messages(&buffer[..n]).find(|(kind, _)| *kind == ERROR);
    error_of(answer.map_or(&[], |(_, body)| body))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd,
    };

    use observer_common::wire::AF_INET;

    use super::*;

    fn connect(peer_port: u16, fd: i32) -> Connect {
        let mut peer_address = [0; 16];
        peer_address[..4].copy_from_slice(&[127, 0, 0, 1]);
        Connect {
            peer_address,
            local_address: [0; 16],
            family: AF_INET,
            peer_port,
            local_port: 0,
            flags: 0,
            fd,
            transport: TRANSPORT_TCP,
            pad: [0; 3],
            socket: 0,
        }
    }

    #[test]
    fn inodes_are_read_from_links() {
        assert_eq!(socket_inode("socket:[4711]"), Some(4711));
        for other in ["pipe:[4711]", "socket:[x]", "/tmp/socket:[1]", ""] {
            assert_eq!(socket_inode(other), None, "{other}");
        }
    }

    #[test]
    fn every_cut_of_an_answer_ends_and_none_panics() {
        let mut id = [7; ID];
        id[2..4].copy_from_slice(&443u16.to_be_bytes());
        id[20..24].copy_from_slice(&[127, 0, 0, 1]);
        let mut body = vec![0; 72];
        body[ID_AT..ID_AT + ID].copy_from_slice(&id);
        body[INODE_AT..].copy_from_slice(&4711u32.to_ne_bytes());
        let mut answer = Vec::new();
        answer.extend(88u32.to_ne_bytes());
        answer.extend([20, 0]);
        answer.extend([0; 10]);
        answer.extend(&body);
        let wanted = connect(443, 3);
        let seen: Vec<_> = messages(&answer)
            .map(|(_, body)| matching(body, &wanted, &[4711]))
            .collect();
        assert_eq!(seen, [Some(id)]);
        assert_eq!(matching(&body, &connect(444, 3), &[4711]), None);
        assert_eq!(matching(&body, &wanted, &[4712]), None);
        for n in 0..answer.len() {
            assert_eq!(messages(&answer[..n]).count(), 0, "cut at {n}");
            let _ = matching(&answer[..n], &wanted, &[4711]);
        }
        let mut endless = answer.clone();
        endless[..4].copy_from_slice(&0u32.to_ne_bytes());
        assert_eq!(messages(&endless).count(), 0);
    }

    /// On the kernel of this machine, as root: the socket of this very process.
    #[test]
    fn a_connection_is_cut_and_its_neighbour_is_not() {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP: needs root");
            return;
        }
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let (mut cut, mut other) = (
            TcpStream::connect(("127.0.0.1", port)).unwrap(),
            TcpStream::connect(("127.0.0.1", port)).unwrap(),
        );
        let _accepted = (server.accept().unwrap(), server.accept().unwrap());
        let several = destroy(std::process::id(), &connect(port, -1))
            .unwrap_err()
            .to_string();
        assert!(several.contains("several connections"), "{several}");
        destroy(std::process::id(), &connect(port, cut.as_raw_fd())).unwrap();
        let error = cut.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        other.write_all(b"x").unwrap();
        let gone = destroy(std::process::id(), &connect(port, cut.as_raw_fd()))
            .unwrap_err()
            .to_string();
        assert!(gone.contains("gone"), "{gone}");
    }
}
