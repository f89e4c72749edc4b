//! One chat completion with reqwest, by the TLS stack that was built in.

use serde_json::{json, Value};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "aws-lc")]
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[cfg(feature = "ring")]
    let _ = rustls::crypto::ring::default_provider().install_default();
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is the answer?"}]});
    let answer: Value = reqwest::Client::new()
        .post("https://api.openai.com/v1/chat/completions")
        .json(&body)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    let text = answer["choices"][0]["message"]["content"].as_str();
    println!("{}", text.ok_or("no answer")?);
    Ok(())
}
