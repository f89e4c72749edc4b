//! Files that an operator writes: configuration, policy, register, catalogue.

use observer::{
    catalog::Catalog,
    config::{Config, yaml},
    policy::{Attribute, FindingFact, Judge, Policy, Register, Subject},
    sensitive::Severity,
};

use crate::input::Input;

/// First byte: which file.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let which = input.byte();
    let Ok(text) = std::str::from_utf8(input.rest()) else {
        return;
    };
    match which % 5 {
        0 => drop(Config::parse(text, "observer.yaml")),
        1 => {
            if let Ok(policy) = Policy::parse(text, "policy.yaml") {
                judge(policy, None);
            }
        }
        3 => {
            if let Ok(register) = Register::parse(text, "register.yaml") {
                judge(Policy::none(), Some(register));
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

/// Asks for a verdict and for its reasons, which must agree.
fn judge(policy: Policy, register: Option<Register>) {
    let judge = Judge { policy, register };
    let findings = [FindingFact {
        class: "secret",
        rule: "aws_access_key",
        severity: Severity::High,
        place: "prompt",
    }];
    let subject = Subject::at(1_795_910_400_000_000_000, &findings)
        .with(Attribute::Provider, "openai")
        .with(Attribute::Host, "api.openai.com")
        .with(Attribute::User, "alice")
        .with(Attribute::User, "1000")
        .with(Attribute::Executable, "/usr/bin/curl");
    assert_eq!(judge.judge(&subject), judge.explain(&subject).judgement);
    let _ = judge.warnings();
}
