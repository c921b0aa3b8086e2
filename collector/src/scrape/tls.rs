//! By which certificates is a server asked, and its own believed? As Prometheus's `tls_config` says.
//!
//! `server_name` is the name that the server's certificate must have; rustls tells the server the URL's own all the same.

use super::config::{TlsSettings, TlsVersion};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use std::sync::{Arc, LazyLock};

/// What the files of a `tls_config` hold, or what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pem {
    pub(super) ca: Option<Vec<u8>>,
    pub(super) cert: Option<Vec<u8>>,
    pub(super) key: Option<Vec<u8>>,
}

/// The certificates that this machine trusts. Read once: there are some hundred, and a client per job.
static MACHINES_ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    Arc::new(roots)
});

/// The settings of TLS towards the servers of one client.
pub(super) fn config(settings: &TlsSettings, pem: &Pem, with_http2: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = versions(settings);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions);
    let builder = builder.map_err(|error| format!("tls_config: {error}"))?;
    let roots = match &pem.ca {
        None => Arc::clone(&MACHINES_ROOTS),
        Some(ca) => Arc::new(roots(ca)?),
    };
    let builder = if settings.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else if settings.server_name.is_empty() {
        builder.with_root_certificates(roots)
    } else {
        let told = |error: &dyn std::fmt::Display| format!("tls_config: server_name: {error}");
        let name = ServerName::try_from(settings.server_name.clone()).map_err(|error| told(&error))?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
        let verifier = verifier.map_err(|error| told(&error))?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Named { name, verifier }))
    };
    let mut config = match (&pem.cert, &pem.key) {
        (Some(cert), Some(key)) => {
            let cert = certificates("cert", cert)?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("tls_config: key: {error}"))?;
            builder.with_client_auth_cert(cert, key).map_err(|error| format!("tls_config: cert: {error}"))?
        }
        _ => builder.with_no_client_auth(),
    };
    let protocols: &[&[u8]] = if with_http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn versions(settings: &TlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let known = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let allowed = |version: TlsVersion| {
        settings.min_version.is_none_or(|least| version >= least)
            && settings.max_version.is_none_or(|most| version <= most)
    };
    known.into_iter().filter(|(version, _)| allowed(*version)).map(|(_, version)| version).collect()
}

fn certificates(key: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let list = read.map_err(|error| format!("tls_config: {key}: {error}"))?;
    if list.is_empty() { Err(format!("tls_config: {key}: there is no certificate in it")) } else { Ok(list) }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", pem)? {
        roots.add(certificate).map_err(|error| format!("tls_config: ca: {error}"))?;
    }
    Ok(roots)
}

/// Believes a server whose certificate has a certain name, whatever its URL says.
#[derive(Debug)]
struct Named {
    name: ServerName<'static>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Believes everybody, as `insecure_skip_verify` asks for.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
