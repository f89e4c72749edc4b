//! Facts about a call that has not been made yet, as policy asks for them.

use std::sync::Arc;

use super::By;
use crate::{
    evidence::LOGIN_UID_UNSET,
    identity::Identity,
    kubernetes::{Cluster, PodNames},
    policy::{Attribute, Attributes, LATE, Subject},
};

/// What the kernel sees of a user.
pub(super) const OF_USER: Attributes = Attributes::of(&[Attribute::User]);
/// What is known of a process in a container when the API server has named its pod.
const OF_POD: Attributes = Attributes::of(&[
    Attribute::Namespace,
    Attribute::Workload,
    Attribute::ServiceAccount,
]);
/// What is not known of a process that was not seen.
pub(super) const OF_PROCESS: Attributes =
    Attributes::of(&[Attribute::LoginUser, Attribute::Executable]).and(OF_POD);

/// A user: number and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) number: String,
    pub(super) name: String,
}

/// The pod of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// It is in no container, so in no pod.
    Host,
    /// Its container's pod, if it has one, was not named: its names may come later, or never.
    NotNamed,
    /// The pod with these names.
    Pod(Arc<PodNames>),
}

impl Place {
    fn of(cluster: &Cluster, identity: &Identity) -> Self {
        let keys = identity.pod_keys();
        match cluster.find(keys).pod {
            Some(names) => Self::Pod(Arc::clone(names)),
            None if keys == ("", "") => Self::Host,
            None => Self::NotNamed,
        }
    }
}

/// Facts of a process as words.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) identity: Arc<Identity>,
    login_uid: String,
    place: Place,
}

impl Process {
    pub(super) fn of(cluster: &Cluster, identity: &Arc<Identity>) -> Self {
        let login = (identity.login_uid != LOGIN_UID_UNSET).then(|| identity.login_uid.to_string());
        Self {
            identity: Arc::clone(identity),
            login_uid: login.unwrap_or_default(),
            place: Place::of(cluster, identity),
        }
    }

    /// Whether a record's identity says the same of it.
    pub(super) fn is_as(&self, identity: &Arc<Identity>) -> bool {
        let same = |a: &Identity, b: &Identity| {
            a.executable == b.executable && a.login_uid == b.login_uid && a.pod_keys() == b.pod_keys()
        };
        Arc::ptr_eq(&self.identity, identity) || same(&self.identity, identity)
    }

    /// Whether its pod has another name by now, or one at last.
    pub(super) fn has_moved(&self, cluster: &Cluster) -> bool {
        self.place != Place::Host && self.place != Place::of(cluster, &self.identity)
    }

    /// What is not known of it.
    pub(super) fn unknown(&self) -> Attributes {
        if self.place == Place::NotNamed {
            OF_POD
        } else {
            Attributes::default()
        }
    }

    /// What tells it apart from others.
    pub(super) fn signature(&self, by: By<'_>) -> Vec<bool> {
        let mut subject = Subject::at(0, &[]);
        process_facts(&mut subject, self);
        let mut signature = by.judge.signature(&subject, OF_PROCESS);
        // That a pod is not known is something else than that there is none.
        if asks_pods(by) {
            signature.push(self.place == Place::NotNamed);
        }
        signature
    }
}

/// Whether what is stopped depends on pods.
pub(super) fn asks_pods(by: By<'_>) -> bool {
    !by.judge.signature(&Subject::at(0, &[]), OF_POD).is_empty()
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
    if let Place::Pod(pod) = &process.place {
        subject.add(Attribute::Namespace, &pod.namespace);
        subject.add(Attribute::Workload, &pod.workload);
        subject.add(Attribute::ServiceAccount, &pod.service_account);
    }
}
