//! Whether the API server is asked, where it is and who asks: from the configuration and the environment of a pod. Pure.

use std::path::{Path, PathBuf};

use crate::config::{ApiServer, Kubernetes, is_node_name};

/// Where every pod with a service account has its token and the certificates of the API server.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Variables that the kubelet sets in every container.
pub(crate) const SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";
const PORT: &str = "KUBERNETES_SERVICE_PORT";

/// Variable that the manifests set from the pod's own description.
const NODE: &str = "NODE_NAME";

/// How the API server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `https://host:port`.
    pub url: String,
    /// Token of the service account; `None`: none is sent.
    pub token_file: Option<PathBuf>,
    /// Certificates to trust, PEM; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// This node; empty where it is not known.
    pub node: String,
}

/// What came of configuration and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// Nobody is asked: switched off, or this is no pod.
    Off,
    /// This is a pod, and nobody can be asked: why, and what to do.
    Unable(&'static str),
    /// It is asked.
    On(Settings),
}

impl Settings {
    /// Where the API server is, for whoever asks for more than one node. `variable` gives a variable of the environment, `exists` tells
    /// whether a file is there.
    pub fn server(
        config: &Kubernetes,
        variable: impl Fn(&str) -> Option<String>,
        exists: impl Fn(&Path) -> bool,
    ) -> Resolved {
        let own = |file: &str| Path::new(SERVICE_ACCOUNT).join(file);
        let node = node_name(config, &variable);
        let settings = |url| Settings {
            url,
            token_file: config.token_file.clone(),
            ca_file: config.ca_file.clone(),
            node: node.clone(),
        };
        match &config.api {
            ApiServer::Off => Resolved::Off,
            ApiServer::At(url) => Resolved::On(settings(url.clone())),
            ApiServer::Auto => {
                let Some(host) = variable(SERVICE_HOST).filter(|host| !host.is_empty()) else {
                    return Resolved::Off;
                };
                let token = config.token_file.clone().unwrap_or_else(|| own("token"));
                if !exists(&token) {
                    return Resolved::Unable(
                        "the pod has no token of a service account: set automountServiceAccountToken, or kubernetes.api: off",
                    );
                }
                let port = variable(PORT).unwrap_or_else(|| "443".to_owned());
                Resolved::On(Settings {
                    token_file: Some(token),
                    ca_file: Some(config.ca_file.clone().unwrap_or_else(|| own("ca.crt"))),
                    ..settings(format!("https://{}:{port}", bracketed(&host)))
                })
            }
        }
    }

    /// As [`Self::server`], for the pods of this node, whose name must be known.
    pub fn of_node(
        config: &Kubernetes,
        variable: impl Fn(&str) -> Option<String>,
        exists: impl Fn(&Path) -> bool,
    ) -> Resolved {
        match Self::server(config, variable, exists) {
            Resolved::On(settings) if settings.node.is_empty() => Resolved::Unable(
                "the name of this node is not known: set NODE_NAME from spec.nodeName in the manifest, or kubernetes.node",
            ),
            other => other,
        }
    }
}

/// Name of this node, as configured or as the manifest says; empty where neither does. One that is no name counts as none.
pub fn node_name(config: &Kubernetes, variable: impl Fn(&str) -> Option<String>) -> String {
    let given = config.node.clone().or_else(|| variable(NODE));
    given.filter(|name| is_node_name(name)).unwrap_or_default()
}

/// An address of IPv6 stands in brackets in a URL.
fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(config: &Kubernetes, variables: &[(&str, &str)], token: bool) -> Resolved {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::of_node(config, variable, |_| token)
    }

    #[test]
    fn a_pod_is_known_by_its_environment_and_anything_else_is_left_alone() {
        let auto = Kubernetes::default();
        assert_eq!(resolve(&auto, &[("NODE_NAME", "n")], true), Resolved::Off);
        let pod = [
            (SERVICE_HOST, "fd00::1"),
            (PORT, "6443"),
            (NODE, "node-1.example"),
        ];
        let Resolved::On(settings) = resolve(&auto, &pod, true) else {
            panic!("not asked")
        };
        assert_eq!(
            (settings.url.as_str(), settings.node.as_str()),
            ("https://[fd00::1]:6443", "node-1.example")
        );
        assert_eq!(
            settings.token_file,
            Some(PathBuf::from(format!("{SERVICE_ACCOUNT}/token")))
        );
        assert_eq!(
            settings.ca_file,
            Some(PathBuf::from(format!("{SERVICE_ACCOUNT}/ca.crt")))
        );
    }

    #[test]
    fn what_is_missing_in_a_pod_is_told() {
        let says = |variables: &[(&str, &str)], token, word: &str| {
            let resolved = resolve(&Kubernetes::default(), variables, token);
            assert!(
                matches!(resolved, Resolved::Unable(why) if why.contains(word)),
                "{resolved:?}"
            );
        };
        says(
            &[(SERVICE_HOST, "10.0.0.1"), (NODE, "n")],
            false,
            "automountServiceAccountToken",
        );
        says(&[(SERVICE_HOST, "10.0.0.1")], true, "spec.nodeName");
        says(
            &[(SERVICE_HOST, "10.0.0.1"), (NODE, "a&watch=1")],
            true,
            "spec.nodeName",
        );
    }

    #[test]
    fn what_is_configured_goes_first() {
        let mut config = Kubernetes {
            api: ApiServer::At("https://api:6443".into()),
            node: Some("other".into()),
            token_file: Some("/t".into()),
            ..Kubernetes::default()
        };
        let pod = [(SERVICE_HOST, "10.0.0.1"), (NODE, "n")];
        let wanted = Settings {
            url: "https://api:6443".into(),
            token_file: Some("/t".into()),
            ca_file: None,
            node: "other".into(),
        };
        assert_eq!(resolve(&config, &pod, false), Resolved::On(wanted));
        config.api = ApiServer::Off;
        assert_eq!(resolve(&config, &pod, true), Resolved::Off);
    }
}
