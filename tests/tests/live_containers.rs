//! Live kernel: clients in real containers, with a libssl of their own, are read and named by their container.

use std::path::Path;

use anyhow::{Context, Result};
use observer_tests::cluster::{ApiServer, node, pod};
use observer_tests::harness::{Containers, Host, Options, Record, Running, live};
use serde_json::json;

/// One for each container, by which the endpoint knows its call.
const MODELS: [&str; 3] = ["gpt-4o-mini", "gpt-4o", "gpt-4.1"];

/// What is known of a call from outside of the container.
struct Call {
    container: String,
    /// The host's number of the process.
    pid: u64,
    response: String,
    /// What the endpoint got and sent.
    bytes: [u64; 2],
    lived_ms: u64,
}

/// A host that containers reach, its daemon not started yet.
fn reachable() -> Result<Host> {
    Host::start(Options {
        daemon: false,
        reachable: true,
        ..Options::default()
    })
}

fn start(
    containers: &mut Containers,
    root: &Path,
    words: &[&str],
) -> Result<(String, Running, std::path::PathBuf)> {
    containers.container(root, words)?.start()
}

/// Waits for the end of a container's client, which asked for this model.
fn finish(
    host: &Host,
    model: &str,
    (container, running, pid_file): (String, Running, std::path::PathBuf),
) -> Result<Call> {
    let finished = running.finish()?;
    anyhow::ensure!(
        finished.status.success(),
        "{}: {}",
        finished.status,
        finished.errors
    );
    let report = finished.reports.first().context("no report")?;
    let logged = host.logged(model)?;
    // A namespace of its own: it is the first process there.
    assert_eq!(report["pid"], 1);
    Ok(Call {
        container,
        pid: std::fs::read_to_string(pid_file)?.trim().parse()?,
        response: report["id"].as_str().context("id")?.to_owned(),
        bytes: [logged.request_bytes, logged.response_bytes],
        lived_ms: report["lived_ms"].as_u64().context("lived_ms")?,
    })
}

/// Exactly these calls are stored, each once, decoded, with its own process and container.
fn check(record: &Record, calls: &[Call]) -> Result<()> {
    let python = std::fs::canonicalize("/usr/bin/python3")?;
    for call in calls {
        let row = record.by_response(&call.response)?;
        let expected = [
            ("container_id", json!(call.container)),
            ("process_pid", json!(call.pid)),
            ("process_executable_path", json!(python)),
            ("server_address", json!("api.openai.com")),
            ("network_peer_address", json!("::ffff:10.199.77.1")),
            ("dialect", json!("openai-chat")),
            ("tls_stack", json!("openssl")),
            ("visibility", json!("decoded")),
            ("policy_verdict", json!("sanctioned")),
            ("request_bytes", json!(call.bytes[0])),
            ("response_bytes", json!(call.bytes[1])),
        ];
        for (name, value) in expected {
            assert_eq!(row[name], value, "{name} in {row:#}");
        }
        let connection = record.connection_of(row)?;
        assert_eq!(
            connection["container_id"],
            json!(call.container),
            "{connection:#}"
        );
        assert_eq!(connection["exchanges_decoded"], 1, "{connection:#}");
    }
    assert_eq!(
        record.interactions.len(),
        calls.len(),
        "{:#?}",
        record.interactions
    );
    assert_eq!(record.connections.len(), calls.len(), "{:#?}", record.connections);
    assert_eq!(record.sealed("events_lost_ring"), 0, "{}", record.losses());
    Ok(())
}

/// Three containers, each with a libssl that was never seen: one from before the daemon, one that starts after it and lives
/// on, one that lives for a fifth of a second.
#[test]
fn clients_in_containers_are_read_whenever_they_start() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = reachable()?;
    let mut containers = host.containers()?;
    let roots = [
        containers.root("before")?,
        containers.root("after")?,
        containers.root("short")?,
    ];
    let mut before = start(&mut containers, &roots[0], &["--wait", "--model", MODELS[0]])?;
    before.1.wait_for_line("ready")?;
    host.start_daemon()?;
    let mut after = start(&mut containers, &roots[1], &["--wait", "--model", MODELS[1]])?;
    after.1.wait_for_line("ready")?;
    let short = start(
        &mut containers,
        &roots[2],
        &["--sleep-ms", "100", "--model", MODELS[2]],
    )?;
    let short = finish(&host, MODELS[2], short)?;
    before.1.go()?;
    after.1.go()?;
    let calls = [
        finish(&host, MODELS[0], before)?,
        finish(&host, MODELS[1], after)?,
        short,
    ];
    // On an idle host it is 200; a busy one takes longer to start Python.
    assert!(calls[2].lived_ms < 1500, "lived for {} ms", calls[2].lived_ms);
    drop(containers);
    check(&host.finish(calls.len())?, &calls)
}

/// Two containers over one layer have the same libssl in the kernel, under two names: no event comes twice.
#[test]
fn containers_over_one_layer_are_told_apart_and_counted_once() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = reachable()?;
    let mut containers = host.containers()?;
    let layer = containers.root("layer")?;
    let (one, two) = (
        containers.overlay(&layer, "one")?,
        containers.overlay(&layer, "two")?,
    );
    host.start_daemon()?;
    let mut running = [
        start(&mut containers, &one, &["--wait", "--model", MODELS[0]])?,
        start(&mut containers, &two, &["--wait", "--model", MODELS[1]])?,
    ];
    for container in &mut running {
        container.1.wait_for_line("ready")?;
    }
    // Discovery has looked at both.
    std::thread::sleep(std::time::Duration::from_secs(1));
    for container in &mut running {
        container.1.go()?;
    }
    let ended = running.into_iter().zip(MODELS);
    let calls = ended
        .map(|(container, model)| finish(&host, model, container))
        .collect::<Result<Vec<_>>>()?;
    drop(containers);
    check(&host.finish(calls.len())?, &calls)
}

/// A library that is copied up (changed in a container, here its times only) is another file from then on, though its name and
/// number stay: programs that start later are read all the same.
#[test]
fn a_library_that_is_copied_up_is_read_by_its_new_file() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = reachable()?;
    let mut containers = host.containers()?;
    let layer = containers.root("layer")?;
    let root = containers.overlay(&layer, "one")?;
    host.start_daemon()?;
    let mut calls = Vec::new();
    for model in &MODELS[..2] {
        let mut container = start(&mut containers, &root, &["--wait", "--model", model])?;
        container.1.wait_for_line("ready")?;
        std::thread::sleep(std::time::Duration::from_secs(1));
        container.1.go()?;
        calls.push(finish(&host, model, container)?);
        let library = std::fs::File::options()
            .write(true)
            .open(root.join("usr/lib/x86_64-linux-gnu/libssl.so.3"))?;
        drop(library);
    }
    drop(containers);
    check(&host.finish(calls.len())?, &calls)
}

/// Policy by what only the API server knows.
const POD_POLICY: &str = "version: p\ndefault: unknown\nrules:\n  - {id: bots, verdict: unsanctioned, namespace: [shop], workload: [web], \
     service_account: [web]}\n";

/// `observer inventory` writes the nodes that the API server knows.
fn inventory(host: &Host, api: &ApiServer) -> Result<()> {
    api.set_nodes(vec![
        node("n-1", &"1".repeat(32), "linux"),
        node("w-1", &"2".repeat(32), "windows"),
    ]);
    let said = host.observer(&["inventory", "--exclude", "kubernetes.io/os=windows"])?;
    assert!(
        said.starts_with("kubernetes/lab: 2 hosts, 1 in scope; 2 new"),
        "{said}"
    );
    let rows = host.rows("host_inventory", "host_id")?;
    assert_eq!(
        (&rows[0]["k8s_node_name"], &rows[0]["in_scope"]),
        (&json!("n-1"), &json!(true)),
        "{rows:#?}"
    );
    assert_eq!(
        (&rows[1]["in_scope"], &rows[1]["first_seen"]),
        (&json!(false), &json!("2026-11-01 00:00:00.000")),
        "{rows:#?}"
    );
    Ok(())
}

/// The API server names pod, namespace, workload, service account and image of the container, and policy goes by these. Asking it
/// leaves no trace in the evidence.
#[test]
fn calls_of_a_pod_carry_its_names_from_the_api_server_and_are_judged_by_them() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let api = ApiServer::start(dir.path())?;
    let mut host = Host::start(Options {
        daemon: false,
        reachable: true,
        more: api.configuration(),
        ..Options::default()
    })?;
    std::fs::write(host.policy_file(), POD_POLICY)?;
    let mut containers = host.containers()?;
    let root = containers.root("pod")?;
    host.start_daemon()?;
    let container = containers.container(&root, &["--wait", "--model", MODELS[0]])?;
    api.put_pod(pod(
        "shop",
        "web",
        "0a1b2c3d-1111-2222-3333-444455556666",
        Some(&container.id),
    ));
    let mut running = container.start()?;
    running.1.wait_for_line("ready")?;
    // Discovery has looked at it.
    std::thread::sleep(std::time::Duration::from_secs(1));
    running.1.go()?;
    let call = finish(&host, MODELS[0], running)?;
    host.wait_for_interactions(1)?;
    let metrics = host.metrics()?;
    assert_eq!(metrics.sum("observer_kubernetes_pods", &[]), Some(1.0));
    assert_eq!(
        metrics.sum("observer_kubernetes_api", &["state=\"watching\""]),
        Some(1.0)
    );
    let daemon = host.daemon()?.pid();
    drop(containers);
    inventory(&host, &api)?;
    let record = host.finish(1)?;
    let (row, digest) = (
        record.by_response(&call.response)?,
        format!("sha256:{}", "d".repeat(64)),
    );
    for (name, value) in [
        ("container_id", call.container.as_str()),
        ("k8s_cluster_name", "lab"),
        ("k8s_node_name", "n-1"),
        ("k8s_namespace_name", "shop"),
        ("k8s_pod_name", "web-6d4b75cb6d-6666"),
        ("k8s_pod_uid", "0a1b2c3d-1111-2222-3333-444455556666"),
        ("k8s_container_name", "app"),
        ("k8s_workload_kind", "Deployment"),
        ("k8s_workload_name", "web"),
        ("k8s_service_account", "web"),
        ("container_image_name", "shop/app:7"),
        ("container_image_digest", &digest),
        ("policy_verdict", "unsanctioned"),
        ("policy_rule_id", "bots"),
    ] {
        assert_eq!(row[name], value, "{name} in {row:#}");
    }
    let connection = record.connection_of(row)?;
    for (name, value) in [
        ("k8s_cluster_name", "lab"),
        ("k8s_node_name", "n-1"),
        ("k8s_namespace_name", "shop"),
        ("k8s_pod_name", "web-6d4b75cb6d-6666"),
        ("k8s_pod_uid", "0a1b2c3d-1111-2222-3333-444455556666"),
        ("k8s_container_name", "app"),
        ("k8s_workload_kind", "Deployment"),
        ("k8s_workload_name", "web"),
        ("k8s_service_account", "web"),
        ("container_image_name", "shop/app:7"),
        ("container_image_digest", &digest),
        ("policy_verdict", "unsanctioned"),
    ] {
        assert_eq!(connection[name], value, "{name} in {connection:#}");
    }
    let own = |row: &&serde_json::Value| row["server_port"] == api.port() && row["process_pid"] == daemon;
    assert_eq!(
        record.all_connections.iter().find(own),
        None,
        "asking was observed"
    );
    assert_eq!(record.connections.len(), 1, "{:#?}", record.connections);
    Ok(())
}
