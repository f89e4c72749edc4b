//! What an exchange is: judged anew whenever a head or a body has said more.

use super::super::recognise;
use super::super::rules::Mark;
use super::super::{
    clients, native,
    paths::{self, Strength},
    rpc,
};
use super::{Body, ExchangeReader, NAMED_BUDGET, NotAi, SHAPE_BUDGET, Verdict, may_post};
use crate::exchange::{Dialect, DialectEvidence};
use crate::protocol::RequestHead;

impl ExchangeReader {
    pub(super) fn judge(&mut self) {
        if !matches!(self.verdict, Verdict::NotAi(_)) {
            self.verdict = self.judgement();
        }
    }

    /// Host, path, request shape, response shape, client headers, in this order.
    fn judgement(&self) -> Verdict {
        use DialectEvidence as By;
        let path = self.head.as_ref().map_or("", |h| h.path.as_str());
        if self.request_foreign {
            return Verdict::NotAi(self.not_ai());
        }
        if let Some(verdict) = self.judge_media() {
            return verdict;
        }
        if let Some((dialect, evidence)) = self.rpc() {
            let evidence = if self.catalog.is_some() {
                By::Host
            } else {
                evidence
            };
            return Verdict::Ai(dialect, evidence);
        }
        if self.listens {
            return match self.over() {
                true => Verdict::NotAi(self.not_ai()),
                false => Verdict::Undecided(false),
            };
        }
        let response = self.response_shape();
        let shape = recognise::by_request(self.request_marks(), self.names_anthropic());
        if let Some(verdict) = self.judge_path(path, response, shape) {
            return verdict;
        }
        if paths::is_foreign(path) {
            return if self.over() {
                Verdict::NotAi(self.not_ai())
            } else {
                Verdict::Undecided(false)
            };
        }
        let by = |shape| if self.catalog.is_some() { By::Host } else { shape };
        if let Some(dialect) = shape {
            return Verdict::Ai(dialect, by(By::RequestShape));
        }
        // Hosts of Hugging Face take `inputs` at any path.
        if self.catalog.is_some() && recognise::agrees(Dialect::HfInference, self.request.marks) {
            return Verdict::Ai(Dialect::HfInference, By::Host);
        }
        match response {
            Some(dialect) => Verdict::Ai(dialect, by(By::ResponseShape)),
            None if self.is_native() => Verdict::Ai(Dialect::Native, By::Host),
            None if self.over() => Verdict::NotAi(self.not_ai()),
            None => Verdict::Undecided(false),
        }
    }

    /// What a type in the head says that is not one of JSON. `None`: nothing, or the body is JSON all the same.
    fn judge_media(&self) -> Option<Verdict> {
        if !self.media_foreign {
            return None;
        }
        match self.request_body.as_ref().and_then(Body::begins_as_json) {
            Some(true) => None,
            None if !self.request_end.over => Some(Verdict::Undecided(false)),
            Some(false) | None => Some(Verdict::NotAi(self.not_ai())),
        }
    }

    /// What the path says, with what the bodies say to it. `None`: nothing, or a body says something else.
    fn judge_path(&self, path: &str, response: Option<Dialect>, shape: Option<Dialect>) -> Option<Verdict> {
        let evidence = match self.catalog {
            Some(_) => DialectEvidence::Host,
            None => DialectEvidence::PathSuffix,
        };
        let in_path = if paths::model(path).is_some() {
            Mark::Model as u64
        } else {
            0
        };
        let marks = self.request_marks() | in_path;
        let home = self.catalog.is_some();
        let agrees = |dialect| {
            recognise::agrees(dialect, marks)
                || response == Some(dialect)
                || (home && recognise::agrees_at_home(dialect, marks))
        };
        let found = |dialect| {
            let dialect = match dialect {
                Dialect::BedrockInvokeText => {
                    recognise::invoked(&paths::model(path).unwrap_or_default(), self.request.marks)
                }
                // The model's own shape says more.
                Dialect::SageMakerInvoke => shape.unwrap_or(dialect),
                dialect => dialect,
            };
            Some(Verdict::Ai(dialect, evidence))
        };
        if let Some((dialect, _)) = paths::dialects(path).find(|(dialect, _)| agrees(*dialect)) {
            return found(dialect);
        }
        let (dialect, strength) = paths::dialects(path).max_by_key(|(_, strength)| *strength)?;
        let enough = match strength {
            Strength::Alone => true,
            Strength::Host => self.catalog.is_some() || (self.request_unread() && self.over()),
            Strength::Body => {
                let silent = shape.is_none() && response.is_none();
                silent && self.catalog.is_some() && self.request_unread() && self.over()
            }
        };
        if enough {
            return found(dialect);
        }
        if self.client_says(shape, response) {
            return Some(Verdict::Ai(dialect, DialectEvidence::ClientHeaders));
        }
        if shape.is_some() || response.is_some() || self.is_native() {
            return None;
        }
        Some(match self.over() {
            true => Verdict::NotAi(self.not_ai()),
            false => Verdict::Undecided(strength == Strength::Host),
        })
    }

    /// What the request has said so far. Some clients (the Python SDKs of Anthropic and OpenAI) write the model behind the
    /// messages: a long request that has not come to it yet may name one.
    fn request_marks(&self) -> u64 {
        let decoded = self.request_body.as_ref().map_or(0, Body::decoded);
        let model_may_come = decoded >= SHAPE_BUDGET && !self.request_end.over;
        let model = if model_may_come { Mark::Model as u64 } else { 0 };
        self.request.marks | model
    }

    /// Whether a service of the catalogue is asked in a form of its own.
    fn is_native(&self) -> bool {
        let found = self.catalog.as_ref();
        found.is_some_and(|found| self.speech || native::asks(found.class, self.request.marks))
    }

    /// Whether no body could tell anything and the head is that of a client of AI services.
    fn client_says(&self, shape: Option<Dialect>, response: Option<Dialect>) -> bool {
        let silent = shape.is_none() && response.is_none();
        let client = |head: &RequestHead| clients::is_ai_client(&head.fields);
        let unknown = (self.request_unread() && self.over()) || self.request_long();
        silent && unknown && self.head.as_ref().is_some_and(client)
    }

    /// Calls between agents and tools: the method tells, else the head, else the first event of a stream.
    fn rpc(&self) -> Option<(Dialect, DialectEvidence)> {
        let head = self.head.as_ref();
        let has = |mark: Mark| self.request.marks & mark as u64 != 0;
        // Some clients write the version behind the parameters, which can be long.
        let begins = has(Mark::JsonRpc) || head.is_some_and(|head| rpc::is_mcp(&head.fields));
        if begins && let Some(method) = &self.request.method {
            let versioned = self.request.protocol_version.is_some();
            let dialect = rpc::by_method(method, versioned, head)?;
            return Some((dialect, DialectEvidence::RequestShape));
        }
        let head = head?;
        if self.listens {
            let streams = self.response_body.as_ref().is_some_and(Body::is_stream);
            if !streams || self.status != Some(200) {
                return None;
            }
            if rpc::is_mcp(&head.fields) {
                return Some((Dialect::Mcp, DialectEvidence::ClientHeaders));
            }
            let first = self.response.first_event.as_deref();
            return (first == Some("endpoint")).then_some((Dialect::Mcp, DialectEvidence::ResponseShape));
        }
        // The client's answer to what the server asked.
        if has(Mark::JsonRpc) && rpc::is_mcp(&head.fields) && self.request_end.over {
            return Some((Dialect::Mcp, DialectEvidence::ClientHeaders));
        }
        rpc::by_rest_path(head, has(Mark::Message)).then_some((Dialect::A2a, DialectEvidence::PathSuffix))
    }

    /// Whether nothing more can be learnt: too much of the request without a shape, or request and response read.
    fn over(&self) -> bool {
        let decoded = |body: &Option<Body>| body.as_ref().map_or(0, Body::decoded);
        let response_long = decoded(&self.response_body) >= SHAPE_BUDGET;
        let response = self.response_end.over || response_long || self.response_foreign;
        // A request without a body has no shape, and its path was judged before.
        let heard = self.listens && self.response.first_event.is_some();
        let bodiless =
            !self.listens && self.head.is_some() && self.request_end.over && decoded(&self.request_body) == 0;
        self.request_long()
            || heard
            || (self.request_end.over && response)
            || (bodiless && self.request_end.incomplete.is_none())
    }

    /// Whether more of the request was read than a shape takes.
    fn request_long(&self) -> bool {
        let decoded = self.request_body.as_ref().map_or(0, Body::decoded);
        let path = self.head.as_ref().map_or("", |h| h.path.as_str());
        decoded >= NAMED_BUDGET || (decoded >= SHAPE_BUDGET && paths::dialects(path).next().is_none())
    }

    /// Whether the request body could not be read, so that it cannot disagree with the path.
    fn request_unread(&self) -> bool {
        self.head.is_some() && self.request_end.over && self.request_end.incomplete.is_some()
    }

    fn response_shape(&self) -> Option<Dialect> {
        let body = &self.response;
        recognise::by_response(
            body.object.as_deref(),
            body.kind.as_deref(),
            body.marks,
            body.model.is_some(),
            body.has_embeddings(),
        )
    }

    fn names_anthropic(&self) -> bool {
        self.head
            .as_ref()
            .is_some_and(|h| h.fields.all("anthropic-version").next().is_some())
    }

    /// Which kind of "not AI" this is.
    pub(super) fn not_ai(&self) -> NotAi {
        let head = self.head.as_ref();
        let post = self.socket || head.is_some_and(may_post);
        let path = head.map_or("", |h| h.path.as_str());
        let shaped = recognise::by_request(self.request.marks, false).is_some();
        let known = self.catalog_host || self.catalog.is_some();
        if post && paths::is_foreign(path) && (known || shaped) {
            NotAi::UnknownDialect
        } else if known {
            NotAi::CatalogHostOther
        } else {
            NotAi::Other
        }
    }
}
