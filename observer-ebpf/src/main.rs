//! Observer's kernel programs. One file per source of events; `maps` holds the state, `emit` is the only door to the
//! ring buffer.
#![no_std]
#![no_main]

mod bench;
mod emit;
mod maps;
mod net;
mod process;
mod task;
mod tls;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses programs that can panic; this exists for the linker.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
