//! Why events were parked, for people who read what an endpoint refused: its answer's status, and how that begins.
//!
//! Called by the post for each answer that parks events. The log of attempts has more of each answer, but not
//! each answer.

/// How many bytes of an answer's text go with each event that it parks.
const MAX_BYTES: usize = 200;
/// The most bytes of a character.
const CHARACTER: usize = 4;

/// The cause, on one line.
pub(super) fn cause(status: u16, answer: &[u8]) -> String {
    let mut cause = format!("the endpoint answered {status}");
    let start = answer.get(..MAX_BYTES + CHARACTER).unwrap_or(answer);
    let text = String::from_utf8_lossy(start);
    let is_space = |one: char| one.is_whitespace() || one.is_control();
    let (mut said, mut rest) =
        (0, text.char_indices().filter(|(at, _)| *at < MAX_BYTES).peekable());
    while let Some((_, one)) = rest.next() {
        if !is_space(one) {
            if said == 0 {
                cause.push_str(": ");
            }
            cause.push(one);
            said += 1;
        } else if said > 0 && rest.peek().is_some_and(|(_, next)| !is_space(*next)) {
            cause.push(' ');
        }
    }
    if said > 0 && answer.len() > MAX_BYTES {
        cause.push('…');
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_start_of_what_was_answered_on_one_line() {
        let of = |text: &str| cause(422, text.as_bytes());
        for none in ["", " \r\n\t", "\0\u{1b}"] {
            assert_eq!(of(none), "the endpoint answered 422", "{none:?}");
        }
        assert_eq!(of("\n no  such\r\n\"key\"\0 \n"), "the endpoint answered 422: no such \"key\"");
        assert_eq!(cause(400, b"a\xffb"), "the endpoint answered 400: a\u{fffd}b");
        let whole = "x".repeat(MAX_BYTES);
        assert_eq!(of(&whole), format!("the endpoint answered 422: {whole}"));
        assert_eq!(of(&format!("{whole}x")), format!("the endpoint answered 422: {whole}…"));
        // No character is cut in two.
        let wide = "é".repeat(1_000);
        assert_eq!(
            of(&format!("x{wide}")),
            format!("the endpoint answered 422: x{}…", "é".repeat(100))
        );
    }
}
