//! The heads of WebSocket frames, as they come: one that announces much is kept back until there is room for all of it.
//!
//! tungstenite makes room for a frame as soon as its head has come, so that a head of ten bytes costs what it announces.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::meter::Meter;
use crate::limits;

/// A stream whose frames are looked at.
pub(crate) struct Heads<S> {
    stream: S,
    meter: Meter,
    place: FramePosition,
    /// What was read and is not passed on yet.
    kept: Vec<u8>,
}

/// Where in the frames a client's bytes are.
#[derive(Debug, Default)]
struct FramePosition {
    /// What has come of a head, as many bytes.
    head: [u8; HEAD_BYTES_MAX],
    come: usize,
    /// Bytes of the payload that are still to come.
    left: u64,
}

/// Two bytes, eight for the length, and the mask.
const HEAD_BYTES_MAX: usize = 14;

impl<S> Heads<S> {
    pub(crate) fn new(stream: S, meter: Meter) -> Self {
        Self {
            stream,
            meter,
            place: FramePosition::default(),
            kept: Vec::new(),
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Passes on what was kept, once there is room.
    fn poll_kept(&mut self, context: &Context<'_>, into: &mut ReadBuf<'_>) -> Poll<()> {
        ready!(
            self.meter
                .allowance()
                .poll_lifted(self.meter.read(), context)
        );
        let count = self.kept.len().min(into.remaining());
        let rest = self.kept.split_off(count);
        let bytes = std::mem::replace(&mut self.kept, rest);
        // The head that it begins with has its room.
        self.place.pass(&bytes, u64::MAX);
        into.put_slice(&bytes);
        Poll::Ready(())
    }
}

impl FramePosition {
    /// Goes on by these bytes; where it stops before a head is whole that announces more than `most`.
    fn pass(&mut self, bytes: &[u8], most: u64) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.left > 0 {
                let skipped = self.left.min((bytes.len() - at) as u64);
                self.left -= skipped;
                at += usize::try_from(skipped).expect("it is in memory");
                continue;
            }
            self.head[self.come] = bytes[at];
            if let Some(announced) = announced(&self.head[..=self.come]) {
                if announced > most {
                    return Some(at);
                }
                self.left = announced;
                self.come = 0;
            } else {
                self.come += 1;
            }
            at += 1;
        }
        None
    }
}

/// The length of the payload, if the head is whole.
fn announced(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let length = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if head.len() < 2 + length + mask {
        return None;
    }
    let short = u64::from(second & 0x7F);
    let long = head[2..2 + length]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Some(if length == 0 { short } else { long })
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.kept.is_empty() {
            return this.poll_kept(context, into).map(Ok);
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, into))?;
        if this.meter.allowance().is_lifted() {
            this.place.pass(&into.filled()[before..], u64::MAX);
            return Poll::Ready(Ok(()));
        }
        let new = &into.filled()[before..];
        let Some(at) = this.place.pass(new, limits::MESSAGE_FREE_BYTES) else {
            return Poll::Ready(Ok(()));
        };
        this.kept = new[at..].to_vec();
        into.set_filled(before + at);
        match at {
            // Nothing would mean the end.
            0 => this.poll_kept(context, into).map(Ok),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
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
        header.format(length as u64, &mut bytes).expect("a head");
        bytes.resize(bytes.len() + length, 0x7F);
        bytes
    }

    #[test]
    fn a_head_that_announces_much_is_found_however_the_bytes_come() {
        let small = [0, 1, 125, 126, 127, 65_535, 65_536]
            .map(|length| [frame(length, Some([1; 4])), frame(length, None)].concat());
        let small = small.concat();
        let large = frame(70_000, Some([2; 4]));
        let all = [&small[..], &large[..]].concat();
        for size in [1, 2, 3, 7, 4_096, all.len()] {
            let mut place = FramePosition::default();
            let mut passed = 0;
            let stop = all.chunks(size).find_map(|piece| {
                let at = place.pass(piece, 65_536);
                passed += at.unwrap_or(piece.len());
                at
            });
            assert!(stop.is_some(), "{size}");
            // The last byte of its head makes it known.
            assert_eq!(passed, small.len() + HEAD_BYTES_MAX - 1, "{size}");
            assert_eq!(place.pass(&all[passed..], u64::MAX), None);
            assert_eq!((place.left, place.come), (0, 0));
        }
    }
}
