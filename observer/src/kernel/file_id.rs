//! Which file it is, whatever its path and however it is mounted.

use std::{fs::File, ops::RangeInclusive, os::unix::fs::MetadataExt};

/// Identity of a file on this host. The kernel programs drop the second report of one call, where a file has two all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// 0 on an overlay file system: each container mounts one of its own over the same layers, and a probe sits on the file of the layer, whose
    /// inode's number and time the mounts show. With their devices told apart, each container of an image would bring its probes, for good.
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds of the last change: a library replaced in place is another file. On an overlay file system
    /// that of the inode: a copy-up makes another file of it, which keeps device, number and time of its content.
    changed: (i64, i64),
}

impl FileId {
    /// Identity and size in bytes of an open regular file.
    pub fn of(file: &File) -> Option<(Self, u64)> {
        let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let (device, changed) = if is_on_overlay(file) {
            (0, (meta.ctime(), meta.ctime_nsec()))
        } else {
            (meta.dev(), (meta.mtime(), meta.mtime_nsec()))
        };
        let id = Self {
            device,
            inode: meta.ino(),
            changed,
        };
        Some((id, meta.len()))
    }

    /// Whether the other is the same inode in an earlier or later state. Of an overlay that is not known.
    pub(super) fn is_same_inode(self, other: Self) -> bool {
        self.device != 0 && self.may_be_same_inode(other)
    }

    /// As [`Self::is_same_inode`]; of an overlay whether it can be: the number is that of a file in some layer.
    pub(super) fn may_be_same_inode(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// All states that the inode can be in.
    pub(super) fn states(self) -> RangeInclusive<Self> {
        let at = |seconds, nanoseconds| Self {
            changed: (seconds, nanoseconds),
            ..self
        };
        at(i64::MIN, i64::MIN)..=at(i64::MAX, i64::MAX)
    }

    /// Whether it lies on an overlay file system.
    pub(super) fn is_on_overlay(self) -> bool {
        self.device == 0
    }

    /// Whether it is the inode of this number on this device. Of an overlay that is not known.
    pub(super) fn is_at(self, device: u64, inode: u64) -> bool {
        self.device != 0 && (self.device, self.inode) == (device, inode)
    }

    /// Number of its inode.
    pub(super) fn inode(self) -> u64 {
        self.inode
    }

    /// As another file system shows the same file.
    #[cfg(test)]
    pub(super) fn seen_through_overlay(file: &File) -> Self {
        let meta = file.metadata().unwrap();
        Self {
            device: 0,
            inode: meta.ino(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    #[cfg(test)]
    pub(super) fn numbered(inode: u64) -> Self {
        Self {
            device: 1,
            inode,
            changed: (0, 0),
        }
    }
}

/// Elsewhere the inode's time says too much: each new hard link changes it.
pub(super) fn is_on_overlay(file: &File) -> bool {
    /// `OVERLAYFS_SUPER_MAGIC` of linux/magic.h.
    const OVERLAY: u64 = 0x794c_7630;
    rustix::fs::fstatfs(file).is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| kind == OVERLAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_stays_the_same_whatever_its_times_but_not_on_an_overlay() {
        let now = FileId::numbered(7);
        let later = FileId {
            changed: (1, 0),
            ..now
        };
        assert!(now.is_same_inode(later) && now != later);
        assert!(!now.is_same_inode(FileId::numbered(8)));
        let overlay = FileId { device: 0, ..now };
        assert!(!overlay.is_same_inode(overlay) && overlay.may_be_same_inode(overlay));
        assert!(now.is_at(1, 7) && !now.is_at(2, 7) && !overlay.is_at(0, 7));
        assert!(now.states().contains(&later) && !now.states().contains(&overlay));
    }
}
