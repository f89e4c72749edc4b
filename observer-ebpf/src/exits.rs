//! Socket calls where the kernel has no tracepoints of them (before Linux 6.3): the ends of the functions that the socket layer calls for
//! each family of addresses. They see the same calls in the same context. Bytes are booked and TLS handles tied; what crosses a socket
//! in clear is not read, since the verifiers of these kernels walk ten times as many paths. The daemon loads these programs only there.

use aya_ebpf::{macros::fexit, programs::FExitContext};
use observer_common::wire::{DIRECTION_RECEIVED, DIRECTION_SENT};

use crate::{maps::offsets, net::booked, task::field};

/// A program for the end of a function whose first argument is a `struct socket *`, with the number of its arguments, behind which its
/// result stands.
macro_rules! exits {
    ($($(#[$meta:meta])* $program:ident: $arguments:expr, $direction:expr;)*) => {$(
        $(#[$meta])*
        #[fexit]
        pub(crate) fn $program(ctx: FExitContext) -> i32 {
            let socket: u64 = field(ctx.arg(0), offsets().socket_sk);
            // Calls that receive have their flags as the last argument.
            let flags = if $direction == DIRECTION_RECEIVED {
                ctx.arg($arguments - 1)
            } else {
                0
            };
            booked(socket, ctx.arg($arguments), $direction, flags);
            0
        }
    )*};
}

exits! {
    /// `int inet_sendmsg(struct socket *sock, struct msghdr *msg, size_t size)`
    exit_inet_send: 3, DIRECTION_SENT;
    /// `int inet6_sendmsg(struct socket *sock, struct msghdr *msg, size_t size)`
    exit_inet6_send: 3, DIRECTION_SENT;
    /// `int inet_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags)`
    exit_inet_receive: 4, DIRECTION_RECEIVED;
    /// `int inet6_recvmsg(struct socket *sock, struct msghdr *msg, size_t size, int flags)`
    exit_inet6_receive: 4, DIRECTION_RECEIVED;
    /// `ssize_t inet_sendpage(struct socket *sock, struct page *page, int offset, size_t size, int flags)`: `sendfile(2)` and `splice(2)`.
    exit_inet_page: 5, DIRECTION_SENT;
}
