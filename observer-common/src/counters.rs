//! Kernel counters: indexes of the per-CPU array `COUNTERS` and their names.

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident = $index:literal, $stage:literal, $text:literal;)*) => {
        $($(#[$meta])* pub const $name: u32 = $index;)*

        /// Number of counters.
        pub const COUNT: u32 = [$($index as u32),*].len() as u32;

        /// `(index, what it counts: "events" or "bytes", name)` of every counter. Names that start with `lost_` are losses.
        pub const ALL: &[(u32, &str, &str)] = &[$(($index, $stage, $text)),*];
    };
}

counters! {
    /// Records handed to the ring buffer.
    RECORDS = 0, "events", "records";
    /// Records that found no room in the ring buffer.
    LOST_RING = 1, "events", "lost_ring_full";
    /// Payload bytes of those.
    LOST_RING_BYTES = 2, "bytes", "lost_ring_full";
    /// Plaintext whose memory could not be read.
    LOST_FAULT = 3, "events", "lost_read_fault";
    /// Bytes of those.
    LOST_FAULT_BYTES = 4, "bytes", "lost_read_fault";
    /// Calls that found no room in the table of threads.
    LOST_THREADS_FULL = 5, "events", "lost_thread_table_full";
    /// Calls that found no room in the table of flows.
    LOST_FLOWS_FULL = 6, "events", "lost_flow_table_full";
    /// Connections that found no room in the table of sockets.
    LOST_SOCKETS_FULL = 7, "events", "lost_socket_table_full";
    /// Bytes of calls beyond what one call may deliver.
    LOST_CALL_TOO_LONG_BYTES = 8, "bytes", "lost_call_too_long";
    /// Plaintext bytes delivered from AI flows.
    DELIVERED_AI_BYTES = 9, "bytes", "delivered_ai";
    /// Plaintext bytes delivered from flows that were not decided yet.
    DELIVERED_UNDECIDED_BYTES = 10, "bytes", "delivered_undecided";
    /// Plaintext bytes of other traffic, not delivered.
    SKIPPED_OTHER_BYTES = 11, "bytes", "skipped_other";
    /// Plaintext bytes of undecided flows beyond their prefix, not delivered.
    SKIPPED_PREFIX_BYTES = 12, "bytes", "skipped_undecided_prefix";
    /// Returns whose entry was not seen (attached between the two, or a second probe on the same file).
    UNMATCHED_RETURN = 13, "events", "unmatched_return";
    /// Bytes of socket calls that carry plaintext but came by a call whose buffer cannot be found (io_uring, splice).
    LOST_UNREADABLE_CALL_BYTES = 14, "bytes", "lost_unreadable_call";
    /// Calls that were denied.
    CALLS_DENIED = 15, "events", "calls_denied";
    /// Calls that would have been denied, in a dry run.
    CALLS_DRY_RUN = 16, "events", "calls_dry_run";
    /// Processes whose standard input and output found no room in the table.
    LOST_STDIO_FULL = 17, "events", "lost_stdio_table_full";
    /// Calls that were not delivered since their process had its share of a ring buffer that was filling up.
    LOST_SHARE = 18, "events", "lost_over_share";
    /// Bytes of those.
    LOST_SHARE_BYTES = 19, "bytes", "lost_over_share";
}

const _: () = {
    let mut i = 0;
    while i < ALL.len() {
        assert!(ALL[i].0 as usize == i);
        i += 1;
    }
};
