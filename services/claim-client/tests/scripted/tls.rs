//! Encryption: whom the client trusts, and whom the server does.

use crate::support::stage::Stage;
use crate::support::{eventually, mint};
use claim_client::{ClaimId, Client, Error, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::time::Duration;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

/// A certificate authority of a test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key for that name.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

fn https(stage: &Stage) -> String {
    format!("https://localhost:{}", stage.address.port())
}

fn connect(stage: &Stage, tls: Tls) -> Client {
    let builder = Client::builder([https(stage)]).tls(tls);
    builder.call_deadline(Duration::from_secs(2)).build().expect("good settings")
}

async fn ask(client: &Client) -> Result<claim_client::v1::Claim, Error> {
    let id = ClaimId { tenant_id: String::new(), consumer_id: "w_1".into(), epoch: 1 };
    client.get_claim(&id).await
}

#[tokio::test]
async fn calls_and_heartbeats_are_encrypted_to_a_server_that_is_trusted() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("localhost");
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
    let stage = Stage::start_tls(tls).await;
    let encrypted = connect(&stage, Tls::trusting(authority.pem()));
    let _guard = mint(&encrypted, "w_1").await;
    eventually("it is heard", || !stage.beats().is_empty()).await;

    let plain = Client::builder([stage.url()]).call_deadline(Duration::from_secs(1));
    let refused = ask(&plain.build().unwrap()).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
}

#[tokio::test]
async fn a_server_of_another_authority_or_another_name_is_not_trusted() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("claims.example");
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
    let stage = Stage::start_tls(tls).await;
    let trusting = || Tls::trusting(authority.pem());
    ask(&connect(&stage, trusting())).await.unwrap_err();
    ask(&connect(&stage, trusting().server_name("claims.example"))).await.unwrap();
    let stranger = Tls::trusting(Authority::new().pem()).server_name("claims.example");
    ask(&connect(&stage, stranger)).await.unwrap_err();
    assert_eq!(stage.count("get_claim"), 1);
}

#[tokio::test]
async fn a_client_presents_itself_to_a_server_that_asks_who_comes() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let (certificate, key) = servers.issue("localhost");
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(clients.pem()));
    let stage = Stage::start_tls(tls).await;
    ask(&connect(&stage, Tls::trusting(servers.pem()))).await.unwrap_err();

    let folder = std::env::temp_dir().join(format!("claim-client-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (certificate, key) = clients.issue("runner");
    let (certificate, key) = (file("client.pem", certificate), file("client.key", key));
    let authority = file("authority.pem", servers.pem());
    let tls = Tls::trusting_file(authority).unwrap().identity_files(certificate, key).unwrap();
    ask(&connect(&stage, tls)).await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
