use super::*;
use http::HeaderMap;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::Waker;

/// A body that comes in these pieces.
struct Pieces(VecDeque<Frame<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

/// What is handed on of a body in these pieces, whose messages have at most 100 bytes; trailers as
/// nothing.
fn handed_on(pieces: &[&[u8]], has_trailers: bool) -> Vec<Vec<u8>> {
    let mut frames: VecDeque<_> =
        pieces.iter().map(|piece| Frame::data(Bytes::copy_from_slice(piece))).collect();
    if has_trailers {
        frames.push_back(Frame::trailers(HeaderMap::new()));
    }
    let mut body = WholeMessages::new(Pieces(frames), 100);
    let mut seen = vec![];
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
        seen.push(frame.into_data().map(|data| data.to_vec()).unwrap_or_default());
    }
    assert!(body.held.is_empty() && body.last.is_none());
    seen
}

fn message(length: u8) -> Vec<u8> {
    [vec![0, 0, 0, 0, length], vec![length; length.into()]].concat()
}

#[test]
fn a_whole_message_is_handed_on_as_it_came() {
    assert_eq!(handed_on(&[&message(7)], false), [message(7)]);
    let three = [message(7), message(0), message(100)].concat();
    assert_eq!(handed_on(&[&three], true), [three, vec![]]);
}

#[test]
fn a_message_is_handed_on_when_its_last_byte_has_come() {
    let two = [message(9), message(3)].concat();
    for cut in 1..two.len() {
        let (begin, end) = two.split_at(cut);
        let seen = handed_on(&[begin, end], false);
        assert_eq!(seen.concat(), two, "cut at {cut}");
        // Nothing ends within a message.
        assert!([two.len(), message(9).len()].contains(&seen[0].len()), "cut at {cut}: {seen:?}");
    }
    let bytes: Vec<&[u8]> = two.chunks(1).collect();
    assert_eq!(handed_on(&bytes, false), [message(9), message(3)]);
}

#[test]
fn a_message_that_never_ends_is_handed_on_with_the_end_of_its_body() {
    let cut = &message(50)[..20];
    assert_eq!(handed_on(&[cut], false), [cut]);
    assert_eq!(handed_on(&[cut], true), [cut.to_vec(), vec![]]);
    assert_eq!(handed_on(&[&[0, 0, 0]], false), [[0, 0, 0]]);
}

#[test]
fn a_message_that_is_too_long_is_not_waited_for() {
    let begun = [0, 0, 0, 0, 101, 1, 2];
    assert_eq!(handed_on(&[&begun, &[3]], false), [vec![0, 0, 0, 0, 101, 1, 2], vec![3]]);
}
