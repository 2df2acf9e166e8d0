//! `application/x-www-form-urlencoded`, as much as the token endpoint needs of it.

/// The pairs of a form, decoded; `None` for one that cannot be read.
pub(super) fn pairs(body: &[u8]) -> impl Iterator<Item = Option<(String, String)>> {
    let parts = body.split(|&byte| byte == b'&').filter(|part| !part.is_empty());
    parts.map(|part| {
        let text = std::str::from_utf8(part).ok()?;
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        decode(name).zip(decode(value))
    })
}

/// Decodes one name or value: `+` is a space, `%` two hexadecimal digits.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_or_refused() {
        let read = |text: &str| pairs(text.as_bytes()).collect::<Option<Vec<_>>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("a=b+c&&d=%2B%c3%a9=&e"),
            Some(vec![pair("a", "b c"), pair("d", "+é="), pair("e", "")])
        );
        for wrong in ["a=%", "a=%4", "a=%zz", "a=%ff", "%+1=a"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
