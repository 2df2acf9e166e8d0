//! What may stand behind the `?` of a destination: `/queue/orders?consumer.prefetchSize=10`, as
//! ActiveMQ's clients know it (reference `activemq.md` a3). The header of the same meaning wins.

use std::borrow::Cow;

/// The consumer's option `name` in a destination as it was spelt; the first part of a composite that
/// has it decides.
#[must_use]
pub fn consumer<'d>(destination: &'d str, name: &str) -> Option<Cow<'d, str>> {
    let options = destination.split(',').filter_map(|part| part.split_once('?'));
    let mut pairs = options.flat_map(|(_, options)| options.split('&'));
    let value = pairs.find_map(|pair| {
        let (known, value) = pair.split_once('=')?;
        (known.trim().strip_prefix("consumer.") == Some(name)).then_some(value)
    })?;
    Some(decoded(value))
}

/// Undoes percent-encoding, and `+` for a blank. What is not encoded UTF-8 stays as it is.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digits = rest.clone();
                let mut digit = || char::from(digits.next()?).to_digit(16);
                match (digit(), digit()) {
                    (Some(high), Some(low)) => {
                        rest = digits;
                        (high * 16 + low) as u8
                    }
                    _ => byte,
                }
            }
            byte => byte,
        });
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_and_decoded() {
        let spelt =
            "/queue/a?consumer.prefetchSize=10&x=1,/queue/b?consumer.selector=n%3D1+OR%20n%";
        assert_eq!(consumer(spelt, "prefetchSize").as_deref(), Some("10"));
        assert_eq!(consumer(spelt, "selector").as_deref(), Some("n=1 OR n%"));
        for (destination, name) in [(spelt, "x"), (spelt, "priority"), ("/queue/a", "x"), ("?", "")]
        {
            assert_eq!(consumer(destination, name), None, "{destination} {name}");
        }
        assert_eq!(consumer("a?consumer.x=%ff", "x").as_deref(), Some("%ff"));
    }
}
