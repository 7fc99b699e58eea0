//! Calls made of bytes, so that a test can say what no proper client would, and hears what comes
//! back unchanged: clients give up by themselves when the time of a call is over.

use super::PATIENCE;
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tonic::Status;

/// Bytes before each message: the compressed flag and the length.
pub(crate) const FRAME_HEADER_BYTES: usize = 5;

/// A connection without a client on it.
#[derive(Clone)]
pub(crate) struct Connection {
    address: SocketAddr,
    requests: SendRequest<Bytes>,
}

/// Opens one.
pub(crate) async fn connect(address: SocketAddr) -> Connection {
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let (requests, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    Connection { address, requests }
}

/// All that came back for a call.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Headers and trailers as one.
    pub(crate) headers: HeaderMap,
    /// The frames of the body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// Whether it has a status; one that was left early has none.
    pub(crate) fn has_status(&self) -> bool {
        self.headers.contains_key("grpc-status")
    }

    /// The gRPC status, that of a good answer too.
    pub(crate) fn status(&self) -> Status {
        Status::from_header_map(&self.headers)
            .unwrap_or_else(|| panic!("an answer without a status: {self:?}"))
    }

    /// The bytes of the one message of a good answer.
    pub(crate) fn message(&self) -> Bytes {
        self.body.slice(FRAME_HEADER_BYTES..)
    }
}

/// A message in its frame.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    frame(0, message.len(), message)
}

/// A frame with any flag, and with a length that need not be true.
pub(crate) fn frame(flag: u8, length: usize, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).expect("a length of 32 bits");
    [&[flag], length.to_be_bytes().as_slice(), message].concat()
}

impl Connection {
    /// Sends a body to a path, `package.Service/Method`, as gRPC.
    pub(crate) async fn send(&self, path: &str, body: Vec<u8>) -> Answer {
        self.send_with(path, &[], body).await
    }

    /// As [`Connection::send`], with more headers.
    pub(crate) async fn send_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        self.exchange(path, headers, body, Ending::All).await
    }

    /// As [`Connection::send_with`], but what comes back is awaited as if more were to be sent.
    pub(crate) async fn send_and_stay(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        self.exchange(path, headers, body, Ending::Stay).await
    }

    async fn exchange(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        ending: Ending,
    ) -> Answer {
        let mut request = Request::post(format!("http://{}/{path}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        self.send_any(request, body, ending).await.expect("an answer")
    }

    /// Sends any request, whether or not it is one of gRPC. Fails if the server ends the stream
    /// without an answer.
    pub(crate) async fn send_any(
        &self,
        request: Request<()>,
        body: Vec<u8>,
        ending: Ending,
    ) -> Result<Answer, h2::Error> {
        let answered = self.try_exchange(request, body.into(), ending);
        // Longer than any call lasts, so that what is heard is the server's own answer.
        tokio::time::timeout(PATIENCE * 3, answered).await.expect("an answer in time")
    }

    async fn try_exchange(
        &self,
        request: Request<()>,
        body: Bytes,
        ending: Ending,
    ) -> Result<Answer, h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut stream) = requests.send_request(request, false)?;
        // A server that has answered already does not listen any more; its answer tells.
        let _ = stream.send_data(body, !matches!(ending, Ending::Stay));
        let (parts, mut received) = response.await?.into_parts();
        let mut body = vec![];
        while let Some(data) = received.data().await {
            let data = data?;
            received.flow_control().release_capacity(data.len())?;
            body.extend(data);
            if matches!(ending, Ending::Leave) {
                return Ok(Answer { headers: parts.headers, body: body.into() });
            }
        }
        let mut headers = parts.headers;
        headers.extend(received.trailers().await?.unwrap_or_default());
        Ok(Answer { headers, body: body.into() })
    }
}

/// How the sender of a request ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Says that this was all.
    All,
    /// Goes on as if more were to come.
    Stay,
    /// Says that this was all, and leaves at the first sign of an answer that may have no end.
    Leave,
}
