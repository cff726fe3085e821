//! WebSocket frames in a byte buffer: just enough of RFC 6455 for a client that counts messages.
//!
//! A server's frames are not masked, so they are found by their headers alone: nothing is copied, and UTF-8 is not
//! checked.

use std::io::Cursor;

use anyhow::{Context, Result, ensure};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::OpCode;

/// Larger than every frame that a benchmark makes a server send: a larger one means that the stream was misread.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A mask of zeros is a valid mask: the server does the same work, and the client none.
const MASK: [u8; 4] = [0; 4];

/// One frame at the start of a buffer.
#[derive(Debug, PartialEq)]
pub(super) struct ServerFrame<'a> {
    pub(super) opcode: OpCode,
    /// Whether it is the last of its message.
    pub(super) is_final: bool,
    pub(super) payload: &'a [u8],
    /// Bytes to skip to get to the next frame.
    pub(super) length: usize,
}

/// The frame `bytes` begin with, if all of it is there.
pub(super) fn first_frame(bytes: &[u8]) -> Result<Option<ServerFrame<'_>>> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, size)) = FrameHeader::parse(&mut cursor)? else {
        return Ok(None);
    };
    let size = usize::try_from(size)?;
    ensure!(
        size <= FRAME_BYTES_MAX,
        "the server sent a frame of {size} bytes"
    );
    ensure!(header.mask.is_none(), "the server sent a masked frame");
    let start = usize::try_from(cursor.position())?;
    let length = start + size;
    Ok(bytes.get(start..length).map(|payload| ServerFrame {
        opcode: header.opcode,
        is_final: header.is_final,
        payload,
        length,
    }))
}

/// Appends one client frame to `out`.
pub(super) fn put_frame(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) -> Result<()> {
    let header = FrameHeader {
        opcode,
        mask: Some(MASK),
        ..FrameHeader::default()
    };
    header
        .format(payload.len() as u64, out)
        .context("cannot write a frame header")?;
    out.extend_from_slice(payload);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data};

    const TEXT: OpCode = OpCode::Data(Data::Text);

    fn server_frame(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let header = FrameHeader {
            opcode,
            ..FrameHeader::default()
        };
        header.format(payload.len() as u64, &mut bytes).unwrap();
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn frames_of_all_three_length_encodings_follow_one_another() {
        let sizes = [0, 5, 125, 126, 65_535, 65_536];
        let stream: Vec<u8> = sizes
            .iter()
            .flat_map(|size| server_frame(TEXT, &vec![b'x'; *size]))
            .collect();
        let mut rest = stream.as_slice();
        for size in sizes {
            let frame = first_frame(rest).unwrap().unwrap();
            assert_eq!(frame.payload.len(), size);
            rest = &rest[frame.length..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn every_cut_of_a_frame_is_incomplete() {
        let bytes = server_frame(TEXT, &[b'x'; 300]);
        for end in 0..bytes.len() {
            assert_eq!(first_frame(&bytes[..end]).unwrap(), None, "cut at {end}");
        }
    }

    #[test]
    fn control_frames_keep_their_kind() {
        let bytes = server_frame(OpCode::Control(Control::Ping), b"hi");
        let frame = first_frame(&bytes).unwrap().unwrap();
        assert_eq!(frame.opcode, OpCode::Control(Control::Ping));
        assert_eq!(frame.payload, b"hi");
    }

    #[test]
    fn a_frame_that_is_not_the_last_of_its_message_says_so() {
        assert!(!first_frame(&[0x01, 0x00]).unwrap().unwrap().is_final);
        assert!(first_frame(&[0x80, 0x00]).unwrap().unwrap().is_final);
    }

    #[test]
    fn what_no_server_should_send_is_an_error() {
        assert!(first_frame(&[0x81, 0x80, 0, 0, 0, 0]).is_err(), "masked");
        let huge = [0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0];
        assert!(first_frame(&huge).is_err(), "huge");
    }

    #[test]
    fn a_clients_frame_is_masked() {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, TEXT, b"abc").unwrap();
        assert_eq!(bytes, [0x81, 0x83, 0, 0, 0, 0, b'a', b'b', b'c']);
    }
}
