//! Becoming an ordinary user, for good.

use std::{fs, os::unix::fs::chown, path::Path};

use anyhow::{Context, bail};
use rustix::{
    process::{Gid, Uid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use crate::state::make_dir;

const USERS: &str = "/etc/passwd";

/// Makes this thread, which must be the only one, run as `name`, with `directory` as its own. There is no way back, and no
/// capability is left.
///
/// # Errors
/// When there is no such user, or it may not be done.
pub fn become_user(name: &str, directory: &Path) -> anyhow::Result<()> {
    let users = fs::read_to_string(USERS).with_context(|| format!("cannot read {USERS}"))?;
    let (uid, gid) = find(&users, name).with_context(|| {
        format!("there is no user {name} in {USERS}: make one, or change store.embedded.user")
    })?;
    if uid == 0 {
        bail!("store.embedded.user: {name} is root, which is no ordinary user");
    }
    make_dir(directory, 0o700)?;
    give(directory, uid, gid)?;
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_groups(&[]).context("groups")?;
    set_thread_res_gid(group, group, group).with_context(|| format!("cannot become group {gid}"))?;
    set_thread_res_uid(user, user, user).with_context(|| format!("cannot become user {name}"))?;
    Ok(())
}

/// The files of a store that ran as somebody else before go to the new user. Links are not followed.
fn give(path: &Path, uid: u32, gid: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let shown = || format!("{}: cannot be given to user {uid}", path.display());
    let metadata = fs::symlink_metadata(path).with_context(shown)?;
    if metadata.uid() == uid {
        return Ok(());
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).with_context(shown)? {
            give(&entry.with_context(shown)?.path(), uid, gid)?;
        }
    }
    // Last: a directory that is given is one whose files are, too.
    if metadata.is_symlink() {
        return Ok(());
    }
    chown(path, Some(uid), Some(gid)).with_context(shown)
}

/// Ids of user and group in the text of `/etc/passwd` (passwd(5)).
fn find(users: &str, name: &str) -> Option<(u32, u32)> {
    let mut columns = users
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut columns| (columns.next() == Some(name)).then_some(columns))?;
    let uid = columns.nth(1)?.parse().ok()?;
    Some((uid, columns.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nstore2:x:7:8::/:\nstore:x:997:996::/srv:/usr/sbin/nologin\nbroken:x\n";
        assert_eq!(find(users, "store"), Some((997, 996)));
        assert_eq!(find(users, "stor"), None);
        assert_eq!(find(users, "broken"), None);
    }

    #[test]
    fn root_is_refused_before_anything_changes() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("store");
        let error = become_user("root", &inside).unwrap_err().to_string();
        assert!(error.contains("no ordinary user") && !inside.exists(), "{error}");
    }
}
