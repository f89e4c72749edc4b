//! Whether the API server of Kubernetes names the pods of this node.

use super::checks::{Check, failure, ok, warning};
use crate::{
    config::{ApiServer, Kubernetes},
    kubernetes::{Fault, Resolved, Settings, probe},
};

const NAME: &str = "names of pods";

/// Asks for the pods as the daemon does. No line where nobody is asked.
///
/// # Errors
/// When there is no thread to ask with.
pub(super) fn check(config: &Kubernetes) -> anyhow::Result<Option<Check>> {
    let variable = |name: &str| std::env::var(name).ok();
    let settings = match Settings::of_node(config, variable, std::path::Path::exists) {
        Resolved::Off => return Ok(None),
        // The daemon starts all the same where nobody named an API server.
        Resolved::Unable(why) if matches!(config.api, ApiServer::At(_)) => {
            return Ok(Some(failure(NAME, "the API server cannot be asked", why)));
        }
        Resolved::Unable(why) => return Ok(Some(warning(NAME, "not known, container ids stay", why))),
        Resolved::On(settings) => settings,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(Some(judge(&settings, runtime.block_on(probe(&settings)))))
}

fn judge(settings: &Settings, answer: Result<usize, Fault>) -> Check {
    let (url, node) = (&settings.url, &settings.node);
    match answer {
        // A node without a pod does not run what asks: it is another one's name.
        Ok(0) => warning(
            NAME,
            format!("{url} knows no pod on node {node}"),
            "is this the name of this node? kubectl get nodes; NODE_NAME or kubernetes.node",
        ),
        Ok(pods) => ok(NAME, format!("{url} names {pods} pods of node {node}")),
        Err(fault) => {
            let advice = match fault {
                Fault::Denied(_) => {
                    "let the service account list and watch pods (rbac.yaml of the chart); without it rows have container ids only"
                }
                Fault::Unauthorized => "the token must be one of this cluster: kubernetes.token_file",
                Fault::Setup(_) => "kubernetes.token_file and kubernetes.ca_file name these files",
                _ => {
                    "is the address right, and does a NetworkPolicy let it through? Without it rows have container ids only"
                }
            };
            warning(NAME, fault.to_string(), advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks::State;
    use super::*;

    fn settings() -> Settings {
        Settings {
            url: "https://127.0.0.1:1".to_owned(),
            token_file: None,
            ca_file: None,
            node: "n-1".to_owned(),
        }
    }

    #[test]
    fn a_refusal_says_what_to_allow_and_fails_nothing() {
        let denied = judge(&settings(), Err(Fault::Denied("pods is forbidden".into())));
        assert_eq!(denied.state, State::Warning);
        assert!(denied.found.contains("pods is forbidden") && denied.advice.contains("list and watch pods"));
        assert_eq!(judge(&settings(), Ok(3)).state, State::Ok);
        assert!(judge(&settings(), Ok(0)).found.contains("no pod on node n-1"));
    }

    #[test]
    fn a_host_without_a_cluster_has_no_line_and_a_wrong_setting_fails() {
        let off = Kubernetes {
            api: ApiServer::Off,
            ..Kubernetes::default()
        };
        assert!(check(&off).unwrap().is_none());
        let nameless = Kubernetes {
            api: ApiServer::At("https://127.0.0.1:1".into()),
            node: Some("NOT A NAME".into()),
            ..Kubernetes::default()
        };
        assert_eq!(check(&nameless).unwrap().unwrap().state, State::Failure);
    }
}
