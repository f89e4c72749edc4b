//! Programs that were read and are not any more while their connections to AI go on: their build changed, or the probes fell
//! off. Silence would look like no use.

use std::collections::HashMap;

/// Connections in a row without a byte of plaintext that are an alarm. One may fail in its handshake.
const IN_A_ROW: u32 = 3;
/// Most programs remembered.
const MAX_PROGRAMS: usize = 4_096;

#[derive(Debug, Default, Clone, Copy)]
struct Program {
    /// Was read at some time.
    read: bool,
    /// Connections in a row that were not.
    dark: u32,
}

/// Programs by executable and container.
#[derive(Debug, Default)]
pub(super) struct Dark(HashMap<(String, String), Program>);

impl Dark {
    /// A connection to AI ended. Whether that is the one which makes the alarm: once, until the program is read again.
    pub(super) fn connection(&mut self, executable: &str, container: &str, was_read: bool) -> bool {
        if executable.is_empty() {
            return false;
        }
        let key = (executable.to_owned(), container.to_owned());
        if !self.0.contains_key(&key) && (self.0.len() >= MAX_PROGRAMS || !was_read) {
            // What was never read is a blind spot, which has a row of its own.
            return false;
        }
        let program = self.0.entry(key).or_default();
        if was_read {
            *program = Program { read: true, dark: 0 };
            return false;
        }
        program.dark = program.dark.saturating_add(1);
        program.read && program.dark == IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_read_and_goes_dark_is_an_alarm_once() {
        let mut dark = Dark::default();
        let mut see =
            |read: &[bool]| -> Vec<bool> { read.iter().map(|r| dark.connection("/bin/a", "", *r)).collect() };
        assert_eq!(see(&[false; 5]), [false; 5], "never read");
        assert_eq!(see(&[true, false, false, true]), [false; 4], "not in a row");
        assert_eq!(see(&[false, false, false, false]), [false, false, true, false]);
        assert_eq!(
            see(&[true, false, false, false]),
            [false, false, false, true],
            "again"
        );
        assert!(!dark.connection("", "", true) && !dark.connection("/bin/a", "other", false));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut dark = Dark::default();
        for n in 0..=MAX_PROGRAMS {
            dark.connection(&format!("/bin/{n}"), "", true);
        }
        assert_eq!(dark.0.len(), MAX_PROGRAMS);
    }
}
