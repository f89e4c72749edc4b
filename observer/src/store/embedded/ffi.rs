//! The C interface of libchdb (`programs/local/chdb.h`, 26.7), and the only unsafe code of the store.
//!
//! What the types make impossible: a connection used from two threads at once (methods take `&mut self`), a
//! statement beside an open stream of the same connection (streams borrow it), a stream or result that outlives
//! what it belongs to, a library that is unloaded while the engine runs (`ManuallyDrop`).

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// `chdb_connection` is itself a pointer to an opaque struct.
type RawConnection = *mut c_void;
/// `chdb_result *`
type RawResult = *mut c_void;
/// `chdb_insert_stream`
type RawInsert = *mut c_void;

type Text = *const c_char;
type WithParams<R> = unsafe extern "C" fn(
    RawConnection,
    Text,
    usize,
    Text,
    usize,
    *const Text,
    *const usize,
    *const Text,
    *const usize,
    usize,
) -> R;
type Number = unsafe extern "C" fn(RawResult) -> u64;

/// Named values for `{name:Type}` places of a statement.
pub(super) type Params = [(String, String)];

/// `chdb_query_analysis_v1`
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Analysis {
    struct_size: u32,
    /// Executable statements; 0 when the text is empty or does not parse.
    pub(super) statement_count: u32,
    flags: u32,
    /// `chdb_query_class`: 0 reads, 1 writes, 2 writes outside a database, 3 control, 4 unknown.
    pub(super) query_class: u32,
}

/// Functions of the library.
pub(super) struct Api {
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut RawConnection,
    close: unsafe extern "C" fn(*mut RawConnection),
    query: WithParams<RawResult>,
    stream_query: WithParams<RawResult>,
    stream_fetch: unsafe extern "C" fn(RawConnection, RawResult) -> RawResult,
    stream_cancel: unsafe extern "C" fn(RawConnection, RawResult),
    insert: WithParams<RawInsert>,
    insert_append: unsafe extern "C" fn(RawInsert, *const c_void, usize) -> c_int,
    insert_done: unsafe extern "C" fn(RawInsert) -> RawResult,
    insert_cancel: unsafe extern "C" fn(RawInsert),
    insert_error: unsafe extern "C" fn(RawInsert) -> Text,
    insert_destroy: unsafe extern "C" fn(RawInsert),
    classify: unsafe extern "C" fn(RawConnection, Text, usize, Text, usize, *mut Analysis) -> c_int,
    result_buffer: unsafe extern "C" fn(RawResult) -> *const c_char,
    result_length: unsafe extern "C" fn(RawResult) -> usize,
    result_error: unsafe extern "C" fn(RawResult) -> Text,
    result_rows_read: Number,
    result_bytes_read: Number,
    result_rows_written: Number,
    result_bytes_written: Number,
    result_destroy: unsafe extern "C" fn(RawResult),
    // Never unloaded: the engine's threads run in it until the process ends.
    _library: ManuallyDrop<Library>,
}

impl Api {
    /// Loads the library and turns its signal handlers off (with them, a crash hangs instead of ending).
    pub(super) fn load(path: &Path) -> Result<Arc<Self>, libloading::Error> {
        // SAFETY: libchdb's initialisers have no preconditions; the path names the file that the operator chose.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL)? };
        macro_rules! symbol {
            ($name:literal) => {{
                // SAFETY: the type is that of chdb.h, and the pointer stays valid since the library is never unloaded.
                unsafe { *library.get(concat!($name, "\0").as_bytes())? }
            }};
        }
        let disable_signals: unsafe extern "C" fn(c_int) = symbol!("chdb_set_signal_handlers_enabled");
        // SAFETY: called before the first connection, as chdb.h asks.
        unsafe { disable_signals(0) };
        Ok(Arc::new(Self {
            connect: symbol!("chdb_connect"),
            close: symbol!("chdb_close_conn"),
            query: symbol!("chdb_query_with_params_n"),
            stream_query: symbol!("chdb_stream_query_with_params_n"),
            stream_fetch: symbol!("chdb_stream_fetch_result"),
            stream_cancel: symbol!("chdb_stream_cancel_query"),
            insert: symbol!("chdb_stream_insert_with_params_n"),
            insert_append: symbol!("chdb_stream_append"),
            insert_done: symbol!("chdb_stream_done"),
            insert_cancel: symbol!("chdb_stream_cancel_insert"),
            insert_error: symbol!("chdb_stream_insert_error"),
            insert_destroy: symbol!("chdb_destroy_insert_stream"),
            classify: symbol!("chdb_classify_query_n"),
            result_buffer: symbol!("chdb_result_buffer"),
            result_length: symbol!("chdb_result_length"),
            result_error: symbol!("chdb_result_error"),
            result_rows_read: symbol!("chdb_result_storage_rows_read"),
            result_bytes_read: symbol!("chdb_result_storage_bytes_read"),
            result_rows_written: symbol!("chdb_result_rows_written"),
            result_bytes_written: symbol!("chdb_result_bytes_written"),
            result_destroy: symbol!("chdb_destroy_query_result"),
            _library: ManuallyDrop::new(library),
        }))
    }

    /// Opens a connection with these command-line arguments (without the program's name). The first one of the
    /// process starts the engine. `None` when the engine refuses; it says why on standard error only.
    pub(super) fn connect(self: &Arc<Self>, arguments: &[CString]) -> Option<Connection> {
        let mut argv: Vec<*mut c_char> = vec![c"clickhouse".as_ptr().cast_mut()];
        argv.extend(arguments.iter().map(|a| a.as_ptr().cast_mut()));
        let argc = c_int::try_from(argv.len()).ok()?;
        // SAFETY: argv holds argc pointers to strings that end in NUL and live through the call; the library only
        // reads them (the header's missing const is C's habit).
        let handle = NonNull::new(unsafe { (self.connect)(argc, argv.as_mut_ptr()) })?;
        // SAFETY: a handle that is not NULL points to a chdb_connection.
        let open = !unsafe { *handle.as_ptr() }.is_null();
        open.then(|| Connection {
            api: Arc::clone(self),
            handle,
        })
    }
}

/// Pointers and lengths of parameters, as the C interface takes them. Borrows the parameters.
struct ParamArrays<'p> {
    names: Vec<Text>,
    name_lengths: Vec<usize>,
    values: Vec<Text>,
    value_lengths: Vec<usize>,
    _params: &'p Params,
}

impl<'p> ParamArrays<'p> {
    fn new(params: &'p Params) -> Self {
        Self {
            names: params.iter().map(|(name, _)| name.as_ptr().cast()).collect(),
            name_lengths: params.iter().map(|(name, _)| name.len()).collect(),
            values: params.iter().map(|(_, value)| value.as_ptr().cast()).collect(),
            value_lengths: params.iter().map(|(_, value)| value.len()).collect(),
            _params: params,
        }
    }
}

/// A session of the engine: settings and current database are its own.
pub(super) struct Connection {
    api: Arc<Api>,
    handle: NonNull<RawConnection>,
}

// SAFETY: the library takes its own lock on each call and ties no state to a thread (used from changing threads in
// the spike, 18,000 connections); `&mut self` keeps two threads from using one connection at once.
unsafe impl Send for Connection {}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the handle came from chdb_connect and is closed once; streams and results borrow the connection or
        // own their memory.
        unsafe { (self.api.close)(self.handle.as_ptr()) };
    }
}

impl Connection {
    fn raw(&self) -> RawConnection {
        // SAFETY: the handle is valid until close, which only Drop calls.
        unsafe { *self.handle.as_ptr() }
    }

    fn call<R>(&self, function: WithParams<R>, sql: &[u8], format: &str, params: &Params) -> R {
        let p = ParamArrays::new(params);
        // SAFETY: all pointers are valid for the lengths beside them through the call, which copies what it keeps;
        // the connection is open.
        unsafe {
            function(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                p.names.as_ptr(),
                p.name_lengths.as_ptr(),
                p.values.as_ptr(),
                p.value_lengths.as_ptr(),
                params.len(),
            )
        }
    }

    fn answer(&self, raw: RawResult) -> Answer {
        Answer {
            api: Arc::clone(&self.api),
            raw: NonNull::new(raw),
        }
    }

    /// Runs a statement and waits for all of its result.
    pub(super) fn query(&mut self, sql: &[u8], format: &str, params: &Params) -> Answer {
        self.answer(self.call(self.api.query, sql, format, params))
    }

    /// Starts a SELECT whose result comes in pieces.
    pub(super) fn select(&mut self, sql: &[u8], format: &str, params: &Params) -> Select<'_> {
        let start = self.answer(self.call(self.api.stream_query, sql, format, params));
        Select {
            connection: self,
            start,
            over: false,
        }
    }

    /// Starts an INSERT (without FORMAT and data) whose data comes in pieces.
    pub(super) fn insert(&mut self, sql: &[u8], format: &str, params: &Params) -> Insert<'_> {
        let raw = self.call(self.api.insert, sql, format, params);
        Insert {
            connection: self,
            raw,
        }
    }

    /// What the statement would do, by the engine's own parser. Nothing is executed.
    pub(super) fn classify(&mut self, sql: &[u8]) -> Analysis {
        let mut analysis = Analysis {
            struct_size: size_of::<Analysis>() as u32,
            statement_count: 0,
            flags: 0,
            query_class: 4,
        };
        // SAFETY: the text is valid for its length, a NULL database is allowed, and the struct has the size it states.
        unsafe {
            (self.api.classify)(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                std::ptr::null(),
                0,
                &raw mut analysis,
            );
        }
        analysis
    }
}

/// A result, or a piece of one: bytes in the format asked for, or an error.
pub(super) struct Answer {
    api: Arc<Api>,
    raw: Option<NonNull<c_void>>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(raw) = self.raw {
            // SAFETY: the result came from the library and is destroyed once.
            unsafe { (self.api.result_destroy)(raw.as_ptr()) };
        }
    }
}

impl Answer {
    /// The engine's error text (`Code: 60. DB::Exception: ...`).
    pub(super) fn error(&self) -> Option<String> {
        let Some(raw) = self.raw else {
            return Some("Code: 1002. DB::Exception: the engine gave no result".into());
        };
        // SAFETY: the result is valid until Drop.
        text(unsafe { (self.api.result_error)(raw.as_ptr()) })
    }

    /// The data.
    pub(super) fn bytes(&self) -> &[u8] {
        let Some(raw) = self.raw else { return &[] };
        // SAFETY: the result is valid until Drop.
        let (data, length) = unsafe {
            (
                (self.api.result_buffer)(raw.as_ptr()),
                (self.api.result_length)(raw.as_ptr()),
            )
        };
        if data.is_null() || length == 0 {
            return &[];
        }
        // SAFETY: the buffer has this length, belongs to the result and does not change until Drop, which the borrow
        // of self holds off.
        unsafe { std::slice::from_raw_parts(data.cast(), length) }
    }

    fn number(&self, function: Number) -> u64 {
        // SAFETY: the result is valid until Drop.
        self.raw.map_or(0, |raw| unsafe { function(raw.as_ptr()) })
    }

    /// Rows and bytes read from tables.
    pub(super) fn read(&self) -> (u64, u64) {
        (
            self.number(self.api.result_rows_read),
            self.number(self.api.result_bytes_read),
        )
    }

    /// Rows and bytes written to tables.
    pub(super) fn written(&self) -> (u64, u64) {
        (
            self.number(self.api.result_rows_written),
            self.number(self.api.result_bytes_written),
        )
    }
}

fn text(pointer: Text) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the library's texts end in NUL and stay until the next call on the same object; copied here.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// A running SELECT. Cancelled when dropped before its end.
pub(super) struct Select<'c> {
    connection: &'c mut Connection,
    start: Answer,
    over: bool,
}

impl Select<'_> {
    /// The error with which it did not start.
    pub(super) fn error(&self) -> Option<String> {
        self.start.error()
    }

    /// The next piece: without bytes and error at the end.
    pub(super) fn next(&mut self) -> Answer {
        let Some(start) = self.start.raw else {
            return self.connection.answer(std::ptr::null_mut());
        };
        // SAFETY: the connection is open and the stream is its own.
        let raw = unsafe { (self.connection.api.stream_fetch)(self.connection.raw(), start.as_ptr()) };
        let answer = self.connection.answer(raw);
        self.over = answer.error().is_some() || answer.bytes().is_empty();
        answer
    }
}

impl Drop for Select<'_> {
    fn drop(&mut self) {
        if let (false, Some(start)) = (self.over, self.start.raw) {
            // SAFETY: the connection is open and the stream is its own.
            unsafe { (self.connection.api.stream_cancel)(self.connection.raw(), start.as_ptr()) };
        }
    }
}

/// A running INSERT. Nothing is stored unless `done` was called.
pub(super) struct Insert<'c> {
    connection: &'c mut Connection,
    raw: RawInsert,
}

impl Insert<'_> {
    /// The error with which it did not start, or failed meanwhile.
    pub(super) fn error(&self) -> Option<String> {
        // SAFETY: the handle is valid until Drop (never NULL, says chdb.h).
        text(unsafe { (self.connection.api.insert_error)(self.raw) })
    }

    /// Hands over data in the format of the insert. False when the insert has failed.
    pub(super) fn append(&mut self, data: &[u8]) -> bool {
        // SAFETY: the data is valid for its length and copied by the call.
        unsafe { (self.connection.api.insert_append)(self.raw, data.as_ptr().cast(), data.len()) == 0 }
    }

    /// Ends the data and commits.
    pub(super) fn done(self) -> Answer {
        // SAFETY: the handle is valid until Drop, which follows.
        let raw = unsafe { (self.connection.api.insert_done)(self.raw) };
        self.connection.answer(raw)
    }

    /// Ends the insert without storing anything.
    pub(super) fn cancel(self) {
        // SAFETY: the handle is valid until Drop, which follows.
        unsafe { (self.connection.api.insert_cancel)(self.raw) };
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        // SAFETY: destroyed once; cancels first if the insert was not finished.
        unsafe { (self.connection.api.insert_destroy)(self.raw) };
    }
}
