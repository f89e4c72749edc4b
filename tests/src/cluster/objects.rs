//! Pods and nodes as an API server describes them, with some of the much that Observer does not read.

use serde_json::{Value, json};

/// A pod of a Deployment, on `n-1`, with one container that runs where `container_id` is given.
pub fn pod(namespace: &str, deployment: &str, uid: &str, container_id: Option<&str>) -> Value {
    let hash = "6d4b75cb6d";
    let status = container_id.map(|id| {
        json!([{
            "name": "app", "ready": true, "restartCount": 0, "started": true, "containerID": format!("containerd://{id}"),
            "image": "docker.io/shop/app:7", "imageID": format!("docker.io/shop/app@sha256:{}", "d".repeat(64)),
            "state": {"running": {"startedAt": "2026-11-29T12:00:00Z"}}, "lastState": {}
        }])
    });
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": format!("{deployment}-{hash}-{}", &uid[uid.len() - 4..]), "namespace": namespace, "uid": uid,
            "creationTimestamp": "2026-11-29T12:00:00Z", "generateName": format!("{deployment}-{hash}-"),
            "labels": {"app": deployment, "pod-template-hash": hash}, "annotations": {"note": "a \"{\" and a }\n"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{deployment}-{hash}"), "controller": true,
                                 "blockOwnerDeletion": true, "uid": "rs"}],
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {"f:podIPs": {}}}}]
        },
        "spec": {
            "nodeName": "n-1", "serviceAccountName": deployment, "serviceAccount": deployment,
            "containers": [{"name": "app", "image": "shop/app:7", "env": [{"name": "X", "value": "}]"}]}]
        },
        "status": {"phase": "Running", "hostIP": "10.0.0.1", "containerStatuses": status}
    })
}

/// A node with the id of its machine.
pub fn node(name: &str, machine_id: &str, system: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "uid": format!("uid-{name}"), "creationTimestamp": "2026-11-01T00:00:00Z",
            "labels": {"kubernetes.io/os": system, "kubernetes.io/hostname": name}
        },
        "spec": {"podCIDR": "10.1.0.0/24"},
        "status": {"nodeInfo": {"machineID": machine_id, "bootID": "b", "operatingSystem": system, "kubeletVersion": "v1.33.0"}}
    })
}
