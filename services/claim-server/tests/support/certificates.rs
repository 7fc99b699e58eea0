//! Certificate authorities of a test's own, files, and clients that are encrypted.

use super::Server;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// The name of a client.
pub(crate) const SPIFFE: &str = "spiffe://cluster.local/ns/agents/sa/Runner";
/// A line of log about encryption that went wrong.
pub(crate) const ERROR: &str = "ERROR claim_server::transport";
pub(crate) const WARNING: &str = " WARN claim_server::transport";

/// An authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a server of this machine.
    pub(crate) fn server(&self) -> Issued {
        self.issue(vec![SanType::DnsName("localhost".try_into().expect("a name"))])
    }

    /// For a client of that URI and that DNS name.
    pub(crate) fn client(&self, uri: &str, dns: &str) -> Issued {
        let uri = SanType::URI(uri.try_into().expect("a URI"));
        self.issue(vec![uri, SanType::DnsName(dns.try_into().expect("a name"))])
    }

    /// For a server of this machine, and ended or about to.
    pub(crate) fn server_until(&self, end: SystemTime) -> Issued {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let since = end.duration_since(SystemTime::UNIX_EPOCH).expect("not long ago");
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since;
        self.sign(&params)
    }

    fn issue(&self, names: Vec<SanType>) -> Issued {
        let mut params = CertificateParams::new([]).expect("no names");
        params.subject_alt_names = names;
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate").pem();
        Issued { certificate, key: key.serialize_pem() }
    }
}

/// The files of an encrypted server, which go with their test.
pub(crate) struct Files(PathBuf);

impl Files {
    /// A folder with a server's certificate in it.
    pub(crate) fn of(server: &Issued) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("claim-server-tls-{}-{number}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        std::fs::create_dir(&folder.0).expect("a folder");
        folder.replace(server);
        folder
    }

    /// Puts another certificate in the place of the server's.
    pub(crate) fn replace(&self, server: &Issued) {
        self.write("server.pem", &server.certificate);
        self.write("server.key", &server.key);
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("a file");
    }

    /// Whose certificates clients have. [`SPIFFE`] may look at the claims of the tenant acme.
    pub(crate) fn trust(&self, clients: &[&Authority]) {
        let all: String = clients.iter().map(|authority| authority.pem()).collect();
        self.write("clients.pem", &all);
        let grant = format!("callers = [\"cert:{SPIFFE}\"]\ntenants = [\"acme\"]");
        self.write("policy.toml", &format!("[[grant]]\n{grant}\nroles = [\"observer\"]\n"));
    }

    /// A server with those files and that environment, on a database that is away; it asks clients
    /// for certificates if it is told whom to trust.
    pub(crate) async fn serve(&self, environment: &[(&str, &str)]) -> Server {
        let path = |name: &str| self.0.join(name).display().to_string();
        let (certificate, key) = (path("server.pem"), path("server.key"));
        let (clients, policy) = (path("clients.pem"), path("policy.toml"));
        let mut all = vec![
            ("CLAIM_TLS_CERT", certificate.as_str()),
            ("CLAIM_TLS_KEY", key.as_str()),
            ("CLAIM_TLS_RELOAD_INTERVAL", "100ms"),
        ];
        if self.0.join("clients.pem").exists() {
            all.push(("CLAIM_TLS_CLIENT_CA", clients.as_str()));
            all.push(("CLAIM_POLICY_FILE", policy.as_str()));
        }
        all.extend(environment);
        Server::start_with("postgres://nobody@127.0.0.1:1/none", &all).await
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // A folder left over in the temporary folder is no reason to fail.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where encrypted clients connect to, trusting those authorities, with that certificate.
pub(crate) fn endpoint(address: SocketAddr, trusted: &str, identity: Option<&Issued>) -> Endpoint {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(trusted))
        .domain_name("localhost");
    if let Some(Issued { certificate, key }) = identity {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let endpoint = Channel::from_shared(format!("https://{address}")).expect("an address");
    endpoint.tls_config(tls).expect("certificates")
}

/// An encrypted connection.
pub(crate) async fn connect(
    server: &Server,
    trusted: &Authority,
    identity: Option<&Issued>,
) -> Result<Channel, Error> {
    endpoint(server.address, &trusted.pem(), identity).connect().await
}

/// A call on a channel.
pub(crate) async fn call(channel: Channel) -> Result<(), tonic::Status> {
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.map(drop)
}

/// A call on a connection of its own; what went wrong, if anything did.
pub(crate) async fn call_anew(
    server: &Server,
    trusted: &Authority,
    identity: Option<&Issued>,
) -> Result<(), String> {
    let channel = connect(server, trusted, identity).await.map_err(|error| format!("{error:?}"))?;
    call(channel).await.map_err(|status| format!("{status:?}"))
}

/// What it has logged so far.
pub(crate) fn log(server: &Server) -> String {
    server.log.lock().expect("no panic holds it").clone()
}

/// How often the log says that.
pub(crate) fn told(server: &Server, what: &str) -> usize {
    log(server).matches(what).count()
}
