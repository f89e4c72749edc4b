//! Names of pods on rows, and what policy makes of them.

use std::sync::Arc;

use super::super::OpaqueProcess;
use super::testbed::*;
use crate::{
    coverage::OpaqueReason,
    identity::Identity,
    kubernetes::{Change, Cluster, ContainerNames, Pod, PodNames},
    policy::{Judge, Policy},
    stacks::Kind,
};

const UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";
const POLICY: &str = "version: '1'\ndefault: unknown\nrules:\n  - {id: web, verdict: unsanctioned, namespace: [shop], workload: [web], \
     service_account: [robot]}\n";

fn change(container: Option<&str>) -> Change {
    let names = ContainerNames {
        name: "app".into(),
        image: "shop/app:7".into(),
        digest: "sha256:d".into(),
    };
    Change::Pod(Box::new(Pod {
        uid: UID.into(),
        config_hash: None,
        names: Arc::new(PodNames {
            uid: UID.into(),
            namespace: "shop".into(),
            pod: "web-1".into(),
            workload_kind: "Deployment".into(),
            workload: "web".into(),
            service_account: "robot".into(),
        }),
        containers: container.map(|id| (id.to_owned(), names)).into_iter().collect(),
    }))
}

fn bed() -> Bed {
    let mut bed = Bed::new();
    bed.pipeline.set_cluster(Cluster::new("lab", "n-1"));
    bed.pipeline.set_judge(Arc::new(Judge {
        policy: Policy::parse(POLICY, "policy.yaml").unwrap(),
        register: None,
    }));
    bed
}

fn of_pod(container: &str) -> Arc<Identity> {
    let mut identity = Identity::clone(&process(70));
    identity.container_id = container.to_owned();
    identity.pod_uid = UID.to_owned();
    Arc::new(identity)
}

#[test]
fn without_an_answer_ids_stay_and_names_are_unknown_until_one_comes() {
    let mut bed = bed();
    let mut flow = flow(1, &of_pod("c1"));
    bed.connect(&flow);
    bed.name(&flow, "api.openai.com");
    bed.sent(&mut flow, &chat("one"));
    bed.received(&mut flow, &answer("hello"));
    // The pod is known before the API server has heard of its container.
    bed.pipeline.pod_change(change(None), bed.now_ns);
    bed.sent(&mut flow, &chat(&secret()));
    bed.received(&mut flow, &answer("hello"));
    bed.pipeline.pod_change(change(Some("c1")), bed.now_ns);
    bed.sent(&mut flow, &chat("three"));
    bed.received(&mut flow, &answer("hello"));
    bed.finish();
    let rows = bed.interactions();
    let [before, early, known] = rows.as_slice() else {
        panic!("{} rows", rows.len())
    };
    for row in &rows {
        assert_eq!((row.container_id.as_str(), row.k8s_pod_uid.as_str()), ("c1", UID));
        assert_eq!(
            (row.k8s_cluster_name.as_str(), row.k8s_node_name.as_str()),
            ("lab", "n-1")
        );
    }
    assert_eq!(
        (before.k8s_namespace_name.as_str(), before.k8s_pod_name.as_str()),
        ("", "")
    );
    assert_eq!(before.policy_verdict, "unknown", "an unknown name fits no rule");
    assert_eq!(
        (early.k8s_pod_name.as_str(), early.k8s_service_account.as_str()),
        ("web-1", "robot")
    );
    assert_eq!(
        (early.container_image_name.as_str(), early.policy_verdict.as_str()),
        ("", "unsanctioned")
    );
    assert_eq!(
        (
            known.container_image_name.as_str(),
            known.k8s_container_name.as_str()
        ),
        ("shop/app:7", "app")
    );
    assert_eq!(
        (
            known.k8s_workload_kind.as_str(),
            known.container_image_digest.as_str()
        ),
        ("Deployment", "sha256:d")
    );
    let findings = bed.findings();
    let finding = findings.first().expect("a finding").1;
    assert_eq!(
        (
            finding.k8s_namespace_name.as_str(),
            finding.k8s_workload_name.as_str()
        ),
        ("shop", "web")
    );
    // It began before the answer, and its row is made at its end.
    let connection = bed.connections()[0];
    assert_eq!(
        (
            connection.k8s_namespace_name.as_str(),
            connection.k8s_workload_name.as_str()
        ),
        ("shop", "web")
    );
    assert_eq!(
        (
            connection.container_image_digest.as_str(),
            connection.policy_rule_id.as_str()
        ),
        ("sha256:d", "web")
    );
    let others = [
        &connection.k8s_cluster_name,
        &connection.k8s_node_name,
        &connection.k8s_pod_name,
        &connection.k8s_pod_uid,
        &connection.k8s_container_name,
        &connection.k8s_workload_kind,
        &connection.k8s_service_account,
        &connection.container_image_name,
    ];
    let wanted = [
        &known.k8s_cluster_name,
        &known.k8s_node_name,
        &known.k8s_pod_name,
        &known.k8s_pod_uid,
        &known.k8s_container_name,
        &known.k8s_workload_kind,
        &known.k8s_service_account,
        &known.container_image_name,
    ];
    assert_eq!(others, wanted);
    assert!(wanted.iter().all(|name| !name.is_empty()));
}

#[test]
fn a_control_group_that_a_user_may_have_made_has_the_names_of_no_pod() {
    let mut bed = bed();
    bed.pipeline.pod_change(change(Some("c1")), 0);
    let mut identity = Identity::clone(&of_pod("c1"));
    // The uid of a pod is not even taken over from such a path; its container is.
    identity.in_users_group = true;
    let mut flow = flow(1, &Arc::new(identity));
    bed.connect(&flow);
    bed.name(&flow, "api.openai.com");
    bed.sent(&mut flow, &chat("one"));
    bed.received(&mut flow, &answer("hello"));
    bed.finish();
    let row = bed.interactions()[0];
    assert_eq!(
        (row.container_id.as_str(), row.k8s_namespace_name.as_str()),
        ("c1", "")
    );
    assert_eq!(
        (row.policy_verdict.as_str(), row.k8s_node_name.as_str()),
        ("unknown", "n-1")
    );
    let connection = bed.connections()[0];
    assert_eq!(
        (
            connection.k8s_workload_name.as_str(),
            connection.policy_rule_id.as_str()
        ),
        ("", "")
    );
}

#[test]
fn processes_outside_of_pods_have_the_node_and_nothing_else() {
    let mut bed = bed();
    bed.pipeline.pod_change(change(Some("c1")), 0);
    let mut identity = Identity::clone(&process(70));
    identity.container_id.clear();
    let mut flow = flow(1, &Arc::new(identity));
    bed.call(&mut flow, &chat("one"), &answer("hello"));
    bed.finish();
    let row = bed.interactions()[0];
    assert_eq!(
        (
            row.k8s_node_name.as_str(),
            row.k8s_pod_name.as_str(),
            row.k8s_pod_uid.as_str()
        ),
        ("n-1", "", "")
    );
}

#[test]
fn blind_spots_of_a_pod_are_named() {
    let mut bed = bed();
    bed.pipeline.pod_change(change(Some("c1")), 0);
    let mut opaque = OpaqueProcess {
        pid: 1,
        executable: "/java".into(),
        container_id: "c1".into(),
        in_users_group: false,
        runtime: Kind::Jsse.name(),
        reason: OpaqueReason::Jsse,
    };
    let now_ns = bed.now_ns;
    let row = bed.pipeline.blind_spots(now_ns, [opaque.clone()]).remove(0);
    assert_eq!(
        (row.k8s_namespace_name.as_str(), row.k8s_workload_name.as_str()),
        ("shop", "web")
    );
    assert_eq!(row.container_image_digest, "sha256:d");
    let mut other = self::bed();
    other.pipeline.pod_change(change(Some("c1")), 0);
    opaque.in_users_group = true;
    let row = other.pipeline.blind_spots(now_ns, [opaque]).remove(0);
    assert_eq!(
        (row.container_id.as_str(), row.k8s_namespace_name.as_str()),
        ("c1", ""),
        "a user may have made it"
    );
}
