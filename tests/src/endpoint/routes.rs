//! Which service a request asks for, and its answer.

use hyper::{HeaderMap, Method, Response};
use serde_json::{Value, json};

use super::answer::Answer;
use super::reply::{Body, Framing, Reply, bomb, json_reply, plain, streamed};
use super::{anthropic, gemini, ollama, openai};

/// A call that a model answers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    Chat,
    Responses,
    Embeddings,
    Messages,
    Gemini { model: String, stream: bool },
    OllamaChat,
    OllamaGenerate,
}

impl Call {
    fn of(path: &str) -> Option<Self> {
        let call = match path {
            _ if path.ends_with("/chat/completions") => Self::Chat,
            _ if path.ends_with("/responses") => Self::Responses,
            _ if path.ends_with("/embeddings") => Self::Embeddings,
            _ if path.ends_with("/messages") => Self::Messages,
            "/api/chat" => Self::OllamaChat,
            "/api/generate" => Self::OllamaGenerate,
            _ => return Self::gemini(path),
        };
        Some(call)
    }

    fn gemini(path: &str) -> Option<Self> {
        let (model, method) = path.rsplit_once("/models/")?.1.rsplit_once(':')?;
        let stream = match method {
            "generateContent" => false,
            "streamGenerateContent" => true,
            _ => return None,
        };
        Some(Self::Gemini {
            model: model.to_owned(),
            stream,
        })
    }

    fn answer(&self, body: &Value) -> Answer {
        match self {
            Self::Chat => openai::chat_answer(body),
            Self::Responses => openai::responses_answer(body),
            Self::Embeddings => openai::embeddings(body).0,
            Self::Messages => anthropic::answer(body),
            Self::Gemini { model, .. } => gemini::answer(body, model),
            Self::OllamaChat | Self::OllamaGenerate => ollama::answer(body),
        }
    }

    fn error(&self, status: u16) -> Value {
        match self {
            Self::Messages => anthropic::error(status),
            Self::Gemini { .. } => gemini::error(status),
            Self::OllamaChat | Self::OllamaGenerate => ollama::error(status),
            Self::Chat | Self::Responses | Self::Embeddings => openai::error(status),
        }
    }

    /// The pieces of a streamed answer; `None` when it was not asked for in pieces.
    fn pieces(&self, answer: &Answer, body: &Value) -> Option<(Framing, Vec<String>)> {
        let streamed = body["stream"] == true;
        let pieces = match self {
            Self::Chat if streamed => (Framing::Events, openai::chat_stream(answer, body)),
            Self::Responses if streamed => (Framing::Events, openai::response_stream(answer, body)),
            Self::Messages if streamed => (Framing::Events, anthropic::stream(answer)),
            Self::Gemini { stream: true, .. } => (Framing::Events, gemini::stream(answer)),
            // Ollama streams unless it is told not to.
            Self::OllamaChat if body["stream"] != false => (Framing::Lines, ollama::chat_stream(answer)),
            Self::OllamaGenerate if body["stream"] != false => {
                (Framing::Lines, ollama::generate_stream(answer))
            }
            _ => return None,
        };
        Some(pieces)
    }

    fn whole(&self, answer: &Answer, body: &Value) -> Value {
        match self {
            Self::Chat => openai::chat(answer),
            Self::Responses => openai::response(answer, body),
            Self::Embeddings => openai::embeddings(body).1,
            Self::Messages => anthropic::message(answer),
            Self::Gemini { .. } => gemini::response(answer),
            Self::OllamaChat => ollama::chat(answer),
            Self::OllamaGenerate => ollama::generate(answer),
        }
    }
}

/// Answers a request whose body is read.
pub(super) fn answer(method: &Method, path: &str, headers: &HeaderMap, bytes: &[u8]) -> Reply {
    if path.ends_with("/upload") {
        return plain(200, &json!({"received": bytes.len()}), headers);
    }
    let Some(call) = Call::of(path).filter(|_| method == Method::POST) else {
        return beside(method, path, headers, bytes);
    };
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else {
        return plain(400, &call.error(400), headers);
    };
    let answer = call.answer(&body);
    if let Some(status) = answer.wishes.error {
        let mut reply = plain(status, &call.error(status), headers);
        reply.model = answer.model;
        return reply;
    }
    Reply {
        status: 200,
        model: answer.model.clone(),
        response: success(&call, headers, &body, &answer),
    }
}

fn success(call: &Call, headers: &HeaderMap, body: &Value, answer: &Answer) -> Response<Body> {
    if answer.wishes.bomb {
        return bomb();
    }
    if let Some((framing, pieces)) = call.pieces(answer, body) {
        return streamed(pieces, framing, answer, headers);
    }
    json_reply(
        200,
        &call.whole(answer, body),
        headers,
        answer.wishes.gzip,
        answer.wishes.chunked || answer.wishes.delay.is_some(),
    )
}

/// What tools ask beside their calls: lists of models, token counts, whether somebody is there. Anything else is not
/// found, at once, which tools take for "no telemetry here".
fn beside(method: &Method, path: &str, headers: &HeaderMap, bytes: &[u8]) -> Reply {
    let value = match path {
        _ if method == Method::GET && path.ends_with("/models") => openai::models(),
        _ if method == Method::GET && path.contains("/models/") => openai::model(path),
        _ if path.ends_with("/count_tokens") => json!({"input_tokens": bytes.len() / 4 + 1}),
        _ if path.ends_with(":countTokens") => json!({"totalTokens": bytes.len() / 4 + 1}),
        "/api/version" => json!({"version": "0.12.0"}),
        "/api/tags" => ollama::tags(),
        "/api/hello" => json!({"message": "hello"}),
        "/page" => {
            return Reply {
                status: 200,
                model: String::new(),
                response: super::reply::page(),
            };
        }
        _ if path.ends_with("/messages") => return plain(404, &anthropic::error(404), headers),
        _ => return plain(404, &openai::error(404), headers),
    };
    plain(200, &value, headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_their_service() {
        let gemini = |stream| {
            Some(Call::Gemini {
                model: "gemini-2.5-pro".to_owned(),
                stream,
            })
        };
        assert_eq!(Call::of("/v1/chat/completions"), Some(Call::Chat));
        assert_eq!(Call::of("/v1/responses"), Some(Call::Responses));
        assert_eq!(
            Call::of("/v1beta/models/gemini-2.5-pro:generateContent"),
            gemini(false)
        );
        assert_eq!(
            Call::of("/v1beta/models/gemini-2.5-pro:streamGenerateContent"),
            gemini(true)
        );
        assert_eq!(Call::of("/v1beta/models/gemini-2.5-pro:countTokens"), None);
        assert_eq!(Call::of("/api/chat"), Some(Call::OllamaChat));
        assert_eq!(Call::of("/index.html"), None);
    }
}
