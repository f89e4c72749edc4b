//! Progress on a terminal; nothing elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use crate::{report::text::safe, verify::Progress};

/// A bar on standard error.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar where standard error is a terminal.
    pub(super) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(0);
        let style = "{wide_msg} [{bar:30}] {human_pos}/{human_len} rows, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Takes it away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn expect(&mut self, rows: u64) {
        self.0.set_length(rows);
    }

    fn read(&mut self, rows: u64) {
        self.0.inc(rows);
    }

    fn host(&mut self, host: &str) {
        self.0.set_message(safe(host));
    }
}
