//! One chat completion with reqwest, by the TLS stack that was built in. `steady TEXT`: calls until standard input ends, on one connection and on
//! new ones, each compared with the text; reports as `tests/clients/steady.py` does.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, ClientBuilder};
use serde_json::{json, Value};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    #[cfg(feature = "aws-lc")]
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[cfg(feature = "ring")]
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, text] = arguments.as_slice() {
        assert_eq!(word, "steady");
        return steady(text).await;
    }
    println!("{}", call(&Client::new()).await?);
    Ok(())
}

async fn call(client: &Client) -> Result<String, Error> {
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is the answer?"}]});
    let answer: Value = client
        .post("https://api.openai.com/v1/chat/completions")
        .json(&body)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let text = answer["choices"][0]["message"]["content"].as_str();
    Ok(text.ok_or("no answer")?.to_owned())
}

/// Every connection goes to the local endpoint.
fn local() -> Result<ClientBuilder, Error> {
    let port: u16 = std::env::var("OBSERVER_TEST_PORT")?.parse()?;
    Ok(Client::builder().resolve("api.openai.com", SocketAddr::from(([127, 0, 0, 1], port))))
}

async fn steady(text: &str) -> Result<(), Error> {
    let ended = Arc::new(AtomicBool::new(false));
    let kept = tokio::spawn(until(Arc::clone(&ended), text.to_owned(), local()?.build()?));
    let fresh = local()?.pool_max_idle_per_host(0).build()?;
    let new = tokio::spawn(until(Arc::clone(&ended), text.to_owned(), fresh));
    println!("ready");
    let mut input = Vec::new();
    tokio::task::spawn_blocking(move || std::io::stdin().read_to_end(&mut input)).await??;
    ended.store(true, Ordering::Relaxed);
    let ((kept, mut wrong), (new, more)) = (kept.await?, new.await?);
    wrong.extend(more);
    let calls = BTreeMap::from([("reqwest_on_one_connection", kept), ("reqwest_on_new_connections", new)]);
    println!("{}", json!({"pid": std::process::id(), "calls": calls, "wrong": wrong}));
    Ok(())
}

async fn until(ended: Arc<AtomicBool>, text: String, client: Client) -> (u32, Vec<String>) {
    let (mut calls, mut wrong) = (0, Vec::new());
    while !ended.load(Ordering::Relaxed) {
        calls += 1;
        match call(&client).await {
            Ok(answer) if answer == text => {}
            other => wrong.push(format!("call {calls}: {other:?}")),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (calls, wrong)
}
