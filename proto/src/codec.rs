//! How messages become bytes: by prost, with buffers that begin small.
//!
//! tonic gives each call two buffers of 8 KiB at once, one for each direction, and a stream keeps
//! them for as long as it lasts. Most messages of this contract are a few hundred bytes, and ten
//! thousand idle streams would hold 160 MB for nothing. A buffer grows when a message needs more.

use prost::Message;
use std::marker::PhantomData;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::ProstCodec;

/// How much a buffer holds at first: a heartbeat and its answer several times over.
const BUFFER_BYTES: usize = 1024;
/// How many bytes of messages are put together before they are sent; as tonic has it.
const YIELD_BYTES: usize = 32 * 1024;

/// The codec of the generated clients and servers.
#[derive(Debug)]
pub(crate) struct SmallBuffers<Encode, Decode>(PhantomData<(Encode, Decode)>);

impl<Encode, Decode> Default for SmallBuffers<Encode, Decode> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Encode, Decode> Codec for SmallBuffers<Encode, Decode>
where
    Encode: Message + Send + 'static,
    Decode: Message + Default + Send + 'static,
{
    type Encode = Encode;
    type Decode = Decode;
    type Encoder = <ProstCodec<Encode, Decode> as Codec>::Encoder;
    type Decoder = <ProstCodec<Encode, Decode> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Encode, Decode>::raw_encoder(BufferSettings::new(BUFFER_BYTES, YIELD_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<Encode, Decode>::raw_decoder(BufferSettings::new(BUFFER_BYTES, YIELD_BYTES))
    }
}
