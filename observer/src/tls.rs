//! TLS as a client, set up the same wherever Observer speaks it, and errors with their causes.

use std::{fmt, path::Path, sync::Arc};

use hyper_rustls::ConfigBuilderExt;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Trusts the certificates of a PEM file, or those of the system.
///
/// # Errors
/// In words, what is wrong with them.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    let builder = match ca_file {
        Some(path) => builder.with_root_certificates(roots_from(path)?),
        None => builder
            .with_native_roots()
            .map_err(|error| format!("the system's certificates: {error}"))?,
    };
    Ok(builder.with_no_client_auth())
}

fn roots_from(path: &Path) -> Result<RootCertStore, String> {
    let failed = |why: &dyn fmt::Display| format!("certificates {}: {why}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"no certificate in the file"));
    }
    Ok(roots)
}

/// The error with its causes: hyper says "client error (Connect)" and hides why.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
