use super::*;
use crate::kernel::attach::AttachedStack;

fn id(inode: u64) -> FileId {
    FileId::numbered(inode)
}

fn file(kind: Kind, opaque: Option<OpaqueReason>, since_ns: u64) -> TlsFile {
    TlsFile {
        path: "/lib/x".to_owned(),
        stacks: vec![AttachedStack {
            kind,
            how: How::Symbols,
            version: None,
            probes: Vec::new(),
            opaque,
            carries_plaintext: true,
        }],
        since_ns,
    }
}

#[test]
fn an_unreadable_stack_counts_before_a_readable_one() {
    let mut inventory = Inventory::default();
    assert!(inventory.is_new(id(1)) && inventory.is_new(id(2)) && !inventory.is_new(id(1)));
    inventory.mapped(9, &[id(1)], 3, Extent::Whole);
    assert_eq!(inventory.readability(9), Readability::Unknown, "being examined");
    inventory.examined(id(1));
    assert_eq!(inventory.readability(9), Readability::NoStack { looked_ns: 3 });
    inventory.replaced(9);
    inventory.found(id(1), file(Kind::OpenSsl, None, 5));
    inventory.found(id(2), file(Kind::Ring, Some(OpaqueReason::Ring), 6));
    inventory.mapped(10, &[id(1)], 3, Extent::Whole);
    inventory.mapped(11, &[id(1), id(2)], 3, Extent::Whole);
    inventory.mapped(12, &[], 3, Extent::Whole);
    assert_eq!(inventory.readability(10), Readability::Readable { since_ns: 5 });
    assert_eq!(inventory.readability(11), Readability::Opaque(OpaqueReason::Ring));
    assert_eq!(inventory.readability(12), Readability::NoStack { looked_ns: 3 });
    assert_eq!(inventory.readability(13), Readability::Unknown);
    assert_eq!(inventory.process_counts(), (2, 1, 1));
    assert_eq!(
        inventory.opaque_stacks(),
        [(11, Kind::Ring.name(), OpaqueReason::Ring)]
    );
    // A file that was mapped behind the look may be the one that counts.
    inventory.changes(10, 7);
    assert_eq!(inventory.readability(10), Readability::Unknown);
    inventory.mapped(10, &[id(1)], 6, Extent::Whole);
    assert_eq!(
        inventory.readability(10),
        Readability::Unknown,
        "looked at before"
    );
    inventory.mapped(10, &[id(1)], 7, Extent::Whole);
    assert_eq!(inventory.readability(10), Readability::Readable { since_ns: 5 });
    assert!(inventory.is_new(id(3)));
    inventory.mapped(10, &[id(1), id(3)], 8, Extent::Whole);
    assert_eq!(inventory.readability(10), Readability::Unknown, "being examined");
    inventory.changes(10, 9);
    inventory.keep(&BTreeSet::from([11]));
    assert!(inventory.changed.is_empty());
    inventory.keep(&BTreeSet::from([10]));
    assert_eq!(inventory.opaque_stacks(), []);
}

#[test]
fn how_a_stack_was_found_is_known_by_process_and_only_when_it_is_one_way() {
    let mut inventory = Inventory::default();
    let how = |kind, how, opaque| {
        let mut file = file(kind, opaque, 5);
        file.stacks[0].how = how;
        Some(file)
    };
    let files = [
        how(Kind::OpenSsl, How::Symbols, None),
        how(Kind::OpenSsl, How::Structure, None),
        how(Kind::OpenSsl, How::Symbols, Some(OpaqueReason::StaticOpenSsl)),
        how(Kind::GoTls, How::Pclntab, None),
    ];
    for (inode, file) in (1..).zip(files) {
        inventory.files.insert(id(inode), file);
    }
    inventory.mapped(10, &[id(1), id(4)], 3, Extent::Whole);
    inventory.mapped(11, &[id(1), id(2)], 3, Extent::Whole);
    inventory.mapped(12, &[id(2), id(3)], 3, Extent::Whole);
    assert_eq!(inventory.found_by(10, wire::STACK_OPENSSL), Some(How::Symbols));
    assert_eq!(inventory.found_by(10, wire::STACK_GO), Some(How::Pclntab));
    assert_eq!(inventory.found_by(10, wire::STACK_BORINGSSL), None);
    assert_eq!(inventory.found_by(11, wire::STACK_OPENSSL), None);
    assert_eq!(inventory.found_by(12, wire::STACK_OPENSSL), Some(How::Structure));
    assert_eq!(inventory.found_by(13, wire::STACK_OPENSSL), None);
}

#[test]
fn a_process_that_is_gone_is_remembered_until_the_next_sweep() {
    let mut inventory = Inventory::default();
    inventory.is_new(id(1));
    inventory.found(id(1), file(Kind::OpenSsl, None, 5));
    inventory.mapped(10, &[id(1)], 3, Extent::Whole);
    inventory.keep(&BTreeSet::new());
    assert_eq!(inventory.readability(10), Readability::Readable { since_ns: 5 });
    assert_eq!(inventory.process_counts(), (0, 0, 0));
    inventory.keep(&BTreeSet::new());
    assert_eq!(inventory.readability(10), Readability::Unknown);
}

#[test]
fn nss_is_read_through_nspr_only() {
    let half = |carries_plaintext| {
        let mut file = file(Kind::Nss, None, 5);
        file.stacks[0].carries_plaintext = carries_plaintext;
        file
    };
    let mut inventory = Inventory::default();
    inventory.is_new(id(1));
    inventory.found(id(1), half(false));
    inventory.mapped(9, &[id(1)], 3, Extent::Whole);
    assert_eq!(inventory.readability(9), Readability::Opaque(OpaqueReason::Nss));
    inventory.is_new(id(2));
    inventory.found(id(2), half(true));
    inventory.mapped(9, &[id(1), id(2)], 3, Extent::Whole);
    assert_eq!(inventory.readability(9), Readability::Readable { since_ns: 5 });
}

#[test]
fn a_process_with_a_file_that_could_not_be_opened_is_a_blind_spot_and_one_that_ended_is_unknown() {
    let mut inventory = Inventory::default();
    for inode in [1, 2] {
        inventory.is_new(id(inode));
    }
    inventory.examined(id(1));
    inventory.found(id(2), file(Kind::OpenSsl, None, 5));
    inventory.mapped(9, &[id(1)], 3, Extent::Part);
    inventory.mapped(10, &[id(1), id(2)], 3, Extent::Part);
    inventory.mapped(11, &[id(1)], 3, Extent::Ended);
    inventory.mapped(12, &[id(2)], 3, Extent::Ended);
    let not_examined = Readability::Opaque(OpaqueReason::NotExamined);
    assert_eq!(inventory.readability(9), not_examined);
    assert_eq!(inventory.readability(10), not_examined);
    assert_eq!(inventory.readability(11), Readability::Unknown);
    assert_eq!(inventory.readability(12), Readability::Readable { since_ns: 5 });
    assert_eq!(inventory.process_counts(), (3, 1, 2));
    let mut found = inventory.opaque_stacks();
    found.sort_unstable();
    assert_eq!(found, [9, 10].map(|pid| (pid, "", OpaqueReason::NotExamined)));
    inventory.mapped(9, &[id(1)], 4, Extent::Whole);
    assert_eq!(inventory.readability(9), Readability::NoStack { looked_ns: 4 });
    assert_eq!(
        inventory.file_of(9, 1),
        Some(id(1)),
        "also when it cannot be opened any more"
    );
    assert_eq!((inventory.file_of(9, 2), inventory.file_of(8, 1)), (None, None));
    // Examined again from the start: nothing is known of it until then.
    inventory.forget(id(1));
    assert_eq!(inventory.readability(9), Readability::Unknown);
}

#[test]
fn a_library_without_programs_for_it_is_a_blind_spot_of_each_process_that_has_it() {
    let mut inventory = Inventory::default();
    inventory.is_new(id(1));
    inventory.not_read(id(1), BTreeSet::from([("wolfssl", OpaqueReason::NotSupported)]));
    inventory.examined(id(1));
    inventory.mapped(9, &[id(1)], 3, Extent::Whole);
    assert_eq!(
        inventory.readability(9),
        Readability::Opaque(OpaqueReason::NotSupported)
    );
    assert_eq!(
        inventory.opaque_stacks(),
        [(9, "wolfssl", OpaqueReason::NotSupported)]
    );
    assert_eq!(inventory.process_counts(), (1, 0, 1));
    assert_eq!(inventory.tls_files().count(), 0);
    inventory.forget(id(1));
    assert_eq!(inventory.opaque_stacks(), []);
}

#[test]
fn a_file_that_two_file_systems_show_is_one_of_the_process() {
    let mut inventory = Inventory::default();
    for inode in [1, 2] {
        inventory.is_new(id(inode));
    }
    inventory.found(id(1), file(Kind::GoTls, None, 5));
    inventory.mapped(9, &[id(2)], 3, Extent::Whole);
    inventory.is_also(id(2), id(1));
    assert_eq!(inventory.readability(9), Readability::Readable { since_ns: 5 });
    assert!(!inventory.knows(id(2)) && inventory.tls_files().count() == 1);
}
