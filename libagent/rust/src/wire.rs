//! The connection: lines out and in, with a deadline and a way to interrupt. Nothing waits but
//! `line()`, which also sends what is still to be sent, so that two peers that both write first
//! cannot wait for each other. What is left of a request that was given up is sent ahead of the next.

use std::io::{self, ErrorKind, Read, Write};
use std::os::raw::{c_int, c_short, c_ulong};
use std::os::unix::io::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::error::{Error, Status};

const READ_BYTES: usize = 64 << 10;

// The one thing that std does not have: to wait for one of two descriptors.
#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

const POLLIN: c_short = 1;
const POLLOUT: c_short = 4;

extern "C" {
    fn poll(fds: *mut PollFd, count: c_ulong, timeout: c_int) -> c_int;
}

/// -1 for an interrupt that there is none of. Err(Interrupted) may be repeated.
fn wait(fds: &mut [PollFd; 2], left: Option<Duration>) -> io::Result<c_int> {
    // Rounded up, so that the deadline has passed when it returns.
    let ms = match left {
        None => -1,
        Some(left) if left.is_zero() => 0,
        Some(left) => left.as_millis().saturating_add(1).min(c_int::MAX as u128) as c_int,
    };
    // SAFETY: fds points to as many structures as are named, for the duration of the call.
    let ready = unsafe { poll(fds.as_mut_ptr(), 2, ms) };
    if ready < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(ready)
    }
}

/// How long `line()` waits.
#[derive(Clone, Copy, Default)]
pub struct Patience {
    pub deadline: Option<Instant>,
    /// A descriptor that is readable when it is to stop.
    pub interrupt: Option<RawFd>,
}

pub struct Wire {
    stream: Option<UnixStream>,
    input: Vec<u8>,
    /// Of input: given out already, known to hold no line's end.
    taken: usize,
    searched: usize,
    output: Vec<u8>,
    sent: usize,
    answer_max: usize,
    unsent_max: usize,
}

impl Wire {
    pub fn open(path: &str, deadline: Instant, answer_max: usize, unsent_max: usize) -> io::Result<Wire> {
        let stream = loop {
            match UnixStream::connect(path) {
                // The backlog is full, and nobody tells when it no longer is.
                Err(e) if e.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10))
                }
                other => break other?,
            }
        };
        stream.set_nonblocking(true)?;
        Ok(Wire {
            stream: Some(stream),
            input: Vec::new(),
            taken: 0,
            searched: 0,
            output: Vec::new(),
            sent: 0,
            answer_max,
            unsent_max,
        })
    }

    pub fn close(&mut self) {
        self.stream = None;
        self.input = Vec::new();
        self.output = Vec::new();
        self.taken = 0;
        self.searched = 0;
        self.sent = 0;
    }

    /// What the peer has sent before it closed is still to be read: `line()` tells.
    fn flush(&mut self) {
        while let (Some(stream), true) = (&mut self.stream, self.sent < self.output.len()) {
            match stream.write(&self.output[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => (),
                Err(_) => return,
            }
        }
        self.output = Vec::new();
        self.sent = 0;
    }

    pub fn send(&mut self, line: &str) -> Result<(), Error> {
        if self.stream.is_none() {
            return Err(Error::closed());
        }
        self.output.drain(..self.sent);
        self.sent = 0;
        self.output.extend_from_slice(line.as_bytes());
        self.output.push(b'\n');
        self.flush();
        if self.output.len() - self.sent > self.unsent_max {
            return Err(Error::closed());
        }
        Ok(())
    }

    /// Where a whole line lies that has been read already and is not blank.
    fn next(&mut self) -> Option<(usize, usize)> {
        loop {
            let from = self.taken;
            match self.input[self.searched..].iter().position(|&byte| byte == b'\n') {
                None => {
                    self.searched = self.input.len();
                    return None;
                }
                Some(at) => {
                    let mut end = self.searched + at;
                    self.taken = end + 1;
                    self.searched = self.taken;
                    while end > from && matches!(self.input[end - 1], b'\r' | b' ' | b'\t') {
                        end -= 1;
                    }
                    if end > from {
                        return Some((from, end));
                    }
                }
            }
        }
    }

    fn wait(&self, patience: &Patience) -> Result<(), Error> {
        let fd = self.stream.as_ref().ok_or_else(Error::closed)?.as_raw_fd();
        let events = if self.output.is_empty() { POLLIN } else { POLLIN | POLLOUT };
        loop {
            let mut fds = [
                PollFd { fd, events, revents: 0 },
                PollFd { fd: patience.interrupt.unwrap_or(-1), events: POLLIN, revents: 0 },
            ];
            let left = patience.deadline.map(|d| d.saturating_duration_since(Instant::now()));
            match wait(&mut fds, left) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(Error::closed()),
                Ok(_) if fds[1].revents != 0 => return Err(Error::cancelled()),
                Ok(0) => return Err(Error::new(Status::Timeout, "no answer in time")),
                Ok(_) => return Ok(()),
            }
        }
    }

    fn fill(&mut self) -> Result<(), Error> {
        self.input.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        if self.input.len() > self.answer_max {
            return Err(Error::protocol());
        }
        let stream = self.stream.as_mut().ok_or_else(Error::closed)?;
        let held = self.input.len();
        self.input.resize(held + READ_BYTES.max(held / 2), 0);
        let got = stream.read(&mut self.input[held..]);
        self.input.truncate(held + *got.as_ref().unwrap_or(&0));
        match got {
            Ok(0) => Err(Error::closed()),
            Ok(_) => Ok(()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            Err(_) => Err(Error::closed()),
        }
    }

    /// The next line that is not blank, without its end.
    pub fn line(&mut self, patience: &Patience) -> Result<String, Error> {
        loop {
            if let Some((from, end)) = self.next() {
                let line = self.input[from..end].to_vec();
                return String::from_utf8(line).map_err(|_| Error::protocol());
            }
            self.wait(patience)?;
            self.flush();
            self.fill()?;
        }
    }
}
