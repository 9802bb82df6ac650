//! What an agent says to the runtime that runs it, and the tools that it was given.
//!
//! ```no_run
//! # fn main() -> Result<(), libagent::Error> {
//! let mut agent = libagent::connect()?;
//! let answer = agent.call("fs__read_file", r#"{"path":"/context/a"}"#, Default::default())?;
//! println!("{}", answer.text);
//! # Ok(())
//! # }
//! ```
//!
//! The functions of the C library and of the Python module have the same names and do the same;
//! libagent(3) describes all three.
//!
//! JSON goes in and comes out as the text that travels, so that no number is rounded and no escape is
//! lost; [`json`] reads parts of it.
//!
//! One [`Agent`] is one connection; threads that call tools at the same time connect once each. A
//! [`Cancel`] may be fired from any thread. There are no dependencies.

#![warn(missing_debug_implementations)]

pub mod json;

mod error;
mod wire;

use std::io::Write;
use std::os::unix::io::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use error::{Error, Status};
use wire::{Patience, Wire};

/// [`connect`] gives up after this.
pub const CONNECT_TIME: Duration = Duration::from_secs(30);
/// Bytes of one request, as the runtime takes them.
pub const ARGUMENTS_MAX: usize = 8 << 20;
/// Bytes of one message from the runtime.
pub const ANSWER_MAX: usize = 64 << 20;
/// Pages of a list of tools.
pub const PAGES_MAX: usize = 1000;

const DEFAULT_SOCKET: &str = "/run/agentd/agentd.sock";
/// Revisions that begin with initialize, the one we ask for first.
const REVISIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// Ends calls that wait, from another thread. Once fired it stays so: a call that is given it later
/// is not made. Clones are the same.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<Ends>);

#[derive(Debug)]
struct Ends {
    fired: AtomicBool,
    write: UnixStream,
    /// Readable from when it is fired; never read.
    read: UnixStream,
}

impl Cancel {
    /// Err where descriptors ran out.
    pub fn new() -> std::io::Result<Cancel> {
        let (read, write) = UnixStream::pair()?;
        Ok(Cancel(Arc::new(Ends { fired: AtomicBool::new(false), write, read })))
    }

    pub fn fire(&self) {
        if !self.0.fired.swap(true, Ordering::SeqCst) {
            // One byte into an empty socket: there is room.
            let _ = (&self.0.write).write_all(b"x");
        }
    }

    pub fn fired(&self) -> bool {
        self.0.fired.load(Ordering::SeqCst)
    }
}

#[derive(Clone, Debug)]
pub struct Progress {
    pub progress: f64,
    /// 0: not told.
    pub total: f64,
    pub message: Option<String>,
}

/// How a tool is called. `Default` waits as long as the runtime allows.
#[derive(Default)]
pub struct Options<'a> {
    /// For the whole call.
    pub timeout: Option<Duration>,
    /// Called in this thread; false cancels the call.
    pub progress: Option<&'a mut dyn FnMut(&Progress) -> bool>,
    pub cancel: Option<&'a Cancel>,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("timeout", &self.timeout)
            .field("progress", &self.progress.is_some())
            .field("cancel", &self.cancel)
            .finish()
    }
}

#[derive(Clone, Debug)]
pub struct Tool {
    /// What [`Agent::call`] takes.
    pub name: String,
    /// Empty where it has none.
    pub description: String,
    /// The whole definition: inputSchema, annotations and the like.
    pub json: String,
}

#[derive(Clone, Debug)]
pub struct Answer {
    /// The result as it came: content, structuredContent, isError.
    pub json: String,
    /// Its text contents one after the other, a newline between.
    pub text: String,
    /// structuredContent, JSON text.
    pub structured: Option<String>,
    /// The tool says that it failed; text says why. The call itself is Ok.
    pub is_error: bool,
}

impl Answer {
    fn new(result: &str) -> Answer {
        let texts: Vec<String> = json::elements(json::get(result, "content").unwrap_or(""))
            .filter_map(|item| json::get(item, "text").and_then(json::string))
            .collect();
        Answer {
            json: result.to_owned(),
            text: texts.join("\n"),
            structured: json::get(result, "structuredContent").map(str::to_owned),
            is_error: json::get(result, "isError") == Some("true"),
        }
    }
}

/// Writes `LEVEL: TEXT` to standard error, which the runtime keeps as the session's log; each line
/// of text becomes one. level: "debug", "info", "warning", "error". Needs no connection.
pub fn log(level: &str, text: &str) {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let lines: String = text.split('\n').map(|line| format!("{}: {}\n", level, line)).collect();
    // One write: lines of several threads do not mix. Who does not hear the log is not told.
    let _ = std::io::stderr().lock().write_all(lines.as_bytes());
}

/// Connects to the socket that SCARAB_SOCKET names, else to /run/agentd/agentd.sock, and greets.
pub fn connect() -> Result<Agent, Error> {
    Agent::connect()
}

/// A connection; it is closed when dropped.
pub struct Agent {
    wire: Wire,
    next: u64,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").finish_non_exhaustive()
    }
}

struct Request<'a> {
    id: u64,
    patience: Patience,
    progress: Option<&'a mut dyn FnMut(&Progress) -> bool>,
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(Status::Invalid, text)
}

/// Is it this number of ours?
fn is_number(json: Option<&str>, number: u64) -> bool {
    json.and_then(|text| text.parse::<u64>().ok()) == Some(number)
}

fn refused(refusal: &str) -> Error {
    let code = json::get(refusal, "code").and_then(|code| code.parse().ok());
    let text = json::get(refusal, "message").and_then(json::string);
    Error { status: Status::Refused, code: code.unwrap_or(0), text: text.unwrap_or_default() }
}

fn tell_progress(request: &mut Request<'_>, params: &str) -> Result<(), Error> {
    let number = |name| json::get(params, name).and_then(|text| text.parse::<f64>().ok());
    let progress = match number("progress") {
        Some(progress) if is_number(json::get(params, "progressToken"), request.id) => progress,
        _ => return Ok(()),
    };
    let progress = Progress {
        progress,
        total: number("total").unwrap_or(0.0),
        message: json::get(params, "message").and_then(json::string),
    };
    if request.progress.as_mut().map_or(true, |told| told(&progress)) {
        Ok(())
    } else {
        Err(Error::cancelled())
    }
}

impl Agent {
    fn connect() -> Result<Agent, Error> {
        let path = std::env::var("SCARAB_SOCKET").unwrap_or_default();
        let path = if path.is_empty() { DEFAULT_SOCKET } else { &path };
        let deadline = Instant::now() + CONNECT_TIME;
        let wire = Wire::open(path, deadline, ANSWER_MAX, 4 * ARGUMENTS_MAX).map_err(|e| {
            let text = format!("cannot connect to the agent's socket {}: {}", path, e);
            Error::new(Status::Unreachable, text)
        })?;
        let mut agent = Agent { wire, next: 1 };
        agent.greet(deadline).map_err(|e| match e.status {
            Status::Timeout => {
                let text = format!("nobody answers at the agent's socket {}", path);
                Error::new(Status::Unreachable, text)
            }
            _ => e,
        })?;
        Ok(agent)
    }

    /// Calls that were cancelled and not yet answered are forgotten.
    pub fn close(&mut self) {
        self.wire.close();
    }

    // --- the conversation --------------------------------------------------------------------

    fn begin<'a>(&mut self, patience: Patience) -> Request<'a> {
        let id = self.next;
        self.next += 1;
        Request { id, patience, progress: None }
    }

    fn greet(&mut self, deadline: Instant) -> Result<(), Error> {
        let mut request = self.begin(Patience { deadline: Some(deadline), interrupt: None });
        let params = format!(
            "{{\"protocolVersion\":\"{}\",\"capabilities\":{{}},\"clientInfo\":{{\"name\":\"libagent\",\
             \"version\":\"{}\"}}}}",
            REVISIONS[0],
            env!("CARGO_PKG_VERSION")
        );
        let result = self.exchange(&mut request, "initialize", Some(&params))?;
        let revision = json::get(&result, "protocolVersion").and_then(json::string);
        if !REVISIONS.iter().any(|known| revision.as_deref() == Some(known)) {
            let text = "the runtime speaks no revision of MCP that libagent knows";
            return Err(Error::new(Status::Protocol, text));
        }
        self.wire.send("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}")
    }

    /// Sends a request and waits for the text of its result.
    fn exchange(
        &mut self,
        request: &mut Request<'_>,
        method: &str,
        params: Option<&str>,
    ) -> Result<String, Error> {
        let params = params.map(|params| format!(",\"params\":{}", params)).unwrap_or_default();
        let line =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"{}\"{}}}", request.id, method, params);
        let result = self.wire.send(&line).and_then(|()| self.await_result(request));
        if let Err(error) = &result {
            match error.status {
                Status::Timeout | Status::Cancelled => {
                    // Whether it could be told changes nothing for who gave the call up.
                    let _ = self.wire.send(&format!(
                        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":\
                         {{\"requestId\":{},\"reason\":\"{}\"}}}}",
                        request.id,
                        error.status.name()
                    ));
                }
                Status::Closed | Status::Protocol => self.wire.close(),
                _ => (),
            }
        }
        result
    }

    fn await_result(&mut self, request: &mut Request<'_>) -> Result<String, Error> {
        loop {
            let line = self.wire.line(&request.patience)?;
            let message = json::whole(&line).ok_or_else(Error::protocol)?;
            if !message.starts_with('{') {
                return Err(Error::protocol());
            }
            match json::get(message, "method") {
                Some(method) if method.starts_with('"') => {
                    self.take_method(request, message, method)?
                }
                // An answer that is neither ours nor late is dropped like a late one.
                _ if !is_number(json::get(message, "id"), request.id) => (),
                _ => {
                    if let Some(refusal) = json::get(message, "error") {
                        return Err(refused(refusal));
                    }
                    let result = json::get(message, "result").ok_or_else(Error::protocol)?;
                    return Ok(result.to_owned());
                }
            }
        }
    }

    /// A request or a notification. The runtime asks nothing of us but whether we are there.
    fn take_method(
        &mut self,
        request: &mut Request<'_>,
        message: &str,
        method: &str,
    ) -> Result<(), Error> {
        if let Some(id) = json::get(message, "id") {
            let answer = if method == "\"ping\"" {
                "\"result\":{}"
            } else {
                "\"error\":{\"code\":-32601,\"message\":\"Method not found\"}"
            };
            return self.wire.send(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{},{}}}", id, answer));
        }
        match json::get(message, "params") {
            Some(params) if method == "\"notifications/progress\"" => tell_progress(request, params),
            _ => Ok(()),
        }
    }

    // --- tools ---------------------------------------------------------------------------------

    /// Every tool that can be called now, in the runtime's order.
    pub fn tools(&mut self) -> Result<Vec<Tool>, Error> {
        let no_list = || Error::new(Status::Protocol, "the runtime's list of tools is none");
        let mut tools = Vec::new();
        let mut params: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut request = self.begin(Patience::default());
            let page = self.exchange(&mut request, "tools/list", params.as_deref())?;
            let listed = json::get(&page, "tools").filter(|list| list.starts_with('['));
            for definition in json::elements(listed.ok_or_else(no_list)?) {
                let name = json::get(definition, "name").and_then(json::string);
                let description = json::get(definition, "description").and_then(json::string);
                tools.push(Tool {
                    name: name.ok_or_else(|| Error::new(Status::Protocol, "a tool has no name"))?,
                    description: description.unwrap_or_default(),
                    json: definition.to_owned(),
                });
            }
            match json::get(&page, "nextCursor") {
                Some(cursor) if cursor.starts_with('"') => {
                    params = Some(format!("{{\"cursor\":{}}}", cursor))
                }
                _ => return Ok(tools),
            }
        }
        Err(Error::new(Status::Protocol, "the list of tools does not end"))
    }

    /// Calls a tool and waits for its answer. arguments: a JSON object as text. A call that is given
    /// up is cancelled at the runtime as well.
    pub fn call(
        &mut self,
        tool: &str,
        arguments: &str,
        options: Options<'_>,
    ) -> Result<Answer, Error> {
        if arguments.len() + tool.len() > ARGUMENTS_MAX - 1024 {
            return Err(invalid(format!(
                "the arguments of {} are {} bytes; a request has at most {}",
                tool,
                arguments.len(),
                ARGUMENTS_MAX
            )));
        }
        let arguments = json::whole(arguments).filter(|text| text.starts_with('{'));
        let arguments =
            arguments.ok_or_else(|| invalid(format!("the arguments of {} are no JSON object", tool)))?;
        if options.cancel.map_or(false, Cancel::fired) {
            return Err(Error::cancelled());
        }
        let mut request = self.begin(Patience {
            deadline: options.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            interrupt: options.cancel.map(|cancel| cancel.0.read.as_raw_fd()),
        });
        let meta = match options.progress {
            Some(_) => format!(",\"_meta\":{{\"progressToken\":{}}}", request.id),
            None => String::new(),
        };
        request.progress = options.progress;
        let name = json::quote(tool);
        let params =
            format!("{{\"name\":{},\"arguments\":{}{}}}", name, json::one_line(arguments), meta);
        let result = self.exchange(&mut request, "tools/call", Some(&params))?;
        if !result.starts_with('{') {
            return Err(Error::new(Status::Protocol, "the answer of a tool is no object"));
        }
        Ok(Answer::new(&result))
    }

    // --- the runtime's own ---------------------------------------------------------------------

    fn ask(&mut self, tool: &str, members: &[(&str, Option<String>)]) -> Result<Answer, Error> {
        let members: Vec<String> = members
            .iter()
            .filter_map(|(name, value)| value.as_ref().map(|v| format!("\"{}\":{}", name, v)))
            .collect();
        let arguments = format!("{{{}}}", members.join(","));
        let answer = self.call(tool, &arguments, Options::default())?;
        if answer.is_error {
            return Err(Error::new(Status::Failed, answer.text));
        }
        Ok(answer)
    }

    /// Why this session runs: mission.json with the state of the plugins, as JSON text.
    pub fn mission(&mut self) -> Result<String, Error> {
        let answer = self.ask("agentd__mission", &[])?;
        // Older revisions of MCP have the text alone.
        Ok(answer.structured.unwrap_or(answer.text))
    }

    /// Notes what the agent found. data: JSON text of any type.
    pub fn observe(&mut self, text: &str, data: Option<&str>) -> Result<(), Error> {
        let members = [("text", Some(json::quote(text))), ("data", checked(data, "data")?)];
        self.ask("agentd__observe", &members).map(drop)
    }

    /// state: "plan", "act" or "observe".
    pub fn transition(&mut self, state: &str, reason: Option<&str>) -> Result<(), Error> {
        let members = [("state", Some(json::quote(state))), ("reason", reason.map(json::quote))];
        self.ask("agentd__transition", &members).map(drop)
    }

    /// Stores the session's result: JSON text of any type. The last one counts.
    pub fn result(&mut self, json: &str) -> Result<(), Error> {
        let members = [("result", checked(Some(json), "result")?)];
        self.ask("agentd__result", &members).map(drop)
    }

    /// Emits an event. data: JSON text of any type.
    pub fn emit_event(
        &mut self,
        kind: &str,
        data: Option<&str>,
        subject: Option<&str>,
    ) -> Result<(), Error> {
        let members = [
            ("type", Some(json::quote(kind))),
            ("data", checked(data, "data")?),
            ("subject", subject.map(json::quote)),
        ];
        self.ask("agentd__emit_event", &members).map(drop)
    }

    /// [`log`].
    pub fn log(&self, level: &str, text: &str) {
        log(level, text)
    }
}

fn checked(json: Option<&str>, what: &str) -> Result<Option<String>, Error> {
    match json {
        Some(text) if json::whole(text).is_none() => Err(invalid(format!("{} is no JSON", what))),
        other => Ok(other.map(str::to_owned)),
    }
}
