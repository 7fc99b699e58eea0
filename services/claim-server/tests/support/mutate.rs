//! Messages that were good, and are changed at random.

use fastrand::Rng;

/// Changes a message at random: seldom in its build, mostly in its content, so that much of what
/// comes is a message still.
pub(crate) fn mutated(random: &mut Rng, message: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for _ in 0..random.usize(1..=2) {
        let at = random.usize(..=bytes.len());
        match random.u8(0..20) {
            0 => bytes.insert(at, random.u8(..)),
            1 => bytes.truncate(at),
            2 => {
                let end = (at + random.usize(..8)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let from = random.usize(..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            4 => {
                let few: Vec<u8> = (0..random.usize(..16)).map(|_| random.u8(..)).collect();
                bytes.splice(at..at, few);
            }
            5 => bytes.extend(other),
            6 | 7 if at < bytes.len() => bytes[at] = random.u8(..),
            8 | 9 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
            _ if at < bytes.len() && bytes[at].is_ascii_graphic() => {
                bytes[at] = random.alphanumeric().try_into().expect("ASCII");
            }
            _ => {}
        }
    }
    bytes
}
