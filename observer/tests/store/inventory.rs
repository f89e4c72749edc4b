//! The inventory of hosts, and the host that only it misses.

use std::process::Command;

use observer::{
    inventory::{Changes, Machine, compare, known, write},
    store::Client,
    verify::{Kind, Options, StoreSource, run},
};

use crate::support::*;

const SECOND: i64 = 1_000_000_000;

fn machine(id: &str) -> Machine {
    Machine {
        host_id: id.to_owned(),
        name: format!("node-{id}"),
        since_ms: Some(1_700_000_000_000),
        excluded: None,
    }
}

async fn update(client: &Client, machines: &[Machine], now_ms: i64) -> Changes {
    let found = known(client).await.expect("known");
    let changes = compare(&found, machines, "kubernetes/lab", now_ms);
    write(client, &changes.rows).await.expect("written");
    changes
}

async fn missing(client: &Client, now: i64) -> u64 {
    let options = Options::new(now);
    let mut source = StoreSource::new(client.clone(), options.period, None);
    run(&mut source, &options, &mut ())
        .await
        .expect("verified")
        .found(&[Kind::HostMissing])
}

#[tokio::test]
async fn rows_come_back_as_they_were_written_and_the_newest_counts() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut windows = machine("b");
    windows.excluded = Some("label kubernetes.io/os=windows".into());
    let now = 1_790_000_000_000;
    assert_eq!(
        update(&client, &[machine("a"), windows.clone()], now).await.new,
        2
    );
    assert_eq!(
        update(&client, &[machine("a"), windows.clone()], now).await,
        Changes::default()
    );
    // A host in scope that never sealed is missing; one that is out of scope is not.
    assert_eq!(missing(&client, now * 1_000_000 + SECOND).await, 1);
    assert_eq!(update(&client, &[windows], now).await.gone, 1);
    let rows = known(&client).await.expect("known");
    assert_eq!(
        (rows[0].gone_at, rows[0].observed_at, rows[0].in_scope),
        (now, now + 1, true)
    );
    assert_eq!(
        (rows[1].k8s_node_name.as_str(), rows[1].exclusion_reason.as_str()),
        ("node-b", "label kubernetes.io/os=windows")
    );
    let count: Vec<u64> = client
        .rows("SELECT count() FROM host_inventory")
        .await
        .expect("count");
    assert_eq!(count, [3]);
}

#[tokio::test]
async fn the_command_reads_a_file_and_a_file_without_hosts_changes_nothing() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let (config, hosts) = (
        directory.path().join("observer.yaml"),
        directory.path().join("hosts"),
    );
    std::fs::write(&config, format!("store: {{url: \"{}\"}}\n", store.url())).expect("configuration");
    let inventory = |text: &str| {
        std::fs::write(&hosts, text).expect("hosts");
        let mut command = Command::new(env!("CARGO_BIN_EXE_observer"));
        command
            .args(["inventory", "--format", "json", "--source", "cmdb", "--config"])
            .arg(&config);
        let output = command.arg("--file").arg(&hosts).output().expect("observer");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), answer, said)
    };
    let (code, answer, said) = inventory("a web-1\nb lab nobody works there\n");
    assert_eq!(
        (code, &answer["new"], &answer["in_scope"]),
        (Some(0), &2.into(), &1.into()),
        "{said}"
    );
    let (code, answer, _) = inventory("a web-2\n");
    assert_eq!(
        (code, &answer["changed"], &answer["gone"]),
        (Some(0), &1.into(), &1.into())
    );
    for (text, word) in [
        ("# none\n", "names no host"),
        ("a\na\n", "hosts:2: this id stands on line 1"),
    ] {
        let (code, _, said) = inventory(text);
        assert!(code == Some(2) && said.contains(word), "{code:?} {said}");
    }
    let rows = known(&store.client()).await.expect("known");
    assert_eq!(
        (rows[0].k8s_node_name.as_str(), rows[0].source.as_str()),
        ("web-2", "cmdb")
    );
}
