//! Who is at the other end of a connection, as far as the connection itself tells.

use std::net::SocketAddr;
use std::sync::Arc;

/// The other end of a connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Where it connects from.
    pub(crate) address: SocketAddr,
    /// The names in its certificate, once it was verified; none without mutual TLS.
    pub(crate) certificate: Option<Arc<CertificateNames>>,
}

/// Subject alternative names of a verified client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CertificateNames {
    /// URIs, SPIFFE ids among them, as they stand in the certificate.
    pub(crate) uris: Vec<String>,
    /// DNS names, in lower case.
    pub(crate) dns: Vec<String>,
}
