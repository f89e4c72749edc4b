//! A certificate authority of our own, new for each endpoint; its key never leaves the process.

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The authority that clients are told to trust.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new key and a certificate signed by itself.
    pub fn new() -> Result<Self> {
        let mut parameters = CertificateParams::new(Vec::new()).context("authority parameters")?;
        parameters
            .distinguished_name
            .push(DnType::CommonName, "Observer test authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("authority key")?;
        let issuer = CertifiedIssuer::self_signed(parameters, key).context("authority certificate")?;
        Ok(Self { issuer })
    }

    /// Certificate of the authority, for clients.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// TLS settings of a server with a certificate for `hosts`.
    pub fn server_config(&self, hosts: &[String], http2: bool) -> Result<ServerConfig> {
        let key = KeyPair::generate().context("server key")?;
        let mut parameters = CertificateParams::new(hosts.to_vec()).context("a host name is not valid")?;
        parameters
            .distinguished_name
            .push(DnType::CommonName, "Observer test endpoint");
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .context("server certificate")?;
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS versions")?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("server certificate and key do not fit")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if http2 {
            config.alpn_protocols.insert(0, b"h2".to_vec());
        }
        Ok(config)
    }
}
