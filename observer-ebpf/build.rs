//! Tells the compiler the architecture that the programs are built for (`bpf_target_arch`).
fn main() -> anyhow::Result<()> {
    aya_build::emit_bpf_target_arch_cfg()
}
