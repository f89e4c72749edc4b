//! Real files of this machine, and files made to deceive.

use super::*;

#[test]
fn compare() {
    for path in std::env::var("STACK_FILES").unwrap_or_default().split(':') {
        let Ok(file) = File::open(path) else { continue };
        println!(
            "{path}\n names {:#x?}\n structure {:#x?}",
            examine_with(&file, true),
            examine_with(&file, false)
        );
    }
}
