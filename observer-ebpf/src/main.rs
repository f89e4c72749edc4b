//! Observer's kernel programs. One file per source of events; `maps` holds the state, `emit` is the only door to the
//! ring buffer.
#![no_std]
#![feature(asm_experimental_arch)]
#![no_main]

mod aead;
mod bench;
mod emit;
mod enforce;
mod exits;
mod flow;
mod gate;
mod go;
mod maps;
mod net;
mod process;
mod ring;
mod share;
mod stdio;
mod syscall;
mod task;
mod tie;
mod tls;
mod udp;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses programs that can panic; this exists for the linker.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
