//! Certificate, key and authority, as they stand in their files.

use super::names;
use claims::program::WrongSetting;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{Error, RootCertStore, ServerConfig};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_cert::der::DateTime;

const CERTIFICATE: &str = "CLAIM_TLS_CERT";
const KEY: &str = "CLAIM_TLS_KEY";
const CLIENT_AUTHORITY: &str = "CLAIM_TLS_CLIENT_CA";
/// HTTP/2, which is what gRPC speaks.
const ALPN: &[u8] = b"h2";

/// Where they are.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) clients: Option<ClientAuthority>,
}

/// Whose certificates clients have.
#[derive(Clone, Debug)]
pub(crate) struct ClientAuthority {
    pub(crate) file: PathBuf,
    /// A client without a certificate is refused.
    pub(crate) is_required: bool,
}

/// What one look at the files has found: their contents, or the first that cannot be read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Look(Result<Arc<Contents>, WrongSetting>);

#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    clients: Option<Vec<u8>>,
}

/// What connections are encrypted with.
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    pub(crate) config: Arc<ServerConfig>,
    /// When the server's certificate ends, or one of those that it hangs on.
    pub(crate) expires_at: DateTime,
}

impl Files {
    /// Reads them all.
    pub(crate) fn look(&self) -> Look {
        let clients = self.clients.as_ref().map(|clients| read(CLIENT_AUTHORITY, &clients.file));
        let contents = || {
            Ok(Arc::new(Contents {
                certificate: read(CERTIFICATE, &self.certificate)?,
                key: read(KEY, &self.key)?,
                clients: clients.transpose()?,
            }))
        };
        Look(contents())
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, WrongSetting> {
    std::fs::read(path).map_err(|error| wrong(setting, path, error))
}

fn wrong(setting: &'static str, path: &Path, problem: impl fmt::Display) -> WrongSetting {
    WrongSetting::new(setting, format!("{}: {problem}", path.display()))
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret, and certificates are no reading.
        f.debug_struct("Look").field("error", &self.0.as_ref().err()).finish_non_exhaustive()
    }
}

impl Look {
    /// What was found, if it fits together; otherwise which of `files` is wrong, and why.
    pub(crate) fn certificates(&self, files: &Files) -> Result<Certificates, WrongSetting> {
        let contents = self.0.as_ref().map_err(Clone::clone)?;
        let wrong_certificate = |problem: String| wrong(CERTIFICATE, &files.certificate, problem);
        let wrong_key = |problem: String| wrong(KEY, &files.key, problem);

        let chain = certificates(&contents.certificate).map_err(wrong_certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| {
            wrong_key(match error {
                pem::Error::NoItemsFound => "holds no private key in PEM".to_owned(),
                // Not the error itself, which may repeat what it could not read.
                _ => "is not a private key in PEM".to_owned(),
            })
        })?;
        let expires_at =
            names::expires_at(&chain).map_err(|error| wrong_certificate(error.to_string()))?;

        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong_certificate(error.to_string()))?;
        let builder = match (&files.clients, &contents.clients) {
            (Some(clients), Some(pem)) => {
                let verifier = verifier(pem, clients.is_required)
                    .map_err(|problem| wrong(CLIENT_AUTHORITY, &clients.file, problem))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                wrong_key("is not the key of the certificate in CLAIM_TLS_CERT".to_owned())
            }
            Error::InvalidCertificate(_) => wrong_certificate(error.to_string()),
            error => wrong_key(error.to_string()),
        })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Certificates { config: Arc::new(config), expires_at })
    }
}

/// All certificates of a file; at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err("holds no certificate in PEM".to_owned()),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("is not PEM: {error}")),
    }
}

/// Verifies clients by the authorities of a file.
fn verifier(pem: &[u8], is_required: bool) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut authorities = RootCertStore::empty();
    for authority in certificates(pem)? {
        authorities.add(authority).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| error.to_string())
}
