//! Files that an operator writes: configuration, policy, catalogue.

use observer::{
    catalog::Catalog,
    config::{Config, yaml},
    policy::{Policy, Subject},
};

use crate::input::Input;

/// First byte: which file.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let which = input.byte();
    let Ok(text) = std::str::from_utf8(input.rest()) else {
        return;
    };
    match which % 4 {
        0 => drop(Config::parse(text, "observer.yaml")),
        1 => {
            if let Ok(policy) = Policy::parse(text, "policy.yaml") {
                let subject = Subject {
                    provider: "openai",
                    host: "api.openai.com",
                    uid: Some(1000),
                    user: "alice",
                    executable: "/usr/bin/curl",
                    namespace: "",
                };
                let _ = policy.evaluate(&subject);
            }
        }
        2 => {
            if let Ok(catalog) = Catalog::parse(text, "providers.yaml") {
                let _ = (
                    catalog.lookup("api.openai.com", "/v1/chat/completions"),
                    catalog.kernel_patterns(),
                );
            }
        }
        _ => drop(yaml::parse("x.yaml", text)),
    }
}
