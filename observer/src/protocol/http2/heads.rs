//! Heads of messages: fields of a header block as the request or response head they make (RFC 9113 section 8.3).

use super::{MAX_FIELDS, MAX_HEAD};
use crate::protocol::{Fields as HeadFields, RequestHead, ResponseHead, http1};

/// Fields of one block, within budgets.
#[derive(Default)]
pub(super) struct Fields {
    /// Pseudo-header fields in front, then the others, as they came.
    known: Vec<(String, Vec<u8>)>,
    /// Octets kept.
    size: usize,
    /// Fields whose name or value is not known.
    unknown: u32,
    /// Fields beyond the budgets.
    excess: bool,
}

impl Fields {
    /// Takes the next field.
    pub(super) fn take(&mut self, name: Option<&[u8]>, value: Option<&[u8]>) {
        let (Some(name), Some(value)) = (name, value) else {
            self.unknown = self.unknown.saturating_add(1);
            return;
        };
        self.size = self.size.saturating_add(name.len() + value.len());
        if self.size > MAX_HEAD || self.known.len() == MAX_FIELDS {
            self.excess = true;
            return;
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        self.known.push((name, value.to_vec()));
    }

    pub(super) fn is_over_budget(&self) -> bool {
        self.excess
    }

    /// Whether this is the head of a request, not a trailer section.
    pub(super) fn is_request(&self) -> bool {
        let pseudo = [":method", ":path", ":authority", ":scheme"];
        self.known.iter().any(|(name, _)| pseudo.contains(&name.as_str()))
    }

    /// Whether this may be the head of a response.
    pub(super) fn is_response(&self) -> bool {
        self.pseudo(":status").is_some() || self.unknown > 0
    }

    /// Status code, where it is known.
    pub(super) fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.pseudo(":status")?).ok()?.parse().ok()
    }

    pub(super) fn request(self) -> RequestHead {
        let text = |name| {
            let value = self.pseudo(name).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        let (method, target, mut authority) = (text(":method"), text(":path"), text(":authority"));
        let (path, query) = target.split_once('?').unwrap_or((target.as_str(), ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let unknown_fields = self.unknown;
        let fields = self.regular();
        if authority.is_empty() {
            authority = fields.get("host").unwrap_or_default();
        }
        RequestHead {
            method,
            path,
            query,
            host: http1::bare_host(&authority),
            port: http1::port(&authority),
            fields,
            unknown_fields,
        }
    }

    pub(super) fn response(self) -> ResponseHead {
        ResponseHead {
            status: self.status().unwrap_or_default(),
            unknown_fields: self.unknown,
            fields: self.regular(),
        }
    }

    fn pseudo(&self, name: &str) -> Option<&[u8]> {
        self.known
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_slice())
    }

    /// Fields without the pseudo-header fields; `:protocol` stays, as the one that says what follows (RFC 8441).
    fn regular(self) -> HeadFields {
        let keep = |name: &str| !name.starts_with(':') || name == ":protocol";
        HeadFields(self.known.into_iter().filter(|(name, _)| keep(name)).collect())
    }
}
