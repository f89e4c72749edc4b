//! Where the ssh session of a process comes from: the peer of the socket that its `sshd` holds. The environment would say it
//! too, but a process can write its own.

use std::{
    fs,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Names of the processes of OpenSSH that hold the connection.
pub(super) const NAMES: [&str; 2] = ["sshd", "sshd-session"];
/// Most of the table of sockets that is read, in bytes.
const MAX_TABLE: u64 = 4 << 20;
/// Most descriptors that are looked at.
const MAX_DESCRIPTORS: usize = 256;
/// TCP_ESTABLISHED, as the table writes it.
const ESTABLISHED: &str = "01";

/// Address at the other end of an established connection of this process, which must be root's: anybody can call a program of his own `sshd`. Of a
/// user's session the part of OpenSSH that watches over it (`[priv]`) holds the connection, too, and stays root's.
pub(super) fn peer(pid: u32) -> Option<IpAddr> {
    (super::proc::real_uid(pid) == Some(0)).then(|| peer_of(pid))?
}

fn peer_of(pid: u32) -> Option<IpAddr> {
    let sockets = sockets(pid);
    if sockets.is_empty() {
        return None;
    }
    ["tcp", "tcp6"].into_iter().find_map(|table| {
        let mut text = Vec::new();
        let file = fs::File::open(format!("/proc/{pid}/net/{table}")).ok()?;
        file.take(MAX_TABLE).read_to_end(&mut text).ok()?;
        peer_in(&String::from_utf8_lossy(&text), &sockets)
    })
}

fn sockets(pid: u32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let inode = |entry: fs::DirEntry| {
        let link = fs::read_link(entry.path()).ok()?;
        link.to_str()?
            .strip_prefix("socket:[")?
            .strip_suffix(']')?
            .parse()
            .ok()
    };
    entries
        .flatten()
        .take(MAX_DESCRIPTORS)
        .filter_map(inode)
        .collect()
}

/// Remote address of the first established socket with one of these inodes (proc_net(5)).
fn peer_in(table: &str, inodes: &[u64]) -> Option<IpAddr> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (remote, state, inode) = (fields.get(2)?, fields.get(3)?, fields.get(9)?);
        let ours = inode.parse().is_ok_and(|inode| inodes.contains(&inode));
        (*state == ESTABLISHED && ours).then(|| address(remote))?
    })
}

/// `0100007F:0016`: words of the address in the byte order of the machine.
fn address(text: &str) -> Option<IpAddr> {
    let (words, _) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for at in (0..words.len()).step_by(8) {
        let word = u32::from_str_radix(words.get(at..at + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_peer_of_the_own_socket_is_found() {
        const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0\n   \
            1: 0100007F:0016 0702A8C0:D431 01 00000000:00000000 00:00000000 00000000     0        0 78 1 0\n";
        assert_eq!(peer_in(TABLE, &[77, 78]), Some(IpAddr::from([192, 168, 2, 7])));
        assert_eq!(peer_in(TABLE, &[77]), None, "it only listens");
        assert_eq!(peer_in("", &[1]), None);
        assert_eq!(
            address("0000000000000000FFFF00000702A8C0:0001"),
            Some(IpAddr::from([192, 168, 2, 7]))
        );
        for text in ["", ":", "01:1", "zz00007F:1", "0100007F", "0100007F0100007F:1"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn a_real_connection_has_its_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let me = std::process::id();
        assert_eq!(peer_of(me), Some(IpAddr::from([127, 0, 0, 1])));
        let is_root = rustix::process::getuid().is_root();
        assert_eq!(
            peer(me).is_some(),
            is_root,
            "one that is not root's may be anybody's"
        );
    }
}
