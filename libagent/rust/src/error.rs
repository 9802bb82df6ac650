//! Why something failed.

use std::fmt;

/// The words are the same in C and Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// What was passed in: no JSON, too long.
    Invalid,
    /// No socket, or nobody answers there.
    Unreachable,
    /// The runtime closed the connection, or it was closed before.
    Closed,
    /// The timeout passed; the call was cancelled.
    Timeout,
    /// By [`crate::Cancel::fire`] or by the progress callback.
    Cancelled,
    /// The runtime answered with an error: code and text are its own.
    Refused,
    /// One of the runtime's own tools did not do it: text is its answer.
    Failed,
    /// What came was no valid message.
    Protocol,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Invalid => "invalid",
            Status::Unreachable => "unreachable",
            Status::Closed => "closed",
            Status::Timeout => "timeout",
            Status::Cancelled => "cancelled",
            Status::Refused => "refused",
            Status::Failed => "failed",
            Status::Protocol => "protocol",
        }
    }
}

/// After `Closed` and `Protocol` the connection is gone.
#[derive(Clone, Debug)]
pub struct Error {
    pub status: Status,
    /// Of `Refused`: JSON-RPC's code, such as -32602; else 0.
    pub code: i64,
    pub text: String,
}

impl Error {
    pub(crate) fn new(status: Status, text: impl Into<String>) -> Error {
        Error { status, code: 0, text: text.into() }
    }

    pub(crate) fn closed() -> Error {
        Error::new(Status::Closed, "the runtime closed the connection")
    }

    pub(crate) fn protocol() -> Error {
        Error::new(Status::Protocol, "the runtime sent what is no message")
    }

    pub(crate) fn cancelled() -> Error {
        Error::new(Status::Cancelled, "cancelled")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
