//! Who is behind a process id, as long as it lives and afterwards.

use super::*;

fn told(uid: u32, parent_pid: u32) -> Told {
    Told {
        uid,
        parent_pid,
        is_new_image: false,
    }
}

/// A process with the largest id, which nobody has.
fn gone(start_ns: u64) -> ProcessKey {
    ProcessKey {
        pid: u32::MAX - 1,
        start_ns,
    }
}

#[test]
fn a_worker_that_is_gone_has_what_it_inherited() {
    let me = std::process::id();
    let mut processes = Processes::default();
    let comm = proc::stat(me).unwrap().comm;
    let worker = processes.identify(gone(u64::MAX), told(7, me), || comm.clone());
    let parent = processes.parent(me, u64::MAX).unwrap();
    assert_eq!((worker.parent_pid, worker.uid), (me, 7));
    assert_eq!(worker.executable, parent.executable);
    assert!(!worker.executable.is_empty());
    assert_eq!(worker.login_uid, parent.login_uid);
    assert_eq!(
        (worker.ancestry[0].pid, worker.ancestry.len()),
        (me, parent.ancestry.len() + 1)
    );
    // Another name is that of another image, and so is what an exec says.
    let other = processes.identify(gone(u64::MAX - 1), told(7, me), || "other".into());
    let new = Told {
        is_new_image: true,
        ..told(7, me)
    };
    let new = processes.identify(gone(u64::MAX - 2), new, || comm.clone());
    assert_eq!([other.executable.as_str(), &new.executable], ["", ""]);
    assert_eq!([other.ancestry[0].pid, new.ancestry[0].pid], [me, me]);
    // What began later is nobody's parent.
    let early = processes.identify(gone(1), told(7, me), || comm.clone());
    assert_eq!((early.executable.as_str(), early.ancestry.len()), ("", 0));
}

#[test]
fn an_id_that_is_another_process_s_by_now_says_nothing() {
    let me = std::process::id();
    let ticks = proc::stat(me).unwrap().start_ticks;
    let of = |ticks: u64| {
        let key = ProcessKey {
            pid: me,
            start_ns: ticks * ProcessKey::TICK_NS + 7,
        };
        Processes::default().identify(key, told(7, 0), || "x".into())
    };
    assert!(!of(ticks).executable.is_empty());
    let before = of(ticks - 1);
    assert_eq!((before.executable.as_str(), before.parent_pid), ("", 0));
}

#[test]
fn this_process_is_known_with_its_parent_and_executable() {
    let key = ProcessKey {
        pid: std::process::id(),
        start_ns: 1,
    };
    let uid = rustix::process::getuid().as_raw();
    let identity = Processes::default().identify(key, told(uid, 0), || "me".into());
    assert_eq!(
        identity.executable,
        std::env::current_exe().unwrap().to_string_lossy()
    );
    assert!(identity.parent_pid > 0 && !identity.ancestry.is_empty());
    assert_eq!((identity.comm.as_str(), identity.uid), ("me", uid));
}

#[test]
fn a_process_that_became_another_user_has_that_one_and_all_else_as_before() {
    let key = ProcessKey {
        pid: std::process::id(),
        start_ns: 1,
    };
    let mut processes = Processes::default();
    let before = processes.identify(key, told(0, 0), || "me".into());
    let mut after = processes.identify(key, told(65_533, 0), || "not asked".into());
    assert_eq!((before.uid, before.user.as_str()), (0, "root"));
    assert_eq!((after.uid, after.user.as_str()), (65_533, ""));
    assert_eq!(
        (&after.comm, &after.executable, &after.ancestry),
        (&before.comm, &before.executable, &before.ancestry)
    );
    let again = processes.identify(key, told(65_533, 0), String::new);
    assert!(Arc::ptr_eq(&after, &again), "it is remembered");
    // Its file is still to be read, once.
    processes.want_digest(&mut after);
    assert!(is_wanted(&after.executable_digest, 1));
    let back = processes.identify(key, told(0, 0), String::new);
    assert!(
        Arc::ptr_eq(&back.executable_digest, &after.executable_digest),
        "one that is on its way is kept"
    );
}

#[test]
fn an_ancestor_that_is_known_keeps_its_user_where_it_cannot_be_read_any_more() {
    let mut processes = Processes::default();
    let key = ProcessKey {
        start_ns: 7 * ProcessKey::TICK_NS,
        ..gone(0)
    };
    processes.identify(key, told(7, 0), || "shell".into());
    let above = Ancestor {
        pid: key.pid,
        start_ticks: 7,
        comm: "shell".to_owned(),
    };
    assert_eq!(processes.ancestor(&above).uid, 7);
}

#[test]
fn a_process_that_is_gone_is_unknown_but_for_what_the_record_says() {
    let identity = Processes::default().identify(gone(1), told(0, 0), || "gone".into());
    assert_eq!(
        (identity.comm.as_str(), identity.executable.as_str()),
        ("gone", "")
    );
    assert_eq!((identity.parent_pid, identity.login_uid), (0, u32::MAX));
}

#[test]
fn a_client_that_was_not_found_is_looked_for_again_later() {
    let mut processes = Processes::default();
    // Nobody is above it, so nobody is found.
    let key = gone(1);
    let mut identity = processes.identify(key, told(0, 0), String::new);
    processes.want_stdio_client(&mut identity, 5);
    assert_eq!(processes.no_client[&key], 5 + NO_CLIENT_NS);
    processes.want_stdio_client(&mut identity, 6);
    assert_eq!(processes.no_client[&key], 5 + NO_CLIENT_NS, "not looked for");
    processes.want_stdio_client(&mut identity, 5 + NO_CLIENT_NS);
    assert_eq!(processes.no_client[&key], 5 + 2 * NO_CLIENT_NS);
    processes.replaced(key);
    assert!(processes.no_client.is_empty());
}

#[test]
fn the_table_of_processes_is_bounded() {
    let mut processes = Processes::default();
    for n in 0..=MAX_PROCESSES as u64 {
        processes.identify(gone(n), told(0, 0), String::new);
    }
    assert!(processes.known.len() <= MAX_PROCESSES);
}
