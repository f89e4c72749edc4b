//! What survives a restart (shell): private keys and the head of the chain, as files of the state directory. Every file is
//! written whole and atomically; what others could have changed or read is refused.

mod certificates;
mod files;
mod head;
mod key_file;
mod keys;

pub use files::{
    check_owner, lock, make_dir, make_private_dir, owned_by_us, read_private, read_private_bytes,
    write_atomic, write_whole,
};
pub use head::{Begin, Head, HeadFile};
pub use keys::{KeyNote, Keyring};

/// Directory of the keys below the state directory.
pub const KEYS_DIR: &str = "keys";

/// Directory of the head of the chain below the state directory.
pub const CHAIN_DIR: &str = "chain";

/// What was found in executable files, below the state directory.
pub const KNOWN_FILES: &str = "known-files.json";

/// Lock and process id of the daemon that runs, below the directory of what runs.
pub const PID_FILE: &str = "observer.pid";
