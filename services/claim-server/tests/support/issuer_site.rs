//! An issuer's site: one document over HTTPS, with a certificate of an authority of its own.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A site that is there until the test ends.
pub(crate) struct Site {
    pub(crate) url: String,
    /// Of the authority, in PEM.
    pub(crate) authority: String,
    shown: Arc<Mutex<(&'static str, String)>>,
    asked: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// One that shows this.
    pub(crate) async fn start(document: String) -> Self {
        let (authority, tls) = certified();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let site = Self {
            url: format!("https://localhost:{port}/keys"),
            authority,
            shown: Arc::new(Mutex::new(("200 OK", document))),
            asked: Arc::default(),
            requests: Arc::default(),
        };
        let (shown, asked, requests) =
            (site.shown.clone(), site.asked.clone(), site.requests.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(socket).await else { continue };
                let mut request = vec![];
                while !request.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => request.push(byte),
                        Err(_) => break,
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                requests.lock().expect("no panic holds it").push(request);
                let (status, document) = shown.lock().expect("no panic holds it").clone();
                let length = document.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
                let _ = stream.write_all(format!("{head}{document}").as_bytes()).await;
                let _ = stream.shutdown().await;
                asked.fetch_add(1, Ordering::SeqCst);
            }
        });
        site
    }

    /// From now on it shows that.
    pub(crate) fn show(&self, status: &'static str, document: String) {
        *self.shown.lock().expect("no panic holds it") = (status, document);
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// What it was asked.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic holds it").clone()
    }
}

/// An authority, and a server with a certificate of it for `localhost`.
fn certified() -> (String, ServerConfig) {
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
    let authority = authority.expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate");
    (authority.pem(), tls)
}
