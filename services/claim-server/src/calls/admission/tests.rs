use super::*;
use bytes::Bytes;
use futures_util::FutureExt;
use std::convert::Infallible;
use tokio::sync::mpsc;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const MINT: &str = "/claim.v1.ClaimService/Mint";

fn full(drain: &Drain) -> Admission {
    Admission::new(|| true, drain.clone())
}

fn status(response: &Response<Body>) -> Status {
    Status::from_header_map(response.headers()).unwrap()
}

#[test]
fn a_mint_that_may_not_come_in_is_told_to_come_back_and_nothing_else_is_refused() {
    let admission = full(&Drain::default());
    let refused = admission.refusal(MINT).unwrap();
    assert_eq!(refused.headers().get("content-type").unwrap(), "application/grpc");
    let refused = status(&refused);
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "OVERLOADED");
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
    for other in ["Heartbeat", "HeartbeatBatch", "KeepAlive", "Done", "AuthorizeWrite"] {
        assert!(admission.refusal(&format!("/claim.v1.ClaimService/{other}")).is_none(), "{other}");
    }
}

#[test]
fn a_mint_comes_in_while_there_is_room() {
    assert!(Admission::new(|| false, Drain::default()).refusal(MINT).is_none());
}

#[test]
fn a_draining_server_says_so_even_if_it_has_too_much_to_do() {
    let drain = Drain::default();
    drain.begin();
    assert!(full(&drain).refusal(MINT).is_none());
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

#[tokio::test]
async fn a_refusal_waits_for_the_end_of_its_request() {
    let refusal = full(&Drain::default()).refusal(MINT).unwrap();
    let (sender, sent) = mpsc::unbounded_channel();
    let mut refusing = Refusing::new(Sent(sent), refusal);
    assert!((&mut refusing).now_or_never().is_none());
    sender.send(Bytes::from_static(b"half")).unwrap();
    assert!((&mut refusing).now_or_never().is_none());
    drop(sender);
    assert_eq!(status(&refusing.await).code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_wait_for_ever() {
    let refusal = full(&Drain::default()).refusal(MINT).unwrap();
    let (_sender, sent) = mpsc::unbounded_channel();
    let answer = Refusing::new(Sent(sent), refusal).await;
    assert_eq!(status(&answer).code(), Code::ResourceExhausted);
}
