//! The keys of an issuer, fetched over HTTPS: one GET, without redirections and without a proxy.

use crate::source::read;
use claims::program::WrongSetting;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Longest that a fetch may take.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of a key set; those of large issuers have some 10 KiB.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Fetches from one address.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    url: Uri,
    token_file: Option<PathBuf>,
}

impl Fetcher {
    /// From an `https` address. Servers are trusted whose certificate was signed by the authorities in
    /// that file, or else by those of the operating system.
    pub(super) fn new(
        url: &str,
        authorities: Option<&Path>,
        token_file: Option<PathBuf>,
    ) -> Result<Self, WrongSetting> {
        const URL: &str = "CLAIM_JWKS_URL";
        let url: Uri =
            url.parse().map_err(|error| WrongSetting::new(URL, format!("{url}: {error}")))?;
        if url.scheme_str() != Some("https") || url.host().is_none() {
            // Who can answer in the issuer's place can be anybody.
            return Err(WrongSetting::new(URL, format!("{url}: must begin with https://")));
        }
        let roots = match authorities {
            Some(path) => given(path).map_err(|problem| {
                WrongSetting::new("CLAIM_JWKS_CA_FILE", format!("{}: {problem}", path.display()))
            })?,
            None => of_this_system(),
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| WrongSetting::new(URL, error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, url, token_file })
    }

    /// What is there now.
    pub(super) async fn fetch(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        timeout(FETCH_TIMEOUT, self.try_fetch())
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {FETCH_TIMEOUT:?}").into()))
    }

    async fn try_fetch(&self) -> Result<String, Box<dyn Error + Send + Sync>> {
        let mut request = Request::get(self.url.clone()).header(ACCEPT, "application/json");
        if let Some(path) = self.token_file.clone() {
            // Read each time: the tokens of Kubernetes last an hour.
            let token = spawn_blocking(move || read(&path)).await??;
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = self.client.request(request.body(Empty::new())?).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("it answered {}", response.status()).into());
        }
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await?;
        Ok(String::from_utf8(body.to_bytes().into())?)
    }

    /// The address, for the log.
    pub(super) fn place(&self) -> String {
        format!("CLAIM_JWKS_URL: {}", self.url)
    }
}

fn given(path: &Path) -> Result<RootCertStore, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(read(path)?.as_bytes()) {
        roots.add(certificate.map_err(|error| format!("{error:?}"))?)?;
    }
    if roots.is_empty() { Err("has no certificate".into()) } else { Ok(roots) }
}

fn of_this_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // What cannot be read is not trusted; if that is all, the fetch says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
