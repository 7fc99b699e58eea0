//! A client of `KeepAlive`, and what it hears.

use super::identity::with_token;
use super::raw::FRAME_HEADER_BYTES;
use super::refusal::Refusal;
use super::{Client, PATIENCE};
use claim_proto::v1::heartbeat_result::Result as BatchResult;
use claim_proto::v1::keep_alive_response::Result as StreamResult;
use claim_proto::v1::{
    HeartbeatDirective, HeartbeatRequest, HeartbeatResponse, HeartbeatResult, KeepAliveRequest,
    KeepAliveResponse,
};
use futures_util::Stream;
use futures_util::stream::unfold;
use prost::Message;
use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

/// What is said of one heartbeat among many.
pub(crate) type Outcome = Result<HeartbeatResponse, Refusal>;

/// What a client sends.
type Requests = Pin<Box<dyn Stream<Item = KeepAliveRequest> + Send>>;

/// An open stream.
pub(crate) struct KeepAlive {
    requests: Option<mpsc::Sender<KeepAliveRequest>>,
    answers: Streaming<KeepAliveResponse>,
    /// Answers that came while others were waited for.
    early: VecDeque<KeepAliveResponse>,
}

/// Something that nobody asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pushed {
    pub(crate) consumer: String,
    pub(crate) epoch: i64,
    pub(crate) outcome: Outcome,
}

impl KeepAlive {
    /// Opens one.
    pub(crate) async fn open(client: &mut Client) -> Self {
        Self::try_open(client).await.expect("a stream")
    }

    /// Opens one, unless the server refuses at once.
    pub(crate) async fn try_open(client: &mut Client) -> Result<Self, Status> {
        Self::try_open_as(client, tonic::Request::new).await
    }

    /// As [`KeepAlive::try_open`], with a bearer token.
    pub(crate) async fn try_open_with(client: &mut Client, token: &str) -> Result<Self, Status> {
        Self::try_open_as(client, |requests| with_token(token, requests)).await
    }

    async fn try_open_as(
        client: &mut Client,
        request: impl FnOnce(Requests) -> tonic::Request<Requests>,
    ) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::channel(1);
        let requested = unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
            receiver.recv().await.map(|request| (request, receiver))
        });
        let answers = client.keep_alive(request(Box::pin(requested))).await?.into_inner();
        Ok(Self { requests: Some(requests), answers, early: VecDeque::new() })
    }

    /// Sends a request.
    pub(crate) async fn send(&self, tag: u64, heartbeat: HeartbeatRequest) {
        self.send_request(KeepAliveRequest { tag, heartbeat: Some(heartbeat) }).await;
    }

    /// Sends any request. A stream that has ended takes none; what is heard of it says why.
    pub(crate) async fn send_request(&self, request: KeepAliveRequest) {
        let requests = self.requests.as_ref().expect("a stream that is open");
        let _ = requests.send(request).await;
    }

    /// The next answer or push, or how the stream ended.
    pub(crate) async fn next(&mut self) -> Result<Option<KeepAliveResponse>, Status> {
        if let Some(early) = self.early.pop_front() {
            return Ok(Some(early));
        }
        let next = timeout(PATIENCE, self.answers.message()).await;
        next.expect("something in time")
    }

    /// The answer to a tag; what comes before it is kept.
    pub(crate) async fn answer(&mut self, tag: u64) -> Outcome {
        if let Some(found) = self.early.iter().position(|early| early.tag == tag) {
            return outcome(self.early.remove(found).expect("an answer"));
        }
        loop {
            let next = timeout(PATIENCE, self.answers.message()).await.expect("an answer in time");
            let next = next.expect("a stream that goes on").expect("a stream that goes on");
            if next.tag == tag {
                return outcome(next);
            }
            self.early.push_back(next);
        }
    }

    /// What becomes of one heartbeat.
    pub(crate) async fn beat(&mut self, tag: u64, heartbeat: HeartbeatRequest) -> Outcome {
        self.send(tag, heartbeat).await;
        self.answer(tag).await
    }

    /// The next push; panics if an answer comes instead.
    pub(crate) async fn push(&mut self) -> Pushed {
        let pushed = self.next().await.expect("a stream that goes on").expect("a push");
        assert_eq!(pushed.tag, 0, "{pushed:?}");
        let (consumer, epoch) = (pushed.consumer_id.clone(), pushed.epoch);
        Pushed { consumer, epoch, outcome: outcome(pushed) }
    }

    /// Panics if anything comes within that time.
    pub(crate) async fn is_silent_for(&mut self, time: Duration) {
        assert_eq!(self.early.len(), 0, "{:?}", self.early);
        let heard = timeout(time, self.answers.message()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// Says that no more requests will come.
    pub(crate) fn finish(&mut self) {
        self.requests = None;
    }

    /// Waits for the status that ends the stream; panics if anything else comes, or a good end.
    pub(crate) async fn end(&mut self) -> Refusal {
        let end = self.next().await.expect_err("an end with a status");
        Refusal::of(&end)
    }
}

/// The answers in a body, frame by frame.
pub(crate) fn answers_in(mut body: &[u8]) -> Vec<KeepAliveResponse> {
    let mut answers = vec![];
    while let Some((head, rest)) = body.split_at_checked(FRAME_HEADER_BYTES) {
        let length = head[1..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let (message, rest) = rest.split_at(length);
        answers.push(KeepAliveResponse::decode(message).expect("an answer"));
        body = rest;
    }
    answers
}

/// What an answer says.
pub(crate) fn outcome(answer: KeepAliveResponse) -> Outcome {
    match answer.result.expect("a result") {
        StreamResult::Response(response) => Ok(response),
        StreamResult::Error(status) => Err(refusal(status)),
    }
}

/// What a result of a batch says.
pub(crate) fn batch_outcome(result: HeartbeatResult) -> Outcome {
    match result.result.expect("a result") {
        BatchResult::Response(response) => Ok(response),
        BatchResult::Error(status) => Err(refusal(status)),
    }
}

/// A status among results, taken apart as if a call had ended with it.
fn refusal(status: tonic_types::Status) -> Refusal {
    let code = Code::from(status.code);
    let details = status.encode_to_vec().into();
    Refusal::of(&Status::with_details(code, status.message, details))
}

/// Whether a heartbeat was accepted and its holder may go on.
pub(crate) fn may_go_on(outcome: &Outcome) -> bool {
    outcome.as_ref().is_ok_and(|response| response.directive() == HeartbeatDirective::Continue)
}

/// Whether a holder is told to stop.
pub(crate) fn is_to_stop(outcome: &Outcome) -> bool {
    outcome.as_ref().is_ok_and(|response| response.directive() == HeartbeatDirective::Stop)
}
