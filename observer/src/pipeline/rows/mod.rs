//! Redaction: from facts in memory to rows that may be stored. What is not named here does not leave.

mod connection;
mod contradiction;
mod finding;
mod interaction;
mod judgement;

use observer_common::wire::{
    STACK_AWS_LC, STACK_BORINGSSL, STACK_GNUTLS, STACK_GO, STACK_NSS, STACK_OPENSSL, STACK_RING,
    STACK_SOCKET, STACK_STDIO, TIE_AFTER_CALL, TIE_IN_CALL, TIE_SOCKET, TRANSPORT_UDP, TRANSPORT_UNIX,
};

use super::{agents::Session, connections::Connection, flows::Flow, sockets::TIE_BY_NAME};
use crate::{
    exchange::{Exchange, Product},
    kubernetes::Where,
    sensitive::ScanReport,
};
pub(super) use connection::{connection, is_hub, set_connection_process};
pub(super) use finding::findings;
pub(super) use interaction::interaction;
pub(super) use judgement::set_connection_judgement;

/// Everything was read.
pub(super) const DECODED: &str = "decoded";
/// Something was not.
pub(super) const PARTIAL: &str = "partial";
/// Nothing was.
const OPAQUE: &str = "opaque";

/// Longest text that is taken over from the wire into a row.
const MAX_TEXT: usize = 512;

/// What the row of an exchange is made of.
pub(super) struct Of<'a> {
    pub flow: &'a Flow,
    pub connection: Option<&'a Connection>,
    pub exchange: &'a Exchange,
    pub report: &'a ScanReport,
    pub session: Option<&'a Session>,
    pub conversation: &'a str,
    pub mcp_server: &'a Product,
    pub place: Where<'a>,
}

/// Where a process runs, in interactions and connections. The uid of a pod stands in the path of its control group; all else is known from
/// the API server only.
macro_rules! set_place {
    ($row:expr, $process:expr, $place:expr) => {{
        let (process, place): (&Identity, &Where<'_>) = ($process, $place);
        let row = &mut *$row;
        row.k8s_cluster_name = place.cluster.to_owned();
        row.k8s_node_name = place.node.to_owned();
        row.k8s_pod_uid.clone_from(&process.pod_uid);
        if let Some(pod) = place.pod {
            row.k8s_pod_uid.clone_from(&pod.uid);
            row.k8s_namespace_name.clone_from(&pod.namespace);
            row.k8s_pod_name.clone_from(&pod.pod);
            row.k8s_workload_kind.clone_from(&pod.workload_kind);
            row.k8s_workload_name.clone_from(&pod.workload);
            row.k8s_service_account.clone_from(&pod.service_account);
        }
        if let Some(container) = place.container {
            row.k8s_container_name.clone_from(&container.name);
            row.container_image_name.clone_from(&container.image);
            row.container_image_digest.clone_from(&container.digest);
        }
    }};
}
use set_place;

/// Whose it is, in interactions and connections.
macro_rules! set_identity {
    ($row:expr, $process:expr) => {{
        let process: &Identity = $process;
        let row = &mut *$row;
        row.container_id.clone_from(&process.container_id);
        row.process_pid = process.key.pid;
        row.process_parent_pid = process.parent_pid;
        row.process_start_ns = process.key.start_ns;
        row.process_comm = text(&process.comm);
        row.process_executable_path = text(&process.executable);
        row.process_ancestry = process.ancestry.iter().map(|above| text(&above.comm)).collect();
        row.user_id = process.uid;
        row.login_uid = process.login_uid;
        row.user_name.clone_from(&process.user);
        let lineage = &process.lineage;
        row.login_user_name.clone_from(&lineage.login_user);
        row.audit_session_id = lineage.audit_session;
        row.process_tty.clone_from(&lineage.tty);
        row.ssh_client_address = lineage
            .ssh_client
            .map(|address| address.to_string())
            .unwrap_or_default();
        row.invoking_user_id = lineage.invoking_uid.unwrap_or(LOGIN_UID_UNSET);
    }};
}
use set_identity;

/// Name of a TLS stack (`wire::STACK_*`); empty when none gave plaintext.
fn stack_name(stack: u8) -> &'static str {
    match stack {
        STACK_OPENSSL => "openssl",
        STACK_BORINGSSL => "boringssl",
        STACK_GNUTLS => "gnutls",
        STACK_GO => "go",
        STACK_NSS => "nss",
        STACK_AWS_LC => "rustls_aws_lc",
        STACK_RING => "rustls_ring",
        STACK_SOCKET | STACK_STDIO => "none",
        _ => "",
    }
}

fn transport_name(of: &Connection) -> &'static str {
    match of.connect.transport {
        TRANSPORT_UDP => "udp",
        TRANSPORT_UNIX => "unix",
        _ => "tcp",
    }
}

fn tie_name(tie: u8) -> &'static str {
    match tie {
        TIE_IN_CALL => "in_call",
        TIE_AFTER_CALL => "after_call",
        TIE_SOCKET => "socket",
        TIE_BY_NAME => "server_name",
        _ => "none",
    }
}

/// Wall clock, ns since the Unix epoch, of a time of CLOCK_BOOTTIME.
pub(super) fn wall(boot_ns: u64, offset_ns: i64) -> i64 {
    i64::try_from(boot_ns)
        .unwrap_or(i64::MAX)
        .saturating_add(offset_ns)
}

/// A text from the wire or from a process as it may be stored: bounded, and without control characters, which could
/// speak to a terminal.
pub(super) fn text(raw: &str) -> String {
    let mut end = raw.len().min(MAX_TEXT);
    while !raw.is_char_boundary(end) {
        end -= 1;
    }
    raw[..end]
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character_and_freed_of_control_characters() {
        assert_eq!(text("a\x1b[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
        let long = "ü".repeat(MAX_TEXT);
        assert_eq!(text(&long).len(), MAX_TEXT);
        assert_eq!(text(&format!("a{long}")).len(), MAX_TEXT - 1);
    }

    #[test]
    fn times_beyond_the_range_do_not_overflow() {
        assert_eq!(wall(5, -7), -2);
        assert_eq!(wall(u64::MAX, i64::MAX), i64::MAX);
    }
}
