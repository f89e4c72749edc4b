//! Facts about a call that has not been made yet, as policy asks for them.

use std::sync::Arc;

use super::By;
use crate::{
    evidence::LOGIN_UID_UNSET,
    identity::Identity,
    policy::{Attribute, Attributes, LATE, Subject},
};

/// What the kernel sees of a user.
pub(super) const OF_USER: Attributes = Attributes::of(&[Attribute::User]);
/// What is known of a process once it was seen.
pub(super) const OF_PROCESS: Attributes = Attributes::of(&[
    Attribute::Namespace,
    Attribute::Workload,
    Attribute::ServiceAccount,
    Attribute::LoginUser,
    Attribute::Executable,
]);

/// A user: number and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) number: String,
    pub(super) name: String,
}

/// Facts of a process as words.
#[derive(Debug, Clone)]
pub(super) struct Process {
    identity: Arc<Identity>,
    login_uid: String,
}

impl Process {
    pub(super) fn of(identity: &Arc<Identity>) -> Self {
        let login = (identity.login_uid != LOGIN_UID_UNSET).then(|| identity.login_uid.to_string());
        Self {
            identity: Arc::clone(identity),
            login_uid: login.unwrap_or_default(),
        }
    }
}

pub(super) fn provider(by: By<'_>, name: &str) -> String {
    by.catalog
        .lookup(name, "/")
        .map(|found| found.provider)
        .unwrap_or_default()
}

/// Whether a rule may stop connections to this name, whoever makes them.
pub(super) fn may_stop(by: By<'_>, name: &str, wall_ns: i64) -> bool {
    let provider = provider(by, name);
    let subject = target(name, &provider, by.machine, wall_ns);
    by.judge.may_stop(&subject, OF_USER.and(OF_PROCESS).and(LATE))
}

pub(super) fn target<'a>(name: &'a str, provider: &'a str, machine: &'a str, wall_ns: i64) -> Subject<'a> {
    Subject::at(wall_ns, &[])
        .with(Attribute::Host, name)
        .with(Attribute::Provider, provider)
        .with(Attribute::Machine, machine)
}

pub(super) fn user_facts<'a>(subject: &mut Subject<'a>, user: &'a User) {
    subject.add(Attribute::User, &user.name);
    subject.add(Attribute::User, &user.number);
}

pub(super) fn process_facts<'a>(subject: &mut Subject<'a>, process: &'a Process) {
    let identity = &process.identity;
    let facts = [
        (Attribute::LoginUser, identity.lineage.login_user.as_str()),
        (Attribute::LoginUser, &process.login_uid),
        (Attribute::Executable, &identity.executable),
    ];
    facts
        .into_iter()
        .for_each(|(attribute, fact)| subject.add(attribute, fact));
}
