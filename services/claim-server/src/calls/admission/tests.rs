use super::*;
use bytes::Bytes;
use claim_proto::v1::MintRequest;
use futures_util::FutureExt;
use prost::Message;
use std::convert::Infallible;
use tokio::sync::mpsc;
use tonic::Code;
use tonic_types::StatusExt as _;

const MINT: &str = "/claim.v1.ClaimService/Mint";
const HEARTBEAT: &str = "/claim.v1.ClaimService/Heartbeat";

/// Refuses the calls of tenant `noisy`.
#[derive(Clone, Copy)]
struct Busy {
    mints: bool,
    quota: Option<Duration>,
}

impl Gate for Busy {
    fn refuses_mints_of(&self, tenant: &TenantId) -> bool {
        self.mints && tenant.as_str() == "noisy"
    }

    fn exceeds(&self, tenant: &TenantId, kind: Kind) -> Option<Duration> {
        self.quota.filter(|_| tenant.as_str() == "noisy" && kind == Kind::Begin)
    }
}

const FULL: Busy = Busy { mints: true, quota: None };

fn status(response: &Response<Body>) -> Status {
    Status::from_header_map(response.headers()).unwrap()
}

fn noisy() -> TenantId {
    TenantId::parse("noisy").unwrap()
}

/// A request as it arrives, to that path.
fn request<B>(path: &str, body: B) -> Request<B> {
    Request::post(path).body(body).unwrap()
}

/// The bytes of a request of that tenant.
fn of(tenant: &str) -> Vec<u8> {
    let message = MintRequest { tenant_id: tenant.into(), ..Default::default() }.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], &message].concat()
}

/// A connection on which a mint of `noisy` was refused for want of room.
fn seen() -> Connection {
    let connection = Connection::default();
    connection.memory(&HeaderMap::new()).overloaded(&noisy());
    connection
}

fn answer(
    admission: &Admission,
    path: &str,
    tenant: &str,
    connection: &Connection,
) -> Option<Status> {
    let request = request(path, ());
    let asks = admission.asks(&request, connection);
    let refusal = admission.refusal(&request, &of(tenant), connection);
    assert!(asks || refusal.is_none(), "who is not asked is not refused");
    refusal.as_ref().map(status)
}

#[test]
fn a_mint_that_may_not_come_in_is_told_to_come_back_and_nothing_else_is_refused() {
    let admission = Admission::new(FULL, Drain::default(), Metrics::default());
    let refused = answer(&admission, MINT, "noisy", &seen()).unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "OVERLOADED");
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
    for other in ["Heartbeat", "HeartbeatBatch", "KeepAlive", "Done", "AuthorizeWrite", "GetClaim"]
    {
        let path = format!("/claim.v1.ClaimService/{other}");
        assert!(answer(&admission, &path, "noisy", &seen()).is_none(), "{other}");
    }
}

#[test]
fn another_tenants_mint_comes_in_on_the_same_connection() {
    let admission = Admission::new(FULL, Drain::default(), Metrics::default());
    let connection = seen();
    assert!(answer(&admission, MINT, "quiet", &connection).is_none());
    assert!(answer(&admission, MINT, "noisy", &connection).is_some());
}

#[test]
fn on_a_connection_where_nothing_was_refused_nobody_learns_of_another_tenant() {
    let admission = Admission::new(FULL, Drain::default(), Metrics::default());
    let connection = Connection::default();
    assert!(!admission.asks(&request(MINT, ()), &connection));
    assert!(answer(&admission, MINT, "noisy", &connection).is_none());
    // Nor with other credentials than those of the call that was refused.
    let mut other = request(MINT, ());
    other.headers_mut().insert("authorization", "Bearer x".parse().unwrap());
    assert!(!admission.asks(&other, &seen()));
}

#[test]
fn a_mint_comes_in_while_there_is_room() {
    let admission =
        Admission::new(Busy { mints: false, quota: None }, Drain::default(), Metrics::default());
    assert!(answer(&admission, MINT, "noisy", &seen()).is_none());
}

#[test]
fn a_draining_server_says_so_even_if_it_has_too_much_to_do() {
    let drain = Drain::default();
    drain.begin();
    let admission = Admission::new(FULL, drain, Metrics::default());
    assert!(!admission.asks(&request(MINT, ()), &seen()));
}

#[test]
fn a_call_beyond_the_quota_is_told_when_and_calls_of_another_kind_come_in() {
    let connection = Connection::default();
    connection.memory(&HeaderMap::new()).exceeded(&noisy());
    for wait in [Duration::from_millis(3), Duration::from_millis(700), Duration::from_secs(3600)] {
        let gate = Busy { mints: true, quota: Some(wait) };
        let admission = Admission::new(gate, Drain::default(), Metrics::default());
        let refused = answer(&admission, MINT, "noisy", &connection).unwrap();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(refused.get_details_error_info().unwrap().reason, "QUOTA_EXCEEDED");
        let told = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert!(
            told >= wait.min(Duration::from_secs(60)) && told <= wait * 4,
            "{wait:?}: {told:?}"
        );
        assert!(answer(&admission, HEARTBEAT, "noisy", &connection).is_none());
        assert!(answer(&admission, MINT, "quiet", &connection).is_none());
    }
}

/// A request of which this much has been sent.
struct Sent(mpsc::UnboundedReceiver<Bytes>);

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|sent| sent.map(|bytes| Ok(hyper::body::Frame::data(bytes))))
    }
}

/// A request that is asked whose it is.
fn asking(sent: mpsc::UnboundedReceiver<Bytes>) -> Asking<Sent> {
    let admission = Admission::new(FULL, Drain::default(), Metrics::default());
    Asking::new(request(MINT, Sent(sent)), admission, seen())
}

/// All bytes of a body.
async fn read<B: HttpBody<Data = Bytes> + Unpin>(mut body: B) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|c| Pin::new(&mut body).poll_frame(c)).await {
        let Ok(frame) = frame else { panic!("a body that breaks") };
        bytes.extend_from_slice(&frame.into_data().unwrap());
    }
    bytes
}

#[tokio::test]
async fn a_request_that_comes_in_is_whole() {
    let (sender, sent) = mpsc::unbounded_channel();
    let mut asking = asking(sent);
    assert!((&mut asking).now_or_never().is_none(), "nothing is known yet");
    sender.send(of("quiet").into()).unwrap();
    sender.send(Bytes::from_static(b"more")).unwrap();
    drop(sender);
    let Asked::Admitted(request) = asking.await else { panic!("it was refused") };
    assert_eq!(read(request.into_body()).await, [&of("quiet")[..], b"more"].concat());
}

#[tokio::test]
async fn a_refusal_waits_for_the_end_of_its_request() {
    let (sender, sent) = mpsc::unbounded_channel();
    let asking = asking(sent);
    sender.send(of("noisy").into()).unwrap();
    let Asked::Refused(mut refusing) = asking.await else { panic!("it was let in") };
    assert!((&mut refusing).now_or_never().is_none());
    sender.send(Bytes::from_static(b"half")).unwrap();
    assert!((&mut refusing).now_or_never().is_none());
    drop(sender);
    assert_eq!(status(&refusing.await).code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_wait_for_ever() {
    let (sender, sent) = mpsc::unbounded_channel();
    sender.send(of("noisy").into()).unwrap();
    let Asked::Refused(refusing) = asking(sent).await else { panic!("it was let in") };
    assert_eq!(status(&refusing.await).code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_begin_comes_in_and_has_its_deadline_there() {
    let (_sender, sent) = mpsc::unbounded_channel();
    assert!(matches!(asking(sent).await, Asked::Admitted(_)));
}
