//! Width, precision and padding, as C's printf has them.

use super::Layout;

impl Layout {
    /// A text: cut to the precision, then padded to the width with spaces.
    pub(super) fn text(&self, value: &str, out: &mut Vec<u8>) {
        let bytes = value.as_bytes();
        let cut = self.precision.map_or(bytes.len(), |precision| precision.min(bytes.len()));
        self.padded(&bytes[..cut], b' ', out);
    }

    /// A number, padded with zeros if that is wanted and there is room to its left.
    pub(super) fn number(&self, value: u64, out: &mut Vec<u8>) {
        self.padded(value.to_string().as_bytes(), self.pad, out);
    }

    /// A floating-point number with six digits behind the point unless it is said otherwise.
    pub(super) fn float(&self, value: f64, out: &mut Vec<u8>) {
        const DIGITS: usize = 6;
        let digits = self.precision.unwrap_or(DIGITS);
        let text = if value.is_nan() { "nan".to_owned() } else { format!("{value:.digits$}") };
        match text.strip_prefix('-').filter(|_| self.pad == b'0' && !self.is_left) {
            // The sign goes before the zeros.
            Some(rest) => {
                out.push(b'-');
                let width = self.width.saturating_sub(1);
                Self { width, ..*self }.padded(rest.as_bytes(), b'0', out);
            }
            None => self.padded(text.as_bytes(), self.pad, out),
        }
    }

    /// Nothing, as wide as something.
    pub(super) fn blank(&self, out: &mut Vec<u8>) {
        out.extend(std::iter::repeat_n(self.pad, self.width));
    }

    /// Bytes as they are, cut and padded to the width if there is one.
    pub(super) fn bytes(&self, payload: &[u8], out: &mut Vec<u8>) {
        self.padded(self.cut(payload), self.pad, out);
    }

    /// Two digits for each byte; a separator after so many digits as the precision says.
    pub(super) fn hex(&self, payload: &[u8], is_upper: bool, out: &mut Vec<u8>) {
        let payload = self.cut(payload);
        let padding = self.width.saturating_sub(payload.len() * 2);
        let mut digits = Vec::with_capacity(padding + payload.len() * 2);
        if !self.is_left {
            digits.extend(std::iter::repeat_n(self.pad, padding));
        }
        for byte in payload {
            let two = if is_upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
            digits.extend_from_slice(two.as_bytes());
        }
        let group = self.precision.unwrap_or_default();
        for (index, digit) in digits.iter().enumerate() {
            out.push(*digit);
            if group > 0 && index % group == group - 1 && index + 1 < digits.len() {
                out.push(self.separator);
            }
        }
        if self.is_left {
            out.extend(std::iter::repeat_n(b' ', padding));
        }
    }

    fn cut<'a>(&self, payload: &'a [u8]) -> &'a [u8] {
        let width = if self.width == 0 { payload.len() } else { self.width };
        &payload[..width.min(payload.len())]
    }

    fn padded(&self, bytes: &[u8], pad: u8, out: &mut Vec<u8>) {
        let padding = self.width.saturating_sub(bytes.len());
        if !self.is_left {
            out.extend(std::iter::repeat_n(pad, padding));
        }
        out.extend_from_slice(bytes);
        if self.is_left {
            out.extend(std::iter::repeat_n(b' ', padding));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Layout =
        Layout { is_left: false, pad: b' ', width: 0, precision: None, separator: b' ' };
    const LEFT: Layout = Layout { is_left: true, width: 6, ..PLAIN };
    const ZEROS: Layout = Layout { pad: b'0', width: 6, ..PLAIN };

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("ASCII in, ASCII out")
    }

    #[test]
    fn texts_are_cut_and_padded_with_spaces() {
        let cut = Layout { precision: Some(2), width: 4, ..PLAIN };
        assert_eq!(written(|out| PLAIN.text("abc", out)), "abc");
        assert_eq!(written(|out| cut.text("abc", out)), "  ab");
        assert_eq!(written(|out| LEFT.text("abc", out)), "abc   ");
        assert_eq!(written(|out| ZEROS.text("abc", out)), "   abc");
    }

    #[test]
    fn numbers_are_padded_with_zeros() {
        assert_eq!(written(|out| ZEROS.number(42, out)), "000042");
        assert_eq!(written(|out| LEFT.number(42, out)), "42    ");
        assert_eq!(written(|out| ZEROS.blank(out)), "000000");
        let float = Layout { precision: Some(1), width: 7, ..ZEROS };
        assert_eq!(written(|out| float.float(-2.25, out)), "-0002.2");
        assert_eq!(written(|out| PLAIN.float(1.5, out)), "1.500000");
        assert_eq!(written(|out| PLAIN.float(f64::NAN, out)), "nan");
    }

    #[test]
    fn hexadecimal_digits_come_in_groups() {
        let groups = Layout { precision: Some(2), separator: b':', ..PLAIN };
        assert_eq!(written(|out| groups.hex(&[1, 0xab, 0xff], false, out)), "01:ab:ff");
        assert_eq!(written(|out| PLAIN.hex(&[1, 0xab], true, out)), "01AB");
        assert_eq!(written(|out| ZEROS.hex(&[0xab], false, out)), "0000ab");
        assert_eq!(written(|out| LEFT.hex(&[0xab], false, out)), "ab    ");
        assert_eq!(written(|out| groups.hex(&[], false, out)), "");
    }

    #[test]
    fn payloads_are_cut_to_the_width() {
        assert_eq!(written(|out| ZEROS.bytes(b"abcdefgh", out)), "abcdef");
        assert_eq!(written(|out| ZEROS.bytes(b"ab", out)), "0000ab");
        assert_eq!(written(|out| PLAIN.bytes(b"abcdefgh", out)), "abcdefgh");
    }
}
