//! Who wrote a record.

use std::sync::Arc;

use observer_common::wire::{Body, CLASS_UNDECIDED, Header, STACK_STDIO};

use crate::{
    identity::{Identity, ProcessKey, Processes, Told},
    pipeline::is_of_socket,
};

/// Identity of the process that a record speaks of, with what it is wanted for.
pub(super) fn who(processes: &mut Processes, header: &Header, body: &Body<'_>) -> Arc<Identity> {
    let key = ProcessKey::of(header);
    if is_of_socket(body) {
        // The kernel writes it where a packet or the end of the descriptors is handled, often behind the end of the process: user and name are
        // those of whatever ran there, and a process that is gone must not be remembered once more, since nothing tells its end again.
        return processes.known(key);
    }
    let told = Told {
        uid: header.uid,
        parent_pid: header.parent_pid,
        is_new_image: matches!(body, Body::Exec),
    };
    let mut identity = processes.identify(key, told, || comm(header));
    if matches!(body, Body::Connect(_)) {
        processes.want_digest(&mut identity);
    }
    if let Body::TlsData(data, _) = body
        && data.stack == STACK_STDIO
        && data.class == CLASS_UNDECIDED
    {
        processes.want_stdio_client(&mut identity, header.time_ns);
    }
    identity
}

fn comm(header: &Header) -> String {
    let end = header
        .comm
        .iter()
        .position(|b| *b == 0)
        .unwrap_or(header.comm.len());
    String::from_utf8_lossy(&header.comm[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use observer_common::wire::{Close, Established};

    use super::*;

    #[test]
    fn the_end_of_a_socket_brings_no_process_back() {
        let mut processes = Processes::default();
        let header = Header {
            kind: 0,
            flags: 0,
            cpu: 0,
            time_ns: 9,
            process_start_ns: 5,
            flow_id: 0,
            connection_id: 1,
            cgroup_id: 0,
            pid: u32::MAX - 1,
            tid: 0,
            uid: 7,
            parent_pid: 0,
            comm: *b"client\0\0\0\0\0\0\0\0\0\0",
        };
        let close = Body::Close(Close {
            sent: 0,
            received: 0,
            flags: 0,
            local_port: 0,
        });
        let established = Body::Established(Established {
            local_address: [0; 16],
            family: 2,
            local_port: 0,
            pad: [0; 4],
        });
        let lives = who(&mut processes, &header, &Body::Exit);
        assert_eq!((lives.comm.as_str(), lives.uid), ("client", 7));
        // What interrupted another task has that one's name and user.
        let elsewhere = Header {
            uid: 0,
            comm: *b"swapper\0\0\0\0\0\0\0\0\0",
            ..header
        };
        assert!(Arc::ptr_eq(&lives, &who(&mut processes, &elsewhere, &close)));
        processes.ended(lives.key);
        for body in [&close, &established] {
            let gone = who(&mut processes, &elsewhere, body);
            assert_eq!(
                (gone.key, gone.comm.as_str(), gone.uid),
                (lives.key, "", u32::MAX)
            );
        }
        // Nothing was remembered: the next record of its own is read anew.
        let again = who(&mut processes, &header, &Body::Exit);
        assert_eq!((again.comm.as_str(), again.uid), ("client", 7));
    }
}
