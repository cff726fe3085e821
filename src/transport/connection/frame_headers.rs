//! Reads the headers of WebSocket frames as they arrive: one that announces a large payload is held back until the
//! connection has a share of the receive budget.
//!
//! tungstenite allocates a frame as soon as its header is read, so that a header of ten bytes costs what it announces.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::byte_counters::ByteCounters;
use crate::limits;

/// A stream whose frame headers are read on the way; see the [module](self).
pub(crate) struct FrameHeaderReader<S> {
    stream: S,
    counters: ByteCounters,
    position: FramePosition,
    /// What was read and is not passed on yet; a large frame begins with it.
    held_back: Vec<u8>,
}

/// Where in a frame the next byte is.
#[derive(Debug, Default)]
struct FramePosition {
    /// The header as far as it has arrived, its first `header_length` bytes.
    header: [u8; HEADER_BYTES_MAX],
    header_length: usize,
    /// Bytes of the payload that are still to come.
    payload_left: u64,
}

/// Two bytes, eight for the length, and the mask.
const HEADER_BYTES_MAX: usize = 14;

impl<S> FrameHeaderReader<S> {
    pub(crate) fn new(stream: S, counters: ByteCounters) -> Self {
        Self {
            stream,
            counters,
            position: FramePosition::default(),
            held_back: Vec::new(),
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Passes on what is held back, once the allowance is lifted.
    fn poll_held_back(&mut self, context: &Context<'_>, into: &mut ReadBuf<'_>) -> Poll<()> {
        let allowance = self.counters.allowance();
        ready!(allowance.poll_lifted(self.counters.received(), context));
        let count = self.held_back.len().min(into.remaining());
        let rest = self.held_back.split_off(count);
        let bytes = std::mem::replace(&mut self.held_back, rest);
        // The frame that it begins with is admitted, whatever its length.
        self.position.advance(&bytes, u64::MAX);
        into.put_slice(&bytes);
        Poll::Ready(())
    }
}

impl FramePosition {
    /// Advances over these bytes. Stops before the last byte of a header that announces more than `payload_max`, and
    /// says where that is.
    fn advance(&mut self, bytes: &[u8], payload_max: u64) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.payload_left > 0 {
                let skipped = self.payload_left.min((bytes.len() - at) as u64);
                self.payload_left -= skipped;
                at += usize::try_from(skipped).expect("it is in memory");
                continue;
            }
            self.header[self.header_length] = bytes[at];
            if let Some(length) = payload_length(&self.header[..=self.header_length]) {
                if length > payload_max {
                    return Some(at);
                }
                self.payload_left = length;
                self.header_length = 0;
            } else {
                self.header_length += 1;
            }
            at += 1;
        }
        None
    }
}

/// The length of the payload, if the header is whole.
fn payload_length(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let length = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if header.len() < 2 + length + mask {
        return None;
    }
    let short = u64::from(second & 0x7F);
    let long = header[2..2 + length]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Some(if length == 0 { short } else { long })
}

impl<S: AsyncRead + Unpin> AsyncRead for FrameHeaderReader<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.held_back.is_empty() {
            return this.poll_held_back(context, into).map(Ok);
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, into))?;
        if this.counters.allowance().is_lifted() {
            this.position.advance(&into.filled()[before..], u64::MAX);
            return Poll::Ready(Ok(()));
        }
        let new = &into.filled()[before..];
        let Some(at) = this.position.advance(new, limits::MESSAGE_FREE_BYTES) else {
            return Poll::Ready(Ok(()));
        };
        this.held_back = new[at..].to_vec();
        into.set_filled(before + at);
        match at {
            // A read of nothing would mean the end of the stream.
            0 => this.poll_held_back(context, into).map(Ok),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FrameHeaderReader<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    use super::*;

    fn frame(length: usize, mask: Option<[u8; 4]>) -> Vec<u8> {
        let header = FrameHeader {
            opcode: OpCode::Data(Data::Text),
            mask,
            ..FrameHeader::default()
        };
        let mut bytes = Vec::new();
        header.format(length as u64, &mut bytes).expect("a header");
        bytes.resize(bytes.len() + length, 0x7F);
        bytes
    }

    #[test]
    fn a_header_that_announces_much_is_found_however_the_bytes_arrive() {
        let small = [0, 1, 125, 126, 127, 65_535, 65_536]
            .map(|length| [frame(length, Some([1; 4])), frame(length, None)].concat());
        let small = small.concat();
        let large = frame(70_000, Some([2; 4]));
        let all = [&small[..], &large[..]].concat();
        for size in [1, 2, 3, 7, 4_096, all.len()] {
            let mut position = FramePosition::default();
            let mut passed = 0;
            let stop = all.chunks(size).find_map(|piece| {
                let at = position.advance(piece, 65_536);
                passed += at.unwrap_or(piece.len());
                at
            });
            assert!(stop.is_some(), "{size}");
            // It stops before the last byte of the header.
            assert_eq!(passed, small.len() + HEADER_BYTES_MAX - 1, "{size}");
            assert_eq!(position.advance(&all[passed..], u64::MAX), None);
            assert_eq!((position.payload_left, position.header_length), (0, 0));
        }
    }
}
