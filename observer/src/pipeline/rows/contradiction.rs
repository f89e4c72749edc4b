//! A request that names another host than its TLS handshake did. Whoever has a relay can write any `Host` into a request to it; the name
//! in the handshake is where the connection was to go. Neither proves anything, so policy is asked about both.

use super::{
    super::{Rulebook, connections::NameSource, role::Role},
    Of,
};
use crate::catalog::Catalog;

/// The name that TLS gave, where the request names another service. `None` where there is nothing to compare.
pub(super) fn name_in_tls(book: &Rulebook, of: &Of<'_>) -> Option<String> {
    if of.exchange.host.is_empty() || of.flow.role == Role::Server {
        return None;
    }
    let of_socket = || {
        let connection = of.connection?;
        let is_tls = connection.name_source == NameSource::Sni;
        is_tls.then_some(connection.server_name.as_str())
    };
    let told = of.flow.server_name.as_deref().or_else(of_socket)?;
    let (told, host) = (bare(told), bare(&of.exchange.host));
    let differs = !told.is_empty() && told != host && !may_share(&book.catalog, &host, &told);
    differs.then_some(told)
}

/// In lower case, without a dot at its end, and out of the wrapping of a service mesh (Istio's `outbound_.443_.subset_.name`).
fn bare(name: &str) -> String {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let wrapped = name.strip_prefix("outbound_.");
    match wrapped.and_then(|rest| rest.rsplit_once("_.")) {
        Some((_, inner)) => inner.to_owned(),
        None => name,
    }
}

/// Whether a browser may ask for `host` over a connection that it made to `told`: HTTP/2 lets it where one certificate has both names
/// (RFC 9113 section 9.1.1). They have an owner in common where `host` is a provider's own name (not one of its customers', as below
/// `openai.azure.com`) and the other one stands beside, above or below it.
fn may_share(catalog: &Catalog, host: &str, told: &str) -> bool {
    let below = |name: &str, domain: &str| {
        is_registered(domain) && name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    let parent = |name: &str| name.split_once('.').map(|(_, parent)| parent.to_owned());
    let beside = parent(host).is_some_and(|domain| is_registered(&domain) && parent(told) == Some(domain));
    catalog.is_own_name(host) && (beside || below(host, told) || below(told, host))
}

/// Whether a domain has one owner, as far as its form tells: not `com`, and nothing like `com.cn` or `co.uk`.
fn is_registered(domain: &str) -> bool {
    match domain.split_once('.') {
        Some((first, top)) => first.len() > 3 || top.len() > 2,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_mesh_and_spellings_are_one() {
        for (name, wanted) in [
            ("API.OpenAI.com.", "api.openai.com"),
            ("outbound_.443_._.api.openai.com", "api.openai.com"),
            (
                "outbound_.8080_.v1_.llm.lab.svc.cluster.local",
                "llm.lab.svc.cluster.local",
            ),
            ("outbound_.x", "outbound_.x"),
        ] {
            assert_eq!(bare(name), wanted);
        }
    }

    #[test]
    fn connections_are_shared_between_names_of_one_owner_only() {
        let catalog = Catalog::builtin();
        for (host, told, shared) in [
            ("chatgpt.com", "ab.chatgpt.com", true),
            ("api.openai.com", "files.openai.com", true),
            ("api.openai.com", "openai.com", true),
            ("api.openai.com", "relay.example", false),
            ("api.openai.com", "api.openai.com.relay.example", false),
            ("api.openai.com", "com", false),
            ("api.openai.com", "evilopenai.com", false),
            // Two customers.
            ("a.openai.azure.com", "b.openai.azure.com", false),
            // Nobody knows whose these are.
            ("a.example.org", "b.example.org", false),
        ] {
            assert_eq!(may_share(&catalog, host, told), shared, "{host} {told}");
        }
        for domain in ["com", "com.cn", "co.uk", "ai"] {
            assert!(!is_registered(domain), "{domain}");
        }
    }
}
