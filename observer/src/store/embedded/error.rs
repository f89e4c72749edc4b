//! Errors as ClickHouse's HTTP interface tells them: a text with a code, and a status made from the code. Pure.

use std::fmt;

/// An error with ClickHouse's code. The text is complete: `Code: 62. DB::Exception: ... (SYNTAX_ERROR)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exception {
    /// ClickHouse's code.
    pub(super) code: u32,
    text: String,
}

/// Code for an error without one (UNKNOWN_EXCEPTION).
const UNKNOWN: u32 = 1002;

impl Exception {
    /// An error of this front, worded as the server would.
    pub(super) fn new(code: u32, name: &str, message: impl fmt::Display) -> Self {
        Self {
            code,
            text: format!("Code: {code}. DB::Exception: {message}. ({name})"),
        }
    }

    /// SYNTAX_ERROR
    pub(super) fn syntax(message: impl fmt::Display) -> Self {
        Self::new(62, "SYNTAX_ERROR", format_args!("Syntax error: {message}"))
    }

    /// SUPPORT_IS_DISABLED
    pub(super) fn disabled(message: impl fmt::Display) -> Self {
        Self::new(344, "SUPPORT_IS_DISABLED", message)
    }

    /// INCORRECT_DATA
    pub(super) fn data(message: impl fmt::Display) -> Self {
        Self::new(117, "INCORRECT_DATA", message)
    }

    /// The engine's own text.
    pub(super) fn engine(text: String) -> Self {
        Self {
            code: crate::store::client::code_of(&text).unwrap_or(UNKNOWN),
            text,
        }
    }

    /// Status of the answer: `exceptionCodeToHTTPStatus.cpp` of ClickHouse.
    pub(super) fn status(&self) -> u16 {
        match self.code {
            // REQUIRED_PASSWORD
            194 => 401,
            // UNKNOWN_USER, WRONG_PASSWORD, ACCESS_DENIED, SET_NON_GRANTED_ROLE, AUTHENTICATION_FAILED
            192 | 193 | 497 | 512 | 516 => 403,
            // CANNOT_PARSE_*, THERE_IS_NO_COLUMN, DUPLICATE_COLUMN, BAD_ARGUMENTS, UNKNOWN_ELEMENT_IN_AST,
            // ILLEGAL_COLUMN, TYPE_MISMATCH, SYNTAX_ERROR, INCORRECT_DATA, UNKNOWN_TYPE_OF_AST_NODE, TOO_DEEP_AST,
            // TOO_BIG_AST, UNEXPECTED_AST_STRUCTURE, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE, CANNOT_COMPILE_REGEXP
            6 | 8 | 15 | 25 | 26 | 27 | 36 | 37 | 38 | 41 | 44 | 53 | 62 | 72 | 117 | 123 | 167 | 168
            | 223 | 321 | 376 | 427 | 441 | 675 | 676 => 400,
            // UNKNOWN_FUNCTION, _IDENTIFIER, _TYPE, _STORAGE, _TABLE, _AGGREGATE_FUNCTION, _FORMAT,
            // _TYPE_OF_QUERY, _DATABASE, _SETTING, _DIRECTION_OF_SORTING, _DATABASE_ENGINE, _ROLE
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 78 | 81 | 115 | 152 | 336 | 511 => 404,
            // QUERY_IS_TOO_LARGE
            229 => 413,
            // NOT_IMPLEMENTED
            48 => 501,
            // CANNOT_OPEN_FILE, SOCKET_TIMEOUT, CANNOT_SCHEDULE_TASK
            76 | 209 | 439 => 503,
            // TIMEOUT_EXCEEDED
            159 => 408,
            _ => 500,
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Exception {}

/// The bytes that end a body whose answer fails after its head was sent: the tag was announced in the head
/// (`X-ClickHouse-Exception-Tag`), the length counts the message with its newline.
pub(super) fn mid_stream(exception: &Exception, tag: &str) -> Vec<u8> {
    let message = format!("{exception}\n");
    format!(
        "\r\n__exception__\r\n{tag}\r\n{message}{} {tag}\r\n__exception__\r\n",
        message.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_and_become_statuses() {
        let status = |text: &str| {
            let exception = Exception::engine(text.into());
            (exception.code, exception.status())
        };
        assert_eq!(
            status("Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE)"),
            (60, 404)
        );
        assert_eq!(status("Code: 62. DB::Exception: Syntax error"), (62, 400));
        assert_eq!(status("Code: 497. DB::Exception: denied"), (497, 403));
        assert_eq!(status("Code: 159. DB::Exception: late"), (159, 408));
        assert_eq!(status("Code: 48. DB::Exception: no"), (48, 501));
        assert_eq!(status("Code: 241. DB::Exception: memory"), (241, 500));
        assert_eq!(status("something else"), (1002, 500));
    }

    #[test]
    fn the_end_of_a_broken_body_can_be_found_from_behind() {
        let bytes = mid_stream(&Exception::syntax("x"), "0123456789abcdef");
        let text = String::from_utf8(bytes).expect("text");
        let message = "Code: 62. DB::Exception: Syntax error: x. (SYNTAX_ERROR)\n";
        assert_eq!(
            text,
            format!(
                "\r\n__exception__\r\n0123456789abcdef\r\n{message}{} 0123456789abcdef\r\n__exception__\r\n",
                message.len()
            )
        );
    }
}
