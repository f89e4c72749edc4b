//! This host.

use std::fs;

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Who this host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Stable id: `/etc/machine-id` (machine-id(5)), else the host's name.
    pub id: String,
    /// `host.name`.
    pub name: String,
    /// Id of this boot; nil where it cannot be read.
    pub boot_id: Uuid,
    /// SHA-256 of the machine's id, to tell a copied state; `None` where the machine has none.
    pub machine: Option<[u8; 32]>,
}

impl Host {
    /// Reads the host's identity; `id` and `name` from the configuration win where they are not empty.
    pub fn read(id: &str, name: &str) -> Self {
        let uname = rustix::system::uname();
        let own_name = uname.nodename().to_string_lossy().into_owned();
        let name = if name.is_empty() {
            own_name
        } else {
            name.to_owned()
        };
        let machine_id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let id = [id, machine_id.trim(), &name]
            .into_iter()
            .find(|s| !s.is_empty())
            .unwrap_or("unknown")
            .to_owned();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            id,
            name,
            boot_id: boot.trim().parse().unwrap_or(Uuid::nil()),
            machine: (!machine_id.trim().is_empty()).then(|| Sha256::digest(machine_id.trim()).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_names_win_and_something_is_always_there() {
        let configured = Host::read("my-id", "my-name");
        assert_eq!(
            (configured.id.as_str(), configured.name.as_str()),
            ("my-id", "my-name")
        );
        let own = Host::read("", "");
        assert!(!own.id.is_empty() && !own.boot_id.is_nil());
    }
}
