//! The messages of a server, recognized by scanning for a few keys instead of parsing JSON.
//!
//! livelog writes a message's own fields before the fields of documents, so the first occurrence of a key is the
//! message's. A benchmark that receives a million messages a second on the server's own cores cannot afford to parse.

/// The part of a message that a benchmark needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    Welcome {
        seq: u64,
    },
    /// Of the session's default feed, or of the subscription that `bench` itself named by this number.
    Change {
        sub: Option<u64>,
        seq: u64,
    },
    /// A subscription was overrun and reads the log.
    Behind,
    /// The position to resume from is not one of this log.
    Reset,
    /// A broadcast, with the number `bench` itself put into it.
    Broadcast {
        number: u64,
    },
    /// Reads have no `seq` of their own, broadcasts none at all.
    Response {
        id: Option<u64>,
        seq: Option<u64>,
    },
    Error {
        id: Option<u64>,
        code: &'a str,
    },
    Other,
}

/// Recognizes one message.
pub(super) fn read(text: &[u8]) -> Message<'_> {
    // By far the most frequent, in the only forms livelog writes them.
    if let Some(rest) = text.strip_prefix(b"{\"type\":\"change\",\"s")
        && let Some(change) = change(rest)
    {
        return change;
    }
    by_kind(text).unwrap_or(Message::Other)
}

/// The rest of a change as livelog writes it: `eq":42,…` or `ub":"17","seq":42,…`.
fn change(rest: &[u8]) -> Option<Message<'_>> {
    if let Some(seq) = rest.strip_prefix(b"eq\":") {
        let (sub, seq) = (None, leading_number(seq)?);
        return Some(Message::Change { sub, seq });
    }
    let name = rest.strip_prefix(b"ub\":\"")?;
    let end = name.iter().position(|byte| *byte == b'"')?;
    let sub = Some(leading_number(&name[..end])?);
    let seq = leading_number(name[end..].strip_prefix(b"\",\"seq\":")?)?;
    Some(Message::Change { sub, seq })
}

fn by_kind(text: &[u8]) -> Option<Message<'_>> {
    Some(match string_after(text, b"\"type\":")? {
        "welcome" => Message::Welcome {
            seq: number_after(text, b"\"seq\":")?,
        },
        "change" => any_change(text)?,
        "behind" => Message::Behind,
        "reset" => Message::Reset,
        "broadcast" => Message::Broadcast {
            number: number_after(text, b"\"number\":")?,
        },
        "response" => Message::Response {
            id: number_after(text, b"\"id\":"),
            seq: number_after(text, b"\"seq\":"),
        },
        "error" => Message::Error {
            id: number_after(text, b"\"id\":"),
            code: string_after(text, b"\"code\":")?,
        },
        _ => Message::Other,
    })
}

/// In whatever form: a change's subscription, if any, is named before its `seq`.
fn any_change(text: &[u8]) -> Option<Message<'_>> {
    const SEQ: &[u8] = b"\"seq\":";
    let head = text.windows(SEQ.len()).position(|window| window == SEQ)?;
    let sub = match string_after(&text[..head], b"\"sub\":") {
        Some(name) => Some(name.parse().ok()?),
        None => None,
    };
    let seq = number_after(&text[head..], SEQ)?;
    Some(Message::Change { sub, seq })
}

fn after<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let start = text.windows(key.len()).position(|window| window == key)?;
    Some(text[start + key.len()..].trim_ascii_start())
}

fn number_after(text: &[u8], key: &[u8]) -> Option<u64> {
    leading_number(after(text, key)?)
}

fn leading_number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    text[..digits].iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

fn string_after<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a str> {
    let rest = after(text, key)?.strip_prefix(b"\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_recognized_fast_and_slow() {
        let fast = br#"{"type":"change","seq":42,"kind":"create","data":{"seq":7}}"#;
        let slow = br#"{"type": "change", "seq": 42, "kind":"create","data":{"sub":"7"}}"#;
        let change = Message::Change { sub: None, seq: 42 };
        assert_eq!(read(fast), change);
        assert_eq!(read(slow), change);
    }

    #[test]
    fn a_change_tells_its_subscription() {
        let fast = br#"{"type":"change","sub":"17","seq":42,"kind":"enter","data":{"sub":"7"}}"#;
        let slow = br#"{"type": "change", "sub": "17", "seq": 42, "kind":"enter"}"#;
        let (sub, seq) = (Some(17), 42);
        assert_eq!(read(fast), Message::Change { sub, seq });
        assert_eq!(read(slow), Message::Change { sub, seq });
        let foreign = br#"{"type":"change","sub":"open","seq":42,"kind":"leave"}"#;
        assert_eq!(read(foreign), Message::Other);
    }

    #[test]
    fn answers_carry_their_request() {
        let done = br#"{"type":"response","id":17,"request":"CREATE","success":true,"seq":9,"data":{"_id":"x"}}"#;
        let (id, seq) = (Some(17), Some(9));
        assert_eq!(read(done), Message::Response { id, seq });
        let refused = br#"{"type":"error","id":3,"success":false,"error":{"code":"busy"}}"#;
        let (id, code) = (Some(3), "busy");
        assert_eq!(read(refused), Message::Error { id, code });
        let anonymous = br#"{"type":"error","error":{"code":"bad_json"}}"#;
        let (id, code) = (None, "bad_json");
        assert_eq!(read(anonymous), Message::Error { id, code });
    }

    #[test]
    fn the_rest_is_told_apart() {
        let welcome = br#"{"type":"welcome","epoch":"e","seq":0,"session":"s"}"#;
        assert_eq!(read(welcome), Message::Welcome { seq: 0 });
        let broadcast = br#"{"type":"broadcast","payload":{"number":5,"text":"x"}}"#;
        assert_eq!(read(broadcast), Message::Broadcast { number: 5 });
        let foreign = br#"{"type":"broadcast","payload":{"message":"hello"}}"#;
        assert_eq!(read(foreign), Message::Other);
        let behind = br#"{"type":"behind","sub":"17","seq":42}"#;
        assert_eq!(read(behind), Message::Behind);
        let reset = br#"{"type":"reset","sub":"17","reason":"another epoch","seq":4,"earliest":1}"#;
        assert_eq!(read(reset), Message::Reset);
        assert_eq!(
            read(br#"{"type":"live","sub":"17","seq":42}"#),
            Message::Other
        );
        assert_eq!(read(b""), Message::Other);
        assert_eq!(read(b"{\"type\":"), Message::Other);
    }

    #[test]
    fn numbers_end_where_digits_end_and_do_not_overflow() {
        assert_eq!(leading_number(b"12,"), Some(12));
        assert_eq!(leading_number(b"x"), None);
        assert_eq!(leading_number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(leading_number(b"18446744073709551616"), None);
    }
}
