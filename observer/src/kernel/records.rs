//! Reads the ring buffer.

use std::{io, os::fd::AsFd, time::Duration};

use aya::maps::{MapData, RingBuf};
use rustix::event::{PollFd, PollFlags, poll};

/// Reader of the kernel's records.
pub struct Records(RingBuf<MapData>);

impl Records {
    /// Takes over the ring buffer.
    pub fn new(ring: RingBuf<MapData>) -> Self {
        Self(ring)
    }

    /// Waits at most `timeout` for records.
    ///
    /// # Errors
    /// What `poll(2)` says; an interruption by a signal is none.
    pub fn wait(&self, timeout: Duration) -> io::Result<()> {
        let fd = self.0.as_fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        let timeout = timeout.try_into().map_err(io::Error::other)?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Hands at most `most` records to `take`; gives how many there were.
    pub fn drain(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> usize {
        for n in 0..most {
            let Some(record) = self.0.next() else { return n };
            take(&record);
        }
        most
    }
}
